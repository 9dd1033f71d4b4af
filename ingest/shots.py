"""Shot detection on sampled frames, a third of a second apart.

PySceneDetect's detectors need every frame: between sampled frames a pan changes more pixels than a
cut does. Colour histograms stay alike through a pan, a zoom and a shaking hand. Frames are compared
as they are and after matching their brightness, and the smaller distance counts: fades of the light
and automatic exposure change the first, a bright object that enters the picture the second.

Most cuts between two takes of one person, and every second one between two people before the same
background, are missed; tracks then rely on the faces. A flash of more than 1.5 times the light
counts as a cut, which splits a track and does no other harm. `docs/BENCHMARKS.md` has the
measurements.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Image

CUT = 0.35
"""Least Hellinger distance of the colour histograms of two frames, 0 to 1, that counts as a cut
(`docs/BENCHMARKS.md`)."""

_THUMBNAIL = (64, 36)  # px, width and height
_BINS = (8, 4, 4)  # hue, saturation, value
_RANGES = [0.0, 180.0, 0.0, 256.0, 0.0, 256.0]  # of OpenCV's 8-bit HSV
_MAX_AVERAGED = 4  # times the thumbnail's size: of larger images, pixels are skipped


class ShotDetector:
    """Takes the sampled frames of one video in order; keeps one thumbnail of 64 x 36 px."""

    def __init__(self) -> None:
        self._last: Image | None = None

    def update(self, image: Image) -> bool:
        """Whether a new shot has begun since the frame before.

        Args:
            image: BGR uint8 (H, W, 3), of any size.

        Returns:
            False for the first frame.
        """
        last, self._last = self._last, thumbnail(image)
        return last is not None and is_cut(last, self._last)

    @property
    def thumbnail(self) -> Image:
        """The thumbnail of the frame of the last `update`."""
        if self._last is None:
            raise ValueError("no frame was given")
        return self._last


def distance(a: Image, b: Image) -> float:
    """Distance of the colours of two thumbnails, BGR uint8 (H, W, 3): 0 (same) to 1."""
    return min(_hellinger(a, b), _hellinger(*_matched(a, b)))


def is_cut(a: Image, b: Image) -> bool:
    """Whether the `distance` of two thumbnails is that of a cut."""
    return _hellinger(a, b) >= CUT and _hellinger(*_matched(a, b)) >= CUT


def _matched(a: Image, b: Image) -> tuple[Image, Image]:
    """Both at one brightness. The brighter one is darkened, so that nothing clips."""
    ratio = (float(a.mean()) + 1) / (float(b.mean()) + 1)
    return (_scaled(a, 1 / ratio), b) if ratio > 1 else (a, _scaled(b, ratio))


def thumbnail(image: Image) -> Image:
    """Scale a BGR uint8 (H, W, 3) image of any size to 64 x 36 px, for `distance`."""
    width, height = _THUMBNAIL
    across = max(1, image.shape[1] // (width * _MAX_AVERAGED))
    down = max(1, image.shape[0] // (height * _MAX_AVERAGED))
    sparse = np.ascontiguousarray(image[::down, ::across])
    return np.asarray(cv2.resize(sparse, _THUMBNAIL, interpolation=cv2.INTER_AREA), np.uint8)


def _scaled(image: Image, gain: float) -> Image:
    return np.asarray(np.rint(image * np.float32(gain)), np.uint8)


def _hellinger(a: Image, b: Image) -> float:
    return float(cv2.compareHist(_histogram(a), _histogram(b), cv2.HISTCMP_BHATTACHARYYA))


def _histogram(image: Image) -> NDArray[np.float32]:
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), _RANGES)
    return np.asarray(counts, np.float32)
