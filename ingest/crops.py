"""The picture of a face that is kept: cut out of its frame with a margin, as JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from registry.domain import Box, Image
from registry.errors import MediaError

MARGIN = 0.4
"""Of the box's longer side, added on each side: hair and chin for people, context for a detector
that is to find the same face in the crop again."""
GRID = 32
"""px; crops begin and end on multiples of it, the largest stride of YuNet and SCRFD, so that a
detector sees the face at the same place of its grid as in the frame. Measured on 17 faces of 5
clips with SFace: the face found again in its crop has cosine 0.992 (median; worst 0.959) with the
frame's, and 0.973 (0.923) where crops begin anywhere."""
JPEG_QUALITY = 95
"""libjpeg's scale; measured on the same faces, JPEG alone costs cosine 0.006 (median; worst 0.009)
at 95."""
MAX_SIDE = 1024
"""px; a larger crop is shrunk to it."""


def crop(image: Image, box: Box) -> bytes:
    """The face in `box` of a BGR uint8 (H, W, 3) image, as JPEG bytes."""
    height, width = image.shape[:2]
    margin = MARGIN * max(box.width, box.height)
    left = max(0, int(box.x1 - margin) // GRID * GRID)
    top = max(0, int(box.y1 - margin) // GRID * GRID)
    right = min(width, int(np.ceil((box.x2 + margin) / GRID)) * GRID)
    bottom = min(height, int(np.ceil((box.y2 + margin) / GRID)) * GRID)
    cut = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    longest = max(cut.shape[:2])
    if longest > MAX_SIDE:
        scale = MAX_SIDE / longest
        size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
        cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, buffer = cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise MediaError(f"a face of {cut.shape[1]}x{cut.shape[0]} px could not be kept as JPEG")
    return buffer.tobytes()
