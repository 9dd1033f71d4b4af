"""One person's faces through one shot: boxes and embeddings linked from sampled frame to frame.

A track is evidence that its faces are one person, so a wrong link costs more than a split track:
whatever is in doubt begins a new one. Poor faces (`registry.faces.quality`) are linked by place
alone, because they are alike whoever they are (faces out of focus in a dark audience: cosine 0.4 to
0.76 between different people), and they never vouch for a good one: that is compared with the
track's good faces, however well it fits where the poor one was.

Measured with both models, SFace and w600k_mbf, every 10th frame, on 24 labelled clips of one to
three people and a stage clip of four shots: no track with two people in it, and 32 and 28 tracks
for 27 people in their shots (four of SFace's are hands that YuNet takes for faces). Again none
in 432 pairs of clips of different people joined without telling of the cut, in all clips with up to
30 % of the faces missing (38 and 30 tracks), and in 310 pairs of people who cross one another
(784 and 692 tracks for 620). Faces split off their track where they move by more than they measure,
or turn to a profile while moving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from registry.domain import Box, Vectors
from registry.faces.boxes import overlap

SAME = 0.50
"""Cosine from which a face goes on a track by its looks. Of faces of one person in successive
sampled frames of the clips, 99 % reach 0.56 (SFace) and 0.56 (w600k_mbf). Of pairs of different
people's good faces, 99.99 % stay below 0.41 and 0.30 in LFW; in the clips, where the same few
people meet over and over, the largest is 0.53 and 0.39, and 0.45 still joined two of them."""

REACH = 2.0
"""How far a face may move to be linked by its looks, in lengths of its box's longer side: a third
of a second of fast walking. With 1.0, people who walk past break into three times the tracks; more
than 2.0 gains little."""

POOR_OVERLAP = 0.5
"""Intersection over union from which a poor face is linked by its place: the threshold at which
detection benchmarks call two boxes one object (PASCAL VOC), and more than two faces of one frame
can have (detectors suppress from 0.4)."""

POOR_SAME = 0.35
"""Cosine that a poor face needs besides: the poor faces of one person, one sampled frame apart, had
0.55 or more, and 0.20 joined a singer to a listener in the next shot."""

GAP_S = 1.0
"""Seconds a person may be unseen, behind a hand or with a turned head, within one track."""

_CLOCK_S = 1e-3  # timestamps are rounded to the stream's time base


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one sampled frame."""

    frame: int
    """0-based number of the frame in the video."""
    time_s: float
    """When the frame is shown: seconds from the first frame."""
    box: Box
    embedding: Vectors
    """float32 (D,), L2-normalised."""
    good: bool = True
    """Whether its embedding can be trusted: `registry.faces.quality.founds`."""


class Tracker:
    """Fed the sampled frames of one video in order, those without faces too."""

    def __init__(self) -> None:
        """Before the first frame."""
        self._open: list[_Track] = []
        self._begun = 0

    def update(self, time_s: float, cut: bool, sightings: Sequence[Sighting]) -> list[int]:
        """The track of each face of one frame.

        The order of the sightings does not matter: among tracks that begin together, the one
        further left has the lower number.

        Args:
            time_s: when the frame is shown; later than the frame before.
            cut: whether a new shot begins with this frame (`ingest.shots`): no track goes on.
            sightings: the faces of the frame; no two get the same track.

        Returns:
            A number for each sighting: tracks are numbered from 0 as they begin.
        """
        oldest = np.inf if cut else time_s - GAP_S - _CLOCK_S
        self._open = [track for track in self._open if track.last.time_s >= oldest]
        order = sorted(range(len(sightings)), key=lambda i: _place(sightings[i]))
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
        """The links of highest total affinity, one a track and one a sighting at most."""
        chosen: list[_Track | None] = [None] * len(sightings)
        if self._open and sightings:
            affinity = np.array([[t.affinity(s) for s in sightings] for t in self._open])
            for row, column in zip(*linear_sum_assignment(affinity, maximize=True), strict=True):
                if affinity[row, column] > 0:
                    chosen[column] = self._open[row]
        return chosen


class _Track:
    """What a track must remember to be gone on with."""

    def __init__(self, number: int, first: Sighting) -> None:
        self.number = number
        self.last = first
        self.seen_before = True
        """Whether its last face is of the sampled frame just before."""
        self._velocity = (0.0, 0.0)  # px/s, of the middle of the box
        self._good: Vectors | None = first.embedding if first.good else None
        self._sum = np.zeros(first.embedding.shape, np.float64)
        self._sum += first.embedding if first.good else 0.0

    def extend(self, face: Sighting) -> int:
        """Go on with this face; the track's number."""
        passed = face.time_s - self.last.time_s
        if passed > 0:
            (x0, y0), (x1, y1) = _middle(self.last.box), _middle(face.box)
            self._velocity = (x1 - x0) / passed, (y1 - y0) / passed
        self.last = face
        if face.good:
            self._good = face.embedding
            self._sum += face.embedding
        return self.number

    def affinity(self, face: Sighting) -> float:
        """How much speaks for this face going on the track; 0 forbids it."""
        # Where it was, and where it would be if it moved on: heads sway as often as they pass.
        passed = face.time_s - self.last.time_s
        dx, dy = (v * passed for v in self._velocity)
        was = self.last.box
        places = was, Box(was.x1 + dx, was.y1 + dy, was.x2 + dx, was.y2 + dy)
        shared = max(overlap(place, face.box) for place in places)
        if self._good is not None:
            looks = max(_cosine(self._good, face.embedding), _cosine(self._sum, face.embedding))
            if looks >= SAME:
                near = min(_way(place, face.box) for place in places) <= REACH
                return looks + shared if near else 0.0
            if face.good:
                return 0.0
        looks = _cosine(self.last.embedding, face.embedding)
        in_place = self.seen_before and shared >= POOR_OVERLAP
        return looks + shared if in_place and looks >= POOR_SAME else 0.0


def _place(face: Sighting) -> tuple[float, float, float, float, bool, bytes]:
    """An order that depends on the faces alone: left to right first."""
    box = face.box
    return box.x1, box.y1, box.x2, box.y2, face.good, face.embedding.tobytes()


def _cosine(a: NDArray[np.floating], b: Vectors) -> float:
    """`b` is a unit vector; `a` need not be."""
    length = float(np.linalg.norm(a))
    return float(a @ b) / length if length else 0.0


def _middle(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def _way(a: Box, b: Box) -> float:
    """Between the middles, in lengths of the longest side."""
    (ax, ay), (bx, by) = _middle(a), _middle(b)
    longest = max(a.width, a.height, b.width, b.height)
    return float(np.hypot(ax - bx, ay - by)) / longest if longest > 0 else np.inf
