"""A registry of real faces for tests of pages: people whom the rule split, in videos with numbers.

The faces are those of photos that installed packages carry. Each person stands under several
identities, whose embeddings lean apart as those of other days would, so that the review has
questions to ask.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ingest.extract import crop
from registry import ids
from registry.core import keys
from registry.core.registry import Registry
from registry.domain import Box, Face, Image, Media, Quality, Status, Vectors, Video
from registry.models.base import FaceModel
from registry.urls import Url
from tests.support.registries import open_empty

ALIKE = 0.62
"""Cosine of two identities of one person: below the rule's threshold, above that of a join."""


@dataclass(frozen=True)
class Portrait:
    """One face of a photo."""

    picture: Image
    embedding: Vectors


def portraits(model: FaceModel, photos: Sequence[Image]) -> list[Portrait]:
    """All faces in some photos, left to right."""
    found = []
    for photo in photos:
        detections = sorted(model.detect(photo), key=lambda one: one.box.x1)
        vectors = model.embed(model.align(photo, detections))
        for detection, vector in zip(detections, vectors, strict=True):
            picture = cv2.imdecode(
                np.frombuffer(crop(photo, detection.box), np.uint8), cv2.IMREAD_COLOR
            )
            assert picture is not None
            found.append(Portrait(np.asarray(picture, np.uint8), vector))
    return found


def stage(
    home: Path, model: FaceModel, people: Sequence[Portrait], *, identities: int = 6, seed: int = 7
) -> Registry:
    """A registry in which each person has so many identities, each in one video or two."""
    chance = np.random.default_rng(seed)
    registry = open_empty(home, model)
    cast = [
        (portrait, _leaning(portrait.embedding, chance), 10 * number + place)
        for number, portrait in enumerate(people)
        for place in range(identities)
    ]
    with registry.writing():
        for number in range(len(cast)):
            others = chance.choice(len(cast), size=2, replace=False)
            shown = [cast[number], *(cast[i] for i in others if cast[i][0] is not cast[number][0])]
            video = _video(registry, number, shown, float(chance.lognormal(1, 0.5)))
            registry.commit(video)
        failed = "https://example.com/taken-down.mp4"
        registry.commit(
            Video(
                ids.video_id(failed), Url(failed), {"Performance": 2.0}, Status.FAILED,
                reason="the server answered 404 Not Found.", run="test-run",
            )
        )  # fmt: skip
    return registry


def _leaning(embedding: Vectors, chance: np.random.Generator) -> Vectors:
    """The embedding of the same person on another day."""
    aside = chance.normal(size=embedding.shape).astype(np.float32)
    aside -= float(aside @ embedding) * embedding
    aside /= np.linalg.norm(aside)
    leaning = np.sqrt(ALIKE) * embedding + np.sqrt(1 - ALIKE) * aside
    return np.asarray(leaning / np.linalg.norm(leaning), np.float32)


def _video(
    registry: Registry,
    number: int,
    cast: Sequence[tuple[Portrait, Vectors, int]],
    performance: float,
) -> Video:
    url = f"https://example.com/clip-{number:02}.mp4"
    video_id = ids.video_id(url)
    faces = [
        _face(registry, video_id, 10 * frame, position, portrait, embedding, look + frame)
        for position, (portrait, embedding, look) in enumerate(cast)
        for frame in range(4 * position, 4 * position + 6)
    ]
    faces.sort(key=lambda face: (face.frame, face.position))
    return Video(
        video_id, Url(url), {"Performance": round(performance, 2)}, Status.DONE, tuple(faces),
        Media(duration_s=12.0, width=640, height=360, codec="h264", frames_sampled=36),
        run="test-run",
    )  # fmt: skip


def _face(
    registry: Registry,
    video_id: str,
    frame: int,
    position: int,
    portrait: Portrait,
    embedding: Vectors,
    look: int,
) -> Face:
    key = keys.crop(video_id, frame, position)
    picture = _relit(portrait.picture, look)
    registry.blobs.put(key, picture)
    model = registry.contract.model
    left = 20.0 + 150 * position
    return Face(
        ids.face_id(video_id, model.digest, frame, position), frame, position,
        time_s=frame / 10, span_s=1.0, box=Box(left, 40.0, left + 90, 160.0),
        landmarks=np.arange(10, dtype=np.float32).reshape(5, 2), det_score=0.95,
        quality=Quality(0.8 + 0.001 * (look % 7)), track=position, crop=key,
        crop_digest=hashlib.sha256(picture).hexdigest(), embedding=embedding,
    )  # fmt: skip


def _relit(picture: Image, look: int) -> bytes:
    """The picture in other light, and for some from the other side."""
    lit = np.clip(picture.astype(np.float32) * (0.85 + 0.05 * (look % 7)), 0, 255).astype(np.uint8)
    turned = lit[:, ::-1] if look % 3 == 1 else lit
    done, buffer = cv2.imencode(".jpg", np.ascontiguousarray(turned))
    assert done
    return buffer.tobytes()
