"""What a video gives, and how much of it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from registry.domain import Image, Media
from registry.errors import MediaError


@dataclass(frozen=True, slots=True)
class Frame:
    """One sampled frame."""

    index: int
    """0-based number in order of presentation, among all frames of the video."""
    time_s: float
    """When it is shown: seconds from the first frame."""
    span_s: float
    """Seconds until the next sampled frame; for the last one, until the end of the video."""
    image: Image
    """BGR uint8 (H, W, 3), upright, with square pixels."""


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What is refused before it can fill memory or keep a machine busy for days."""

    max_pixels: int = 8192 * 4320
    """Of one frame: 8K as digital cinema has it (DCI; UHD-2 is smaller)."""
    max_duration_s: float = 6 * 3600.0
    """Six hours: longer than any film or match, shorter than a day's surveillance."""
    max_frames: int = 6 * 3600 * 120
    """The longest duration at the highest frame rate of phones in use, 120 a second and more for
    seconds only (slow motion, which is played at 30)."""
    max_memory: int = 3 * 1024**3
    """Bytes that a worker process may take beyond its model. Twice what the hungriest video within
    the other limits took (8K, H.264 with 16 reference frames: 1.5 GB). Only worker processes are
    held to it."""


class Frames(Protocol):
    """A video that is read once: `ingest.frames.reader`, or elsewhere, `ingest.frames.apart`."""

    def __enter__(self) -> Self:
        """Open the file. Raises `MediaError` if that cannot be done."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""

    def __iter__(self) -> Iterator[Frame]:
        """The sampled frames, once. Raises `MediaError`."""

    @property
    def media(self) -> Media:
        """What is known of the video, once all frames are taken."""

    @property
    def reason(self) -> str:
        """Why it is partial, once all frames are taken; empty if it is whole."""


class Read(Protocol):
    """Opens a video."""

    def __call__(self, path: Path, *, every: int, limits: MediaLimits) -> Frames:
        """The frames of a file."""


def open_file(path: Path) -> BinaryIO:
    """The file, open. Raises `MediaError`."""
    try:
        return path.open("rb")
    except OSError as exc:
        raise MediaError(f"the file cannot be read: {exc.strerror or exc}") from exc
