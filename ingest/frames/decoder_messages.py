"""Messages between a worker and the process that decodes for it.

The worker sends the parameters of a video and the bytes of its file, which the decoder asks for.
The decoder sends frames, and a last message with the result. A message is a header and a body. The
decoder is not trusted: the worker checks all that comes from it.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from secrets import compare_digest
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ingest.frames.frame_memory import FrameMemory
from ingest.frames.interface import Frame, MediaLimits
from registry.domain import Image, Media
from registry.errors import MediaError
from registry.urls import printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

MAX_JSON_BYTES = 1 << 16
"""Of the parameters of a video, and of a result."""
MAX_READ_BYTES = 1 << 20
"""The most that a decoder asks for at once. A second of video takes about as much."""
SECRET_BYTES = 16
"""Of the random bytes that end the turn of a video; too many to guess."""

HEADER = struct.Struct("=cqddQQq")
"""From the decoder: type, frame index, time and span in s, height and width in px, and where the
frame begins in the shared memory; -1: its pixels follow as the body. A result has the length of its
JSON in place of the height; a request for bytes has their offset and number in place of the index
and the height; an exit has the exit code in place of the index. What is not used is zero."""
FRAME, RESULT, READ, EXIT, READY = b"F", b"E", b"R", b"X", b"Y"
REPLY = struct.Struct("=cqI")
"""To the decoder: type, number, length of the body."""
SETUP, VIDEO, BYTES, UNREADABLE, TAKEN = b"S", b"V", b"B", b"U", b"T"
MAX_FRAMES_AHEAD = 8
"""Frames that wait to be taken. More even out nothing: detection takes longer than decoding."""
_MAX_REASON_LENGTH = 500
NOT_VALID = "the decoding process sent a message that is not valid"


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """The decoder needs bytes of the file."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """A frame that the decoder sent."""

    index: int
    time_s: float
    span_s: float
    height: int
    width: int
    offset: int
    """In the shared memory; -1: it came through the pipe."""
    pixels: Image | None
    """What came through the pipe."""

    def frame(self, memory: FrameMemory | None) -> Frame:
        """The frame, with pixels of its own."""
        pixels = self.pixels
        if pixels is None:
            assert memory is not None
            pixels = memory.copy(self.offset, self.height, self.width)
        return Frame(self.index, self.time_s, self.span_s, pixels)


@dataclass(frozen=True, slots=True)
class Result:
    """No other frame follows."""

    media: Media
    reason: str
    error: str = ""
    """Why the video could not be read."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The process that read the video has exited."""

    code: int


Message = FrameMessage | ReadRequest | Result | Exit


def receive(
    pipe: BinaryIO, limits: MediaLimits, *, memory_bytes: int = 0, secret: bytes = b""
) -> Message | None:
    """The next message of a decoder that reads a video; None if the pipe ends.

    Args:
        pipe: unbuffered.
        limits: of the video.
        memory_bytes: the size of the memory that is shared with the decoder.
        secret: what proves that a process has exited; b"" if none reports that.

    Raises:
        MediaError: the message is not valid.
    """
    try:
        header = HEADER.unpack(read_exactly(pipe, HEADER.size))
        kind, index, time_s, span_s, height, width, offset = header
        if kind == READ and index >= 0 and 0 < height <= MAX_READ_BYTES:
            return ReadRequest(index, height)
        if kind == RESULT and height <= MAX_JSON_BYTES:
            return _parse_result(json.loads(read_exactly(pipe, height)), limits)
        if kind == EXIT and secret:
            if not compare_digest(read_exactly(pipe, len(secret)), secret):
                raise ValueError("not from the process that waited for the other")
            return Exit(index)
        if kind != FRAME or not 0 < height * width <= limits.max_pixels:
            raise ValueError("not a frame")
        if not (
            0 <= index <= limits.max_frames and math.isfinite(time_s) and math.isfinite(span_s)
        ):
            raise ValueError("not a frame number, or not a time")
        size, pixels = height * width * 3, None
        if offset < 0:
            data = np.frombuffer(read_exactly(pipe, size), np.uint8)
            pixels = data.reshape(height, width, 3)
        elif offset + size > memory_bytes:
            raise ValueError("not a place in the shared memory")
    except EOFError:
        return None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
        raise MediaError(NOT_VALID) from exc
    return FrameMessage(index, time_s, span_s, height, width, offset, pixels)


def receive_ready(pipe: BinaryIO) -> bool:
    """Wait until a decoder is ready. Returns False if it ended instead."""
    try:
        return read_exactly(pipe, HEADER.size)[:1] == READY
    except (EOFError, OSError):
        return False


def _parse_result(result: dict[str, object], limits: MediaLimits) -> Result:
    if result["error"] is not None:
        return Result(Media(), "", printable(str(result["error"]), _MAX_REASON_LENGTH))
    fields = result["media"]
    if not isinstance(fields, dict):
        raise TypeError("not a record of the media")
    media = Media(
        duration_s=float(fields["duration_s"]),
        width=int(fields["width"]),
        height=int(fields["height"]),
        codec=printable(str(fields["codec"])),
        frames_sampled=int(fields["frames_sampled"]),
        frames_damaged=int(fields["frames_damaged"]),
    )
    if not 0 <= media.duration_s < math.inf:
        raise ValueError("not a duration")
    if min(media.width, media.height) < 0 or media.width * media.height > limits.max_pixels:
        raise ValueError("not the size of a frame")
    for frames in (media.frames_sampled, media.frames_damaged):
        if not 0 <= frames <= limits.max_frames:
            raise ValueError("not a number of frames")
    return Result(media, printable(str(result["reason"]), _MAX_REASON_LENGTH))


def write_all(pipe: BinaryIO, *parts: Buffer) -> None:
    """Write to an unbuffered pipe. Raises `OSError` if nobody reads it."""
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[pipe.write(rest) :]


def read_exactly(pipe: BinaryIO, size: int) -> bytearray:
    """Read from an unbuffered pipe. Raises `EOFError` if it ends before."""
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = pipe.readinto(rest)  # type: ignore[attr-defined]  # an unbuffered file has it
        if not count:
            raise EOFError
        rest = rest[count:]
    return data
