"""Find videos that are likely the same footage: candidates from the index, compared in pairs.

Comparing every two videos would cost the square of their number. A few faces of each video are
looked up instead, and only the videos that have the nearest faces are compared with it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from registry.core.decisions import View
from registry.core.index import Index
from registry.core.points import IndexedFace, IndexedVideo
from registry.core.registry import Registry
from registry.footage.alignment import FaceTrack
from registry.footage.overlap import Overlap, Recording, are_same_footage, compare
from registry.urls import Url

PROBES = 4
"""Faces of a video that are looked up: the best one of each quarter of its faces."""

HITS = 50
"""Nearest faces that the index returns for each of them. One copy may hold many of them."""

RIVALS = 8
"""Videos that a video is compared with, at most: those nearest to its probes."""

NEAR = 0.6
"""Cosine from which a face makes its video a candidate. The same moment, encoded again, has 0.9 to
1.0; in strong compression, with a face of 60 px, 0.6 to 0.8 (`benchmarks/footage.py`)."""

MOST_WAITING = 512
"""Pairs that may wait to be compared: a few megabytes, and some seconds at the end of a run."""

_KEPT = 256
"""Videos whose faces are kept in memory for the next comparison."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of two videos."""

    video_id: str
    url: Url
    duration_s: float
    metrics: Mapping[str, float]
    share: float
    """Share of its frames with faces that the other one shows too, 0 to 1."""

    def as_dict(self) -> dict[str, Any]:
        """The fields that `videos duplicates --json` prints."""
        return {
            "video": self.video_id,
            "url": self.url.exposed(),
            "duration_s": self.duration_s,
            "metrics": dict(self.metrics),
            "share": round(self.share, 3),
        }


@dataclass(frozen=True, slots=True)
class DuplicateVideos:
    """Two videos that are likely the same footage."""

    first: Side
    """The longer one; of the same length, the one with the larger picture."""
    second: Side
    overlap: Overlap
    """Times are those of the first video."""
    identities: tuple[str, ...]
    """Ids of the identities in both, ascending."""

    def as_dict(self) -> dict[str, Any]:
        """An entry of `videos duplicates --json`."""
        found = self.overlap
        return {
            "videos": [self.first.as_dict(), self.second.as_dict()],
            "kind": str(found.kind),
            "certain": found.certain,
            "evidence": round(found.evidence, 3),
            "agreement": round(found.agreement, 6),
            "shared_s": round(found.seconds, 3),
            "segments": [
                {
                    "start_s": round(segment.start_s, 3),
                    "end_s": round(segment.end_s, 3),
                    "offset_s": round(segment.offset_s, 3),
                    "faces": segment.faces,
                }
                for segment in found.segments
            ],
            "identities": list(self.identities),
        }


def duplicate_videos(
    registry: Registry, *, among: Collection[str] | None = None
) -> list[DuplicateVideos]:
    """Videos that are likely the same footage, in pairs, those with the most evidence first.

    Videos that were joined or separated are left out. Of joined videos, the pair with the most
    evidence is listed.

    Args:
        registry: an open registry that has ingested something.
        among: ids; then only pairs with one of these videos.
    """
    index, view = registry.index, registry.view
    asked = index.videos() if among is None else index.get_videos(sorted(among)).values()
    videos = {video.video_id: video for video in asked if video.faces > 1}
    faces = _Faces(index)
    pairs = _candidates(faces, videos, view)
    best: dict[frozenset[str], DuplicateVideos] = {}
    for one, other in _ordered(pairs):
        first, second = sorted((one, other), key=lambda video: _rank(videos[video]))
        found = compare(faces.recording(videos[first]), faces.recording(videos[second]))
        if found is None:
            continue
        pair = frozenset((view.counted_video(first), view.counted_video(second)))
        if pair not in best or found.evidence > best[pair].overlap.evidence:
            best[pair] = _described(videos[first], videos[second], found)
    return sorted(
        best.values(),
        key=lambda d: (-d.overlap.evidence, d.first.url.exposed(), d.second.url.exposed()),
    )


class CopySearch:
    """Counts the videos of a run that are likely the same footage as others, a pair at a time.

    A run records a video and looks up its rivals; it compares them while it waits for the next one.
    It needs to know which videos have a copy, not each pair, so two videos that both have one
    already are not compared: of a hundred copies, a hundred pairs instead of 4,950.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry, self._faces = registry, _Faces(registry.index)
        self._pairs: deque[tuple[IndexedVideo, IndexedVideo]] = deque()
        self._copies: set[str] = set()

    def add(self, video_id: str) -> None:
        """Look up the videos that resemble this one, which has just been recorded."""
        videos = self._registry.index.get_videos([video_id])
        if video_id not in videos or videos[video_id].faces < 2:
            return
        rivals = _rivals(self._faces, video_id, self._registry.view)
        found = self._registry.index.get_videos(rivals)
        self._pairs += [
            (videos[video_id], found[rival])
            for rival in rivals
            if rival in found and found[rival].faces > 1
        ]
        while len(self._pairs) > MOST_WAITING:
            self.step()

    def step(self) -> bool:
        """Compare one pair. Returns False if there was none left."""
        while self._pairs:
            one, other = self._pairs.popleft()
            ids = {one.video_id, other.video_id}
            if ids <= self._copies:
                continue
            if are_same_footage(self._faces.recording(one), self._faces.recording(other)):
                self._copies |= ids
            return True
        return False

    def finish(self) -> set[str]:
        """Compare what is left. Returns the ids of the videos that have a copy, old ones too."""
        while self.step():
            pass
        return self._copies


def _rank(video: IndexedVideo) -> tuple[float, int, str, str]:
    media = video.media
    return -round(media.duration_s), -media.width * media.height, video.run, video.video_id


def _described(first: IndexedVideo, second: IndexedVideo, found: Overlap) -> DuplicateVideos:
    shown = [{a.identity_id for a in video.appearances} for video in (first, second)]
    one, other = (
        Side(
            video_id=video.video_id,
            url=video.url,
            duration_s=video.media.duration_s,
            metrics=video.metrics,
            share=share,
        )
        for video, share in zip((first, second), found.shares, strict=True)
    )
    return DuplicateVideos(one, other, found, tuple(sorted(shown[0] & shown[1])))


def _candidates(faces: _Faces, videos: dict[str, IndexedVideo], view: View) -> set[tuple[str, str]]:
    """Pairs of videos to compare, the lesser id first: each of these videos and its rivals.

    Rivals that are not among the videos are added to them.
    """
    rivals = {video_id: _rivals(faces, video_id, view) for video_id in videos}
    others = {other for found in rivals.values() for other in found} - videos.keys()
    more = faces.index.get_videos(sorted(others))
    videos.update((i, video) for i, video in more.items() if video.faces > 1)
    return {
        (min(video_id, other), max(video_id, other))
        for video_id, found in rivals.items()
        for other in found
        if other in videos
    }


def _ordered(pairs: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs in an order in which those of one video lie close together.

    Then most videos are read once (Cuthill and McKee 1969 order a graph so).
    """
    if not pairs:
        return []
    from scipy.sparse import csr_matrix  # takes a fifth of a second, and an ingest has no need
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    videos = sorted({video for pair in pairs for video in pair})
    number = {video: i for i, video in enumerate(videos)}
    ends = np.array([(number[one], number[other]) for one, other in sorted(pairs)])
    size = len(videos)
    graph = csr_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(size, size))
    place = np.empty(size, np.int64)
    place[reverse_cuthill_mckee(csr_matrix(graph + graph.T), symmetric_mode=True)] = range(size)
    return sorted(
        pairs, key=lambda pair: sorted((place[number[pair[0]]], place[number[pair[1]]]))[::-1]
    )


def _rivals(faces: _Faces, video_id: str, view: View) -> list[str]:
    """Ids of the videos with the nearest faces, nearest first, without `_settled` videos."""
    probes = _probes(faces.of(video_id))
    nearest: dict[str, float] = defaultdict(float)
    vectors = np.stack([probe.vector for probe in probes if probe.vector is not None])
    found = faces.index.videos_of_similar_faces(
        vectors, limit=HITS, without=_settled(video_id, view)
    )
    for videos in found:
        for video, similarity in videos.items():
            if similarity >= NEAR:
                nearest[video] += similarity
    return sorted(nearest, key=lambda video: (-nearest[video], video))[:RIVALS]


def _settled(video_id: str, view: View) -> list[str]:
    """Ids of the video and of all that decisions joined to it or separated from it."""
    counted = view.counted_video(video_id)
    apart = {video for pair in view.videos_apart if counted in pair for video in pair}
    apart.add(counted)
    return sorted(apart | {video for video, other in view.same_as.items() if other in apart})


def _probes(faces: Sequence[IndexedFace]) -> list[IndexedFace]:
    """The best face of each part of a video, in order of time."""
    ordered = sorted(faces, key=lambda face: (face.time_s, face.face_id))
    parts = [part for part in np.array_split(np.arange(len(ordered)), PROBES) if len(part)]
    return [max((ordered[i] for i in part), key=lambda face: face.quality.score) for part in parts]


class _Faces:
    """Reads the faces of videos from the index, and keeps those of the last `_KEPT` videos."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._tracks = lru_cache(_KEPT)(self._read)

    def recording(self, video: IndexedVideo) -> Recording:
        """The video in the form that `compare` takes."""
        return Recording(video.media.duration_s, self._tracks(video.video_id, video.run))

    def of(self, video_id: str) -> list[IndexedFace]:
        """The faces of a video with their vectors."""
        return [face for face in self.index.faces_in(video_id) if face.vector is not None]

    def _read(self, video_id: str, _run: str) -> tuple[FaceTrack, ...]:
        """Its tracks; a video that another run reads again has others."""
        faces = self.of(video_id)
        if not faces:
            return ()
        times = np.array([face.time_s for face in faces], np.float64)
        boxes = np.array([astuple(face.box) for face in faces], np.float64)
        numbers = np.array([face.track for face in faces])
        vectors = np.stack([face.vector for face in faces if face.vector is not None])
        return tuple(_tracks(times, vectors, boxes, numbers))


def _tracks(
    times: np.ndarray, vectors: np.ndarray, boxes: np.ndarray, numbers: np.ndarray
) -> Iterator[FaceTrack]:
    for number in np.unique(numbers):
        rows = numbers == number
        yield FaceTrack.of(times[rows], vectors[rows], boxes[rows])
