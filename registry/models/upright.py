"""Landmarks of a tilted head, detected again with the head upright.

YuNet was trained on upright faces: it finds a tilted head and places the landmarks almost as if it
were upright, so alignment does not undo the tilt, and SFace gets a kind of face that it was not
trained on. So the face is rotated by the tilt of the landmarks and detected again, until it is
upright. Measurements: docs/BENCHMARKS.md, Models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Detection, Image, Landmarks

TILT = 3.0
"""Degrees between the line of the eyes and the horizontal from which a face is detected again.
Measured: at a tilt of 10 and 15 degrees, where the embedding begins to change (cosine 0.94 and
0.91), the landmarks show 2.3 and 4.6 (medians)."""

UNSURE = 0.915
"""Score of YuNet below which the tilt may be larger than the landmarks show. Measured: an upright
face has 0.93 (median), one tilted by 20 / 40 / 60 degrees 0.92 / 0.88 / 0.81. With 0.88, a tenth of
the faces tilted by 40 degrees kept a cosine below 0.36; with 0.915, below 0.89."""

LOOKS = 4
"""Maximum number of further detections, each of which shows more of the tilt."""

SIZES = (0.33, 0.4, 0.5)
"""Sizes of the face in the last detections, as shares of the square, whose landmarks are averaged.
Measured on pairs of pictures of a head tilted by 25 degrees, which differ by 3 degrees, 7 % of size
and compression: the median cosine is 0.98 with them, 0.95 with one detection, and 0.84 with the
first one."""

_APART = 35.0  # degrees between the tilts to try if the detector is unsure
_LEVEL = 2.0  # degrees of tilt that count as upright
_SLACK = 0.005  # of the score: detections of an upright face differ by this much
_SIDE = 320  # px, the square around the rotated face
_FACE = 0.4  # of that side is the larger side of the face's box: a portrait with some margin


def upright(image: Image, face: Detection, detect: Callable[[Image], list[Detection]]) -> Detection:
    """The detection with the landmarks and the score of its most upright look.

    Args:
        image: BGR uint8 (H, W, 3).
        face: a detection in it, whose box is kept.
        detect: finds faces in an image.
    """
    tilt = _tilt(face.landmarks)
    if abs(tilt) < TILT and face.score >= UNSURE:
        return face
    best, level = face, tilt
    tilts = [tilt, tilt + _APART, tilt - _APART] if face.score < UNSURE else [tilt]
    for _ in range(LOOKS):
        looks = [(_look(image, face, each, detect), each) for each in tilts]
        again, turned = max(looks, key=lambda look: look[0].score if look[0] else 0.0)
        if again is None or again.score < best.score - _SLACK:
            break
        best, level = again, _tilt(again.landmarks)
        if abs(level - turned) < _LEVEL:
            break
        tilts = [level]
    return face if best is face else _averaged(image, face, level, detect)


def _averaged(
    image: Image, face: Detection, tilt: float, detect: Callable[[Image], list[Detection]]
) -> Detection:
    """The face detected upright in several sizes: means of landmarks and score."""
    looks = [_look(image, face, tilt, detect, size) for size in SIZES]
    seen = [look for look in looks if look is not None]
    if not seen:
        return face
    landmarks: Landmarks = np.stack([look.landmarks for look in seen]).mean(axis=0)
    score = float(np.mean([look.score for look in seen]))
    return replace(face, landmarks=landmarks, score=score)


def _tilt(landmarks: Landmarks) -> float:
    """Degrees by which the line of the eyes falls to the right."""
    across = landmarks[1] - landmarks[0]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def _look(
    image: Image,
    face: Detection,
    tilt: float,
    detect: Callable[[Image], list[Detection]],
    share: float = _FACE,
) -> Detection | None:
    """The same face, detected in the image rotated by `tilt`; None if no face is at its place.

    `share` is the larger side of the face's box, as a share of the side of the rotated square.
    """
    box = face.box
    centre = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    size = max(box.width, box.height)
    turn = cv2.getRotationMatrix2D(centre, tilt, share * _SIDE / size)
    turn[:, 2] += np.array([_SIDE / 2 - centre[0], _SIDE / 2 - centre[1]])
    turned = cv2.warpAffine(image, turn, (_SIDE, _SIDE))
    middle = _moved(face.landmarks, turn).mean(axis=0)
    near = [(_distance(other, middle), other) for other in detect(np.asarray(turned, np.uint8))]
    distance, nearest = min(near, key=lambda pair: pair[0], default=(np.inf, None))
    if nearest is None or distance > share * _SIDE / 2:
        return None
    back = _moved(nearest.landmarks, cv2.invertAffineTransform(turn))
    return replace(face, landmarks=back, score=nearest.score)


def _distance(face: Detection, point: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(face.landmarks.mean(axis=0) - point))


def _moved(points: Landmarks, by: NDArray[Any]) -> Landmarks:
    """Points (n, 2) moved by an affine transform (2, 3)."""
    return np.asarray(points @ by[:, :2].T + by[:, 2], dtype=np.float32)
