"""SCRFD in batches, for accelerators: InsightFace's `SCRFD` takes one image at a time.

The steps around the network are InsightFace's (`insightface.model_zoo.scrfd`): for each size, the
image is enlarged or shrunk into the upper left corner of a black square; boxes that overlap are
suppressed among those of all sizes. Agreement with it is measured in docs/MODELS.md, Speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Detection, Image
from registry.models.base import DETECTION_THRESHOLD
from registry.models.detections import can_contain_face, sorted_detections
from registry.models.network import Network, run_by_shape

NMS_IOU = 0.4
"""InsightFace's `SCRFD.nms_thresh`."""

_MEAN, _STD = 127.5, 128.0  # InsightFace's `SCRFD.input_mean`, `input_std`
_STRIDES = {9: (8, 16, 32), 15: (8, 16, 32, 64, 128)}
"""px, by the number of outputs of a network with landmarks, as in InsightFace's `SCRFD`."""
_ANCHORS = {9: 2, 15: 1}
"""Boxes at each place, by the number of outputs."""


class BatchedScrfd:
    """Finds faces at several sizes."""

    def __init__(
        self, network: Network, sizes: Sequence[int], outputs: int, *, whole_squares: bool = True
    ) -> None:
        """From the graph of `batched`.

        Args:
            network: in which the graph runs.
            sizes: the sides of the squares, px.
            outputs: how many the network had before they were joined.
            whole_squares: whether the network is shown the black rest of the square, too, as
                InsightFace does; else only what is needed for sides that are multiples of the
                largest stride.
        """
        self._network = network
        self._sizes = tuple(sizes)
        self._outputs = outputs
        self._step = None if whole_squares else _STRIDES[outputs][-1]

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        """As `registry.models.base.FaceModel.detect_all`."""
        numbers = [number for number, image in enumerate(images) if can_contain_face(image)]
        asked = [(number, size) for number in numbers for size in self._sizes]
        squares = [_square(images[number], size, self._step) for number, size in asked]
        outputs = run_by_shape(self._network, [square for square, _ in squares])
        rows: dict[int, list[NDArray[np.float32]]] = {number: [] for number in numbers}
        for (number, _), (square, scale), output in zip(asked, squares, outputs, strict=True):
            anchors = _anchors(*square.shape[:2], self._outputs)
            rows[number].append(_decoded(output, anchors, scale))
        return [
            _detections(rows[number], image) if number in rows else []
            for number, image in enumerate(images)
        ]


def batched(model: bytes, names: Sequence[str]) -> bytes:
    """SCRFD's ONNX file, rewritten for `BatchedScrfd`; `names` are those of its outputs."""
    from registry.models import graphs  # here, because it loads onnx

    strides = len(_STRIDES[len(names)])
    groups = [names[start : start + strides] for start in range(0, len(names), strides)]
    return graphs.detector(model, groups, rgb=True, mean=_MEAN, scale=_STD)


def _square(image: Image, size: int, step: int | None) -> tuple[Image, float]:
    """The image in the upper left corner of a square, and its scale.

    With a `step`, the part of the square that has the image, with sides that are multiples of it.
    """
    height, width = image.shape[:2]
    if height > width:
        shrunk = int(size / (height / width)), size
    else:
        shrunk = size, int(size * (height / width))
    across, down = (size, size) if step is None else (side + -side % step for side in shrunk)
    square = np.zeros((down, across, 3), np.uint8)
    square[: shrunk[1], : shrunk[0]] = cv2.resize(image, shrunk)
    return square, shrunk[1] / height


@lru_cache(maxsize=16)
def _anchors(height: int, width: int, outputs: int) -> NDArray[np.float32]:
    """float32 (places, 3): x and y in px and the stride of each box, smallest stride first."""
    parts = []
    for stride in _STRIDES[outputs]:
        y, x = np.mgrid[: height // stride, : width // stride] * stride
        places = np.stack([x, y, np.full_like(x, stride)], axis=-1).reshape(-1, 3)
        parts.append(np.repeat(places, _ANCHORS[outputs], axis=0))
    return np.concatenate(parts).astype(np.float32)


def _decoded(
    output: NDArray[np.float32], anchors: NDArray[np.float32], scale: float
) -> NDArray[np.float32]:
    """float32 (n, 15): score, x1, y1, x2, y2, five landmarks; px of the image.

    Columns of the output are the score, the distances to the four sides, and those to the
    landmarks, in strides.
    """
    [chosen] = np.nonzero(output[:, 0] >= DETECTION_THRESHOLD)
    values, places = output[chosen], anchors[chosen]
    point, away = places[:, :2], values[:, 1:] * places[:, 2:]
    corners = point - away[:, :2], point + away[:, 2:4]
    landmarks = np.tile(point, 5) + away[:, 4:]
    return np.hstack([values[:, :1], *(each / scale for each in (*corners, landmarks))])


def _detections(parts: Sequence[NDArray[np.float32]], image: Image) -> list[Detection]:
    rows = np.vstack(parts)
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]
    rows = rows[_kept(rows[:, 1:5])]
    height, width = image.shape[:2]
    landmarks = rows[:, 5:].reshape(-1, 5, 2)
    return sorted_detections(rows[:, 1:5], landmarks, rows[:, 0], width=width, height=height)


def _kept(boxes: NDArray[np.float32]) -> list[int]:
    """The boxes that no stronger one suppresses, as InsightFace's `SCRFD.nms` has it.

    Sides count one px more. `boxes` are (n, 4) x1, y1, x2, y2, the strongest first.
    """
    areas = np.prod(boxes[:, 2:] - boxes[:, :2] + 1, axis=1)
    kept, left = [], np.arange(len(boxes))
    while left.size:
        first, rest = left[0], left[1:]
        kept.append(int(first))
        low = np.maximum(boxes[first, :2], boxes[rest, :2])
        high = np.minimum(boxes[first, 2:], boxes[rest, 2:])
        shared = np.prod(np.maximum(0, high - low + 1), axis=1)
        left = rest[shared / (areas[first] + areas[rest] - shared) <= NMS_IOU]
    return kept
