"""What speaks for and against identities being one person, gathered in one pass over the faces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.consolidation import Group
from registry.decisions import Kind, standing
from registry.domain import Identity, Quality, Vectors
from registry.quality import founds
from registry.registry import Registry

OVERLAP = 0.3
"""Intersection over union above which two boxes of one frame are one face found twice: the value at
which the detectors here suppress the lesser of two boxes (YuNet 0.3, SCRFD 0.4)."""

Pair = tuple[str, str]
Track = tuple[str, int]
"""Video id and the number of a track in it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for and against identities being one person."""

    groups: tuple[Group, ...]
    """All identities, by id, with a mean of the good faces of each of their tracks."""
    tracks: Mapping[str, frozenset[Track]]
    """The tracks that each identity has a face in, good or poor."""
    together: Mapping[Pair, int]
    """In how many frames two identities (lesser id first) were seen side by side."""
    separated: frozenset[Pair]
    """Pairs (lesser id first) that a person said are two people."""

    @property
    def apart(self) -> set[Pair]:
        """Pairs that are two people, whoever says so."""
        return set(self.together) | self.separated


def gather(registry: Registry) -> Evidence:
    """The evidence on all identities, from one pass over the faces of the index."""
    points = registry.index.faces(with_vectors=True)
    return weigh(
        registry,
        ((point.payload, point.vector) for point in points if point.vector is not None),
        registry.index.identities(),
        registry.contract.model.dimension,
    )


def weigh(
    registry: Registry,
    points: Iterable[tuple[Mapping[str, Any], Vectors]],
    identities: Iterable[Identity],
    dimension: int,
) -> Evidence:
    """The evidence in these faces.

    Args:
        registry: says what people separated.
        points: payload, as the index has it, and vector of each face, in any order.
        identities: those that the payloads name, all of them.
        dimension: D of the vectors.
    """
    faces = _Faces()
    for payload, vector in points:
        faces.add(payload, vector)
    known = {identity.identity_id: identity for identity in identities}
    return Evidence(
        groups=tuple(faces.group(known[i], dimension) for i in sorted(known)),
        tracks={i: frozenset(tracks) for i, tracks in faces.tracks.items()},
        together=faces.together(),
        separated=_separated(registry),
    )


class _Faces:
    """The faces of the index while they pass by: what has to be kept of each, and no vector."""

    def __init__(self) -> None:
        self.tracks: dict[str, set[Track]] = defaultdict(set)
        self._sums: dict[str, dict[Track, Vectors]] = defaultdict(dict)
        self._frames: dict[tuple[str, int], int] = {}
        self._numbers: dict[str, int] = {}
        self._rows: list[tuple[int, int]] = []
        self._boxes: list[Sequence[float]] = []

    def add(self, face: Mapping[str, Any], vector: Vectors) -> None:
        identity, track = face["identity_id"], (face["video_id"], face["track"])
        self.tracks[identity].add(track)
        frame = self._frames.setdefault((face["video_id"], face["frame"]), len(self._frames))
        self._rows.append((frame, self._numbers.setdefault(identity, len(self._numbers))))
        self._boxes.append(face["box"])
        if founds(Quality(face["quality"], tuple(face["reasons"]))):
            sums = self._sums[identity]
            sums[track] = sums[track] + vector if track in sums else vector

    def group(self, identity: Identity, dimension: int) -> Group:
        rank = (int(bool(identity.name)), identity.videos)
        sums = self._sums.get(identity.identity_id, {})
        if not sums:
            return Group(identity.identity_id, np.zeros((0, dimension), np.float32), rank)
        means = np.stack([sums[track] for track in sorted(sums)])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return Group(identity.identity_id, means.astype(np.float32, copy=False), rank)

    def together(self) -> dict[Pair, int]:
        """Pairs of identities by the frames that show both, overlapping boxes left out."""
        if not self._rows:
            return {}
        rows, boxes = np.array(self._rows), np.array(self._boxes, dtype=np.float64)
        order = np.argsort(rows[:, 0], kind="stable")
        rows, boxes = rows[order], boxes[order]
        found: list[NDArray[np.int64]] = []
        for step in range(1, int(np.bincount(rows[:, 0]).max())):
            one, other = rows[:-step], rows[step:]
            beside = (one[:, 0] == other[:, 0]) & (one[:, 1] != other[:, 1])
            beside &= _iou(boxes[:-step], boxes[step:]) <= OVERLAP
            who = np.sort(np.stack([one[beside, 1], other[beside, 1]], axis=1), axis=1)
            found.append(np.column_stack([who, one[beside, 0]]))
        if not found:
            return {}
        frames = np.unique(np.concatenate(found), axis=0)
        pairs, counts = np.unique(frames[:, :2], axis=0, return_counts=True)
        names = list(self._numbers)
        return {
            pair(names[a], names[b]): count
            for (a, b), count in zip(pairs.tolist(), counts.tolist(), strict=True)
        }


def _iou(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union, row by row, of boxes (n, 4) as x1, y1, x2, y2."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(one[:, 2:] - one[:, :2], axis=1) + np.prod(other[:, 2:] - other[:, :2], axis=1)
    union = np.maximum(areas - shared, 1e-12)
    ratio: NDArray[np.float64] = shared / union
    return ratio


def _separated(registry: Registry) -> frozenset[Pair]:
    """Separations as they stand after all merges, and each split from what it left.

    A split says that its faces are another person, so nothing but a person joins the two again.
    """
    view = registry.view
    pairs = [tuple(two) for two in view.apart]
    for decision in standing(registry.decisions.read()):
        if decision.kind is Kind.SPLIT:
            left = [one for one in (decision.identity_id, *decision.others) if one]
            pairs += [(view.root(one), view.root(decision.new_identity)) for one in left]
    return frozenset(pair(*two) for two in pairs if len(set(two)) == 2)


def pair(one: str, other: str) -> Pair:
    """Two identities as a pair: the lesser id first."""
    return (one, other) if one < other else (other, one)
