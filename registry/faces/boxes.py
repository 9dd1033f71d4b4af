"""Boxes of faces: their overlap, and the area of a frame that the crop of a face shows. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registry.domain import Box

SAME_FACE = 0.3
"""Intersection over union above which two boxes of one frame are one face found twice: the value at
which the detectors here suppress the lesser of two boxes (YuNet 0.3, SCRFD 0.4). Boxes of one face
by YuNet and by SCRFD-500M have 0.79 or more on 20 clips (`benchmarks/reembedding.py`)."""

MARGIN = 0.4
"""Margin on each side, as a share of the box's longer side: it shows hair and chin, and lets a
detector find the face in its crop again."""
GRID = 32
"""px. Crops begin and end at multiples of it, the largest stride of YuNet and SCRFD, so that a face
has the same position relative to the detector's grid as in the frame. How much that helps is
measured in `docs/BENCHMARKS.md`, "Faces in their crops"."""
MAX_SIDE = 1024
"""px. Larger crops are scaled down to it."""
_UNLIMITED = 2**20  # px


@dataclass(frozen=True, slots=True)
class CropArea:
    """The area of a frame that a crop shows, in px of the frame."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the crop in px, after scaling it down if it is too large."""
        width, height = self.right - self.left, self.bottom - self.top
        scale = MAX_SIDE / max(width, height)
        if scale >= 1:
            return width, height
        return max(1, round(width * scale)), max(1, round(height * scale))


def crop_area(box: Box, width: int = _UNLIMITED, height: int = _UNLIMITED) -> CropArea:
    """The area that the crop of a face in `box` shows of a frame of this size in px."""
    margin = MARGIN * max(box.width, box.height)
    left = max(0, int(box.x1 - margin) // GRID * GRID)
    top = max(0, int(box.y1 - margin) // GRID * GRID)
    right = min(width, math.ceil((box.x2 + margin) / GRID) * GRID)
    bottom = min(height, math.ceil((box.y2 + margin) / GRID) * GRID)
    return CropArea(left, top, max(right, left + 1), max(bottom, top + 1))


def shown_area(box: Box, frame: tuple[int, int], crop: tuple[int, int]) -> CropArea:
    """The area of the frame that a stored crop shows.

    Left and top follow from the box. Right and bottom depend on the size of the frame, which may
    change in the middle of a video; the size of the crop gives them, unless it was shrunk.

    Args:
        box: of the face, in px of the frame.
        frame: width and height of the video in px.
        crop: width and height of the crop in px.
    """
    expected = crop_area(box, *frame)
    if expected.size == crop:
        return expected
    if max(crop) == MAX_SIDE:
        return crop_area(box)
    left, top = expected.left, expected.top
    return CropArea(left, top, left + crop[0], top + crop[1])


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.width * a.height + b.width * b.height - shared)


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union, 0 to 1, of each row of two arrays of boxes.

    Args:
        a: (n, 4) as x1, y1, x2, y2 in px.
        b: (n, 4), too.

    Returns:
        (n,): what `overlap` gives for each pair.
    """
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    union = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - shared
    ratio: NDArray[np.float64] = shared / np.maximum(union, 1e-12)
    return ratio
