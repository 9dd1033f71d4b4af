"""What the faces of videos add up to, as arrays: sums of embeddings, and faces side by side.

Faces are added up under the identities that they had before merges. So the sums of a video change
only if its record does, or if a split moves one of its faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from registry.core.points import IndexedFace
from registry.domain import Box, Quality, Vectors
from registry.faces.quality import cover_bits, is_comparable, is_spoilt

POOR = 1 << 20
"""The kind of poor faces. Other kinds are the bits of what covers a face; 0: nothing does."""

Ids = NDArray[np.bytes_]
"""Ids, in ASCII."""


@dataclass(frozen=True, slots=True)
class FaceSums:
    """The faces of v videos, added up by identity and track. All rows are in order of video."""

    videos: Ids
    """(v,): all different. Some may have no faces."""
    identities: Ids
    """(i,): all that have a face, sorted."""
    tracks: NDArray[np.int64]
    """(t, 3): place in `videos`, place in `identities`, number of the track in the video. One row
    for each identity in each track, in the order of `videos`, then of the first face."""
    scores: NDArray[np.float64]
    """(t,): the best score of a face that lies within its frame; 0 if there is none."""
    sums: NDArray[np.int64]
    """(s, 3): row of `tracks`, kind, number of faces, in this order. Spoilt faces are in none."""
    vectors: Vectors
    """float32 (s, D): the sums of the embeddings of these faces."""
    frames: NDArray[np.int64]
    """(f, 2): row of `tracks` and number of the frame, of the faces that are not alone in their
    frame. Spoilt faces are left out before."""
    boxes: NDArray[np.float64]
    """(f, 4): x1, y1, x2, y2 of these faces, in px."""

    def take(self, order: NDArray[np.int64]) -> FaceSums:
        """The videos at these places, in this order."""
        place = np.full(len(self.videos), -1)
        place[order] = np.arange(len(order))
        track_rows, row_of_track = _reordered(place[self.tracks[:, 0]])
        sum_rows, _ = _reordered(row_of_track[self.sums[:, 0]])
        face_rows, _ = _reordered(row_of_track[self.frames[:, 0]])
        tracks, sums = self.tracks[track_rows], self.sums[sum_rows]
        frames = self.frames[face_rows]
        seen, identity = np.unique(tracks[:, 1], return_inverse=True)
        return FaceSums(
            self.videos[order],
            self.identities[seen],
            np.column_stack([place[tracks[:, 0]], identity.ravel(), tracks[:, 2]]),
            self.scores[track_rows],
            np.column_stack([row_of_track[sums[:, 0]], sums[:, 1:]]),
            self.vectors[sum_rows],
            np.column_stack([row_of_track[frames[:, 0]], frames[:, 1]]),
            self.boxes[face_rows],
        )

    def between(self, start: int, stop: int) -> FaceSums:
        """The videos from one place to before another."""
        of_tracks = slice(*np.searchsorted(self.tracks[:, 0], [start, stop]))
        row = of_tracks.start
        of_sums = slice(*np.searchsorted(self.sums[:, 0], [row, of_tracks.stop]))
        of_frames = slice(*np.searchsorted(self.frames[:, 0], [row, of_tracks.stop]))
        tracks = _raised(self.tracks[of_tracks], -start)
        seen, tracks[:, 1] = np.unique(tracks[:, 1], return_inverse=True)
        return FaceSums(
            self.videos[start:stop],
            self.identities[seen],
            tracks,
            self.scores[of_tracks],
            _raised(self.sums[of_sums], -row),
            self.vectors[of_sums],
            _raised(self.frames[of_frames], -row),
            self.boxes[of_frames],
        )

    @staticmethod
    def joined(parts: Sequence[FaceSums]) -> FaceSums:
        """The videos of several, at least one, one after the other; a video in two comes twice."""
        identities, place = np.unique(
            np.concatenate([part.identities for part in parts]), return_inverse=True
        )
        tracks, sums, frames = [], [], []
        video = row = first = 0
        for part in parts:
            own = place[first : first + len(part.identities)]
            tracks.append(
                np.column_stack(
                    [part.tracks[:, 0] + video, own[part.tracks[:, 1]], part.tracks[:, 2]]
                )
            )
            sums.append(_raised(part.sums, row))
            frames.append(_raised(part.frames, row))
            video, row = video + len(part.videos), row + len(part.tracks)
            first += len(part.identities)
        return FaceSums(
            np.concatenate([part.videos for part in parts]),
            identities,
            np.concatenate(tracks),
            np.concatenate([part.scores for part in parts]),
            np.concatenate(sums),
            np.concatenate([part.vectors for part in parts]),
            np.concatenate(frames),
            np.concatenate([part.boxes for part in parts]),
        )


class FaceAdder:
    """Adds up faces one by one."""

    def __init__(self, dimension: int) -> None:
        """`dimension` is D of the embeddings."""
        self._dimension = dimension
        self._videos: dict[str, _Video] = {}

    def add(
        self,
        video_id: str,
        identity: str,
        track: int,
        frame: int,
        box: Box,
        vector: Vectors,
        quality: Quality,
    ) -> None:
        """Add a face.

        Args:
            video_id: its video.
            identity: its identity, before merges.
            track: number of the track in the video.
            frame: number of the frame in the video.
            box: in px of the frame.
            vector: float32 (D,), L2-normalised.
            quality: of the face.
        """
        self._videos.setdefault(video_id, _Video()).add(
            identity, track, frame, box, vector, quality
        )

    def result(self, videos: Iterable[str] = ()) -> FaceSums:
        """The sums of the videos that faces were added of, and of these, in order of id."""
        ids = sorted(self._videos.keys() | set(videos))
        every = [self._videos.get(one, _NO_FACES) for one in ids]
        tracks = [(place, *one) for place, video in enumerate(every) for one in video.tracks]
        identities, place = np.unique(
            np.array([who for _, who, _ in tracks], "S"), return_inverse=True
        )
        numbers = np.array([(video, number) for video, _, number in tracks], np.int64)
        numbers = numbers.reshape(-1, 2)
        rows = np.cumsum([0, *(len(video.tracks) for video in every)]).tolist()
        counts = [
            (row + place, kind, count)
            for row, video in zip(rows, every, strict=False)
            for (place, kind), (_, count) in sorted(video.sums.items(), key=itemgetter(0))
        ]
        vectors = [video.sums[key][0] for video in every for key in sorted(video.sums)]
        beside = [video.side_by_side() for video in every]
        frames = [_raised(found, row) for row, (found, _) in zip(rows, beside, strict=False)]
        boxes = [found for _, found in beside]
        return FaceSums(
            np.array(ids, "S"),
            identities,
            np.column_stack([numbers[:, 0], place.ravel(), numbers[:, 1]]),
            np.array([score for video in every for score in video.scores], np.float64),
            np.array(counts, np.int64).reshape(-1, 3),
            np.array(vectors, np.float32).reshape(-1, self._dimension),
            np.concatenate([np.zeros((0, 2), np.int64), *frames]),
            np.concatenate([np.zeros((0, 4)), *boxes]),
        )


def add_up(faces: Iterable[IndexedFace], dimension: int, videos: Iterable[str] = ()) -> FaceSums:
    """The sums of these faces, in any order, and of these videos even if they have none.

    A face without its vector is left out. `dimension` is D of the embeddings.
    """
    adder = FaceAdder(dimension)
    for face in faces:
        if face.vector is not None:
            adder.add(
                face.video_id,
                *(face.origin_id, face.track, face.frame, face.box, face.vector, face.quality),
            )
    return adder.result(videos)


class _Video:
    """The faces of one video."""

    def __init__(self) -> None:
        self.tracks: dict[tuple[str, int], int] = {}
        """Identity and number of the track: the place of each, counted from 0."""
        self.scores: list[float] = []
        self.sums: dict[tuple[int, int], tuple[Vectors, int]] = {}
        """By place and kind: the sum and the number of faces."""
        self._frames: list[tuple[int, int]] = []
        self._boxes: list[tuple[float, ...]] = []

    def add(
        self, identity: str, track: int, frame: int, box: Box, vector: Vectors, quality: Quality
    ) -> None:
        place = self.tracks.setdefault((identity, track), len(self.tracks))
        if place == len(self.scores):
            self.scores.append(0.0)
        if is_spoilt(quality):
            return
        self._frames.append((place, frame))
        self._boxes.append((box.x1, box.y1, box.x2, box.y2))
        if "cut_off" not in quality.reasons:
            self.scores[place] = max(self.scores[place], quality.score)
        key = place, cover_bits(quality) if is_comparable(quality) else POOR
        total, count = self.sums.get(key, (0, 0))
        self.sums[key] = total + vector, count + 1

    def side_by_side(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Place, number of the frame, and box, of faces that are not alone in their frame."""
        frames = np.array(self._frames, np.int64).reshape(-1, 2)
        boxes = np.array(self._boxes, np.float64).reshape(-1, 4)
        if not len(frames):
            return frames, boxes
        _, inverse, counts = np.unique(frames[:, 1], return_inverse=True, return_counts=True)
        rows = np.flatnonzero(counts[inverse.ravel()] > 1)
        rows = rows[np.argsort(frames[rows, 0], kind="stable")]
        return frames[rows], boxes[rows]


_NO_FACES = _Video()


def texts(ids: Ids) -> list[str]:
    """Ids as strings."""
    found: list[str] = ids.astype(str).tolist()
    return found


def _raised(rows: NDArray[np.int64], by: int) -> NDArray[np.int64]:
    """The rows with their first numbers raised."""
    raised = rows.copy()
    raised[:, 0] += by
    return raised


def _reordered(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows whose new place is not negative, in order of it, and the new row of each row."""
    rows = np.argsort(places, kind="stable")
    rows = rows[np.count_nonzero(places < 0) :]
    new = np.full(len(places), -1)
    new[rows] = np.arange(len(rows))
    return rows, new
