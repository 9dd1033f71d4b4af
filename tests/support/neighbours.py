"""Videos of two people so close that the crop of one shows the other, made of two photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from registry.domain import Image, Vectors
from registry.models.base import FaceModel
from tests.support.media import write_video

SIZE = (640, 384)
"""px. Width and height of the videos."""
_FACE = (slice(45, 205), slice(70, 180))
"""Where the faces of Labeled Faces in the Wild are in its photos of 250 x 250 px."""


def write_neighbours(
    path: Path, large: Path, small: Path, *, share: float = 0.4, frames: int = 31
) -> None:
    """Write a video of 30 frames a second.

    Args:
        path: of the video.
        large: photo of the person on the left.
        small: photo of the person beside their head.
        share: size of the small face, as a share of the large one.
        frames: how many.
    """
    left, right = _face(large, 1.9), _face(small, 1.9 * share)
    write_video(path, _frames(left, right, frames), size=SIZE)


def _face(photo: Path, scale: float) -> Image:
    image = cv2.imread(str(photo), cv2.IMREAD_COLOR)
    assert image is not None, photo
    return np.asarray(
        cv2.resize(image[_FACE], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _frames(left: Image, right: Image, count: int) -> Iterator[Image]:
    for number in range(count):
        image = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
        x, y = 120 + number // 4, 40 + number // 8
        image[y : y + left.shape[0], x : x + left.shape[1]] = left
        x, y = x + left.shape[1] - 8, y + 20
        image[y : y + right.shape[0], x : x + right.shape[1]] = right
        yield image


def photo_vectors(model: FaceModel, photo: Path) -> Vectors:
    """float32 (1, D): the embedding of the face in the middle of a photo."""
    image = np.asarray(cv2.imread(str(photo), cv2.IMREAD_COLOR), np.uint8)
    middle = image.shape[1] / 2
    nearest = min(model.detect(image), key=lambda d: abs((d.box.x1 + d.box.x2) / 2 - middle))
    return model.embed(model.align(image, [nearest]))


def best_similarity(model: FaceModel, wanted: Vectors, pictures: Iterable[bytes]) -> float:
    """The highest cosine of a face in pictures, at their size and at twice it; -1: no face."""
    best = -1.0
    for picture in pictures:
        image = np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR))
        for scale in (1, 2):
            enlarged = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            shown = np.asarray(enlarged, np.uint8)
            if detections := model.detect(shown):
                vectors = model.embed(model.align(shown, detections))
                best = max(best, float((vectors @ wanted.T).max()))
    return best
