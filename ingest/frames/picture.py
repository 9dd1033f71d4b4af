"""From a decoded frame to an image as it is meant to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from ingest.frames.base import MediaLimits
from registry.domain import Image
from registry.errors import MediaError

_MOST_ANAMORPHIC = 4
"""Pixels more oblong than this are a mistake of the header and taken for square: the widest in use,
16:9 on MPEG-1's 352 × 576, are 2.9 : 1."""


class Developer:
    """Turns the frames of one stream into BGR images: colours, pixel shape, rotation."""

    def __init__(self, stream: VideoStream, limits: MediaLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._reformatter = VideoReformatter()

    def develop(self, frame: VideoFrame) -> Image:
        """The frame as BGR uint8 (H, W, 3), upright, with square pixels.

        Colours follow the frame's own matrix and range; frames that name none are taken as limited
        BT.601, as swscale and OpenCV do. Transparency is left out. Anamorphic frames keep their
        height.

        Raises:
            MediaError: the frame has a pixel format that cannot be converted.
        """
        # The container's word goes before the codec's, which is known once a frame is decoded.
        shape = self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio
        width = _square_width(frame.width, frame.height, shape, self._limits.max_pixels)
        try:
            converted = self._reformatter.reformat(
                frame,
                width=width,
                format="bgr24",
                interpolation=Interpolation.BICUBIC if width != frame.width else None,
                threads=1,
            )
        except av.FFmpegError as exc:
            raise MediaError(
                f"the video has pixels of the kind {frame.format.name}: no conversion to BGR"
            ) from exc
        image: Image = converted.to_ndarray().astype(np.uint8, copy=False)
        return upright(image, _display_matrix(frame))


def upright(image: Image, matrix: tuple[int, ...] | None) -> Image:
    """An image turned and mirrored as a display matrix says, to the nearest right angle.

    The matrix is the one of MP4 (ISO/IEC 14496-12 6.2.2): nine numbers, row by row, that take a
    pixel from (x, y) to (m0 x + m3 y, m1 x + m4 y). Phones write it rather than turn the pixels.
    """
    if matrix is None:
        return image
    across, down = (matrix[0], matrix[4]), (matrix[3], matrix[1])
    turned = sum(map(abs, down)) > sum(map(abs, across))
    if turned:
        image = cv2.transpose(image).astype(np.uint8, copy=False)
    mirror_x, mirror_y = (value < 0 for value in (down if turned else across))
    if mirror_x or mirror_y:
        code = -1 if mirror_x and mirror_y else int(mirror_x)
        image = cv2.flip(image, code).astype(np.uint8, copy=False)
    return image


def _display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    # PyAV types its mapping by a key that it does not have at run time.
    data = cast("Mapping[Type, SideData]", frame.side_data)
    if Type.DISPLAYMATRIX not in data:
        return None
    matrix = np.frombuffer(bytes(data[Type.DISPLAYMATRIX]), dtype=np.int32)
    return tuple(matrix.tolist()) if matrix.size == 9 else None


def _square_width(width: int, height: int, shape: Fraction | None, max_pixels: int) -> int:
    """The width that an image of anamorphic pixels has at its own height, in square pixels."""
    if not shape or shape == 1 or not 1 / _MOST_ANAMORPHIC <= shape <= _MOST_ANAMORPHIC:
        return width
    square = max(1, round(width * shape))
    return square if square * height <= max_pixels else width
