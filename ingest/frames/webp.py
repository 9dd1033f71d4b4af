"""Animated WebP, which libav does not decode (FFmpeg 8.1), through Pillow."""

from __future__ import annotations

from collections.abc import Generator
from typing import BinaryIO

import numpy as np
from PIL import Image as Pillow

from ingest.frames.base import MediaLimits
from ingest.frames.container import check_duration, check_frames, check_pixels
from ingest.frames.decoding import Findings, Sample
from registry.errors import MediaError


def check_canvas(file: BinaryIO, limits: MediaLimits) -> None:
    """Raises `MediaError` if the canvas is over the limit; Pillow allocates it on opening."""
    file.seek(24)  # width and height less one, 24 bits each (RFC 9649 2.7)
    size = file.read(6)
    width, height = (1 + int.from_bytes(half, "little") for half in (size[:3], size[3:]))
    check_pixels(width, height, limits)


def animated(file: BinaryIO, every: int, limits: MediaLimits, found: Findings) -> Generator[Sample]:
    """Every `every`-th frame of an animated WebP; it ends at the first that is damaged.

    Raises:
        MediaError: the file cannot be opened, or is over a limit.
    """
    file.seek(0)
    milliseconds = 0.0
    try:
        animation = Pillow.open(file, formats=["WEBP"])
    except (OSError, ValueError, Pillow.DecompressionBombError) as exc:
        raise MediaError(
            "the WebP animation is damaged or incomplete: no frame of it can be read"
        ) from exc
    with animation:
        found.frames = getattr(animation, "n_frames", 1)
        check_frames(found.frames, limits)
        for index in range(found.frames):
            try:
                animation.seek(index)
                animation.load()
            except (OSError, EOFError, ValueError) as exc:
                found.error = str(exc)
                return
            time_s = milliseconds / 1000
            milliseconds += float(animation.info.get("duration", 0))
            check_duration(milliseconds / 1000, limits)
            found.sound, found.end_s = index + 1, milliseconds / 1000
            if index % every == 0:
                rgb = np.asarray(animation.convert("RGB"), dtype=np.uint8)
                yield Sample(index, time_s, np.ascontiguousarray(rgb[:, :, ::-1]))
