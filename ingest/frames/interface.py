"""What a reader of videos takes and gives: frames, limits, and the reader itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from registry.domain import Contract, Image, Media
from registry.errors import MediaError, UsageError


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames of a video are sampled."""

    every: int = 10
    """One frame in so many, beginning with the first."""
    max_gap_s: float = math.inf
    """In addition, a frame whose successor is shown more than so many seconds after the last frame
    that was sampled by `every` or by this rule."""
    cuts: bool = False
    """In addition, a frame whose colours differ from those of the last sampled one as across a cut
    (`ingest.shots`)."""

    @classmethod
    def of(cls, contract: Contract) -> Sampling:
        """The sampling of a registry with this contract."""
        gap = math.inf if contract.max_gap_s is None else contract.max_gap_s
        return cls(contract.every, gap, contract.cuts)

    def __post_init__(self) -> None:
        """Raises `UsageError` for an interval that selects nothing."""
        if self.every < 1:
            raise UsageError(f"every is {self.every}: give a whole number from 1")
        if not self.max_gap_s > 0:
            raise UsageError(f"max_gap_s is {self.max_gap_s:g}: give seconds above 0")


@dataclass(frozen=True, slots=True)
class Frame:
    """One sampled frame."""

    index: int
    """0-based number in order of presentation, among all frames of the video."""
    time_s: float
    """When a player shows it: seconds from the beginning of the video."""
    span_s: float
    """Seconds until the next sampled frame; for the last one, until the end of the video."""
    image: Image
    """BGR uint8 (H, W, 3), upright, with square pixels."""


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """The largest video that is read. The checks raise `MediaError` for one that is larger."""

    max_pixels: int = 8192 * 4320
    """Of one frame. 8K as digital cinema defines it (DCI), which is larger than UHD-2."""
    max_duration_s: float = 6 * 3600.0
    """Longer than any film or match, shorter than a day of surveillance."""
    max_frames: int = 6 * 3600 * 120
    """The longest duration at 120 frames a second. Phones record more only as slow motion, which
    is played at 30."""
    max_memory: int = 3 * 1024**3
    """Bytes that decoding may take in a worker process, beyond what the process had before. Twice
    the most that a video within the other limits was seen to take (docs/BENCHMARKS.md, "Memory of
    a decoder"). Not enforced without worker processes."""

    def check_pixels(self, width: int, height: int) -> None:
        """Check the size of a frame in px."""
        if width * height > self.max_pixels:
            raise MediaError(
                f"the video has frames of {width} × {height} pixels; the limit is "
                f"{self.max_pixels} pixels a frame"
            )

    def check_duration(self, seconds: float) -> None:
        """Check the duration."""
        if seconds > self.max_duration_s:
            raise MediaError(
                f"the video is {seconds / 3600:.1f} hours long; the limit is "
                f"{self.max_duration_s / 3600:g} hours"
            )

    def check_frames(self, frames: int) -> None:
        """Check the number of frames."""
        if frames > self.max_frames:
            raise MediaError(
                f"the video has more than {self.max_frames} frames, which is the limit"
            )


class FrameReader(Protocol):
    """An open video whose sampled frames are read once, inside a `with` block."""

    def __enter__(self) -> Self:
        """Open the file. Raises `MediaError` if that fails."""

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
    def transfer_s(self) -> float:
        """Seconds that copying frames from another process has taken so far."""

    @property
    def media(self) -> Media:
        """What is known of the video; complete once all frames are read."""

    @property
    def reason(self) -> str:
        """Why the video is partial, or "" if it is whole; complete once all frames are read."""


class OpenVideo(Protocol):
    """Makes a reader of a file: `VideoReader`, or `DecoderClient.open` for another process."""

    def __call__(self, path: Path, *, sampling: Sampling, limits: MediaLimits) -> FrameReader:
        """A reader of the sampled frames of a file."""


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading. Raises `MediaError`."""
    try:
        return path.open("rb")
    except OSError as exc:
        raise MediaError(f"the file cannot be read: {exc.strerror or exc}") from exc
