"""Messages from the decoding process, which is not trusted: frames, and a last one with the result.

A message is a `HEADER` and a body: the pixels of a frame, or JSON. The receiver checks all of it.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import asdict
from typing import BinaryIO

import numpy as np

from ingest.frames.interface import Frame, MediaLimits
from registry.domain import Media
from registry.errors import MediaError
from registry.urls import printable

MAX_JSON_BYTES = 1 << 16
"""Of a request, and of a result."""
HEADER = struct.Struct("=cqddQQ")
"""Message type, frame index, time and span in s, height and width in px. A result has the length of
its JSON in place of the height, and zeros."""
_FRAME, _RESULT = b"F", b"E"
_MAX_REASON_LENGTH = 500


def send_frame(pipe: int, frame: Frame) -> None:
    """Send one frame."""
    height, width = frame.image.shape[:2]
    _write(pipe, HEADER.pack(_FRAME, frame.index, frame.time_s, frame.span_s, height, width))
    _write(pipe, np.ascontiguousarray(frame.image).data.cast("B"))


def send_result(
    pipe: int, *, media: Media | None = None, reason: str = "", error: str | None = None
) -> None:
    """Send what is known once all frames are sent, or the error that ended them."""
    result = {"media": media and asdict(media), "reason": reason, "error": error}
    text = json.dumps(result).encode()
    _write(pipe, HEADER.pack(_RESULT, 0, 0, 0, len(text), 0) + text)


def receive(pipe: BinaryIO, limits: MediaLimits) -> Frame | tuple[Media, str] | None:
    """The next frame; after the last, `media` and `reason`; None if the pipe ends before that.

    Raises:
        MediaError: the sender's error, or a message that is not valid.
    """
    try:
        header = HEADER.unpack(_read_exactly(pipe, HEADER.size))
        message_type, index, time_s, span_s, height, width = header
        if message_type == _RESULT and height <= MAX_JSON_BYTES:
            return _parse_result(json.loads(_read_exactly(pipe, height)))
        if message_type != _FRAME or not 0 < height * width <= limits.max_pixels:
            raise ValueError("not a frame")
        if index < 0 or not (math.isfinite(time_s) and math.isfinite(span_s)):
            raise ValueError("not a time")
        pixels = np.frombuffer(_read_exactly(pipe, height * width * 3), np.uint8)
    except EOFError:
        return None
    except (ValueError, TypeError, KeyError) as exc:
        raise MediaError("the decoding process sent a message that is not valid") from exc
    return Frame(index, time_s, span_s, pixels.reshape(height, width, 3))


def _parse_result(result: dict[str, object]) -> tuple[Media, str]:
    if result["error"] is not None:
        raise MediaError(printable(str(result["error"]), _MAX_REASON_LENGTH))
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
    return media, printable(str(result["reason"]), _MAX_REASON_LENGTH)


def _write(pipe: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(pipe, rest) :]


def _read_exactly(pipe: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = pipe.readinto(rest)  # type: ignore[attr-defined]  # an unbuffered file has it
        if not count:
            raise EOFError
        rest = rest[count:]
    return data
