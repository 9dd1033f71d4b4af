"""From the raw output of a detector to detections: checked, clipped, sorted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.domain import Box, Detection, Image
from registry.errors import ImageError

_MIN_SIDE = 10
"""px. YuNet finds no faces of less than about 10 px (docs/BENCHMARKS.md, Models)."""

_MAX_ASPECT = 64
"""A narrower image has no row left when it is shrunk to a detector's smallest scale."""

_COLOUR_AXES = 3


def can_contain_face(image: Image) -> bool:
    """Whether the image is large enough for a detector: not if it is empty or very narrow.

    Raises:
        ImageError: it is not BGR uint8 (H, W, 3).
    """
    if image.ndim != _COLOUR_AXES or image.shape[2] != _COLOUR_AXES or image.dtype != np.uint8:
        raise ImageError(
            f"A face detector takes BGR uint8 (H, W, 3), not {image.dtype} {image.shape}: "
            "convert the image first."
        )
    short, long = sorted(image.shape[:2])
    return bool(short >= _MIN_SIDE and long <= short * _MAX_ASPECT)


def sorted_detections(
    boxes: NDArray[Any],
    landmarks: NDArray[Any],
    scores: NDArray[Any],
    *,
    width: int,
    height: int,
) -> list[Detection]:
    """Detections of one image, left to right by box, then top to bottom.

    Boxes are clipped to the image; boxes outside it, and rows that are not finite, are left out.
    Landmarks are not clipped, since alignment needs all five.

    Args:
        boxes: (n, 4) x1, y1, x2, y2, px.
        landmarks: (n, 5, 2) x, y, px, in the order of `registry.domain.Landmarks`.
        scores: (n,) 0 to 1.
        width: px of the image.
        height: px of the image.
    """
    detections = []
    for row, points, score in zip(boxes, landmarks, scores, strict=True):
        if not (np.isfinite(row).all() and np.isfinite(points).all() and np.isfinite(score)):
            continue
        x1, x2 = (float(x) for x in np.clip(row[[0, 2]], 0, width))
        y1, y2 = (float(y) for y in np.clip(row[[1, 3]], 0, height))
        if x2 > x1 and y2 > y1:
            box = Box(x1, y1, x2, y2)
            five = np.array(points, dtype=np.float32)
            detections.append(Detection(box, five, float(np.clip(score, 0, 1))))
    return sorted(detections, key=lambda detection: (detection.box.x1, detection.box.y1))
