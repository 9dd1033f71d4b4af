"""Samples of tracks, and of similarities, small enough to keep for a whole registry. Pure.

Four faces represent a track: the first, the last, and those turned furthest to either side, which
are the hardest to match with one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from registry.domain import Face, Vectors
from registry.faces.rates import Floats

APART_S = 1.0
"""Seconds after which two faces of one track differ in expression and light. Source: as long as the
tracker remembers a face (`ingest.tracks.GAP_S`)."""
TURNED = 0.25
"""Difference between the positions of the nose tip, in distances between the eyes, from which two
poses differ: about 25 degrees (`registry.faces.quality`: 0.40 is about 45)."""
KEPT = 2048
"""Similarities kept for one pair of people: 2,048 give a quantile of theirs to half a per cent."""


@dataclass(frozen=True, slots=True)
class TrackSample:
    """The part of a track that is compared with other tracks."""

    mean: Vectors
    """float32 (D,), L2-normalised: of its good faces."""
    faces: Vectors
    """float32 (n, D): up to four of them."""


class Subsample:
    """An evenly thinned sample of a stream of numbers: `KEPT` at most."""

    def __init__(self) -> None:
        self._stride, self._seen = 1, 0
        self._kept: list[float] = []

    def add(self, numbers: Iterable[float]) -> None:
        """Add numbers. When the sample is full, every second one is dropped."""
        for number in numbers:
            if self._seen % self._stride == 0:
                self._kept.append(number)
                if len(self._kept) > KEPT:
                    self._kept = self._kept[::2]
                    self._stride *= 2
            self._seen += 1

    def values(self) -> Floats:
        """float64 (n,): the numbers that are kept, in order."""
        return np.array(self._kept, dtype=np.float64)


def sample_track(faces: Sequence[Face]) -> TrackSample:
    """The sample of a track, from its good faces: one or more."""
    mean = np.mean([face.embedding for face in faces], axis=0)
    mean /= max(float(np.linalg.norm(mean)), 1e-12)
    return TrackSample(mean, np.stack([face.embedding for face in _extremes(faces)]))


def similarities_within(faces: Sequence[Face]) -> Iterator[float]:
    """Cosines of the faces of a track that are far apart in time or pose."""
    for one, other in combinations(_extremes(faces), 2):
        later = abs(other.time_s - one.time_s) >= APART_S
        if later or abs(_turn(one) - _turn(other)) >= TURNED:
            yield float(one.embedding @ other.embedding)


def _extremes(faces: Sequence[Face]) -> list[Face]:
    """First, last, and furthest turned to either side; each once, in time order."""
    order = sorted(faces, key=lambda f: (f.frame, f.position))
    turned = sorted(order, key=_turn)
    chosen = {face.face_id: face for face in (order[0], order[-1], turned[0], turned[-1])}
    return [face for face in order if face.face_id in chosen]


def _turn(face: Face) -> float:
    """Offset of the nose tip from the middle of the eyes, along them, in distances between them."""
    left, right, nose = face.landmarks[:3].astype(np.float64)
    across = right - left
    length = float(across @ across)
    return float((nose - (left + right) / 2) @ across) / length if length else 0.0
