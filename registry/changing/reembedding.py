"""Embedding faces anew from their stored crops: no video is fetched or decoded again.

The crops of a frame are put back in their places (`registry.faces.boxes`) in a black frame, and the
new model detects faces in it, at the scale and in the place they had in the video. A face is
aligned by the landmarks of the new detection if its box is that of the face on record, and by the
landmarks on record otherwise. Box, landmarks, score, quality, time and track stay as first
recorded.

How close these embeddings are to those from the video, and what else was tried:
docs/BENCHMARKS.md, "Embedding anew from crops".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import cv2
import numpy as np

from registry.blobs.base import BlobStore
from registry.core.selectors import read_picture
from registry.domain import Chips, Detection, Face, Image, Media, Vectors, Video
from registry.errors import ObjectMissing, StoreCorrupt
from registry.faces.boxes import SAME_FACE, overlap, shown_area
from registry.models.base import FaceModel

_BATCH = 32
"""Faces embedded together, as in `ingest.extract`."""


@dataclass(slots=True)
class Reembedded:
    """The result for the faces that were wanted."""

    embeddings: dict[str, Vectors] = field(default_factory=dict)
    """By face id."""
    by_landmarks: set[str] = field(default_factory=set)
    """Ids of faces that the new model did not detect."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Faces without a picture to embed: the reason by face id."""


def reembed(
    video: Video, missing: Collection[str], model: FaceModel, blobs: BlobStore
) -> Reembedded:
    """Embed faces of a video anew.

    Args:
        video: its record.
        missing: ids of the wanted faces.
        model: the new model.
        blobs: the store of the crops.

    Raises:
        ModelError: the model failed.
        StoreError: the store failed. A crop that is missing or damaged does not raise; it is listed
            in `unusable`.
    """
    done = Reembedded()
    waiting: list[tuple[str, Chips]] = []
    for _, faces in groupby(video.faces, key=lambda face: face.frame):
        # All faces of the frame, so that the result is the same if a run was stopped in between.
        everyone = list(faces)
        wanted = {face.face_id for face in everyone} & set(missing)
        if not wanted:
            continue
        pictures = {}
        for face in everyone:
            try:
                pictures[face.face_id] = read_picture(blobs, face.crop, face.crop_digest)
            except (ObjectMissing, StoreCorrupt) as exc:
                if face.face_id in wanted:
                    done.unusable[face.face_id] = str(exc)
        shown = [face for face in everyone if face.face_id in pictures]
        image = mosaic(shown, [pictures[face.face_id] for face in shown], video.media)
        detections = model.detect(image)
        for face in (face for face in shown if face.face_id in wanted):
            detection = _detection_of(face, detections)
            if detection is None:
                detection = Detection(face.box, face.landmarks, face.det_score)
                done.by_landmarks.add(face.face_id)
            waiting.append((face.face_id, model.align(image, [detection])))
        if len(waiting) >= _BATCH:
            _embed(waiting, model, done)
    _embed(waiting, model, done)
    return done


def mosaic(faces: Sequence[Face], pictures: Sequence[Image], media: Media) -> Image:
    """A black frame with the crops of these faces in their places: BGR uint8 (H, W, 3)."""
    areas = [
        shown_area(face.box, (media.width, media.height), (picture.shape[1], picture.shape[0]))
        for face, picture in zip(faces, pictures, strict=True)
    ]
    height = max([media.height, *(area.bottom for area in areas)])
    width = max([media.width, *(area.right for area in areas)])
    image = np.zeros((height, width, 3), np.uint8)
    for area, picture in zip(areas, pictures, strict=True):
        size = area.right - area.left, area.bottom - area.top
        whole = picture if picture.shape[1::-1] == size else cv2.resize(picture, size)
        image[area.top : area.bottom, area.left : area.right] = whole
    return image


def _embed(waiting: list[tuple[str, Chips]], model: FaceModel, done: Reembedded) -> None:
    if waiting:
        vectors = model.embed(np.concatenate([chip for _, chip in waiting]))
        done.embeddings |= {face_id: v for (face_id, _), v in zip(waiting, vectors, strict=True)}
        waiting.clear()


def _detection_of(face: Face, detections: Sequence[Detection]) -> Detection | None:
    """The new model's detection of a face; None if there is none."""
    best = max(detections, key=lambda d: overlap(d.box, face.box), default=None)
    return best if best is not None and overlap(best.box, face.box) > SAME_FACE else None
