"""Where one shot ends and the next begins, seen from sampled frames a third of a second apart."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Image

CUT = 0.5
"""Bhattacharyya distance of hue-saturation-value histograms above which two sampled frames are taken
for different shots."""
_SIZE = (64, 64)
_BINS = (16, 8, 8)


class ShotDetector:
    """Fed the sampled frames of one video in order; keeps a histogram of the last one."""

    def __init__(self, *, cut: float = CUT) -> None:
        self._cut = cut
        self._last: NDArray[np.float32] | None = None

    def update(self, image: Image) -> bool:
        """Whether a new shot begins with this BGR uint8 (H, W, 3) frame; not so for the first."""
        small = cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
        hsv = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
        histogram = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256])
        last, self._last = self._last, np.asarray(histogram, dtype=np.float32)
        if last is None:
            return False
        return cv2.compareHist(last, self._last, cv2.HISTCMP_BHATTACHARYYA) > self._cut
