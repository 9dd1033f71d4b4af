"""How much a face can be trusted to tell people apart: measures with published forms, one score.

A poor face stays in the registry, in its track and in the zip. It never stands as cover, and
consolidation does not let it speak for its identity.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Detection, Image, Quality

REASONS: Mapping[str, str] = {
    "small": "fewer than 16 px between the eyes",
    "blurred": "out of focus or moving",
    "profile": "turned far to the side",
    "dark": "too dark to see",
    "bright": "overexposed",
    "low_score": "the detector is unsure that this is a face",
    "cut_off": "the edge of the frame cuts it",
}
"""Sentences for people by reason code."""

_EYES_PX = (16.0, 40.0)
"""Distance between the eyes, px: below the first a face is poor, from the second on size does not
matter. 112 x 112 chips put the eyes 35 px apart (the ArcFace template), so that below 16 more than
half of each chip is interpolated."""
_SHARPNESS = (15.0, 120.0)
"""Variance of the Laplacian of the chip (Pech-Pacheco et al. 2000, LAPV)."""
_TURN = (0.35, 0.75)
"""How far the nose tip lies off the middle of the eyes, in eye distances: 0.35 is about 30 degrees of
yaw for a nose that stands out by half the eye distance, 0.75 about 55."""
_LIGHT = (30.0, 225.0)
"""Mean grey level of the chip: outside it, too little of the 8-bit range is left."""
_SCORE = (0.6, 0.85)
"""Detector score."""


def assess(image: Image, detection: Detection, chip: NDArray[np.uint8]) -> Quality:
    """The quality of one face.

    Args:
        image: the frame, BGR uint8 (H, W, 3).
        detection: where the face is in it.
        chip: the aligned face, BGR uint8 (112, 112, 3).
    """
    grey = cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY)
    light = float(grey.mean())
    eyes, turn = _geometry(detection)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    poor = {
        "small": eyes < _EYES_PX[0],
        "blurred": sharpness < _SHARPNESS[0],
        "profile": turn > _TURN[1],
        "dark": light < _LIGHT[0],
        "bright": light > _LIGHT[1],
        "low_score": detection.score < _SCORE[0],
        "cut_off": _cut_off(image, detection),
    }
    score = (
        _rise(eyes, _EYES_PX)
        * _rise(sharpness, _SHARPNESS)
        * (1 - _rise(turn, _TURN))
        * _rise(detection.score, _SCORE)
    ) ** 0.25
    return Quality(round(score, 4), tuple(code for code, found in poor.items() if found))


def founds(quality: Quality) -> bool:
    """Whether a face may stand for its identity: as cover, and in consolidation."""
    return not quality.reasons


def _geometry(detection: Detection) -> tuple[float, float]:
    left, right, nose = detection.landmarks[0], detection.landmarks[1], detection.landmarks[2]
    across = right - left
    distance = float(np.hypot(*across))
    if distance < 1e-6:
        return 0.0, 1.0
    off = float(np.dot(nose - (left + right) / 2, across)) / distance**2
    # In profile the eyes come close together; measured by the box they are not.
    return max(distance, 0.25 * detection.box.width), abs(off)


def _cut_off(image: Image, detection: Detection) -> bool:
    """Whether the eyes or the mouth lie outside the frame."""
    height, width = image.shape[:2]
    points = detection.landmarks
    return bool(
        (points < 0).any() or (points[:, 0] >= width).any() or (points[:, 1] >= height).any()
    )


def _rise(value: float, limits: tuple[float, float]) -> float:
    """0.05 up to the first limit, 1 from the second on, straight between."""
    low, high = limits
    return float(np.clip((value - low) / (high - low), 0.05, 1.0))
