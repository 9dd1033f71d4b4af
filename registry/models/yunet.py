"""YuNet, the detector beside SFace: OpenCV's own `cv2.FaceDetectorYN` at two scales.

Which scales, measured on 120 photos of 60 people (LFW), faces about 125 px high. Recall by the
height of the face as the network sees it: 16 px 0.67, 20 px 0.94, 24 px 0.99, 32 px 1.00. What its
landmarks are worth, as the share of same-person pairs at cosine >= 0.40 (SFace, chip cut from the
full-size photo): 20 px 0.84, 24 px 0.95, 28 px 0.98, 40 to 600 px 0.98 to 0.99, 800 px 0.93. So a
long side of 640 px is enough for a face of 7 % of a 16:9 frame's height, and keeps a 1080p or 4K
frame at a tenth of the cost of its full size (640 is InsightFace's own scale for SCRFD, too).

A face that overflows the frame suffers there. Cut to the inner 80 / 70 / 60 % of its box and blown
up to 1080 px, it was found in 0.99 / 0.89 / 0.65 of 72 photos at 640 alone, in all of them with a
second look at 256, and the share of same-person pairs at >= 0.40 rose from 0.78 / 0.51 / 0.14 to
0.87 / 0.73 / 0.46. A second look at 128 made the first of these worse (0.64 / 0.54 / 0.36). The
second look costs a seventh of the first. It speaks for large faces only: among small ones it added
dark background heads and a hand.

The int8 block-quantised file that OpenCV Zoo publishes finds the same faces as the float one, in
the same time (OpenCV 5.0's default engine; its classic engine refuses both).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Detection, Image
from registry.errors import ModelError
from registry.models.base import DETECTION_THRESHOLD
from registry.models.detections import can_hold_a_face, in_order
from registry.models.upright import upright

LONG_SIDE = 640
"""px. Larger images are shrunk to this before the network looks at them; none is enlarged."""

SMALL_LONG_SIDE = 256
"""px. The second look, for faces that fill the frame."""

LARGE_FACE = 0.5
"""The second look counts for boxes at least this high, as a share of the image's shorter side."""

NMS_IOU = 0.4
"""Two boxes that overlap by more (intersection over union) are one face: InsightFace's own value
(`SCRFD.nms_thresh`)."""

_TOP_K = 5000  # boxes kept before suppression: OpenCV's default
_LOG_ERRORS = 2  # LOG_LEVEL_ERROR
_BOX, _LANDMARKS, _SCORE = slice(0, 4), slice(4, 14), 14  # columns of FaceDetectorYN's rows


class YuNet:
    """Loaded once, used by one thread at a time; always on the processor."""

    def __init__(self, model: bytes) -> None:
        """`model` is the ONNX file. Raises `ModelError` if OpenCV cannot load it."""
        # OpenCV 5's engine warns at each load that it has no other target than the processor. The
        # level is set in cv2.utils.logging there, and in cv2 itself in OpenCV 4.
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
        return [upright(image, found, self._look) for found in self._find(image)]

    def _find(self, image: Image) -> list[Detection]:
        """As it is, whatever the tilt, in two sizes."""
        if not can_hold_a_face(image):
            return []
        height, width = image.shape[:2]
        try:
            first, scale = _shrunk(image, LONG_SIDE, cv2.INTER_AREA)
            rows = self._rows(first, scale)
            # Shrunk from the first look: the original once more would cost more than the network.
            small, further = _shrunk(first, SMALL_LONG_SIDE, cv2.INTER_LINEAR)
            if small is not first:
                large = self._rows(small, scale * further)
                rows = np.vstack([rows, large[large[:, 3] >= LARGE_FACE * min(width, height)]])
                rows = _suppressed(rows)
        except cv2.error as exc:
            raise ModelError(f"YuNet failed on an image of {width}x{height}: {exc.err}") from exc
        return _detections(rows, image)

    def _look(self, image: Image) -> list[Detection]:
        """Once, at the size that it has."""
        try:
            return _detections(self._rows(image, 1.0), image)
        except cv2.error as exc:
            raise ModelError(f"YuNet failed on part of an image: {exc.err}") from exc

    def _rows(self, image: Image, scale: float) -> NDArray[np.float32]:
        """(n, 15): x, y, width, height, five landmarks, score; px of the image before `scale`."""
        self._network.setInputSize((image.shape[1], image.shape[0]))
        found: Any = self._network.detect(image)[1]
        if found is None:
            return np.empty((0, _SCORE + 1), dtype=np.float32)
        rows = np.array(found, dtype=np.float32)
        rows[:, :_SCORE] /= scale
        return rows


def _detections(rows: NDArray[np.float32], image: Image) -> list[Detection]:
    height, width = image.shape[:2]
    boxes = rows[:, _BOX].copy()
    boxes[:, 2:] += boxes[:, :2]
    landmarks = rows[:, _LANDMARKS].reshape(-1, 5, 2)
    return in_order(boxes, landmarks, rows[:, _SCORE], width=width, height=height)


def _shrunk(image: Image, long_side: int, interpolation: int) -> tuple[Image, float]:
    """The image with its longer side at most `long_side`, and the scale it was given."""
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return image, 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8), scale


def _suppressed(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the weaker of any two rows that are one face."""
    if len(rows) == 0:
        return rows
    boxes, scores = rows[:, _BOX].tolist(), rows[:, _SCORE].tolist()
    kept = cv2.dnn.NMSBoxes(boxes, scores, DETECTION_THRESHOLD, NMS_IOU)
    return np.asarray(rows[np.asarray(kept, dtype=int).ravel()])
