"""Evidence that identities are, or are not, one person, gathered in one pass over the faces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from registry.core.decisions import DecisionKind, in_effect
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Box, Identity, Vectors
from registry.faces.boxes import SAME_FACE, overlaps
from registry.faces.quality import founds
from registry.people.consolidation import Group

Pair = tuple[str, str]
"""Two identity ids, the lesser first."""
Track = tuple[str, int]
"""Video id and the number of a track in it."""
_Sums = dict[str, dict[Track, Vectors]]
"""Sum of embeddings by identity and track."""


@dataclass(frozen=True)
class Evidence:
    """What is known for and against identities being one person."""

    observed: ObservedFaces
    """Their faces."""
    ranks: Mapping[str, tuple[int, ...]]
    """The rank of every identity, which decides whose id is kept: see `Group.rank`."""
    separated: frozenset[Pair] = frozenset()
    """Pairs that a person said are two people."""

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All identities, by id, with a mean of the good faces of each of their tracks."""
        return self.observed.groups(self.ranks)

    @cached_property
    def together(self) -> Mapping[Pair, int]:
        """The number of frames that show both identities of a pair side by side."""
        return self.observed.together()

    @property
    def tracks(self) -> Mapping[str, Set[Track]]:
        """The tracks that each identity has a face in, good or poor."""
        return self.observed.tracks

    @property
    def apart(self) -> set[Pair]:
        """Pairs that are two people: seen in one frame, or separated by a person."""
        return set(self.together) | self.separated

    def merged(self, groups: Iterable[Sequence[str]]) -> Evidence:
        """The evidence after each of these groups has become its first identity."""
        into = {member: group[0] for group in groups for member in group[1:]}
        return Evidence(
            self.observed.merged(into),
            {identity: rank for identity, rank in self.ranks.items() if identity not in into},
            frozenset(pair(into.get(a, a), into.get(b, b)) for a, b in self.separated),
        )


def gather_evidence(registry: Registry) -> Evidence:
    """The evidence on all identities of a registry, from one pass over its index."""
    index = registry.index
    faces = index.faces(with_vectors=True)
    return evidence_from(registry, faces, index.identities(), registry.contract.model.dimension)


def evidence_from(
    registry: Registry,
    faces: Iterable[IndexedFace],
    identities: Iterable[Identity],
    dimension: int,
) -> Evidence:
    """The evidence in these faces.

    Args:
        registry: its decisions say which identities people separated.
        faces: with their vectors, in any order; a face without one is left out.
        identities: all that the faces name.
        dimension: D of the vectors.
    """
    observed = ObservedFaces(dimension)
    for face in faces:
        if face.vector is not None:
            observed.add(
                face.identity_id,
                (face.video_id, face.track),
                face.frame,
                face.box,
                face.vector,
                good=founds(face.quality),
            )
    ranks = {i.identity_id: (int(bool(i.name)), i.videos) for i in identities}
    return Evidence(observed, ranks, _separated_pairs(registry))


class ObservedFaces:
    """What is kept of each face while all faces are read: sums by track, and boxes by frame."""

    def __init__(self, dimension: int) -> None:
        """`dimension` is D of the embeddings."""
        self.tracks: dict[str, set[Track]] = defaultdict(set)
        self._dimension = dimension
        self._good: _Sums = defaultdict(dict)
        self._poor: _Sums = defaultdict(dict)
        self._frames: dict[tuple[str, int], int] = {}
        self._numbers: dict[str, int] = {}
        self._rows: list[int] = []
        """Frame and identity of each face, one after the other: `_frames` and `_numbers`."""
        self._boxes: list[float] = []
        """x1, y1, x2, y2 of each face, one after the other."""

    def add(
        self, identity: str, track: Track, frame: int, box: Box, vector: Vectors, *, good: bool
    ) -> None:
        """Add a face.

        Args:
            identity: its identity after all decisions.
            track: where it was seen.
            frame: number of the frame in its video.
            box: in px of the frame.
            vector: float32 (D,), L2-normalised.
            good: what `registry.faces.quality.founds` says of it.
        """
        self.tracks[identity].add(track)
        number = self._frames.setdefault((track[0], frame), len(self._frames))
        self._rows += (number, self._numbers.setdefault(identity, len(self._numbers)))
        self._boxes += (box.x1, box.y1, box.x2, box.y2)
        _add((self._good if good else self._poor)[identity], track, vector)

    def merged(self, into: Mapping[str, str]) -> ObservedFaces:
        """The same faces, those of each identity among the keys as faces of its value."""
        result = ObservedFaces(self._dimension)
        for identity, tracks in self.tracks.items():
            result.tracks[into.get(identity, identity)] |= tracks
        for sums, merged in ((self._good, result._good), (self._poor, result._poor)):
            for identity, by_track in sums.items():
                for track, vector in by_track.items():
                    _add(merged[into.get(identity, identity)], track, vector)
        number = [
            result._numbers.setdefault(into.get(identity, identity), len(result._numbers))
            for identity in self._numbers
        ]
        result._rows = list(self._rows)
        result._rows[1::2] = [number[who] for who in self._rows[1::2]]
        result._boxes = self._boxes
        return result

    def groups(self, ranks: Mapping[str, tuple[int, ...]]) -> tuple[Group, ...]:
        """Each identity of `ranks` as a group for consolidation, in order of id."""
        owners: dict[Track, set[str]] = defaultdict(set)
        for identity, by_track in self._good.items():
            for track in by_track:
                owners[track].add(identity)
        good, poor = _track_means(self._good), _track_means(self._poor)
        none = np.zeros((0, self._dimension), np.float32)
        groups = []
        for identity in sorted(ranks):
            if identity in good:
                groups.append(Group(identity, good[identity], ranks[identity]))
                continue
            along = {who for track in self._poor.get(identity, ()) for who in owners.get(track, ())}
            means = poor.get(identity, none)
            groups.append(Group(identity, none, ranks[identity], means, tuple(sorted(along))))
        return tuple(groups)

    def together(self) -> dict[Pair, int]:
        """Pairs of identities by the number of frames that show both.

        Boxes that overlap by more than `SAME_FACE` are one face found twice and do not count.
        """
        if not self._rows:
            return {}
        rows = np.array(self._rows).reshape(-1, 2)
        boxes = np.array(self._boxes, dtype=np.float64).reshape(-1, 4)
        order = np.argsort(rows[:, 0], kind="stable")
        rows, boxes = rows[order], boxes[order]
        # Faces of one frame are neighbours now: compare each with the next, the one after it, …
        triples: list[NDArray[np.int64]] = []
        for step in range(1, int(np.bincount(rows[:, 0]).max())):
            one, other = rows[:-step], rows[step:]
            beside = (one[:, 0] == other[:, 0]) & (one[:, 1] != other[:, 1])
            beside &= overlaps(boxes[:-step], boxes[step:]) <= SAME_FACE
            who = np.sort(np.stack([one[beside, 1], other[beside, 1]], axis=1), axis=1)
            triples.append(np.column_stack([who, one[beside, 0]]))
        if not triples:
            return {}
        frames = np.unique(np.concatenate(triples), axis=0)
        pairs, counts = np.unique(frames[:, :2], axis=0, return_counts=True)
        names = list(self._numbers)
        return {
            pair(names[a], names[b]): count
            for (a, b), count in zip(pairs.tolist(), counts.tolist(), strict=True)
        }


def _track_means(sums: _Sums) -> dict[str, Vectors]:
    """float32 (t, D) by identity: the L2-normalised mean of each track, in order of track."""
    if not sums:
        return {}
    # All tracks in one array: normalising them identity by identity takes five times as long.
    means = np.stack([by_track[track] for by_track in sums.values() for track in sorted(by_track)])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    ends = np.cumsum([len(by_track) for by_track in sums.values()])
    return dict(zip(sums, np.split(means, ends[:-1]), strict=True))


def _add(sums: dict[Track, Vectors], track: Track, vector: Vectors) -> None:
    sums[track] = sums[track] + vector if track in sums else vector


def _separated_pairs(registry: Registry) -> frozenset[Pair]:
    """Pairs that people separated, after all merges, and each split with what it left.

    A split says that its faces are another person, so only a person joins the two again.
    """
    view = registry.view
    pairs = [tuple(two) for two in view.apart]
    for decision in in_effect(registry.decisions.entries()):
        if decision.kind is DecisionKind.SPLIT:
            left = [one for one in (decision.identity_id, *decision.others) if one]
            pairs += [(view.root(one), view.root(decision.new_identity)) for one in left]
    return frozenset(pair(*two) for two in pairs if len(set(two)) == 2)


def pair(one: str, other: str) -> Pair:
    """Two identity ids as a pair."""
    return (one, other) if one < other else (other, one)
