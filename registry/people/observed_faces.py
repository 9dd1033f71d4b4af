"""The faces that were seen, under the identities after all decisions: who is beside whom, how good.

`registry.people.face_sums` adds them up under the identities before merges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from registry.domain import Vectors
from registry.faces.boxes import SAME_FACE, overlaps
from registry.people.consolidation import Group
from registry.people.face_sums import POOR, FaceSums, texts
from registry.people.repetition import Track

Pair = tuple[str, str]
"""Two identity ids, the lesser first."""
_ELSEWHERE_SCORE = 0.4
"""Least score of an identity of poor faces that may join a person of other videos: faces below it
tell people apart no better than chance does (docs/BENCHMARKS.md, "Quality of faces")."""
_CHUNK = 4096
"""Pairs of vectors that are multiplied at once."""


class ObservedFaces:
    """The faces of all videos: sums by identity and track, and who is side by side."""

    def __init__(self, faces: FaceSums, identity_of: Callable[[str], str | None]) -> None:
        """Put each face under its identity.

        Args:
            faces: of all videos.
            identity_of: gives the identity of a face by the one that it has in `faces`; None
                leaves the face out.
        """
        self._faces, self._identity_of = faces, identity_of
        found = [identity_of(one) for one in texts(faces.identities)]
        self.identities: list[str] = sorted({one for one in found if one is not None})
        """All that have a face."""
        self._number = {one: number for number, one in enumerate(self.identities)}
        numbers = np.array([-1 if one is None else self._number[one] for one in found], np.int64)
        self._owner = numbers[faces.tracks[:, 1]]
        """(t,) for each row of the tracks: number of the identity; -1 if it is left out."""
        self._video, self._track, self._place = _numbered(faces.tracks[:, 0], faces.tracks[:, 2])
        """By number of a track among those of all videos: place of its video, and number in the
        video. And (t,) for each row of the tracks: that number."""

    def merged(self, into: Mapping[str, str]) -> ObservedFaces:
        """The same faces, those of each identity among the keys as faces of its value."""

        def identity_of(origin: str) -> str | None:
            identity = self._identity_of(origin)
            return None if identity is None else into.get(identity, identity)

        return ObservedFaces(self._faces, identity_of)

    def shared_tracks(self, one: str, other: str) -> int:
        """The number of tracks in which both have a face, good or poor."""
        both = np.intersect1d(self._tracks_of(one), self._tracks_of(other), assume_unique=True)
        return len(both)

    def groups(self, ranks: Mapping[str, tuple[int, ...]]) -> tuple[Group, ...]:
        """Each identity of `ranks` as a group for consolidation, in order of id."""
        entries, vectors = self._sums
        chosen = self._comparable
        good, good_of = _by_owner(entries[chosen], vectors[chosen], len(self.identities))
        rows = np.flatnonzero(entries[:, 2] == POOR)
        poor, poor_of = _by_owner(entries[rows], vectors[rows], len(self.identities))
        covers = np.split(entries[chosen, 2], good_of)
        tracks, means = np.split(good, good_of), np.split(poor, poor_of)
        scores = self._best_scores
        none = np.zeros((0, vectors.shape[1]), np.float32)
        groups = []
        for identity in sorted(ranks):
            number, places = self._number.get(identity), self._tracks_of(identity)
            videos = frozenset(self._names[video] for video in self._video[places].tolist())
            if number is not None and len(tracks[number]):
                cover = tuple(covers[number].tolist())
                groups.append(
                    Group(identity, tracks[number], ranks[identity], covers=cover, videos=videos)
                )
                continue
            groups.append(
                Group(
                    identity,
                    none,
                    ranks[identity],
                    none if number is None else means[number],
                    tuple(sorted(self._comparable_in(places))),
                    videos=videos,
                    elsewhere=number is not None and bool(scores[number] >= _ELSEWHERE_SCORE),
                )
            )
        return tuple(groups)

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
        return {
            frozenset((self._track_named(s), self._track_named(t))): count
            for s, t, count in _count_frames(rows[:, [1, 3, 4]])
        }

    def linked(self, steady: Set[frozenset[Track]], alike: float) -> frozenset[Pair]:
        """Pairs of identities that are side by side in such tracks, `alike` or more."""
        if not steady:
            return frozenset()
        rows, similarities = self._beside
        return frozenset(
            pair(self.identities[a], self.identities[b])
            for a, s, b, t in np.unique(rows[similarities >= alike, :4], axis=0).tolist()
            if frozenset((self._track_named(s), self._track_named(t))) in steady
        )

    def repeating_videos(self, alike: float) -> frozenset[str]:
        """Videos with a frame that shows one identity twice, or two that are `alike` or more."""
        rows, similarities = self._beside
        every = self._side_by_side
        tracks = {*rows[similarities >= alike, 1], *every[every[:, 0] == every[:, 2], 1]}
        return frozenset(self._track_named(track)[0] for track in tracks)

    def similarities_beside(self) -> list[float]:
        """The largest cosine of each pair of identities who are side by side in a frame."""
        best: dict[tuple[int, int], float] = {}
        rows, similarities = self._beside
        for (a, b), similarity in zip(rows[:, [0, 2]].tolist(), similarities.tolist(), strict=True):
            best[a, b] = max(similarity, best.get((a, b), -1.0))
        return list(best.values())

    # --- sums -----------------------------------------------------------------------------------

    @cached_property
    def _sums(self) -> tuple[NDArray[np.int64], Vectors]:
        """Sums by identity, track and kind, in this order: these and a number of faces, and (s, D).

        An identity may have several rows of `FaceSums` in one track: those that were merged.
        """
        row, kind, count = self._faces.sums.T
        owner, place = self._owner[row], self._place[row]
        order = np.lexsort((kind, place, owner))
        order = order[np.count_nonzero(owner < 0) :]
        entries = np.column_stack([owner, place, kind, count])[order]
        first = _firsts(entries[:, :3])
        counts = np.add.reduceat(entries[:, 3], first) if len(first) else entries[:, 3]
        vectors = self._faces.vectors[order]
        if len(first) < len(entries):
            vectors = np.add.reduceat(vectors, first, axis=0)
        return np.column_stack([entries[first, :3], counts]), vectors

    @cached_property
    def _comparable(self) -> NDArray[np.int64]:
        """The row of `_sums` that counts for each identity in each track, if it has good faces.

        It is the kind that most of the faces are of; of equally many, the one that is covered less.
        """
        entries, _ = self._sums
        rows = np.flatnonzero(entries[:, 2] != POOR)
        owner, place, kind, count = entries[rows].T
        rows = rows[np.lexsort((kind, -count, place, owner))]
        return rows[_firsts(entries[rows, :2])]

    @cached_property
    def _best_scores(self) -> NDArray[np.float64]:
        """The best score of a face of each identity that lies within its frame."""
        scores, shown = np.zeros(len(self.identities)), self._owner >= 0
        np.maximum.at(scores, self._owner[shown], self._faces.scores[shown])
        return scores

    # --- tracks ---------------------------------------------------------------------------------

    @cached_property
    def _tracks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The tracks of all identities, one after the other, and where each identity begins."""
        shown = self._owner >= 0
        owner, place, _ = _numbered(self._owner[shown], self._place[shown])
        return place, np.searchsorted(owner, np.arange(len(self.identities) + 1))

    def _tracks_of(self, identity: str) -> NDArray[np.int64]:
        places, begins = self._tracks
        number = self._number.get(identity)
        if number is None:
            return places[:0]
        return places[begins[number] : begins[number + 1]]

    @cached_property
    def _names(self) -> list[str]:
        """Ids of the videos."""
        return texts(self._faces.videos)

    def _track_named(self, place: int) -> Track:
        return self._names[self._video[place]], int(self._track[place])

    def _comparable_in(self, tracks: NDArray[np.int64]) -> Iterator[str]:
        """The identities with comparable faces in one of these tracks; some several times."""
        owners, places = self._comparable_by_track
        for begin, end in zip(
            np.searchsorted(places, tracks), np.searchsorted(places, tracks, "right"), strict=True
        ):
            yield from {self.identities[owner] for owner in owners[begin:end].tolist()}

    @cached_property
    def _comparable_by_track(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Identity and track of all comparable faces, in order of the track."""
        owner, place = self._sums[0][self._comparable, :2].T
        order = np.argsort(place, kind="stable")
        return owner[order], place[order]

    # --- faces side by side -----------------------------------------------------------------------

    @cached_property
    def _side_by_side(self) -> NDArray[np.int64]:
        """Identity, track, identity, track, and frame of faces side by side: int64 (n, 5).

        Each row once; the first identity is not the larger one. Frames have a number in all videos.
        """
        row, frame = self._faces.frames.T
        owner, place = self._owner[row], self._place[row]
        shown = owner >= 0
        _, _, number = _numbered(self._video[place[shown]], frame[shown])
        order = np.argsort(number, kind="stable")
        rows = np.column_stack([number, owner[shown], place[shown]])[order]
        boxes = self._faces.boxes[shown][order]
        # Faces of one frame are neighbours now: compare each with the next, the one after it, …
        found = [np.zeros((0, 5), np.int64)]
        for step in range(1, int(np.bincount(number).max(initial=0))):
            one, other = rows[:-step], rows[step:]
            beside = one[:, 0] == other[:, 0]
            beside &= overlaps(boxes[:-step], boxes[step:]) <= SAME_FACE
            swapped = (one[beside, 1] > other[beside, 1])[:, None]
            first = np.where(swapped, other[beside], one[beside])
            second = np.where(swapped, one[beside], other[beside])
            found.append(np.column_stack([first[:, 1:], second[:, 1:], first[:, :1]]))
        return np.unique(np.concatenate(found), axis=0)

    @cached_property
    def _beside(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The rows of `_side_by_side` with two identities, and their cosine in these tracks."""
        frames = self._side_by_side
        frames = frames[frames[:, 0] != frames[:, 2]]
        if not len(frames):
            return frames, np.zeros(0)
        combinations, inverse = np.unique(frames[:, :4], axis=0, return_inverse=True)
        return frames, self._similarities(combinations)[inverse.ravel()]

    def _similarities(self, combinations: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cosine of the best faces of two identities in two tracks each; -1 if both are covered."""
        entries, vectors = self._sums
        best = _firsts(entries[:, :2])
        keys = entries[best, 0] * len(self._video) + entries[best, 1]

        def rows_of(owner: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
            return best[np.searchsorted(keys, owner * len(self._video) + place)]

        one, other = rows_of(*combinations[:, :2].T), rows_of(*combinations[:, 2:].T)
        lengths = np.linalg.norm(vectors, axis=1)
        product = np.zeros(len(combinations))
        for start in range(0, len(combinations), _CHUNK):
            some = slice(start, start + _CHUNK)
            product[some] = np.einsum("nd,nd->n", vectors[one[some]], vectors[other[some]])
        both = lengths[one].astype(np.float64) * lengths[other]
        covers = np.where(entries[:, 2] == POOR, 0, entries[:, 2])
        known = (both > 0) & (covers[one] & covers[other] == 0)
        return np.where(known, product / np.where(both > 0, both, 1.0), -1.0)

    def _pair_counts(self, rows: NDArray[np.int64]) -> dict[Pair, int]:
        """Pairs of identities by the number of different frames in rows of `_side_by_side`."""
        names = self.identities
        return {
            pair(names[a], names[b]): count for a, b, count in _count_frames(rows[:, [0, 2, 4]])
        }


def _numbered(
    one: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The different pairs of two numbers in n rows, in order, and (n,) the place of each in them.

    The first numbers must not be negative.
    """
    least = int(other.min(initial=0))
    span = int(other.max(initial=0)) - least + 1
    pairs, place = np.unique(one * span + (other - least), return_inverse=True)
    return pairs // span, pairs % span + least, place.ravel()


def _firsts(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places in sorted rows (n, k) where another row begins."""
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return np.flatnonzero(new)


def _by_owner(
    entries: NDArray[np.int64], vectors: Vectors, count: int
) -> tuple[Vectors, NDArray[np.int64]]:
    """The L2-normalised mean of each entry, and where those of the second, third, … owner begin."""
    means = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return means, np.searchsorted(entries[:, 0], np.arange(1, count))


def _count_frames(rows: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Each pair in rows of two numbers and a frame, with the number of its different frames."""
    pairs, counts = np.unique(np.unique(rows, axis=0)[:, :2], axis=0, return_counts=True)
    return [(*two, count) for two, count in zip(pairs.tolist(), counts.tolist(), strict=True)]


def pair(one: str, other: str) -> Pair:
    """Two identity ids as a pair."""
    return (one, other) if one < other else (other, one)
