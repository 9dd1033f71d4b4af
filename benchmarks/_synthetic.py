"""Registries of synthetic videos, as large as one asks: 18 faces each, of Zipf-like people.

A few people are in very many videos and most are in few. Two faces of a person have a cosine of
about 0.90 in different videos and 0.98 in one, so the rule at 0.85 joins them, and faces of
different people are far apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from registry import ids
from registry.core import contract as contracts
from registry.core import keys
from registry.core.registry import Registry
from registry.domain import Box, Contract, Face, Media, ModelInfo, Quality, Status, Vectors, Video
from registry.settings import DEFAULT_EVERY, DEFAULT_THRESHOLD
from registry.urls import Url

FACES = 18
"""Faces of a video: one person for six seconds, every tenth of 30 frames a second."""
DIMENSION = 128
_CROP = b"\xff\xd8" + bytes(3000) + b"\xff\xd9"
_DIGEST = hashlib.sha256(_CROP).hexdigest()
_LANDMARKS = np.array([[30, 30], [60, 30], [45, 45], [35, 60], [55, 60]], np.float32)
_BETWEEN, _WITHIN = 0.3, 0.15
"""Lengths of what a video and what a face adds to the embedding of a person."""


def contract(dimension: int = DIMENSION) -> Contract:
    """The contract of a synthetic registry."""
    info = ModelInfo("synthetic", "0" * 64, dimension, 0.40)
    return contracts.new(
        info, "synthetic", threshold=DEFAULT_THRESHOLD, every=DEFAULT_EVERY,
        primary_metric="Performance",
    )  # fmt: skip


class Synthetic:
    """Synthetic videos by number; the same seed gives the same videos."""

    def __init__(
        self, people: int, *, dimension: int = DIMENSION, faces: int = FACES, seed: int = 3
    ) -> None:
        """`people` is how many there are at most; a video has so many `faces`."""
        self._faces = faces
        self._random = np.random.default_rng(seed)
        self._founders: dict[int, str] = {}
        self.people = _normalised(self._random.normal(size=(people, dimension)))
        """float32 (people, dimension): what the embeddings of a person have in common."""

    def videos(self, count: int, start: int = 0) -> Iterator[Video]:
        """Videos whose faces have no identity yet, numbered from `start`."""
        return (self._video(number)[0] for number in range(start, start + count))

    def assigned(self, count: int, start: int = 0) -> Iterator[Video]:
        """Videos whose faces have the identities that the rule gives them."""
        for number in range(start, start + count):
            video, person = self._video(number)
            founder = self._founders.setdefault(person, ids.identity_id(video.faces[0].face_id))
            faces = (replace(face, identity_id=founder) for face in video.faces)
            yield replace(video, faces=tuple(faces))

    def queries(self, count: int) -> Vectors:
        """float32 (count, dimension): faces of people, in videos that are not in the registry."""
        chosen = self.people[self._random.integers(len(self.people), size=count)]
        return _normalised(chosen + self._noise(_BETWEEN, count) + self._noise(_WITHIN, count))

    def _video(self, number: int) -> tuple[Video, int]:
        random = self._random
        last = len(self.people) - 1
        often = random.random() < 0.7
        person = min(last, int(random.pareto(0.8))) if often else int(random.integers(last + 1))
        shared = self.people[person] + self._noise(_BETWEEN, 1)
        embeddings = _normalised(shared + self._noise(_WITHIN, self._faces))
        url = f"https://example.com/{number}.mp4"
        video_id = ids.video_id(url)
        faces = tuple(_face(video_id, place, row) for place, row in enumerate(embeddings))
        metrics = {
            "Performance": float(random.gamma(2, 3)),
            "Views": float(random.integers(1_000_000)),
        }
        media = Media(6.0, 640, 480, "h264", self._faces, 0)
        video = Video(video_id, Url(url), metrics, Status.DONE, faces, media, run="run")
        return video, person

    def _noise(self, length: float, rows: int) -> Vectors:
        noise = self._random.normal(size=(rows, self.people.shape[1]))
        return (length * _normalised(noise)).astype(np.float32)


def fill(registry: Registry, synthetic: Synthetic, count: int) -> None:
    """Put the first `count` videos into an empty registry: records and index."""

    def recorded() -> Iterator[Video]:
        for video in synthetic.assigned(count):
            registry.records.put(video)
            yield video

    with registry.writing():
        registry.index.rebuild(recorded(), registry.view)


def put_crops(registry: Registry, video: Video) -> None:
    """Store the crops of a video, as an ingest does before it commits it."""
    with registry.writing():
        for face in video.faces:
            registry.blobs.put(face.crop, _CROP)


def _face(video_id: str, place: int, embedding: Vectors) -> Face:
    frame = 10 * place
    return Face(
        face_id=ids.face_id(video_id, "0" * 64, frame, 0),
        frame=frame,
        position=0,
        time_s=place / 3,
        span_s=1 / 3,
        box=Box(10.0, 10.0, 90.0, 110.0),
        landmarks=_LANDMARKS,
        det_score=0.93,
        quality=Quality(0.8),
        track=0,
        crop=keys.crop(video_id, frame, 0),
        crop_digest=_DIGEST,
        embedding=embedding,
    )


def _normalised(rows: np.ndarray) -> Vectors:
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
