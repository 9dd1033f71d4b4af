"""What covers or spoils a face, from its aligned picture: sunglasses, a mask, pixelation.

The measures were chosen on half of 60 people and judged on the other half; the rates are in
docs/BENCHMARKS.md, "Covered and spoilt faces".
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Image

DARK_EYES = 0.52
"""Eyes are covered if both are darker than this share of the cheeks."""

OTHER_COLOUR = 12.0
"""A mouth is covered if the lower face differs from the upper in colour by so much (OpenCV's a and
b of CIELAB, in levels), and `NO_MOUTH` holds too."""

NO_MOUTH = 0.38
"""Correlation with a mean mouth below which no mouth is seen."""

BLOCKS = 0.65
"""A face is pixelated if the strongest 15 % of the steps between neighbouring pixels make up this
share of all steps, above and below the nose, across and down."""

_EYES = ((slice(42, 64), slice(24, 52)), (slice(42, 64), slice(60, 88)))
_CHEEKS = ((slice(64, 78), slice(28, 44)), (slice(64, 78), slice(68, 84)))
_UPPER = (
    (slice(28, 42), slice(36, 76)),
    (slice(58, 66), slice(26, 40)),
    (slice(58, 66), slice(72, 86)),
)  # forehead and upper cheeks
_LOWER = ((slice(84, 104), slice(28, 44)), (slice(84, 104), slice(68, 84)))  # beside the mouth
_HALVES = (slice(24, 66), slice(66, 108))  # rows of the inner face, above and below the nose
_COLUMNS = slice(16, 96)
_EYE_QUANTILE = 0.4
_STRONGEST = 0.85
_MOUTH, _MOUTH_SIZE = (slice(76, 108), slice(28, 84)), (28, 16)  # rows and columns; px at half size
_LEFT_HALF = np.array(
    [
        [38, 46, 54, 58, 52, 41, 29, 12, -2, -13],
        [28, 34, 39, 43, 44, 41, 37, 32, 25, 15],
        [11, 7, 7, 15, 22, 23, 21, 26, 29, 29],
        [-3, -25, -37, -36, -26, -20, -16, -6, 1, 6],
        [0, -33, -67, -88, -85, -75, -63, -50, -35, -27],
        [12, -20, -55, -87, -99, -96, -83, -63, -46, -37],
        [25, 7, -14, -38, -49, -47, -34, -18, -8, -4],
        [32, 28, 20, 7, -2, -4, 5, 21, 32, 34],
        [35, 37, 34, 29, 21, 14, 12, 14, 17, 17],
        [31, 38, 38, 36, 28, 18, 7, 0, -1, -2],
    ],
    np.float32,
)
_MEAN_MOUTH = np.hstack([_LEFT_HALF, _LEFT_HALF[:, ::-1]])
"""Mean of the normalised mouths of 179 photos of 30 people, made symmetric, at half size."""


def measure_covers(chip: Image, grey: NDArray[np.uint8]) -> tuple[str, ...]:
    """Codes of what covers or spoils a face.

    Args:
        chip: BGR uint8 (112, 112, 3), the face aligned to the template.
        grey: the same in grey, uint8 (112, 112).

    Returns:
        `pixelated`, or any of `covered_eyes` and `covered_mouth`.
    """
    halves = [grey[rows, _COLUMNS] for rows in _HALVES]
    if all(_block_share(part) >= BLOCKS for half in halves for part in (half, half.T)):
        return ("pixelated",)
    codes = []
    if _eye_light(grey) < DARK_EYES:
        codes.append("covered_eyes")
    if _colour_step(chip) >= OTHER_COLOUR and _mouth_likeness(grey) < NO_MOUTH:
        codes.append("covered_mouth")
    return tuple(codes)


def _eye_light(grey: NDArray[np.uint8]) -> float:
    """How light the lighter eye is, as a share of the cheeks.

    A quantile below the median, because lenses do not fill the window.
    """
    cheeks = float(np.median(np.concatenate([grey[part].ravel() for part in _CHEEKS])))
    eyes = max(float(np.quantile(grey[part], _EYE_QUANTILE)) for part in _EYES)
    return eyes / (cheeks + 1)


def _colour_step(chip: Image) -> float:
    """Distance of the median colours of lower and upper face, without lightness."""
    lab = cv2.cvtColor(chip, cv2.COLOR_BGR2LAB)
    upper, lower = (
        np.median(np.concatenate([lab[part].reshape(-1, 3) for part in parts]), axis=0)
        for parts in (_UPPER, _LOWER)
    )
    return float(np.hypot(upper[1] - lower[1], upper[2] - lower[2]))


def _mouth_likeness(grey: NDArray[np.uint8]) -> float:
    """The best correlation with the mean mouth near its place, -1 to 1."""
    window = cv2.resize(grey[_MOUTH].astype(np.float32), _MOUTH_SIZE, interpolation=cv2.INTER_AREA)
    return float(cv2.matchTemplate(window, _MEAN_MOUTH, cv2.TM_CCOEFF_NORMED).max())


def _block_share(grey: NDArray[np.uint8]) -> float:
    """The share of the strongest steps between horizontal neighbours in all of them, 0 to 1.

    In a pixelated face most neighbours are equal and a few differ much.
    """
    steps = np.abs(np.diff(grey.astype(np.int16), axis=1)).ravel()
    first = int(_STRONGEST * len(steps))
    total = int(steps.sum())
    return int(np.partition(steps, first)[first:].sum()) / total if total else 0.0
