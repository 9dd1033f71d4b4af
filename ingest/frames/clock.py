"""Presentation times as they come out of a decoder, to seconds from the first frame. Pure."""

from __future__ import annotations

from fractions import Fraction

_JUMP_S = 1
"""Times that are merely out of order are so by less: a decoder sorts 16 frames at most."""


class Clock:
    """Turns the ticks of a stream into seconds that never run backwards.

    Ticks are exact where the container has them. Where it has none, frames follow each other at the
    stream's own rate. Where they jump back by more than `_JUMP_S` (recordings joined end to end),
    the clock goes on from the frame before; where by less (times in decoding order), it stands.
    """

    def __init__(self, time_base: Fraction, interval: int) -> None:
        """`time_base`: seconds a tick; `interval`: ticks from frame to frame, 0 if not known."""
        self._time_base = time_base
        self._interval = interval or max(1, round(Fraction(1, 25) / time_base))
        self._jump = _JUMP_S / time_base
        self._origin: int | None = None
        self._latest: int | None = None
        """Ticks since the origin."""

    def lost(self, pts: int | None) -> None:
        """A frame that cannot be shown; the first frame may be one of those."""
        if self._latest is None and pts is not None:
            self._origin = pts if self._origin is None else min(self._origin, pts)

    def at(self, pts: int | None) -> float:
        """Seconds from the first frame at which the next frame is shown."""
        self.lost(pts)
        latest = self._latest or 0
        due = latest + self._interval if self._latest is not None else 0
        if pts is None:
            ticks = due
        else:
            if self._origin is None or latest - (pts - self._origin) > self._jump:
                self._origin = pts - due
            ticks = max(latest, pts - self._origin)
        self._latest = ticks
        return float(ticks * self._time_base)

    def end(self, duration: int) -> float:
        """Seconds from the first frame at which the latest one ends; `duration` in ticks."""
        return float(((self._latest or 0) + duration) * self._time_base)
