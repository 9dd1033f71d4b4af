"""What speaks for and against identities being one person, gathered in one pass over the faces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.core.decisions import Kind, in_effect
from registry.core.registry import Registry
from registry.domain import Identity, Quality, Vectors
from registry.faces.quality import founds
from registry.people.consolidation import Group

OVERLAP = 0.3
"""Intersection over union above which two boxes of one frame are one face found twice: the value at
which the detectors here suppress the lesser of two boxes (YuNet 0.3, SCRFD 0.4)."""

Pair = tuple[str, str]
Track = tuple[str, int]
"""Video id and the number of a track in it."""
_Sums = dict[str, dict[Track, Vectors]]
"""Sum of embeddings by identity and track."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against identities being one person."""

    seen: Seen
    """Their faces."""
    ranks: Mapping[str, tuple[int, ...]]
    """All identities, each with what decides who stays: see `Group.rank`."""
    separated: frozenset[Pair] = frozenset()
    """Pairs (lesser id first) that a person said are two people."""

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All identities, by id, with a mean of the good faces of each of their tracks."""
        return self.seen.groups(self.ranks)

    @cached_property
    def together(self) -> Mapping[Pair, int]:
        """In how many frames two identities (lesser id first) were seen side by side."""
        return self.seen.together()

    @property
    def tracks(self) -> Mapping[str, Set[Track]]:
        """The tracks that each identity has a face in, good or poor."""
        return self.seen.tracks

    @property
    def apart(self) -> set[Pair]:
        """Pairs that are two people, whoever says so."""
        return set(self.together) | self.separated

    def joined(self, groups: Iterable[Sequence[str]]) -> Evidence:
        """The same faces after each of these groups has become its first identity."""
        into = {member: group[0] for group in groups for member in group[1:]}
        return Evidence(
            self.seen.joined(into),
            {identity: rank for identity, rank in self.ranks.items() if identity not in into},
            frozenset(pair(into.get(a, a), into.get(b, b)) for a, b in self.separated),
        )


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
    seen = Seen(dimension)
    for face, vector in points:
        seen.add(
            face["identity_id"],
            (face["video_id"], face["track"]),
            face["frame"],
            face["box"],
            vector,
            good=founds(Quality(face["quality"], tuple(face["reasons"]))),
        )
    ranks = {i.identity_id: (int(bool(i.name)), i.videos) for i in identities}
    return Evidence(seen, ranks, _separated(registry))


class Seen:
    """The faces of all identities while they pass by: what has to be kept of each."""

    def __init__(self, dimension: int) -> None:
        """`dimension` is D of the embeddings."""
        self.tracks: dict[str, set[Track]] = defaultdict(set)
        self._dimension = dimension
        self._good: _Sums = defaultdict(dict)
        self._poor: _Sums = defaultdict(dict)
        self._frames: dict[tuple[str, int], int] = {}
        self._numbers: dict[str, int] = {}
        self._rows: list[tuple[int, int]] = []
        self._boxes: list[Sequence[float]] = []

    def add(
        self,
        identity: str,
        track: Track,
        frame: int,
        box: Sequence[float],
        vector: Vectors,
        *,
        good: bool,
    ) -> None:
        """One face: box as x1, y1, x2, y2 in px; `good` as `registry.faces.quality.founds` says."""
        self.tracks[identity].add(track)
        number = self._frames.setdefault((track[0], frame), len(self._frames))
        self._rows.append((number, self._numbers.setdefault(identity, len(self._numbers))))
        self._boxes.append(box)
        _add((self._good if good else self._poor)[identity], track, vector)

    def joined(self, into: Mapping[str, str]) -> Seen:
        """The same faces, those of each identity among the keys as faces of its value."""
        result = Seen(self._dimension)
        for identity, tracks in self.tracks.items():
            result.tracks[into.get(identity, identity)] |= tracks
        for theirs, ours in ((self._good, result._good), (self._poor, result._poor)):
            for identity, sums in theirs.items():
                for track, vector in sums.items():
                    _add(ours[into.get(identity, identity)], track, vector)
        number = [
            result._numbers.setdefault(into.get(name, name), len(result._numbers))
            for name in self._numbers
        ]
        result._rows = [(frame, number[who]) for frame, who in self._rows]
        result._boxes = self._boxes
        return result

    def groups(self, ranks: Mapping[str, tuple[int, ...]]) -> tuple[Group, ...]:
        """Each identity of `ranks` as consolidation sees it, in order of id."""
        owners: dict[Track, set[str]] = defaultdict(set)
        for identity, sums in self._good.items():
            for track in sums:
                owners[track].add(identity)
        return tuple(self._group(identity, ranks[identity], owners) for identity in sorted(ranks))

    def _group(
        self, identity: str, rank: tuple[int, ...], owners: Mapping[Track, set[str]]
    ) -> Group:
        if identity in self._good:
            return Group(identity, self._means(self._good[identity]), rank)
        poor = self._poor.get(identity, {})
        along = {owner for track in poor for owner in owners.get(track, ())}
        return Group(identity, self._means({}), rank, self._means(poor), tuple(sorted(along)))

    def _means(self, sums: Mapping[Track, Vectors]) -> Vectors:
        if not sums:
            return np.zeros((0, self._dimension), np.float32)
        means = np.stack([sums[track] for track in sorted(sums)])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return means.astype(np.float32, copy=False)

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


def _add(sums: dict[Track, Vectors], track: Track, vector: Vectors) -> None:
    sums[track] = sums[track] + vector if track in sums else vector


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
    for decision in in_effect(registry.decisions.entries()):
        if decision.kind is Kind.SPLIT:
            left = [one for one in (decision.identity_id, *decision.others) if one]
            pairs += [(view.root(one), view.root(decision.new_identity)) for one in left]
    return frozenset(pair(*two) for two in pairs if len(set(two)) == 2)


def pair(one: str, other: str) -> Pair:
    """Two identities as a pair: the lesser id first."""
    return (one, other) if one < other else (other, one)
