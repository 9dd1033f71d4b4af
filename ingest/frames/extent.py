"""How long a file is meant to be, by the sizes that its container states. Pure."""

from __future__ import annotations

from io import SEEK_END
from typing import BinaryIO

_BOXES = frozenset(
    b"ftyp styp moov mdat free skip wide moof mfra sidx ssix meta uuid pdin udta emsg prft".split()
)
"""What stands at the top level of MP4 and QuickTime files; the rest is not followed."""

_MOST_BOXES = 100_000
"""Top-level boxes that are followed: fragmented MP4 has two or three for each fragment, so this is
half a day in fragments of a second."""


def is_cut_off(file: BinaryIO) -> bool:
    """Whether a file ends before the end that its container states; False where it states none.

    MP4 and AVI are chains of boxes that begin with their sizes, Matroska is one element with its
    size, GIF and PNG end with a trailer. The position in the file is changed.
    """
    length = file.seek(0, SEEK_END)
    file.seek(0)
    head = file.read(64)
    if head[4:8] in _BOXES:
        return _boxes_end(file, length) > length
    if head[:4] == b"RIFF":
        return _chunks_end(file, length) > length
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _segment_end(head) > length
    file.seek(max(0, length - 12))
    tail = file.read()
    if head[:4] == b"GIF8":
        return tail[-1:] not in (b";", b"\0")
    return head[:4] == b"\x89PNG" and tail[4:8] != b"IEND"


def _boxes_end(file: BinaryIO, length: int) -> int:
    """Where the last top-level box ends (ISO/IEC 14496-12 4.2)."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        header = file.read(16)
        size = int.from_bytes(header[:4], "big")
        if size == 1 and len(header) == 16:
            size = int.from_bytes(header[8:], "big")
        if size < 8 or header[4:8] not in _BOXES:
            return at  # 0 is "to the end of the file"
        at += size
        if at >= length:
            return at
    return 0


def _chunks_end(file: BinaryIO, length: int) -> int:
    """Where the last RIFF chunk ends: AVI has one, OpenDML one for each gigabyte."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        header = file.read(8)
        size = int.from_bytes(header[4:], "little")
        if header[:4] != b"RIFF" or size in (0, 0xFFFFFFFF):
            return at  # never finished by its writer, or bytes that somebody appended
        at += 8 + size
        if at >= length:
            return at
        at += size % 2
    return 0


def _segment_end(head: bytes) -> int:
    """Where a Matroska file ends (RFC 8794 4, RFC 9559 5.1); 0 if its writer left that open."""
    at = 4
    header_size, width = _vint(head, at)
    at += width + header_size
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    size, width = _vint(head, at + 4)
    unknown = (1 << 7 * width) - 1
    return 0 if not width or size == unknown else at + 4 + width + size


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-size number of EBML, and how many bytes it takes; (0, 0) if there is none."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if width > 8:
        return 0, 0
    value = int.from_bytes(data[at : at + width], "big")
    return value & ((1 << 7 * width) - 1), width
