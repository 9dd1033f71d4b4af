"""Faces and videos for tests: real values of the real types, with embeddings that are chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from registry import ids
from registry.core import contract as contracts
from registry.core import keys
from registry.domain import (
    Box,
    Contract,
    Face,
    Media,
    ModelInfo,
    Quality,
    Status,
    Vectors,
    Video,
)
from registry.urls import Url

DIMENSION = 8
MODEL = ModelInfo("test-model", "d" * 64, DIMENSION, 0.4)


def contract(threshold: float = 0.85) -> Contract:
    """The contract of a registry of 8-d embeddings."""
    return contracts.new(
        MODEL, "test-model", threshold=threshold, every=10, primary_metric="Performance"
    )


def unit(*values: float) -> Vectors:
    """A unit vector that begins with these values."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def person(number: int, lean: float = 0.0) -> Vectors:
    """An embedding of person `number` (0 to 6); cosine with the upright one about 1 - lean²/2."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[number], vector[DIMENSION - 1] = 1.0, lean
    return vector / np.linalg.norm(vector)


def face(video_id: str, frame: int, embedding: Vectors, *, position: int = 0) -> Face:
    """A face in a frame, every tenth of a 30 fps video, with a crop made of its key."""
    key = keys.crop(video_id, frame, position)
    return Face(
        face_id=ids.face_id(video_id, MODEL.digest, frame, position),
        frame=frame,
        position=position,
        time_s=frame / 30,
        span_s=10 / 30,
        box=Box(10.0 + position, 20.0, 60.0 + position, 80.0),
        landmarks=np.arange(10, dtype=np.float32).reshape(5, 2),
        det_score=0.9,
        quality=Quality(0.5 + 0.001 * (frame % 100)),
        track=position,
        crop=key,
        crop_digest=hashlib.sha256(picture(key)).hexdigest(),
        embedding=embedding,
    )


def picture(key: str) -> bytes:
    """Bytes that stand for the crop of this key."""
    return b"\xff\xd8" + key.encode()


def video(
    name: str, embeddings: Sequence[Vectors], *, metrics: dict[str, float] | None = None
) -> Video:
    """A video with one face in each tenth frame."""
    url = f"https://example.com/{name}.mp4"
    video_id = ids.video_id(url)
    return Video(
        video_id=video_id,
        url=Url(url),
        metrics={"Performance": 1.0} if metrics is None else metrics,
        status=Status.DONE,
        faces=tuple(face(video_id, 10 * i, e) for i, e in enumerate(embeddings)),
        media=Media(duration_s=len(embeddings) / 3, width=640, height=360, codec="h264"),
        run="test-run",
    )


def with_metrics(video: Video, **metrics: float) -> Video:
    """The same video with other metrics."""
    return replace(video, metrics=metrics)
