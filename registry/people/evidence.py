"""Evidence that identities are, or are not, one person, gathered in one pass over the faces."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from registry.core.decisions import DecisionKind, in_effect
from registry.core.operating_point import current_thresholds
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Box, Identity, ModelInfo, Quality, Vectors
from registry.faces.boxes import SAME_FACE, overlaps
from registry.faces.quality import cover_bits, is_comparable, is_spoilt
from registry.faces.rates import Curve, score
from registry.models.curves import shipped_curve
from registry.people.consolidation import Group
from registry.people.repetition import FacesIn, Track, stay_alike

Pair = tuple[str, str]
"""Two identity ids, the lesser first."""
_Sums = dict[str, dict[Track, Vectors]]
"""Sum of embeddings by identity and track."""
_POOR = -1
"""The kind of poor faces. Other kinds are the bits of what covers a face; 0: nothing does."""
ALIKE_FAR = 1e-6
"""False-accept rate from whose similarity on two faces of one frame are no proof of two people.
Source: docs/BENCHMARKS.md, "One person several times in a frame"."""
_LEAST_PAIRS = 10
"""Pairs of people from which their own similarity counts: as many as calibration needs
(docs/BENCHMARKS.md, "Constants of calibration")."""
_SAMPLE = 2_000
"""Tracks that are compared with each other to find out how alike people are, at most about as many:
two million pairs, in 0.1 s."""
_MORE_ALIKE = 0.5
"""People are more alike than the strangers of the curve if the lower quartile of the scores of all
pairs is higher by so much. Source: docs/BENCHMARKS.md, "Hard footage"."""
_ELSEWHERE_SCORE = 0.4
"""Least score of an identity of poor faces that may join a person of other videos: faces below it
tell people apart no better than chance does (docs/BENCHMARKS.md, "Quality of faces")."""


@dataclass(frozen=True)
class Evidence:
    """What is known for and against identities being one person."""

    observed: ObservedFaces
    """Their faces."""
    ranks: Mapping[str, tuple[int, ...]]
    """The rank of every identity, which decides whose id is kept: see `Group.rank`."""
    separated: frozenset[Pair] = frozenset()
    """Pairs that a person said are two people."""
    curve: Curve | None = None
    """How alike strangers are. None: any two faces of a frame are two people."""
    steady: frozenset[frozenset[Track]] = frozenset()
    """Pairs of tracks that show one person twice: `repetition.stay_alike`."""
    same_person: float = 1.0
    """Median cosine of two photos of one person: see `consolidate`."""
    several: tuple[float, ...] = (0.0,)
    """By how much several pairs of tracks lower the threshold: see `ModelCurve.lower`."""

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All identities, by id, with a mean of the good faces of each of their tracks."""
        return self.observed.groups(self.ranks)

    @cached_property
    def alike(self) -> float:
        """Cosine from which two faces of one frame are no proof of two people; above 1: none is.

        It is the cosine of `ALIKE_FAR`. If there are ten pairs of people and more, who resemble
        each other more than the strangers of the curve, it is raised as much: the lower quartile
        gives by how much, so that up to half of the pairs may be mirrors.
        """
        if self.curve is None:
            return 2.0
        similarities = self.observed.similarities_beside()
        centre = 0.0
        if len(similarities) >= _LEAST_PAIRS:
            scores = self.curve.scores(np.array(similarities))
            centre = max(0.0, float(np.quantile(scores, 0.25)) - score(0.75))
        return self.curve.at(centre + score(ALIKE_FAR))

    @cached_property
    def lower(self) -> tuple[float, ...]:
        """By how much several pairs of tracks lower the threshold of a join: `several`, or nothing.

        Nothing if there are fewer than ten pairs of tracks, or if they resemble each other more
        than the strangers of the curve: people of one studio may reach the lower threshold.
        """
        tracks = [track for group in self.groups for track in group.uncovered]
        sample = np.array(tracks[:: len(tracks) // _SAMPLE + 1])
        if self.curve is None or len(sample) * (len(sample) - 1) < 2 * _LEAST_PAIRS:
            return (0.0,)
        similarities = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
        quartile = float(np.quantile(self.curve.scores(similarities), 0.25))
        return self.several if quartile - score(0.75) <= _MORE_ALIKE else (0.0,)

    @cached_property
    def together(self) -> Mapping[Pair, int]:
        """The number of frames that show two people side by side, by the pair of identities."""
        return self.observed.together(self.alike)

    @cached_property
    def repeated(self) -> Mapping[Pair, int]:
        """The number of frames that show a pair whose faces are too alike for two people.

        Rather a mirror, a screen, or two pictures of one person: no proof for or against, unless
        they are in `linked`.
        """
        return self.observed.repeated(self.alike)

    @cached_property
    def linked(self) -> frozenset[Pair]:
        """Pairs that stay alike side by side through a shot: one person twice in a frame."""
        return self.observed.linked(self.steady, self.alike)

    @cached_property
    def repeating_videos(self) -> frozenset[str]:
        """Ids of the videos that show one person several times in a frame.

        The faces belong to one identity, or are too alike for two people.
        """
        return self.observed.repeating_videos(self.alike)

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
        return replace(
            self,
            observed=self.observed.merged(into),
            ranks={who: rank for who, rank in self.ranks.items() if who not in into},
            separated=frozenset(pair(into.get(a, a), into.get(b, b)) for a, b in self.separated),
        )


def gather_evidence(registry: Registry) -> Evidence:
    """The evidence on all identities that are not hidden, from one pass over the index."""
    index, model = registry.index, registry.contract.model
    faces = index.faces(with_vectors=True)
    return evidence_from(registry, faces, index.identities(), model, index.faces_in)


def evidence_from(
    registry: Registry,
    faces: Iterable[IndexedFace],
    identities: Iterable[Identity],
    model: ModelInfo,
    faces_in: FacesIn,
) -> Evidence:
    """The evidence in these faces, without those of hidden identities.

    Args:
        registry: its decisions say which identities people separated and hid.
        faces: with their vectors, in any order; a face without one is left out.
        identities: all that the faces name.
        model: embedded them. The registry's calibration counts only if it is the registry's model.
        faces_in: gives the faces of one video with their vectors, by its id. It is called for
            videos that may show one person twice in a frame.
    """
    observed, hidden = ObservedFaces(model.dimension), registry.view.hidden
    for face in faces:
        if face.vector is not None and face.identity_id not in hidden:
            observed.add(
                face.identity_id,
                (face.video_id, face.track),
                face.frame,
                face.box,
                face.vector,
                face.quality,
            )
    ranks = {
        i.identity_id: (int(bool(i.name)), i.videos)
        for i in identities
        if i.identity_id not in hidden
    }
    shipped = shipped_curve(model)
    own = model.digest == registry.contract.model.digest
    evidence = Evidence(
        observed,
        ranks,
        _separated_pairs(registry),
        current_thresholds(registry).curve if own else shipped.curve,
        same_person=shipped.same_person,
        several=shipped.lower,
    )
    candidates = observed.repeated_tracks(evidence.alike)
    return replace(evidence, steady=stay_alike(candidates, faces_in, evidence.alike))


class ObservedFaces:
    """What is kept of each face while all faces are read: sums by track, and boxes by frame."""

    def __init__(self, dimension: int) -> None:
        """`dimension` is D of the embeddings."""
        self.tracks: dict[str, set[Track]] = defaultdict(set)
        self._dimension = dimension
        self._sums: dict[int, _Sums] = defaultdict(lambda: defaultdict(dict))
        """By kind. Spoilt faces are in none."""
        self._counts: Counter[tuple[int, str, Track]] = Counter()
        """Faces by kind, identity and track."""
        self._scores: dict[str, float] = {}
        """The best score of a face that lies within its frame, by identity."""
        self._frames: dict[tuple[str, int], int] = {}
        self._numbers: dict[str, int] = {}
        self._places: dict[Track, int] = {}
        self._rows: list[int] = []
        """Frame, identity and track of each face that is not spoilt, one after the other: numbers
        of `_frames`, `_numbers` and `_places`."""
        self._boxes: list[float] = []
        """x1, y1, x2, y2 of each of these faces, one after the other."""

    def add(
        self, identity: str, track: Track, frame: int, box: Box, vector: Vectors, quality: Quality
    ) -> None:
        """Add a face.

        Args:
            identity: its identity after all decisions.
            track: where it was seen.
            frame: number of the frame in its video.
            box: in px of the frame.
            vector: float32 (D,), L2-normalised.
            quality: of the face.
        """
        self.tracks[identity].add(track)
        number = self._numbers.setdefault(identity, len(self._numbers))
        if is_spoilt(quality):
            return
        at = self._frames.setdefault((track[0], frame), len(self._frames))
        self._rows += (at, number, self._places.setdefault(track, len(self._places)))
        self._boxes += (box.x1, box.y1, box.x2, box.y2)
        kind = cover_bits(quality) if is_comparable(quality) else _POOR
        if "cut_off" not in quality.reasons:
            self._scores[identity] = max(self._scores.get(identity, 0.0), quality.score)
        _add(self._sums[kind][identity], track, vector)
        self._counts[kind, identity, track] += 1

    def merged(self, into: Mapping[str, str]) -> ObservedFaces:
        """The same faces, those of each identity among the keys as faces of its value."""
        result = ObservedFaces(self._dimension)
        for identity, tracks in self.tracks.items():
            result.tracks[into.get(identity, identity)] |= tracks
        for kind, sums in self._sums.items():
            for identity, by_track in sums.items():
                for track, vector in by_track.items():
                    who = into.get(identity, identity)
                    _add(result._sums[kind][who], track, vector)
                    result._counts[kind, who, track] += self._counts[kind, identity, track]
        for identity, best in self._scores.items():
            who = into.get(identity, identity)
            result._scores[who] = max(result._scores.get(who, 0.0), best)
        number = [
            result._numbers.setdefault(into.get(identity, identity), len(result._numbers))
            for identity in self._numbers
        ]
        result._rows = list(self._rows)
        result._rows[1::3] = [number[who] for who in self._rows[1::3]]
        result._boxes, result._places, result._frames = self._boxes, self._places, self._frames
        return result

    def groups(self, ranks: Mapping[str, tuple[int, ...]]) -> tuple[Group, ...]:
        """Each identity of `ranks` as a group for consolidation, in order of id."""
        comparable = self._comparable()
        owners: dict[Track, set[str]] = defaultdict(set)
        for identity, by_track in comparable.items():
            for track in by_track:
                owners[track].add(identity)
        good = _track_means({i: {t: v for t, (v, _) in by.items()} for i, by in comparable.items()})
        poor = _track_means(self._sums[_POOR])
        none = np.zeros((0, self._dimension), np.float32)
        groups = []
        for identity in sorted(ranks):
            videos = frozenset(video for video, _ in self.tracks.get(identity, ()))
            if identity in good:
                covers = tuple(comparable[identity][t][1] for t in sorted(comparable[identity]))
                groups.append(
                    Group(identity, good[identity], ranks[identity], covers=covers, videos=videos)
                )
                continue
            along = {who for track in self.tracks.get(identity, ()) for who in owners[track]}
            means = poor.get(identity, none)
            groups.append(
                Group(
                    identity,
                    none,
                    ranks[identity],
                    means,
                    tuple(sorted(along)),
                    videos=videos,
                    elsewhere=self._scores.get(identity, 0.0) >= _ELSEWHERE_SCORE,
                )
            )
        return tuple(groups)

    def _comparable(self) -> dict[str, dict[Track, tuple[Vectors, int]]]:
        """By identity and track: the sum of the faces of the kind that most are of, and the kind.

        Of equally many those count that are covered less.
        """
        result: dict[str, dict[Track, tuple[Vectors, int]]] = defaultdict(dict)
        for kind in sorted(kind for kind in self._sums if kind != _POOR):
            for identity, by_track in self._sums[kind].items():
                for track, vector in by_track.items():
                    chosen = result[identity].get(track)
                    count = self._counts[kind, identity, track]
                    if chosen is None or count > self._counts[chosen[1], identity, track]:
                        result[identity][track] = vector, kind
        return result

    def together(self, alike: float) -> dict[Pair, int]:
        """Pairs of identities by the number of frames that show both as two people.

        Boxes that overlap by more than `SAME_FACE` are one face found twice and do not count, and
        neither do faces of two tracks whose cosine is `alike` or more.
        """
        rows, similarities = self._beside
        return self._pair_counts(rows[similarities < alike])

    def repeated(self, alike: float) -> dict[Pair, int]:
        """Pairs of identities by the number of frames that show both, `alike` or more."""
        rows, similarities = self._beside
        return self._pair_counts(rows[similarities >= alike])

    def repeated_tracks(self, alike: float) -> dict[frozenset[Track], int]:
        """Pairs of tracks by the frames that show two identities in them, `alike` or more."""
        rows, similarities = self._beside
        rows = rows[(similarities >= alike) & (rows[:, 1] != rows[:, 3])]
        places = list(self._places)
        return {
            frozenset((places[s], places[t])): count
            for s, t, count in _count_frames(rows[:, [1, 3, 4]])
        }

    def linked(self, steady: Set[frozenset[Track]], alike: float) -> frozenset[Pair]:
        """Pairs of identities that are side by side in such tracks, `alike` or more."""
        if not steady:
            return frozenset()
        rows, similarities = self._beside
        names, places = list(self._numbers), list(self._places)
        return frozenset(
            pair(names[a], names[b])
            for a, s, b, t in np.unique(rows[similarities >= alike, :4], axis=0).tolist()
            if frozenset((places[s], places[t])) in steady
        )

    def repeating_videos(self, alike: float) -> frozenset[str]:
        """Videos with a frame that shows one identity twice, or two that are `alike` or more."""
        rows, similarities = self._beside
        every = self._side_by_side
        frames = {*rows[similarities >= alike, 4], *every[every[:, 0] == every[:, 2], 4]}
        return frozenset(video for (video, _), number in self._frames.items() if number in frames)

    def similarities_beside(self) -> list[float]:
        """The largest cosine of each pair of identities who are side by side in a frame."""
        best: dict[tuple[int, int], float] = {}
        rows, similarities = self._beside
        for (a, b), similarity in zip(rows[:, [0, 2]].tolist(), similarities.tolist(), strict=True):
            best[a, b] = max(similarity, best.get((a, b), -1.0))
        return list(best.values())

    @cached_property
    def _side_by_side(self) -> NDArray[np.int64]:
        """Identity, track, identity, track, and frame of faces side by side: int64 (n, 5).

        Each row once; the first identity is not the larger one.
        """
        nothing = np.zeros((0, 5), np.int64)
        if not self._rows:
            return nothing
        rows = np.array(self._rows).reshape(-1, 3)
        boxes = np.array(self._boxes, dtype=np.float64).reshape(-1, 4)
        order = np.argsort(rows[:, 0], kind="stable")
        rows, boxes = rows[order], boxes[order]
        # Faces of one frame are neighbours now: compare each with the next, the one after it, …
        found: list[NDArray[np.int64]] = []
        for step in range(1, int(np.bincount(rows[:, 0]).max())):
            one, other = rows[:-step], rows[step:]
            beside = one[:, 0] == other[:, 0]
            beside &= overlaps(boxes[:-step], boxes[step:]) <= SAME_FACE
            swapped = (one[beside, 1] > other[beside, 1])[:, None]
            first = np.where(swapped, other[beside], one[beside])
            second = np.where(swapped, one[beside], other[beside])
            found.append(np.column_stack([first[:, 1:], second[:, 1:], first[:, :1]]))
        return np.unique(np.concatenate(found), axis=0) if found else nothing

    @cached_property
    def _beside(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The rows of `_side_by_side` with two identities, and their cosine in these tracks."""
        frames = self._side_by_side
        frames = frames[frames[:, 0] != frames[:, 2]]
        if not len(frames):
            return frames, np.zeros(0)
        combinations, inverse = np.unique(frames[:, :4], axis=0, return_inverse=True)
        names, places = list(self._numbers), list(self._places)
        similarities = np.array(
            [
                self._similarity(names[a], places[s], names[b], places[t])
                for a, s, b, t in combinations.tolist()
            ],
            np.float64,
        )
        return frames, similarities[inverse.ravel()]

    def _pair_counts(self, rows: NDArray[np.int64]) -> dict[Pair, int]:
        """Pairs of identities by the number of different frames in rows of `_side_by_side`."""
        names = list(self._numbers)
        return {
            pair(names[a], names[b]): count for a, b, count in _count_frames(rows[:, [0, 2, 4]])
        }

    def _similarity(self, one: str, track: Track, other: str, beside: Track) -> float:
        """Cosine of the best faces of two identities in two tracks; -1 if both are covered."""
        kind, mean = self._best(one, track)
        other_kind, other_mean = self._best(other, beside)
        if kind > 0 and other_kind > 0 and kind & other_kind:
            return -1.0
        lengths = float(np.linalg.norm(mean) * np.linalg.norm(other_mean))
        return float(mean @ other_mean) / lengths if lengths else -1.0

    def _best(self, identity: str, track: Track) -> tuple[int, Vectors]:
        for kind in sorted(self._sums, key=lambda kind: (kind == _POOR, kind)):
            vector = self._sums[kind].get(identity, {}).get(track)
            if vector is not None:
                return kind, vector
        raise KeyError(track)


def _count_frames(rows: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Each pair in rows of two numbers and a frame, with the number of its different frames."""
    pairs, counts = np.unique(np.unique(rows, axis=0)[:, :2], axis=0, return_counts=True)
    return [(*two, count) for two, count in zip(pairs.tolist(), counts.tolist(), strict=True)]


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
