"""YuNet, the detector of the default model: OpenCV's `cv2.FaceDetectorYN` at two scales.

The measurements behind the scales are in docs/BENCHMARKS.md, Models. The int8 block-quantised file
that OpenCV Zoo publishes finds the same faces as the float file, in the same time (OpenCV 5.0's
default engine; its classic engine loads neither).
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Detection, Image
from registry.errors import ModelError
from registry.models.base import DETECTION_THRESHOLD
from registry.models.detections import can_contain_face, sorted_detections
from registry.models.upright import upright

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
_BOX, _LANDMARKS, _SCORE = slice(0, 4), slice(4, 14), 14  # columns of FaceDetectorYN's rows


class YuNet:
    """Always runs on the CPU; one thread at a time, others wait."""

    def __init__(self, model: bytes) -> None:
        """`model` is the ONNX file. Raises `ModelError` if OpenCV cannot load it."""
        self._lock = Lock()
        # OpenCV 5's engine warns at each load that the CPU is its only target. The log level is set
        # in cv2.utils.logging there, and in cv2 in OpenCV 4.
        log = getattr(cv2.utils, "logging", cv2)
        level = log.getLogLevel()
        log.setLogLevel(_LOG_ERRORS)
        try:
            self._network = cv2.FaceDetectorYN.create(
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

    def detect(self, image: Image) -> list[Detection]:
        """As `registry.models.base.FaceModel.detect`."""
        return [upright(image, one, self._detect_once) for one in self._detect_at_two_scales(image)]

    def _detect_at_two_scales(self, image: Image) -> list[Detection]:
        if not can_contain_face(image):
            return []
        height, width = image.shape[:2]
        try:
            first, scale = _shrunk(image, LONG_SIDE, cv2.INTER_AREA)
            rows = self._rows(first, scale)
            # Shrunk from the first scale: shrinking the original again costs more than the network.
            small, further = _shrunk(first, SMALL_LONG_SIDE, cv2.INTER_LINEAR)
            if small is not first:
                large = self._rows(small, scale * further)
                rows = np.vstack([rows, large[large[:, 3] >= LARGE_FACE * min(width, height)]])
                rows = _suppressed(rows)
        except cv2.error as exc:
            raise ModelError(f"YuNet failed on an image of {width}x{height}: {exc.err}") from exc
        return _detections(rows, image)

    def _detect_once(self, image: Image) -> list[Detection]:
        """Without scaling."""
        try:
            return _detections(self._rows(image, 1.0), image)
        except cv2.error as exc:
            raise ModelError(f"YuNet failed on part of an image: {exc.err}") from exc

    def _rows(self, image: Image, scale: float) -> NDArray[np.float32]:
        """(n, 15): x, y, width, height, five landmarks, score; px of the image before scaling."""
        with self._lock:  # the network keeps the size of its input between the two calls
            self._network.setInputSize((image.shape[1], image.shape[0]))
            output: Any = self._network.detect(image)[1]
        if output is None:
            return np.empty((0, _SCORE + 1), dtype=np.float32)
        rows = np.array(output, dtype=np.float32)
        rows[:, :_SCORE] /= scale
        return rows


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
