"""Rectangles: how far two overlap, and which part of a frame the crop of a face shows. Pure."""

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
"""Of the box's longer side, added on each side: hair and chin for people, context for a detector
that is to find the same face in the crop again."""
GRID = 32
"""px; crops begin and end on multiples of it, the largest stride of YuNet and SCRFD, so that a
detector sees the face at the same place of its grid as in the frame. Measured on 17 faces of 5
clips with SFace: the face found again in its crop has cosine 0.992 (median; worst 0.959) with the
frame's, and 0.973 (0.923) where crops begin anywhere."""
MAX_SIDE = 1024
"""px; a larger crop is shrunk to it."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a frame that a crop shows, in px of the frame."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the crop, in px of its own: shrunk where it would be too large."""
        width, height = self.right - self.left, self.bottom - self.top
        scale = MAX_SIDE / max(width, height)
        if scale >= 1:
            return width, height
        return max(1, round(width * scale)), max(1, round(height * scale))


def window(box: Box, width: int, height: int) -> Window:
    """What the crop of a face in `box` shows of a frame of this size in px."""
    margin = MARGIN * max(box.width, box.height)
    left = max(0, int(box.x1 - margin) // GRID * GRID)
    top = max(0, int(box.y1 - margin) // GRID * GRID)
    right = min(width, math.ceil((box.x2 + margin) / GRID) * GRID)
    bottom = min(height, math.ceil((box.y2 + margin) / GRID) * GRID)
    return Window(left, top, max(right, left + 1), max(bottom, top + 1))


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
