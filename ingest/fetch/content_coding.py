"""Unpacks bodies that a server compressed without being asked to (RFC 9110, 8.4)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from ingest.fetch.streams import TransientError
from registry.errors import FetchError
from registry.urls import printable

_PIECE = 1 << 16
"""Most bytes of a piece: a packed byte may become a thousand (gzip) or a million (brotli)."""
_MOST_CODINGS = 2
"""Chosen: one by the program that made the body, another by the server that sends it."""
_GZIP = b"\x1f\x8b"
"""The first bytes of each member of a gzip file (RFC 1952)."""


def codings(value: str) -> tuple[str, ...]:
    """The codings of the header Content-Encoding, in the order in which they were applied."""
    names = (name.strip().lower() for name in value.split(","))
    return tuple(name for name in names if name not in {"", "identity"})


def unpack(chunks: Iterator[bytes], applied: tuple[str, ...], label: str) -> Iterator[bytes]:
    """The body that was compressed in these ways, in pieces of at most 64 KiB.

    Without any, the chunks as they are. The caller limits the size. Raises `FetchError` for a
    coding that is not supported and for a body that is not valid, `TransientError` for one that
    ends early; `label` names the request in messages.
    """
    unknown = next((name for name in applied if name not in _UNPACKERS), "")
    if unknown or len(applied) > _MOST_CODINGS:
        raise FetchError(
            f"{label}: the server compressed the file ({printable(', '.join(applied))}) without "
            "being asked to, in a way that is not supported."
        )
    for name in reversed(applied):
        chunks = _UNPACKERS[name](chunks)
    return _with_errors(chunks, label) if applied else chunks


def _with_errors(chunks: Iterator[bytes], label: str) -> Iterator[bytes]:
    try:
        yield from chunks
    except EOFError as exc:
        raise TransientError(f"{label}: the compressed body ended early.") from exc
    except zlib.error as exc:
        raise FetchError(f"{label}: the compressed body is not valid ({exc}).") from exc


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip of one or more members, zlib's format, or deflate without either's header.

    No body at all, as an answer to HEAD, is an empty one.
    """
    stream, held = zlib.decompressobj(), b""
    begun = False
    for chunk in chunks:
        data, held = held + chunk, b""
        while data:
            if stream.eof or not begun:
                if len(data) < len(_GZIP):
                    held = data
                    break
                if begun and not data.startswith(_GZIP):
                    return  # what follows the last member is padding
                stream, begun = zlib.decompressobj(_window(data)), True
            if piece := stream.decompress(data, _PIECE):
                yield piece
            data = stream.unused_data if stream.eof else stream.unconsumed_tail
    while begun and not stream.eof and (piece := stream.decompress(b"", _PIECE)):
        yield piece
    if not stream.eof and (begun or held):
        raise EOFError


def _window(head: bytes) -> int:
    """The argument of zlib for data that begins like this (RFC 1950, 2.2, tells zlib's format)."""
    zlib_format = head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2]) % 31 == 0
    return zlib.MAX_WBITS | 32 if head.startswith(_GZIP) or zlib_format else -zlib.MAX_WBITS


def _unpack_with_arrow(codec: str) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    def unpack_chunks(chunks: Iterator[bytes]) -> Iterator[bytes]:
        import pyarrow

        packed = pyarrow.PythonFile(_ChunkFile(chunks), mode="r")
        stream = pyarrow.CompressedInputStream(packed, codec)
        while True:
            try:
                piece = stream.read(_PIECE)
            except OSError as exc:
                # Arrow has no error of its own for either; those of `chunks` are no OSErrors.
                if "Truncated" in str(exc):
                    raise EOFError from exc
                raise zlib.error(f"{codec} cannot read it") from exc
            if not piece:
                return
            yield piece

    return unpack_chunks


class _ChunkFile(io.RawIOBase):
    """Chunks as a file that can be read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(filter(None, self._chunks), b"")
        taken = min(len(buffer), len(self._rest))
        buffer[:taken], self._rest = self._rest[:taken], self._rest[taken:]
        return taken


_UNPACKERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "gzip": _inflate,
    "x-gzip": _inflate,
    "deflate": _inflate,
    "br": _unpack_with_arrow("brotli"),
    "zstd": _unpack_with_arrow("zstd"),
}
