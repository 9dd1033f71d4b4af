"""Frames, and what is known of a video, through a pipe from a process that nobody trusts."""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import asdict
from typing import BinaryIO

import numpy as np

from ingest.frames.base import Frame, MediaLimits
from registry.domain import Media
from registry.errors import MediaError
from registry.urls import printable

LONGEST = 1 << 16
"""Bytes of a question, and of an end."""
HEAD = struct.Struct("=cqddQQ")
"""Kind, index, time, span, height, width. An end has its length for a height."""
_FRAME, _END = b"F", b"E"
_LONGEST_REASON = 500


def write_frame(pipe: int, frame: Frame) -> None:
    """Send one frame."""
    height, width = frame.image.shape[:2]
    _write(pipe, HEAD.pack(_FRAME, frame.index, frame.time_s, frame.span_s, height, width))
    _write(pipe, np.ascontiguousarray(frame.image).data.cast("B"))


def write_end(
    pipe: int, *, media: Media | None = None, reason: str = "", error: str | None = None
) -> None:
    """Send what is known once all frames are sent, or why there are no more."""
    told = {"media": media and asdict(media), "reason": reason, "error": error}
    text = json.dumps(told).encode()
    _write(pipe, HEAD.pack(_END, 0, 0, 0, len(text), 0) + text)


def read(pipe: BinaryIO, limits: MediaLimits) -> Frame | tuple[Media, str] | None:
    """The next frame; at the end, what is known and why the video is partial; None if cut off.

    Raises `MediaError` with the sender's reason, or if what comes is not what a decoder sends.
    """
    try:
        kind, index, time_s, span_s, height, width = HEAD.unpack(_exactly(pipe, HEAD.size))
        if kind == _END and height <= LONGEST:
            return _end(json.loads(_exactly(pipe, height)))
        if kind != _FRAME or not 0 < height * width <= limits.max_pixels:
            raise ValueError("no frame")
        if index < 0 or not (math.isfinite(time_s) and math.isfinite(span_s)):
            raise ValueError("no time")
        pixels = np.frombuffer(_exactly(pipe, height * width * 3), np.uint8)
    except EOFError:
        return None
    except (ValueError, TypeError, KeyError) as exc:
        raise MediaError("the process that decoded it says what no decoder says") from exc
    return Frame(index, time_s, span_s, pixels.reshape(height, width, 3))


def _end(told: dict[str, object]) -> tuple[Media, str]:
    if told["error"] is not None:
        raise MediaError(printable(str(told["error"]), _LONGEST_REASON))
    found = told["media"]
    if not isinstance(found, dict):
        raise TypeError("no media")
    media = Media(
        duration_s=float(found["duration_s"]),
        width=int(found["width"]),
        height=int(found["height"]),
        codec=printable(str(found["codec"])),
        frames_sampled=int(found["frames_sampled"]),
        frames_damaged=int(found["frames_damaged"]),
    )
    return media, printable(str(told["reason"]), _LONGEST_REASON)


def _write(pipe: int, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(pipe, left) :]


def _exactly(pipe: BinaryIO, size: int) -> bytearray:
    found = bytearray(size)
    left = memoryview(found)
    while left:
        count = pipe.readinto(left)  # type: ignore[attr-defined]  # an unbuffered file has it
        if not count:
            raise EOFError
        left = left[count:]
    return found
