"""Landmarks of a tilted head, detected again with the head upright.

YuNet was trained on upright faces: it finds a tilted head and places the landmarks almost as if it
were upright, so alignment does not undo the tilt, and SFace gets a kind of face that it was not
trained on. So the face is rotated by the tilt of the landmarks and detected again, until it is
upright. Measurements: docs/BENCHMARKS.md, Models.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
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

HOPELESS = 0.7
"""Score of YuNet below which a face stays poor, however it is turned. Measured: of 30 such faces in
25 clips and 120 photographs, which took a fifth of all further detections, none became good."""

_APART = 35.0  # degrees between the tilts to try if the detector is unsure
_LEVEL = 2.0  # degrees of tilt that count as upright
_SLACK = 0.005  # of the score: detections of an upright face differ by this much
_SIDE = 320  # px, the square around the rotated face
_FACE = 0.4  # of that side is the larger side of the face's box: a portrait with some margin


Detect = Callable[[list[Image]], list[list[Detection]]]
"""Finds the faces of several images, without scaling them."""

_Look = Detection | None
_Looks = Generator[list[tuple[float, float]], list[_Look], Detection]
"""What one face needs: asks for looks at it, each a tilt in degrees and a size as a share of the
square; is sent them; returns the detection."""


def make_upright(
    faces: Sequence[tuple[Image, Detection]], detect: Detect, *, least_score: float = 0.0
) -> list[Detection]:
    """Each detection with the landmarks and the score of its most upright look.

    Args:
        faces: images, BGR uint8 (H, W, 3), each with a detection in it, whose box is kept.
        detect: finds faces in squares. It is given the squares of all faces together.
        least_score: faces with a lower score stay as they are.
    """
    results = [face for _, face in faces]
    runs: dict[int, tuple[_Looks, list[tuple[float, float]]]] = {}
    for number, (_, face) in enumerate(faces):
        if face.score < least_score:
            continue
        run = _look_upright(face)
        try:
            runs[number] = run, next(run)
        except StopIteration as end:
            results[number] = end.value
    while runs:
        wanted = [(number, look) for number, (_, looks) in runs.items() for look in looks]
        squares = [_square(*faces[number], *look) for number, look in wanted]
        found = detect([square for square, _ in squares])
        seen = iter(
            [
                _nearest(faces[number][1], turn, look[1], others)
                for (number, look), (_, turn), others in zip(wanted, squares, found, strict=True)
            ]
        )
        for number, (run, looks) in list(runs.items()):
            try:
                runs[number] = run, run.send([next(seen) for _ in looks])
            except StopIteration as end:
                results[number] = end.value
                del runs[number]
    return results


def _look_upright(face: Detection) -> _Looks:
    tilt = _tilt(face.landmarks)
    if abs(tilt) < TILT and face.score >= UNSURE:
        return face
    best, level = face, tilt
    tilts = [tilt, tilt + _APART, tilt - _APART] if face.score < UNSURE else [tilt]
    for _ in range(LOOKS):
        asked = [(each, _FACE) for each in tilts]
        seen = yield asked
        looks = list(zip(seen, tilts, strict=True))
        again, turned = max(looks, key=lambda look: look[0].score if look[0] else 0.0)
        if again is None or again.score < best.score - _SLACK:
            break
        best, level = again, _tilt(again.landmarks)
        if abs(level - turned) < _LEVEL:
            break
        tilts = [level]
    if best is face:
        return face
    known = dict(zip(asked, seen, strict=True))  # at this tilt, if the last look was worse
    missing = [(level, size) for size in SIZES if (level, size) not in known]
    known.update(zip(missing, (yield missing), strict=True))
    averaged = [look for size in SIZES if (look := known[level, size]) is not None]
    if not averaged:
        return face
    landmarks: Landmarks = np.stack([look.landmarks for look in averaged]).mean(axis=0)
    score = float(np.mean([look.score for look in averaged]))
    return replace(face, landmarks=landmarks, score=score)


def _tilt(landmarks: Landmarks) -> float:
    """Degrees by which the line of the eyes falls to the right."""
    across = landmarks[1] - landmarks[0]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def _square(
    image: Image, face: Detection, tilt: float, share: float
) -> tuple[Image, NDArray[np.float64]]:
    """The face in a square of the image rotated by `tilt`, and the transform (2, 3) into it.

    `share` is the larger side of the face's box, as a share of the side of the square.
    """
    box = face.box
    centre = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    size = max(box.width, box.height)
    turn = cv2.getRotationMatrix2D(centre, tilt, share * _SIDE / size)
    turn[:, 2] += np.array([_SIDE / 2 - centre[0], _SIDE / 2 - centre[1]])
    turned = cv2.warpAffine(image, turn, (_SIDE, _SIDE))
    return np.asarray(turned, np.uint8), np.asarray(turn, np.float64)


def _nearest(
    face: Detection, turn: NDArray[np.float64], share: float, found: list[Detection]
) -> _Look:
    """The same face among those found in its square, in the image; None if none is at its place."""
    middle = _moved(face.landmarks, turn).mean(axis=0)
    near = [(_distance(other, middle), other) for other in found]
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
