"""Reads animated WebP with Pillow: libav does not decode it (FFmpeg 8.1)."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from PIL import Image as Pillow

from ingest.frames.decoding import Sample, StreamSummary
from ingest.frames.interface import MediaLimits, Sampling
from ingest.frames.sampling import CutDetector, Schedule
from registry.errors import MediaError


def check_canvas(file: BinaryIO, limits: MediaLimits) -> None:
    """Check the size of the canvas, which Pillow allocates on opening. Raises `MediaError`."""
    file.seek(24)  # width and height less one, 24 bits each (RFC 9649 2.7)
    size = file.read(6)
    width, height = (1 + int.from_bytes(half, "little") for half in (size[:3], size[3:]))
    limits.check_pixels(width, height)


def decode_webp(
    file: BinaryIO, sampling: Sampling, limits: MediaLimits, summary: StreamSummary
) -> Generator[Sample]:
    """The sampled frames of an animated WebP, up to the first that is damaged.

    Raises:
        MediaError: the file cannot be opened, or is over a limit.
    """
    file.seek(0)
    milliseconds = 0
    schedule = Schedule(sampling, Fraction(1, 1000))
    detector = CutDetector() if sampling.cuts else None
    try:
        animation = Pillow.open(file, formats=["WEBP"])
    except (OSError, ValueError, Pillow.DecompressionBombError) as exc:
        raise MediaError(
            "the WebP animation is damaged or incomplete: none of its frames can be read"
        ) from exc
    with animation:
        summary.frames = getattr(animation, "n_frames", 1)
        limits.check_frames(summary.frames)
        for index in range(summary.frames):
            try:
                animation.seek(index)
                animation.load()
            except (OSError, EOFError, ValueError) as exc:
                summary.error = str(exc)
                return
            shown = milliseconds
            milliseconds += round(animation.info.get("duration", 0))
            limits.check_duration(milliseconds / 1000)
            summary.intact_frames, summary.end_s = index + 1, milliseconds / 1000
            sampled = schedule.is_due(index, shown, milliseconds)
            if not sampled and detector is None:
                continue
            rgb = np.asarray(animation.convert("RGB"), dtype=np.uint8)
            image = np.ascontiguousarray(rgb[:, :, ::-1])
            if detector is not None:
                sampled = detector.update(image, due=sampled)
            if sampled:
                yield Sample(index, shown / 1000, image)
