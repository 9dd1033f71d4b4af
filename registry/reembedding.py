"""Faces as another model sees them, from their stored crops: no video is fetched or read again.

A crop shows its face with a margin (`registry.boxes`), so the new model looks for the face itself,
and its own landmarks are taken where its box is that of the face on record. Where it finds none,
the landmarks on record are moved into the crop. What the first model said of a face stays as it is:
box, landmarks, score, quality, time and track.

Cosine between the embedding of a face from its crop and from its frame, on 20 clips, as median, 5th
percentile and least (`benchmarks/reembedding.py`): read with SFace and embedded with w600k_mbf
0.968, 0.926, 0.863; the other way round 0.992, 0.979, 0.954. With the landmarks on record alone it
is 0.956, 0.844, 0.457 and 0.967, 0.846, 0.462: a recogniser wants the landmarks of its own
detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from registry.blobs.base import BlobStore
from registry.boxes import MAX_SIDE, Window, overlap, window
from registry.domain import Chips, Detection, Face, Image, Media, Vectors
from registry.errors import ObjectMissing, StoreCorrupt
from registry.finding import find_crop
from registry.models.base import FaceModel

SAME_FACE = 0.3
"""Intersection over union above which two models' boxes are one face: as in `registry.evidence`.
Of YuNet and SCRFD-500M, boxes of one face have 0.79 or more on 20 clips
(`benchmarks/reembedding.py`)."""
_BATCH = 32
"""Faces embedded together, as in `ingest.extract`."""


@dataclass(slots=True)
class Reembedded:
    """What came of some faces."""

    embeddings: dict[str, Vectors] = field(default_factory=dict)
    """By face id."""
    by_landmarks: set[str] = field(default_factory=set)
    """Ids of those that the new model did not find in their crops."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Why, by face id, where there is no picture to embed."""


def reembed(faces: Sequence[Face], media: Media, model: FaceModel, blobs: BlobStore) -> Reembedded:
    """Embed faces of one video anew.

    Raises:
        ModelError: the model failed.
        StoreError: the store failed; a crop that is missing or damaged is told of instead.
    """
    done = Reembedded()
    waiting: list[tuple[str, Chips]] = []
    for face in faces:
        try:
            image = _decoded(find_crop(blobs, face.crop, face.crop_digest), face.crop)
        except (ObjectMissing, StoreCorrupt) as exc:
            done.unusable[face.face_id] = str(exc)
            continue
        detection = _found(image, face, media, model)
        if detection is None:
            detection = _on_record(image, face, media)
            done.by_landmarks.add(face.face_id)
        waiting.append((face.face_id, model.align(image, [detection])))
        if len(waiting) == _BATCH:
            _embed(waiting, model, done)
    _embed(waiting, model, done)
    return done


def _embed(waiting: list[tuple[str, Chips]], model: FaceModel, done: Reembedded) -> None:
    if waiting:
        vectors = model.embed(np.concatenate([chip for _, chip in waiting]))
        done.embeddings |= {face_id: v for (face_id, _), v in zip(waiting, vectors, strict=True)}
        waiting.clear()


def _decoded(picture: bytes, key: str) -> Image:
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise StoreCorrupt(f"crop {key} is no picture that OpenCV reads")
    return np.asarray(image, np.uint8)


def _found(image: Image, face: Face, media: Media, model: FaceModel) -> Detection | None:
    """The new model's own detection of a face in its crop."""
    wanted = _on_record(image, face, media).box
    best = max(model.detect(image), key=lambda d: overlap(d.box, wanted), default=None)
    return best if best is not None and overlap(best.box, wanted) > SAME_FACE else None


def _on_record(image: Image, face: Face, media: Media) -> Detection:
    """The face as its record has it, in px of its crop."""
    return shown(face, media, image).holds(Detection(face.box, face.landmarks, face.det_score))


def shown(face: Face, media: Media, image: Image) -> Window:
    """What the crop of a face shows of its frame.

    Left and top follow from the box. Right and bottom depend on the frame, whose size may have
    changed in the middle of a video; the crop itself tells them, unless it was shrunk.
    """
    height, width = image.shape[:2]
    found = window(face.box, media.width, media.height)
    if found.size == (width, height) or max(width, height) == MAX_SIDE:
        return found
    return Window(found.left, found.top, found.left + width, found.top + height)
