"""What is kept of the faces that were seen, to tell which identities are one person.

`VideoFaces` adds up the faces of one video under the identities that they had before merges, so it
changes only if its record does or a split moves one of its faces. `ObservedFaces` puts the videos
together, under the identities after all decisions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from registry.core.points import IndexedFace
from registry.domain import Box, Quality, Vectors
from registry.faces.boxes import SAME_FACE, overlaps
from registry.faces.quality import cover_bits, is_comparable, is_spoilt
from registry.people.consolidation import Group
from registry.people.repetition import Track

Pair = tuple[str, str]
"""Two identity ids, the lesser first."""
_Sums = dict[str, dict[Track, Vectors]]
"""Sum of embeddings by identity and track."""
_POOR = -1
"""The kind of poor faces. Other kinds are the bits of what covers a face; 0: nothing does."""
_ELSEWHERE_SCORE = 0.4
"""Least score of an identity of poor faces that may join a person of other videos: faces below it
tell people apart no better than chance does (docs/BENCHMARKS.md, "Quality of faces")."""


class VideoFaces:
    """The faces of one video, added up by identity and track."""

    def __init__(self) -> None:
        self.tracks: dict[tuple[str, int], int] = {}
        """Identities with a number of a track that each has a face in, in order of the first face:
        the place of each, counted from 0."""
        self.scores: list[float] = []
        """By place: the best score of a face that lies within its frame; 0 if there is none."""
        self.sums: dict[tuple[int, int], Vectors] = {}
        """By place and kind: the sum of the embeddings, float32 (D,). Spoilt faces are in none."""
        self.counts: dict[tuple[int, int], int] = {}
        """By place and kind: the number of faces."""
        self.frames: list[tuple[int, int]] = []
        """Number of the frame, and place, of each face that is not spoilt."""
        self.boxes: list[tuple[float, ...]] = []
        """x1, y1, x2, y2 of each of these faces, in px."""

    def add(
        self, identity: str, track: int, frame: int, box: Box, vector: Vectors, quality: Quality
    ) -> None:
        """Add a face.

        Args:
            identity: its identity, before merges.
            track: number of the track in the video.
            frame: number of the frame in the video.
            box: in px of the frame.
            vector: float32 (D,), L2-normalised.
            quality: of the face.
        """
        place = self.tracks.setdefault((identity, track), len(self.tracks))
        if place == len(self.scores):
            self.scores.append(0.0)
        if is_spoilt(quality):
            return
        self.frames.append((frame, place))
        self.boxes.append((box.x1, box.y1, box.x2, box.y2))
        if "cut_off" not in quality.reasons:
            self.scores[place] = max(self.scores[place], quality.score)
        key = place, cover_bits(quality) if is_comparable(quality) else _POOR
        self.sums[key] = self.sums[key] + vector if key in self.sums else vector
        self.counts[key] = self.counts.get(key, 0) + 1

    def side_by_side(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """`frames` as (n, 2) and `boxes` as (n, 4), without those that are alone in their frame."""
        frames = np.array(self.frames, np.int64).reshape(-1, 2)
        boxes = np.array(self.boxes, np.float64).reshape(-1, 4)
        if not len(frames):
            return frames, boxes
        _, inverse, counts = np.unique(frames[:, 0], return_inverse=True, return_counts=True)
        several = counts[inverse.ravel()] > 1
        return frames[several], boxes[several]


def add_up(faces: Iterable[IndexedFace]) -> dict[str, VideoFaces]:
    """These faces by the id of their video, in any order; one without its vector is left out."""
    videos: dict[str, VideoFaces] = {}
    for face in faces:
        if face.vector is not None:
            of_video = videos.setdefault(face.video_id, VideoFaces())
            of_video.add(
                face.origin_id, face.track, face.frame, face.box, face.vector, face.quality
            )
    return videos


class ObservedFaces:
    """The faces of all videos: sums by track, and boxes by frame."""

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
        self._videos: list[str] = []
        """Video id of each frame that shows several faces."""
        self._numbers: dict[str, int] = {}
        self._places: dict[Track, int] = {}
        self._rows: list[NDArray[np.int64]] = []
        """(n, 3) for each video: frame, identity and track of the faces that are not alone in their
        frame; places in `_videos`, and numbers of `_numbers` and `_places`."""
        self._boxes: list[NDArray[np.float64]] = []
        """(n, 4): x1, y1, x2, y2 of each of these faces."""

    def add_video(
        self, video_id: str, faces: VideoFaces, identity_of: Callable[[str], str | None]
    ) -> None:
        """Add the faces of a video.

        Args:
            video_id: its id.
            faces: its faces.
            identity_of: gives the identity of a face by the one that it has in `faces`; None
                leaves the face out.
        """
        owners = [(identity_of(identity), (video_id, track)) for identity, track in faces.tracks]
        numbers: list[tuple[int, int]] = []
        for place, (who, track) in enumerate(owners):
            if who is None:
                numbers.append((-1, -1))
                continue
            self.tracks[who].add(track)
            self._scores[who] = max(self._scores.get(who, 0.0), faces.scores[place])
            number = self._numbers.setdefault(who, len(self._numbers))
            numbers.append((number, self._places.setdefault(track, len(self._places))))
        for (place, kind), vector in faces.sums.items():
            who, track = owners[place]
            if who is not None:
                _add(self._sums[kind][who], track, vector)
                self._counts[kind, who, track] += faces.counts[place, kind]
        if not faces.frames:
            return
        frames, boxes = faces.side_by_side()
        different, at = np.unique(frames[:, 0], return_inverse=True)
        rows = np.column_stack([at.ravel() + len(self._videos), np.array(numbers)[frames[:, 1]]])
        self._videos += [video_id] * len(different)
        shown = rows[:, 1] >= 0
        self._rows.append(rows[shown])
        self._boxes.append(boxes[shown])

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
        if self._rows:
            rows = np.concatenate(self._rows)
            rows[:, 1] = np.array(number, np.int64)[rows[:, 1]]
            result._rows = [rows]
        result._boxes, result._places, result._videos = self._boxes, self._places, self._videos
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
        return frozenset(self._videos[number] for number in frames)

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
        rows, boxes = np.concatenate(self._rows), np.concatenate(self._boxes)
        if not len(rows):
            return nothing
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


def pair(one: str, other: str) -> Pair:
    """Two identity ids as a pair."""
    return (one, other) if one < other else (other, one)
