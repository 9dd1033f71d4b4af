"""Finding the faces of a photo at its full size.

A detector shrinks an image to 640 px, where a face of 40 px in a photo of 6000 px has 4. So a large
photo is also searched in tiles, at its full size and at quarters of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from registry.domain import Box, Detection, Image
from registry.faces.boxes import SAME_FACE, overlap
from registry.faces.quality import assess
from registry.models.base import FaceModel

LEAST_FACE = 20
"""px. Height of the smallest face that is found in a photo of any size: YuNet finds 94 % of faces
of this height, and 67 % of those of 16 px (docs/BENCHMARKS.md, Models)."""

_TILE = 640
"""px. Side of a tile: the long side to which the detectors shrink an image, so that no tile is
shrunk (`registry.models.yunet.LONG_SIDE`, `registry.models.insight.DETECTION_SIZES`)."""

_OVERLAP = 128
"""px that neighbouring tiles share, so that a face of up to this size is whole in one of them. A
larger one is found at the next level, where it has at least 32 px: YuNet finds all of these, and
98 % have usable landmarks (docs/BENCHMARKS.md, Models)."""

_SHRINK = 4
"""How much smaller each level of the photo is than the one before; see `_OVERLAP`."""

_WHOLE = 1.5
"""A photo of up to this many tiles in length is searched as a whole only: a face of 20 px keeps 13,
and tiles would show hardly more."""

_EDGE = 2.0
"""px. A box that comes this close to the inner edge of a tile may be cut off there."""

_INSIDE = 0.6
"""Share of the smaller of two boxes that lies in the other one, from which both are one face: of a
large face, tiles show parts that a detector may take for faces."""


def detect_at_full_size(model: FaceModel, image: Image) -> list[Detection]:
    """The faces of `LEAST_FACE` px or more in a photo of any size, left to right.

    A photo of 24 megapixels has 102 tiles. Of detections of one face, the one with the highest
    score is kept. What is detected in tiles only must be a face for certain: in enlarged or noisy
    photos, a detector takes textures for faces, with low scores.

    Args:
        model: the face model.
        image: BGR uint8 (H, W, 3).
    """
    kept = model.detect(image)
    further = [one for level in _levels(image) for one in _detect_in_tiles(model, *level)]
    for one in sorted(further, key=lambda detection: -detection.score):
        if one.box.height < LEAST_FACE:
            continue
        same = [i for i, other in enumerate(kept) if _same_face(one.box, other.box)]
        if not same:
            kept += [one] if _is_certain(model, image, one) else []
        elif len(same) == 1:
            [i] = same
            if overlap(one.box, kept[i].box) > SAME_FACE and one.score > kept[i].score:
                kept[i] = one
    return sorted(kept, key=lambda detection: (detection.box.x1, detection.box.y1))


def _is_certain(model: FaceModel, image: Image, one: Detection) -> bool:
    [chip] = model.align(image, [one])
    return "low_score" not in assess(image, one, chip, model=model.info.name).reasons


def _levels(image: Image) -> Iterator[tuple[Image, float]]:
    """The photo at each size at which it has tiles, and the scale of that size."""
    import cv2  # here, because commands that read no photo should not wait for it

    height, width = image.shape[:2]
    level, scale = image, 1.0
    while max(height, width) * scale > _WHOLE * _TILE:
        yield level, scale
        scale /= _SHRINK
        size = max(1, round(width * scale)), max(1, round(height * scale))
        level = np.asarray(cv2.resize(level, size, interpolation=cv2.INTER_AREA), np.uint8)


def _detect_in_tiles(model: FaceModel, level: Image, scale: float) -> Iterator[Detection]:
    """The faces that are whole in a tile of a level, in px of the photo."""
    height, width = level.shape[:2]
    for top in _starts(height):
        for left in _starts(width):
            bottom, right = min(top + _TILE, height), min(left + _TILE, width)
            inner = Box(
                _EDGE if left else -math.inf,
                _EDGE if top else -math.inf,
                right - left - _EDGE if right < width else math.inf,
                bottom - top - _EDGE if bottom < height else math.inf,
            )
            for one in model.detect(np.ascontiguousarray(level[top:bottom, left:right])):
                if _contains(inner, one.box):
                    yield _moved(one, left, top, scale)


def _starts(length: int) -> list[int]:
    """Where tiles begin along a side: evenly, with at least `_OVERLAP` px shared."""
    tiles = max(1, math.ceil((length - _OVERLAP) / (_TILE - _OVERLAP)))
    return [round(start) for start in np.linspace(0, max(0, length - _TILE), tiles)]


def _contains(outer: Box, box: Box) -> bool:
    return box.x1 >= outer.x1 and box.y1 >= outer.y1 and box.x2 <= outer.x2 and box.y2 <= outer.y2


def _moved(one: Detection, left: int, top: int, scale: float) -> Detection:
    """A detection in a tile, in px of the photo."""
    box = one.box
    return replace(
        one,
        box=Box(
            (box.x1 + left) / scale,
            (box.y1 + top) / scale,
            (box.x2 + left) / scale,
            (box.y2 + top) / scale,
        ),
        landmarks=np.asarray(
            (one.landmarks + np.array([left, top], np.float32)) / scale, np.float32
        ),
    )


def _same_face(a: Box, b: Box) -> bool:
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return False
    smaller = min(a.width * a.height, b.width * b.height)
    return overlap(a, b) > SAME_FACE or width * height > _INSIDE * smaller
