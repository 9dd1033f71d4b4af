"""Tracks: the faces of one person through one shot, linked from sampled frame to frame.

A track is evidence that its faces are one person, so a wrong link costs more than a split track: in
doubt a new track begins. Faces are linked by their embeddings. Poor faces (see
`registry.faces.quality`) are linked by position, because their embeddings are alike whoever they
are (out of focus in a dark audience: cosine 0.4 to 0.76 between different people). A good face is
never compared with a poor one, only with the good faces of the track. `docs/BENCHMARKS.md` has the
measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registry.domain import Box, Vectors
from registry.faces.boxes import overlap

SAME = 0.50
"""Least cosine that links a face to a track (`docs/BENCHMARKS.md`)."""

REACH = 2.0
"""The furthest a face may move to be linked by its embedding, in lengths of its box's longer side:
a third of a second of fast walking. With 1.0, people who walk past get three times the tracks; more
than 2.0 gains little."""

POOR_OVERLAP = 0.5
"""Least intersection over union that links a poor face: the threshold at which detection benchmarks
count two boxes as one object (PASCAL VOC), and more than two faces of one frame can have, because
detectors suppress from 0.4."""

POOR_SAME = 0.35
"""Least cosine of a poor face that is linked by position: poor faces of one person, one sampled
frame apart, had 0.55 or more, and 0.20 joined a singer to a listener in the next shot."""

GAP_S = 1.0
"""The longest a face may be missing within one track, hidden or turned away, in seconds."""

_ROUNDING_S = 1e-3  # timestamps are rounded to the stream's time base


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one sampled frame."""

    frame: int
    """0-based number of the frame in the video."""
    time_s: float
    """Presentation time of the frame, in seconds from the first."""
    box: Box
    embedding: Vectors
    """float32 (D,), L2-normalised."""
    good: bool = True
    """Whether its embedding is reliable: `registry.faces.quality.is_comparable`."""


class Tracker:
    """Links faces. Takes all sampled frames of one video in order, those without faces included."""

    def __init__(self) -> None:
        """Before the first frame."""
        self._open: list[_Track] = []
        self._begun = 0

    def update(self, time_s: float, cut: bool, sightings: Sequence[Sighting]) -> list[int]:
        """Assign a track to each face of one frame.

        The order of the sightings does not matter: of tracks that begin in one frame, the leftmost
        has the lowest number.

        Args:
            time_s: presentation time of the frame; later than that of the frame before.
            cut: whether a new shot begins with this frame (`ingest.shots`), which ends all tracks.
            sightings: the faces of the frame; no two get the same track.

        Returns:
            The track number of each sighting; tracks are numbered from 0 as they begin.
        """
        oldest = np.inf if cut else time_s - GAP_S - _ROUNDING_S
        self._open = [track for track in self._open if track.last.time_s >= oldest]
        order = sorted(range(len(sightings)), key=lambda i: _left_to_right(sightings[i]))
        chosen = self._assign([sightings[i] for i in order])
        numbers = [0] * len(sightings)
        for i, track in zip(order, chosen, strict=True):
            numbers[i] = track.extend(sightings[i]) if track else self._begin(sightings[i])
        for track in self._open:
            track.seen_before = track.last.time_s >= time_s
        return numbers

    def _begin(self, face: Sighting) -> int:
        track = _Track(self._begun, face)
        self._begun += 1
        self._open.append(track)
        return track.number

    def _assign(self, sightings: Sequence[Sighting]) -> list[_Track | None]:
        """The track of each sighting, or None, with the highest total affinity."""
        chosen: list[_Track | None] = [None] * len(sightings)
        if self._open and sightings:
            affinity = np.array([[t.affinity(s) for s in sightings] for t in self._open])
            for row, column in _best_pairs(affinity):
                chosen[column] = self._open[row]
        return chosen


class _Track:
    """An open track: what is needed to compare further faces with it."""

    def __init__(self, number: int, first: Sighting) -> None:
        self.number = number
        self.last = first
        self.seen_before = True
        """Whether its last face is in the sampled frame just before."""
        self._velocity = (0.0, 0.0)  # px/s, of the centre of the box
        self._good: Vectors | None = first.embedding if first.good else None
        self._sum = np.zeros(first.embedding.shape, np.float64)
        self._sum += first.embedding if first.good else 0.0

    def extend(self, face: Sighting) -> int:
        """Add a face; returns the track's number."""
        passed = face.time_s - self.last.time_s
        if passed > 0:
            (x0, y0), (x1, y1) = _centre(self.last.box), _centre(face.box)
            self._velocity = (x1 - x0) / passed, (y1 - y0) / passed
        self.last = face
        if face.good:
            self._good = face.embedding
            self._sum += face.embedding
        return self.number

    def affinity(self, face: Sighting) -> float:
        """How well this face continues the track; 0: not at all."""
        # The last position, and that at constant velocity: heads sway as often as they pass by.
        passed = face.time_s - self.last.time_s
        dx, dy = (v * passed for v in self._velocity)
        last = self.last.box
        boxes = last, Box(last.x1 + dx, last.y1 + dy, last.x2 + dx, last.y2 + dy)
        shared = max(overlap(box, face.box) for box in boxes)
        if self._good is not None:
            cosine = max(_cosine(self._good, face.embedding), _cosine(self._sum, face.embedding))
            if cosine >= SAME:
                near = min(_distance(box, face.box) for box in boxes) <= REACH
                return cosine + shared if near else 0.0
            if face.good:
                return 0.0
        cosine = _cosine(self.last.embedding, face.embedding)
        in_place = self.seen_before and shared >= POOR_OVERLAP
        return cosine + shared if in_place and cosine >= POOR_SAME else 0.0


def _best_pairs(affinity: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Rows and columns of the one-to-one assignment with the highest total, where it is above 0."""
    positive = affinity > 0
    if max(positive.sum(axis=0).max(), positive.sum(axis=1).max()) <= 1:
        rows, columns = np.nonzero(positive)  # nothing competes, as in most frames
    elif 1 in affinity.shape:  # one face or one track: the best pair, of equal ones the first
        best = np.unravel_index(affinity.argmax(), affinity.shape)
        rows, columns = (place.reshape(1) for place in best)
    else:
        # Importing scipy.optimize takes as long as loading a model.
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(affinity, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if affinity[row, column] > 0]


def _left_to_right(face: Sighting) -> tuple[float, float, float, float, bool, bytes]:
    """A sort key that depends on the face only: left to right first."""
    box = face.box
    return box.x1, box.y1, box.x2, box.y2, face.good, face.embedding.tobytes()


def _cosine(a: NDArray[np.floating], b: Vectors) -> float:
    """Cosine of `a`, of any length, and the unit vector `b`."""
    length = float(np.linalg.norm(a))
    return float(a @ b) / length if length else 0.0


def _centre(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def _distance(a: Box, b: Box) -> float:
    """Distance of the centres, in lengths of the longest side."""
    (ax, ay), (bx, by) = _centre(a), _centre(b)
    longest = max(a.width, a.height, b.width, b.height)
    return float(np.hypot(ax - bx, ay - by)) / longest if longest > 0 else np.inf
