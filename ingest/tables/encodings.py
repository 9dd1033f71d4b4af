"""Decodes the bytes of a text file, and detects its encoding by a few simple rules.

A byte order mark identifies UTF-8 and UTF-16; NUL bytes in every second position identify UTF-16
without one. Valid UTF-8 is UTF-8. Anything else is Windows-1252, the encoding of Western European
exports, unless most of it is UTF-8, which is then damaged. Statistical detectors
(charset-normalizer) were no better: a list of short titles gives them too little to go by.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from registry.errors import SourceError, UsageError
from registry.urls import printable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16 LE"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16 BE"),
)
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_HIGH = re.compile(rb"[\x80-\xff]")
_WORDS = re.compile(r"[^\t\n\r,;\"]*[^\x00-\x7f][^\t\n\r,;\"]*")
_SAMPLE = 4096
"""Bytes that are searched for the NUL bytes of UTF-16."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text file."""

    text: str
    encoding: str
    """The name of the encoding, for messages."""
    note: str = ""
    """A note if the encoding may be wrong, with an example that can be checked by eye."""


def decode(source: str, data: bytes, encoding: str = "") -> Decoded:
    """Decode the text of a file, in `encoding` if it is given.

    Raises `SourceError` if the bytes are not in the encoding, and `UsageError` if there is no such
    encoding.
    """
    if encoding:
        return _decode_as(source, data, encoding)
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            return _strict(source, data, codec, name, skip=len(mark))
    sample = data[:_SAMPLE]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) > len(sample) // 8 and min(even, odd) <= max(even, odd) // 8:
        little = odd > even
        codec, name = ("utf-16-le", "UTF-16 LE") if little else ("utf-16-be", "UTF-16 BE")
        return _strict(source, data, codec, name)
    nul = data.find(b"\x00")
    if nul >= 0:
        raise SourceError(
            f"{source} is not text: it has a NUL byte at offset {nul} (line {_line(data, nul)})."
        )
    try:
        return Decoded(data.decode("utf-8"), "UTF-8")
    except UnicodeDecodeError as exc:
        if len(_MULTIBYTE.findall(data)) > len(_HIGH.findall(_MULTIBYTE.sub(b"", data))):
            raise _damaged(source, data, exc.start, "UTF-8") from exc
    return _western(source, data)


def _western(source: str, data: bytes) -> Decoded:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as exc:
        raise SourceError(
            f"{source} is neither UTF-8 nor Windows-1252: byte 0x{data[exc.start]:02X} at offset "
            f"{exc.start} (line {_line(data, exc.start)}) is in neither. Name its encoding with "
            "--encoding, such as --encoding cp1251 or --encoding shift_jis."
        ) from exc
    example = _WORDS.search(text)
    shown = f" ('{printable(example[0].strip())}')" if example else ""
    note = (
        f"{source} is not UTF-8 and was read as Windows-1252{shown}. If that looks wrong, name "
        "its encoding with --encoding."
    )
    return Decoded(text, "Windows-1252", note)


def _strict(source: str, data: bytes, codec: str, name: str, skip: int = 0) -> Decoded:
    try:
        text = data[skip:].decode(codec)
    except UnicodeDecodeError as exc:
        raise _damaged(source, data, exc.start + skip, name) from exc
    note = "" if name == "UTF-8" else f"{source} was read as {name}."
    return Decoded(text, name, note)


def _damaged(source: str, data: bytes, offset: int, name: str) -> SourceError:
    line = f" (line {_line(data, offset)})" if name == "UTF-8" else ""
    return SourceError(
        f"{source} is {name} but for byte 0x{data[offset]:02X} at offset {offset}{line}. Save it "
        "again as UTF-8, or name its encoding with --encoding."
    )


def _decode_as(source: str, data: bytes, encoding: str) -> Decoded:
    try:
        text = data.decode(encoding)
    except LookupError as exc:
        raise UsageError(
            f"--encoding {printable(encoding)}: there is no such text encoding. Write utf-8, "
            "utf-16, windows-1252, or another that Python knows."
        ) from exc
    except (UnicodeError, ValueError) as exc:
        start = getattr(exc, "start", 0)
        raise SourceError(
            f"{source} is not valid {printable(encoding)} at offset {start}. Name another encoding."
        ) from exc
    return Decoded(text.removeprefix("\ufeff"), encoding)


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
