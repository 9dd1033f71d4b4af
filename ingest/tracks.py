"""One person's faces through one shot: boxes and embeddings linked from sampled frame to frame.

A track is evidence that its faces are one person, so a wrong link costs more than a split track:
whatever is in doubt begins a new track. Fed frame by frame; opens nothing, and keeps only the
tracks that can still go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from registry.domain import Box, Vectors

SAME = 0.40
FLOOR = 0.20
REACH = 1.0
OVERLAP = 0.5
GAP_S = 1.0
_CLOCK_S = 1e-3


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one sampled frame."""

    frame: int
    time_s: float
    box: Box
    embedding: Vectors
    good: bool = True


@dataclass(slots=True)
class _Track:
    number: int
    box: Box
    time_s: float
    step: int
    embedding: Vectors
    good_sum: NDArray[np.float64]
    last_good: Vectors | None
    velocity: tuple[float, float] = (0.0, 0.0)


class Tracker:
    def __init__(self, *, same: float = SAME, gap_s: float = GAP_S) -> None:
        self._same = same
        self._gap_s = gap_s
        self._open: list[_Track] = []
        self._step = 0
        self._next = 0

    def update(self, time_s: float, cut: bool, sightings: Sequence[Sighting]) -> list[int]:
        self._step += 1
        self._open = [
            t for t in self._open if not cut and time_s - t.time_s <= self._gap_s + _CLOCK_S
        ]
        order = sorted(range(len(sightings)), key=lambda i: _place(sightings[i]))
        links = self._links([sightings[i] for i in order], time_s)
        numbers = [0] * len(sightings)
        for column, i in enumerate(order):
            track = links.get(column)
            if track is None:
                track = self._begin(sightings[i], time_s)
            else:
                _extend(track, sightings[i], time_s, self._step)
            numbers[i] = track.number
        return numbers

    def _begin(self, s: Sighting, time_s: float) -> _Track:
        t = _Track(
            self._next,
            s.box,
            time_s,
            self._step,
            s.embedding,
            s.embedding.astype(np.float64) * s.good,
            s.embedding if s.good else None,
        )
        self._next += 1
        self._open.append(t)
        return t

    def _links(self, sightings, time_s):
        if not self._open or not sightings:
            return {}
        aff = np.array([[self._affinity(t, s, time_s) for s in sightings] for t in self._open])
        rows, cols = linear_sum_assignment(aff, maximize=True)
        return {int(c): self._open[r] for r, c in zip(rows, cols, strict=True) if aff[r, c] > 0}

    def _affinity(self, t, s, time_s):
        dt = time_s - t.time_s
        pred = Box(
            t.box.x1 + t.velocity[0] * dt,
            t.box.y1 + t.velocity[1] * dt,
            t.box.x2 + t.velocity[0] * dt,
            t.box.y2 + t.velocity[1] * dt,
        )
        ov = max(iou(t.box, s.box), iou(pred, s.box))
        if t.last_good is not None:
            ref = t.good_sum / np.linalg.norm(t.good_sum)
            sim = max(float(ref @ s.embedding), float(t.last_good @ s.embedding))
            if sim >= self._same:
                near = min(dist(t.box, s.box), dist(pred, s.box))
                return ov + sim if near <= REACH else 0.0
            if s.good:
                return 0.0
        sim = float(t.embedding @ s.embedding)
        if t.step == self._step - 1 and ov >= OVERLAP and sim >= FLOOR:
            return ov + sim
        return 0.0


def dist(a, b):
    dx = (a.x1 + a.x2 - b.x1 - b.x2) / 2
    dy = (a.y1 + a.y2 - b.y1 - b.y2) / 2
    return float(np.hypot(dx, dy)) / max(a.width, a.height, b.width, b.height)


def _place(s):
    return (s.box.x1, s.box.y1, s.box.x2, s.box.y2, s.embedding.tobytes())


def _extend(t, s, time_s, step):
    dt = time_s - t.time_s
    if dt > 0:
        t.velocity = (
            (s.box.x1 + s.box.x2 - t.box.x1 - t.box.x2) / 2 / dt,
            (s.box.y1 + s.box.y2 - t.box.y1 - t.box.y2) / 2 / dt,
        )
    t.box, t.time_s, t.step, t.embedding = s.box, time_s, step, s.embedding
    if s.good:
        t.good_sum += s.embedding
        t.last_good = s.embedding


def iou(a: Box, b: Box) -> float:
    w = min(a.x2, b.x2) - max(a.x1, b.x1)
    h = min(a.y2, b.y2) - max(a.y1, b.y1)
    if w <= 0 or h <= 0:
        return 0.0
    i = w * h
    return i / (a.width * a.height + b.width * b.height - i)
