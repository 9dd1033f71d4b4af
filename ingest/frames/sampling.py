"""Decides which frames of a stream are sampled.

Three rules, of `Sampling`: every n-th frame; no gap longer than a limit; and cuts. The first two
need the times of the frames only, so packets can be selected by them before anything is decoded.
Cuts are looked for among the frames that are decoded, and do not affect the other two rules.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ingest.frames.interface import Sampling
from ingest.shots import is_cut, thumbnail
from registry.domain import Image

_ROUNDING_S = 1e-3
"""Containers round times, Matroska and FLV to milliseconds."""


class Schedule:
    """Applies `every` and `max_gap_s`. Times are in ticks from the beginning of the stream.

    Where the gap to the next frame would be too long, the frame before it is sampled. So a picture
    that stays for long is sampled even if it is the last of several in quick succession, such as
    the end of a transition between two slides.
    """

    def __init__(self, sampling: Sampling, time_base: Fraction) -> None:
        """`time_base`: seconds in a tick."""
        self._every = sampling.every
        gap = sampling.max_gap_s
        self._max_gap = math.inf if math.isinf(gap) else (gap + _ROUNDING_S) / float(time_base)
        self._last = 0

    def is_due(self, number: int, ticks: int, following: int) -> bool:
        """Whether the next frame is sampled. Takes all frames in order of presentation.

        Args:
            number: 0-based number of the frame.
            ticks: when it is shown.
            following: when the frame after it is shown, or the stream ends.
        """
        due = number % self._every == 0 or following - self._last > self._max_gap
        if due:
            self._last = ticks
        return due

    def choose(self, ticks: NDArray[np.int64], end: int) -> NDArray[np.bool_]:
        """`is_due` of all frames of a stream, bool (n,).

        Args:
            ticks: when they are shown, int64 (n,), growing.
            end: when the stream ends.
        """
        due: NDArray[np.bool_] = np.arange(len(ticks)) % self._every == 0
        following = np.append(ticks[1:], end).tolist()
        if np.diff(np.append(ticks[due], end)).max() <= self._max_gap:
            return due
        frames = enumerate(zip(ticks.tolist(), following, strict=True))
        return np.array([self.is_due(number, *times) for number, times in frames])


class CutDetector:
    """Compares frames with the last sampled one; keeps one thumbnail of that."""

    def __init__(self) -> None:
        """Before the first frame."""
        self._last: Image | None = None

    def update(self, image: Image, *, due: bool) -> bool:
        """Whether a frame is sampled: it is due anyway, or there is a cut before it.

        Args:
            image: BGR uint8 (H, W, 3), of any size.
            due: whether another rule samples it.
        """
        small = thumbnail(image)
        sampled = due or (self._last is not None and is_cut(self._last, small))
        if sampled:
            self._last = small
        return sampled
