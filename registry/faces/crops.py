"""Crops as pictures: reading and encoding them, and covering areas of the frame in them. Pure.

A covered area has one grey value, so nothing of what it showed can be computed from it. Covering is
done before the picture is encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from registry.domain import Box, Image
from registry.errors import MediaError
from registry.faces.boxes import CropArea, crop_area, overlap

JPEG_QUALITY = 95
"""libjpeg's scale. On the faces of `registry.faces.boxes.GRID`, JPEG at 95 alone lowers the cosine
by 0.006 (median; worst 0.009)."""
GROWTH = 0.2
"""What is covered around a box on each side, as a share of its longer side: the boxes of YuNet and
SCRFD end at the forehead and the chin. Half of `registry.faces.boxes.MARGIN`."""
GREY = 128
"""Of a covered area, in each channel."""


def encode_jpeg(pixels: Image) -> bytes:
    """A BGR uint8 (H, W, 3) image as JPEG bytes. Raises `MediaError`."""
    import cv2  # here, because commands that touch no picture should not wait for it

    encoded, buffer = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise MediaError(f"the crop of a face of {size} px cannot be encoded as JPEG.")
    return buffer.tobytes()


def decode_jpeg(data: bytes) -> Image | None:
    """The picture in these bytes, BGR uint8 (H, W, 3); None if OpenCV cannot read them."""
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def twice_as_large(picture: Image) -> Image:
    """The picture enlarged: BGR uint8 (2 H, 2 W, 3)."""
    import cv2

    return np.asarray(
        cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8
    )


def in_crop(crop_of: Box, boxes: Sequence[Box]) -> list[Box]:
    """The boxes of a frame that reach into the crop of the face in `crop_of`, if grown."""
    area = crop_area(crop_of)
    shown = Box(area.left, area.top, area.right, area.bottom)
    return [box for box in boxes if overlap(grown(box), shown) > 0]


def grown(box: Box) -> Box:
    """The box with `GROWTH` on each side."""
    by = GROWTH * max(box.width, box.height)
    return Box(box.x1 - by, box.y1 - by, box.x2 + by, box.y2 + by)


def cover(
    picture: Image,
    area: CropArea,
    own: Box,
    *,
    beside: Sequence[Box] = (),
    anywhere: Sequence[Box] = (),
) -> Image:
    """A copy of a crop in which boxes and what is around them (`GROWTH`) are grey.

    Args:
        picture: BGR uint8 (H, W, 3).
        area: what the crop shows of its frame.
        own: the box of the face that the crop is of, in px of the frame, as all boxes are.
        beside: boxes that are not covered where they overlap with `own`.
        anywhere: boxes that are covered there, too; but what is around them is not.
    """
    covered = np.zeros(picture.shape[:2], np.bool_)
    for box in (*beside, *anywhere):
        covered[_pixels(grown(box), area, covered)] = True
    covered[_pixels(own, area, covered)] = False
    for box in anywhere:
        covered[_pixels(box, area, covered)] = True
    result = picture.copy()
    result[covered] = GREY
    return result


def in_frame(box: Box, area: CropArea, picture: Image) -> Box:
    """A box in px of the crop, in px of the frame."""
    x, y = (area.right - area.left) / picture.shape[1], (area.bottom - area.top) / picture.shape[0]
    return Box(
        area.left + box.x1 * x, area.top + box.y1 * y, area.left + box.x2 * x, area.top + box.y2 * y
    )


def _pixels(box: Box, area: CropArea, shown: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of the crop that a box of the frame touches."""
    height, width = shown.shape
    x, y = width / (area.right - area.left), height / (area.bottom - area.top)

    def span(low: float, high: float, size: int) -> slice:
        first = min(max(int(np.floor(low)), 0), size)
        return slice(first, min(max(int(np.ceil(high)), first), size))

    return (
        span((box.y1 - area.top) * y, (box.y2 - area.top) * y, height),
        span((box.x1 - area.left) * x, (box.x2 - area.left) * x, width),
    )
