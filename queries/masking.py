"""Crops without the faces of other people, which their margins may show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Box, Face, Image
from registry.errors import StoreCorrupt
from registry.faces.boxes import shown_area
from registry.faces.crops import cover, decode_jpeg, encode_jpeg, in_crop

SHOWN = 1.7
"""Side of the square that a small picture shows, in longer sides of the box of the face: hair and
chin, and little else. A crop shows 1.8."""


def boxes_beside(face: Face | IndexedFace, frame: Iterable[Face | IndexedFace]) -> list[Box]:
    """The boxes of other people, given all faces of the frame that a face is in."""
    return [other.box for other in frame if other.identity_id != face.identity_id]


def frame_size(registry: Registry, video_id: str) -> tuple[int, int]:
    """Width and height of a video in px; 0 if the index does not hold it."""
    video = registry.index.video(video_id)
    return (video.media.width, video.media.height) if video else (0, 0)


def without_others(
    picture: bytes, key: str, own: Box, beside: Sequence[Box], frame: tuple[int, int]
) -> bytes:
    """A crop in which the faces of others are grey: the same bytes if it shows no other.

    Args:
        picture: JPEG bytes.
        key: of the crop, for messages.
        own: box of the face that the crop is of, in px of the frame.
        beside: boxes of the faces of others in the same frame.
        frame: width and height of the video in px.

    Raises:
        StoreCorrupt: OpenCV cannot read the crop.
    """
    if not in_crop(own, beside):
        return picture
    image = _decoded(picture, key)
    covered = _masked(image, own, beside, frame)
    return picture if np.array_equal(covered, image) else encode_jpeg(covered)


def small_picture(
    picture: bytes, key: str, own: Box, beside: Sequence[Box], frame: tuple[int, int], side: int
) -> bytes:
    """A square WebP picture of a face, in which the faces of others are grey.

    Args:
        picture: JPEG bytes of the crop.
        key: of the crop, for messages.
        own: box of the face that the crop is of, in px of the frame.
        beside: boxes of the faces of others in the same frame.
        frame: width and height of the video in px.
        side: width and height of the result in px.

    Raises:
        StoreCorrupt: OpenCV cannot read the crop.
    """
    import cv2

    image = _decoded(picture, key)
    if in_crop(own, beside):
        image = _masked(image, own, beside, frame)
    square = _around(image, own, frame)
    shrunk = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    encoded, buffer = cv2.imencode(".webp", shrunk, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    if not encoded:
        raise StoreCorrupt(f"Crop {key} cannot be written as WebP. Ingest its video again.")
    return buffer.tobytes()


_QUALITY = 72
"""libwebp's scale: a picture of 96 px takes 2 to 3 kB."""


def _decoded(picture: bytes, key: str) -> Image:
    image = decode_jpeg(picture)
    if image is None:
        raise StoreCorrupt(
            f"Crop {key} is not a picture that OpenCV reads, so the faces beside its own cannot be "
            "masked. Remove its video and ingest it again, or use --unmasked."
        )
    return image


def _masked(image: Image, own: Box, beside: Sequence[Box], frame: tuple[int, int]) -> Image:
    area = shown_area(own, frame, (image.shape[1], image.shape[0]))
    return cover(image, area, own, beside=in_crop(own, beside))


def _around(image: Image, own: Box, frame: tuple[int, int]) -> Image:
    """The square around a face, of at most `SHOWN` longer sides of its box."""
    height, width = image.shape[:2]
    area = shown_area(own, frame, (width, height))
    x, y = width / (area.right - area.left), height / (area.bottom - area.top)
    side = round(min(SHOWN * max(own.width * x, own.height * y), width, height)) or 1
    left = round((own.x1 + own.x2) / 2 * x - area.left * x - side / 2)
    top = round((own.y1 + own.y2) / 2 * y - area.top * y - side / 2)
    left, top = min(max(0, left), width - side), min(max(0, top), height - side)
    return image[top : top + side, left : left + side]
