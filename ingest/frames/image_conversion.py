"""Converts decoded frames to images as they are meant to be seen."""

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

from ingest.frames.interface import MediaLimits
from registry.domain import Image
from registry.errors import MediaError

_MAX_PIXEL_ASPECT = 4
"""Pixels of a higher aspect ratio are an error of the header and are treated as square. The highest
in use is 2.9 : 1 (16:9 on MPEG-1's 352 × 576)."""

_PREVIEW = (128, 72)  # px, width and height: twice what `ingest.shots` compares


class ImageConverter:
    """Converts the frames of one stream to BGR: colours, pixel aspect ratio, rotation."""

    def __init__(self, stream: VideoStream, limits: MediaLimits) -> None:
        """`limits`: an image that would be larger in square pixels keeps its own."""
        self._stream = stream
        self._limits = limits
        # One for each use: a reformatter prepares itself anew when sizes change.
        self._full = VideoReformatter()
        self._small = VideoReformatter()

    def preview(self, frame: VideoFrame) -> Image:
        """Every so many pixels of the frame, as BGR uint8, at most 128 x 72 px.

        Not turned upright. Raises `MediaError` as `convert` does.
        """
        width, height = min(frame.width, _PREVIEW[0]), min(frame.height, _PREVIEW[1])
        return _reformat(self._small, frame, width, height, Interpolation.POINT)

    def convert(self, frame: VideoFrame) -> Image:
        """The frame as BGR uint8 (H, W, 3), upright, with square pixels.

        Colours follow the frame's own matrix and range; frames that state none are read as limited
        BT.601, as swscale and OpenCV do. An alpha channel is dropped. Frames with oblong pixels
        keep their height.

        Raises:
            MediaError: the frame has a pixel format that cannot be converted.
        """
        # The container goes before the codec, whose value is known once a frame is decoded.
        aspect = self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio
        width = _square_pixel_width(frame.width, frame.height, aspect, self._limits.max_pixels)
        interpolation = Interpolation.BICUBIC if width != frame.width else None
        image = _reformat(self._full, frame, width, frame.height, interpolation)
        return turn_upright(image, _display_matrix(frame))


def turn_upright(image: Image, matrix: tuple[int, ...] | None) -> Image:
    """Turn and mirror an image as a display matrix says, to the nearest right angle.

    The matrix is the one of MP4 (ISO/IEC 14496-12 6.2.2): nine numbers, row by row, that move a
    pixel from (x, y) to (m0 x + m3 y, m1 x + m4 y). Phones write it instead of turning the pixels.
    """
    if matrix is None:
        return image
    straight, crossed = (matrix[0], matrix[4]), (matrix[3], matrix[1])
    swaps_axes = sum(map(abs, crossed)) > sum(map(abs, straight))
    if swaps_axes:
        image = cv2.transpose(image).astype(np.uint8, copy=False)
    mirror_x, mirror_y = (value < 0 for value in (crossed if swaps_axes else straight))
    if mirror_x or mirror_y:
        code = -1 if mirror_x and mirror_y else int(mirror_x)
        image = cv2.flip(image, code).astype(np.uint8, copy=False)
    return image


def _display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    # PyAV declares the keys of this mapping as a type that they do not have at run time.
    data = cast("Mapping[Type, SideData]", frame.side_data)
    if Type.DISPLAYMATRIX not in data:
        return None
    matrix = np.frombuffer(bytes(data[Type.DISPLAYMATRIX]), dtype=np.int32)
    return tuple(matrix.tolist()) if matrix.size == 9 else None


def _square_pixel_width(width: int, height: int, aspect: Fraction | None, max_pixels: int) -> int:
    """The width in square pixels of an image that keeps its height."""
    if not aspect or aspect == 1 or not 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT:
        return width
    square = max(1, round(width * aspect))
    return square if square * height <= max_pixels else width


def _reformat(
    reformatter: VideoReformatter,
    frame: VideoFrame,
    width: int,
    height: int,
    interpolation: Interpolation | None,
) -> Image:
    try:
        converted = reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="bgr24",
            interpolation=interpolation,
            threads=1,
        )
    except av.FFmpegError as exc:
        raise MediaError(
            f"the video's pixel format {frame.format.name} cannot be converted to BGR"
        ) from exc
    return converted.to_ndarray().astype(np.uint8, copy=False)
