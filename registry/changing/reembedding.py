"""Faces as another model sees them, from their stored crops: no video is fetched or read again.

The crops of one frame are put back where they were cut out (`registry.faces.boxes`), on black, and
the new model looks at that: at the scale and in the place at which it would have seen the faces in
the frame. Its own landmarks are taken where its box is that of the face on record, else those on
record. What the first model said of a face stays as it is: box, landmarks, score, quality, time and
track.

Cosine between the embedding of a face from its crops and from its frame, on 20 clips, as median,
5th percentile and least (`benchmarks/reembedding.py`):

| read with | embedded with | new landmarks       | landmarks on record |
|-----------|---------------|---------------------|---------------------|
| SFace     | w600k_mbf     | 0.984, 0.966, 0.855 | 0.955, 0.844, 0.452 |
| w600k_mbf | SFace         | 0.992, 0.971, 0.942 | 0.967, 0.846, 0.462 |

A recogniser wants the landmarks of its own detector. Looking at each crop by itself was tried too:
0.968, 0.926, 0.863 and 0.992, 0.979, 0.954 on these clips of 640x480, but in larger frames, which
detectors shrink, a median of 0.93 and a least of 0.47 (SFace, six faces of 1280x886).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import cv2
import numpy as np

from registry.blobs.base import BlobStore
from registry.core.selectors import read_crop
from registry.domain import Chips, Detection, Face, Image, Media, Vectors, Video
from registry.errors import ObjectMissing, StoreCorrupt
from registry.faces.boxes import MAX_SIDE, CropArea, crop_area, overlap
from registry.models.base import FaceModel

SAME_FACE = 0.3
"""Intersection over union above which two models' boxes are one face: as in
`registry.people.evidence`. Of YuNet and SCRFD-500M, boxes of one face have 0.79 or more on 20 clips
(`benchmarks/reembedding.py`)."""
_BATCH = 32
"""Faces embedded together, as in `ingest.extract`."""
_ENDLESS = 2**20  # px


@dataclass(slots=True)
class Reembedded:
    """What came of some faces."""

    embeddings: dict[str, Vectors] = field(default_factory=dict)
    """By face id."""
    by_landmarks: set[str] = field(default_factory=set)
    """Ids of those that the new model did not find by itself."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Why, by face id, where there is no picture to embed."""


def reembed(
    video: Video, missing: Collection[str], model: FaceModel, blobs: BlobStore
) -> Reembedded:
    """Embed faces of a video anew.

    Args:
        video: its record.
        missing: ids of the faces that are wanted.
        model: the one that embeds them.
        blobs: where the crops are.

    Raises:
        ModelError: the model failed.
        StoreError: the store failed; a crop that is missing or damaged is told of instead.
    """
    done = Reembedded()
    waiting: list[tuple[str, Chips]] = []
    for _, faces in groupby(video.faces, key=lambda face: face.frame):
        # All faces of the frame, so that what a run that was stopped had done makes no difference.
        everyone = list(faces)
        wanted = {face.face_id for face in everyone} & set(missing)
        if not wanted:
            continue
        pictures = {}
        for face in everyone:
            try:
                pictures[face.face_id] = _picture(blobs, face)
            except (ObjectMissing, StoreCorrupt) as exc:
                if face.face_id in wanted:
                    done.unusable[face.face_id] = str(exc)
        there = [face for face in everyone if face.face_id in pictures]
        image = mosaic(there, [pictures[face.face_id] for face in there], video.media)
        found = model.detect(image)
        for face in (face for face in there if face.face_id in wanted):
            detection = _own(found, face)
            if detection is None:
                detection = Detection(face.box, face.landmarks, face.det_score)
                done.by_landmarks.add(face.face_id)
            waiting.append((face.face_id, model.align(image, [detection])))
        if len(waiting) >= _BATCH:
            _embed(waiting, model, done)
    _embed(waiting, model, done)
    return done


def mosaic(faces: Sequence[Face], pictures: Sequence[Image], media: Media) -> Image:
    """A frame, black but for the crops of these faces: BGR uint8 (H, W, 3)."""
    areas = [_shown(face, media, p) for face, p in zip(faces, pictures, strict=True)]
    height = max([media.height, *(area.bottom for area in areas)])
    width = max([media.width, *(area.right for area in areas)])
    image = np.zeros((height, width, 3), np.uint8)
    for place, picture in zip(areas, pictures, strict=True):
        size = place.right - place.left, place.bottom - place.top
        whole = picture if picture.shape[1::-1] == size else cv2.resize(picture, size)
        image[place.top : place.bottom, place.left : place.right] = whole
    return image


def _shown(face: Face, media: Media, picture: Image) -> CropArea:
    """What the crop of a face shows of its frame.

    Left and top follow from the box. Right and bottom depend on the frame, whose size may have
    changed in the middle of a video; the crop itself tells them, unless it was shrunk.
    """
    height, width = picture.shape[:2]
    found = crop_area(face.box, media.width, media.height)
    if found.size == (width, height):
        return found
    if max(width, height) == MAX_SIDE:
        return crop_area(face.box, _ENDLESS, _ENDLESS)
    return CropArea(found.left, found.top, found.left + width, found.top + height)


def _embed(waiting: list[tuple[str, Chips]], model: FaceModel, done: Reembedded) -> None:
    if waiting:
        vectors = model.embed(np.concatenate([chip for _, chip in waiting]))
        done.embeddings |= {face_id: v for (face_id, _), v in zip(waiting, vectors, strict=True)}
        waiting.clear()


def _picture(blobs: BlobStore, face: Face) -> Image:
    data = read_crop(blobs, face.crop, face.crop_digest)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise StoreCorrupt(f"crop {face.crop} is no picture that OpenCV reads")
    return np.asarray(image, np.uint8)


def _own(found: Sequence[Detection], face: Face) -> Detection | None:
    """The new model's own detection of a face."""
    best = max(found, key=lambda d: overlap(d.box, face.box), default=None)
    return best if best is not None and overlap(best.box, face.box) > SAME_FACE else None
