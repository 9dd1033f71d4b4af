"""YuNet, the detector of the default model, at two scales.

OpenCV's `cv2.FaceDetectorYN` runs it on the CPU, ONNX Runtime in batches on an accelerator.

The measurements behind the scales are in docs/BENCHMARKS.md, Models. The int8 block-quantised file
that OpenCV Zoo publishes finds the same faces as the float file, in the same time (OpenCV 5.0's
default engine; its classic engine loads neither).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Detection, Image
from registry.errors import ModelError
from registry.models.base import DETECTION_THRESHOLD
from registry.models.detections import can_contain_face, sorted_detections
from registry.models.network import Network, run_by_shape
from registry.models.upright import HOPELESS, make_upright

LONG_SIDE = 640
"""px. Larger images are shrunk to this size for the network; smaller ones are not enlarged. It is
enough for faces of 7 % of a 16:9 frame's height (docs/BENCHMARKS.md, Models), and InsightFace's
size for SCRFD."""

SMALL_LONG_SIDE = 256
"""px. The second scale, for faces that fill the frame: more of them are found than at 640 alone,
and 128 finds them less well (docs/BENCHMARKS.md, Models)."""

LARGE_FACE = 0.5
"""Minimum height of boxes from the second scale, as a share of the image's shorter side. Among
smaller boxes it added dark heads in the background and a hand."""

NMS_IOU = 0.4
"""Boxes with a larger overlap (intersection over union) are one face: InsightFace's value
(`SCRFD.nms_thresh`)."""

_TOP_K = 5000  # boxes before suppression: OpenCV's default
_LOG_ERRORS = 2  # LOG_LEVEL_ERROR
_STRIDES = (8, 16, 32)  # px between the places of the network
_BOX, _LANDMARKS, _SCORE = slice(0, 4), slice(4, 14), 14  # columns of FaceDetectorYN's rows


class Rows(Protocol):
    """YuNet itself, at one scale."""

    def rows(self, images: Sequence[Image]) -> list[NDArray[np.float32]]:
        """Of each image, float32 (n, 15): x, y, width, height, five landmarks, score; px.

        Raises:
            ModelError: the network failed.
        """


class OpenCvYuNet:
    """Runs on the CPU.

    A network of OpenCV keeps the size of its input, so threads that detect at the same time have
    one each: it loads in 0.02 s.
    """

    def __init__(self, model: bytes) -> None:
        """`model` is the ONNX file. Raises `ModelError` if OpenCV cannot load it."""
        self._model = model
        self._idle = deque([_load(model)])

    def rows(self, images: Sequence[Image]) -> list[NDArray[np.float32]]:
        """As `Rows.rows`."""
        try:
            network = self._idle.pop()
        except IndexError:
            network = _load(self._model)
        try:
            return [_rows(network, image) for image in images]
        finally:
            self._idle.append(network)


def _load(model: bytes) -> Any:
    # OpenCV 5's engine warns at each load that the CPU is its only target. The log level is set in
    # cv2.utils.logging there, and in cv2 in OpenCV 4.
    log = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    log.setLogLevel(_LOG_ERRORS)
    try:
        return cv2.FaceDetectorYN.create(
            "onnx",
            np.frombuffer(model, dtype=np.uint8),
            np.empty(0, dtype=np.uint8),
            (LONG_SIDE, LONG_SIDE),
            DETECTION_THRESHOLD,
            NMS_IOU,
            _TOP_K,
        )
    except cv2.error as exc:
        raise ModelError(f"OpenCV {cv2.__version__} cannot load YuNet: {exc.err}") from exc
    finally:
        log.setLogLevel(level)


def _rows(network: Any, image: Image) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    try:
        network.setInputSize((width, height))
        output: Any = network.detect(image)[1]
    except cv2.error as exc:
        raise ModelError(f"YuNet failed on an image of {width}x{height}: {exc.err}") from exc
    if output is None:
        return np.empty((0, _SCORE + 1), dtype=np.float32)
    return np.array(output, dtype=np.float32)


class BatchedYuNet:
    """Runs in batches, with the steps of `cv2.FaceDetectorYN` around the network.

    Agreement with it is measured in docs/MODELS.md, Speed.
    """

    def __init__(self, network: Network) -> None:
        """`network` is the graph of `batched`."""
        self._network = network

    def rows(self, images: Sequence[Image]) -> list[NDArray[np.float32]]:
        """As `Rows.rows`."""
        padded = [_padded(image) for image in images]
        outputs = run_by_shape(self._network, padded)
        return [_decoded(*pair) for pair in zip(outputs, padded, strict=True)]


def batched(model: bytes) -> bytes:
    """YuNet's ONNX file, rewritten for `BatchedYuNet`."""
    from registry.models import graphs  # here, because it loads onnx

    groups = [[f"{kind}_{stride}" for stride in _STRIDES] for kind in ("cls", "obj", "bbox", "kps")]
    return graphs.detector(model, groups, rgb=False)


class YuNet:
    """Finds faces at two scales and upright."""

    def __init__(self, network: Rows, *, fast: bool = False) -> None:
        """`network` finds them at one scale; with `fast`, hopeless faces are not turned upright."""
        self._network = network
        self._least_score = HOPELESS if fast else 0.0

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        """As `registry.models.base.FaceModel.detect_all`."""
        found = self._detect_at_two_scales(images)
        faces = [(image, face) for image, some in zip(images, found, strict=True) for face in some]
        made = iter(make_upright(faces, self._detect_at_one_scale, least_score=self._least_score))
        return [[next(made) for _ in some] for some in found]

    def _detect_at_two_scales(self, images: Sequence[Image]) -> list[list[Detection]]:
        inputs: list[Image] = []
        scales: list[
            tuple[int, float]
        ] = []  # of each input: the number of its image, and its scale
        for number, image in enumerate(images):
            if not can_contain_face(image):
                continue
            first, scale = _shrunk(image, LONG_SIDE, cv2.INTER_AREA)
            inputs.append(first)
            scales.append((number, scale))
            # Shrunk from the first scale: shrinking the original again costs more than the network.
            small, further = _shrunk(first, SMALL_LONG_SIDE, cv2.INTER_LINEAR)
            if small is not first:
                inputs.append(small)
                scales.append((number, scale * further))
        rows: dict[int, NDArray[np.float32]] = {}
        for (number, scale), each in zip(scales, self._network.rows(inputs), strict=True):
            each[:, :_SCORE] /= scale
            if number not in rows:
                rows[number] = each
            else:
                large = each[:, 3] >= LARGE_FACE * min(images[number].shape[:2])
                rows[number] = _suppressed(np.vstack([rows[number], each[large]]))
        return [
            _detections(rows[number], image) if number in rows else []
            for number, image in enumerate(images)
        ]

    def _detect_at_one_scale(self, images: list[Image]) -> list[list[Detection]]:
        """Without scaling."""
        return [
            _detections(rows, image)
            for rows, image in zip(self._network.rows(images), images, strict=True)
        ]


def _padded(image: Image) -> Image:
    """With black below and on the right, so that both sides are multiples of the largest stride."""
    below, right = (-side % _STRIDES[-1] for side in image.shape[:2])
    if not (below or right):
        return image
    padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)
    return np.asarray(padded, np.uint8)


def _decoded(output: NDArray[np.float32], image: Image) -> NDArray[np.float32]:
    """Rows of the network's output (places, 16), as `cv2.FaceDetectorYN` computes them.

    Columns are the scores of class and object, the offsets of the middle of the box, the logarithms
    of its width and height, and the offsets of the landmarks, all in strides. Boxes are compared
    in whole px to suppress all but the strongest of those that overlap.
    """
    scores = np.sqrt(np.clip(output[:, 0], 0, 1) * np.clip(output[:, 1], 0, 1))
    [chosen] = np.nonzero(scores >= DETECTION_THRESHOLD)
    grid = _grid(*image.shape[:2])[chosen]
    corner, stride = grid[:, :2], grid[:, 2:]
    values = output[chosen]
    middle, size = (corner + values[:, 2:4]) * stride, np.exp(values[:, 4:6]) * stride
    landmarks = (np.tile(corner, 5) + values[:, 6:16]) * stride
    rows = np.hstack([middle - size / 2, size, landmarks, scores[chosen, None]])
    rows = rows.astype(np.float32, copy=False)
    if len(rows) < 2:
        return rows
    boxes = rows[:, _BOX].astype(np.int32).tolist()
    kept = cv2.dnn.NMSBoxes(
        boxes, rows[:, _SCORE].tolist(), DETECTION_THRESHOLD, NMS_IOU, top_k=_TOP_K
    )
    return np.asarray(rows[np.asarray(kept, dtype=int).ravel()])


@lru_cache(maxsize=32)
def _grid(height: int, width: int) -> NDArray[np.float32]:
    """float32 (places, 3): column, row and stride of each place, from the smallest stride on."""
    parts = []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        parts.append(np.stack([columns, rows, np.full_like(rows, stride)], axis=-1).reshape(-1, 3))
    return np.concatenate(parts).astype(np.float32)


def _detections(rows: NDArray[np.float32], image: Image) -> list[Detection]:
    height, width = image.shape[:2]
    boxes = rows[:, _BOX].copy()
    boxes[:, 2:] += boxes[:, :2]
    landmarks = rows[:, _LANDMARKS].reshape(-1, 5, 2)
    return sorted_detections(boxes, landmarks, rows[:, _SCORE], width=width, height=height)


def _shrunk(image: Image, long_side: int, interpolation: int) -> tuple[Image, float]:
    """The image with its longer side at most `long_side`, and its scale."""
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return image, 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8), scale


def _suppressed(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Non-maximum suppression: without the weaker of any two rows of one face."""
    if len(rows) == 0:
        return rows
    boxes, scores = rows[:, _BOX].tolist(), rows[:, _SCORE].tolist()
    kept = cv2.dnn.NMSBoxes(boxes, scores, DETECTION_THRESHOLD, NMS_IOU)
    return np.asarray(rows[np.asarray(kept, dtype=int).ravel()])
