"""How far a face can be trusted to tell people apart: a score, and reasons in words.

What is scored. A face's score estimates one number: the cosine between its embedding and that of
the same face well taken. It is the product of seven factors, each read off a curve that says what
one fault alone does to that cosine (1: nothing). The curves were drawn through medians measured on
photos of 60 people (LFW), degraded one fault at a time: shrunk, blurred, blurred by motion,
darkened, overexposed, flattened, half in shadow, compressed, noisy, tilted, cut by the frame's
edge, and mixtures of these. Two models were measured, SFace with YuNet (15,813 faces of 360 photos)
and w600k_mbf with SCRFD-500M (5,665 faces of 120 of them); their curves agree but for the
detector's own score, which has a curve for each.

What it is worth, on the same faces (SFace / w600k_mbf):

- rank correlation (Spearman) with the cosine to one's own clean photo 0.78 / 0.78, with the mean
  cosine to the same person's other photos 0.69 / 0.69; on the mixtures alone 0.81 / 0.77 and
  0.74 / 0.73. The detector's score alone gets 0.71 / 0.31 with the first, sharpness alone
  0.24 / 0.19; gradient boosting over 32 measures, cross-validated by person, 0.87 (SFace).
- the best of ten versions of a photo has 0.62 / 0.56 with the person's other photos, where the
  average version has 0.50 / 0.45, the largest face 0.52 / 0.43 and the best by hindsight
  0.66 / 0.59.
- different people at cosine >= 0.40, both faces of one score: below 0.3 1.4e-2 / 7.9e-2, at 0.4 to
  0.5 2.1e-3 / 9e-4, at 0.6 to 0.65 4e-4 / 8e-5, at 0.7 to 0.75 2.5e-4 / none, above 0.9 5e-5 /
  none: poor faces are alike because they are poor, which is why they must not join people.
- of the clean photos 2 % are poor (turned by more than 40 degrees), of 20 clips of signers none but
  hands taken for faces, of a dark stage clip the audience in profile and out of focus. Within clips
  of good faces throughout the score ranks nothing: what differs there is hands and expressions.

What it does not see: block artefacts of compression and noise (but through the detector's score),
closed eyes, hands and masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.domain import Detection, Image, Landmarks, Quality

FOUNDING_SCORE = 0.65
"""Faces below it are poor. Above it, the similarity of different people keeps to that of clean
photos: 99.9 % of pairs stay below 0.36 / 0.31 at 0.65 to 0.70 (clean: 0.35 / 0.25), against
0.44 / 0.40 at 0.4 to 0.5."""

TEMPLATE: Landmarks = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]],
    dtype=np.float32,
)  # fmt: skip
"""px. Where alignment puts the five landmarks in a chip: `insightface.utils.face_align`."""

_CHIP = 112  # px, the side of an aligned face

# Each curve: what is measured, the cosine that is left. Between its points it is linear.
_Curve = tuple[tuple[float, ...], tuple[float, ...]]

_SIZE: _Curve = (
    (5.0, 6.5, 8.0, 11.0, 15.0, 22.0, 45.0, 90.0),
    (0.50, 0.65, 0.80, 0.90, 0.94, 0.96, 0.99, 1.0),
)
"""By px between the eyes. Mild, for what enlargement loses shows as blur too; 90 px is what
ISO/IEC 19794-5 asks of a portrait."""

_SHARPNESS: _Curve = (
    (0.145, 0.20, 0.25, 0.30, 0.36, 0.42, 0.50, 0.55),
    (0.35, 0.53, 0.62, 0.74, 0.88, 0.95, 0.98, 1.0),
)
"""By `_sharpness`: 0.55 is the median of clean photos; Gaussian blur of 2 / 4 / 6 px at 42 px
between the eyes gives 0.38 / 0.21 / 0.15, motion over 13 / 21 px 0.29 / 0.25."""

_CONTRAST: _Curve = (
    (1.5, 2.5, 3.5, 4.5, 9.0, 18.0, 36.0),
    (0.05, 0.30, 0.52, 0.68, 0.88, 0.96, 1.0),
)
"""By the standard deviation of the face's grey levels: light lost to a quarter leaves 9, to an
eighth 5. How bright it is on average does not count: in the clean photos the score does not follow
it (rank correlation 0.00 / 0.09), lest it follow the colour of skin."""

_OVEREXPOSURE: _Curve = (
    (0.0, 0.1, 0.3, 0.6, 0.8, 0.9, 1.0),
    (1.0, 0.97, 0.88, 0.74, 0.52, 0.32, 0.10),
)
"""By the share of the face at grey 247 or more (ISO/IEC 29794-5, as OFIQ measures it)."""

_TURN: _Curve = (
    (0.0, 0.1, 0.2, 0.3, 0.4, 0.55),
    (1.0, 0.99, 0.97, 0.90, 0.64, 0.45),
)
"""By the nose tip's way off the middle, in distances between the eyes: 0.55 is a full profile, so
0.40 a turn of about 45 degrees. In LFW, similarity does not fall up to 0.35; in a clip of a head
that turns, what is kept of the cosine to its frontal frames falls to 0.7 / 0.6 at 0.4. Pitch is not
scored: within what detectors find, similarity does not depend on it."""

_OUTSIDE: _Curve = (
    (0.0, 0.2, 0.3, 0.4, 0.5, 0.6),
    (1.0, 0.95, 0.88, 0.75, 0.50, 0.25),
)
"""By the share of the aligned face that lies outside the frame."""

_YUNET: _Curve = (
    (0.5, 0.7, 0.8, 0.85, 0.88, 0.90, 0.92, 0.95),
    (0.38, 0.43, 0.51, 0.60, 0.77, 0.89, 0.98, 1.0),
)
"""By YuNet's score: 0.93 for clean photos. A tilted head, which has less, is looked at again
upright (`registry.models.upright`) and has the score of that look."""

_SCRFD: _Curve = (
    (0.5, 0.6, 0.7, 0.8, 0.9),
    (0.68, 0.74, 0.90, 0.96, 1.0),
)
"""By SCRFD's score, and by any other's: 0.83 for clean photos; its landmarks follow a tilt."""

_OVEREXPOSED = 247
_DARK = 64.0
"""Mean grey level below which a face without contrast is called dark."""

_BLUR_LENGTH = 11  # px; `skimage.measure.blur_effect` takes the same


def assess(
    image: Image, detection: Detection, chip: NDArray[np.uint8], *, model: str = ""
) -> Quality:
    """The quality of one detected face.

    Args:
        image: BGR uint8 (H, W, 3), the frame in which it was found.
        detection: where; landmarks in px of the frame.
        chip: BGR uint8 (112, 112, 3), the face aligned to `TEMPLATE`.
        model: name of the model that found it: `sface` has YuNet's scores; anything else is read
            as SCRFD's.

    Returns:
        The score, 0 to 1, and for a score below `FOUNDING_SCORE` at least one reason, the gravest
        first; otherwise none. The reasons are codes:

        - `small`: the face is too few pixels across;
        - `blurred`: it is out of focus, moved, or was enlarged from very few pixels;
        - `dark`: it is too dark to show its features;
        - `flat`: it has almost no contrast, as in haze, smoke or a fade;
        - `bright`: much of it is overexposed;
        - `profile`: it is turned too far to the side;
        - `cut_off`: part of it lies outside the frame;
        - `low_score`: the detector is not sure that it is a face, or the head is tilted.
    """
    import cv2  # here: whoever only asks `founds` need not load it

    grey = np.asarray(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), np.uint8)
    face = grey[_INNER_FACE]
    placed = _Placed(detection.landmarks)
    factors = {
        "small": _read(_SIZE, placed.eye_distance),
        "blurred": _read(_SHARPNESS, _sharpness(grey)),
        "dark" if face.mean() < _DARK else "flat": _read(_CONTRAST, float(face.std())),
        "bright": _read(_OVEREXPOSURE, float((face >= _OVEREXPOSED).mean())),
        "profile": _read(_TURN, placed.turn),
        "cut_off": _read(_OUTSIDE, placed.outside(image)),
        "low_score": _read(_YUNET if model == "sface" else _SCRFD, detection.score),
    }
    score = float(np.prod(list(factors.values())))
    return Quality(score, () if score >= FOUNDING_SCORE else _reasons(factors))


def founds(quality: Quality) -> bool:
    """Whether a face may found an identity by itself, join two, or stand as somebody's cover."""
    return not quality.reasons


def certainly(quality: Quality) -> bool:
    """Whether the detector does not doubt that it is a face, however poor."""
    return "low_score" not in quality.reasons


def _read(curve: _Curve, value: float) -> float:
    return float(np.interp(value, *curve))


def _reasons(factors: Mapping[str, float]) -> tuple[str, ...]:
    """Of a poor face: the factors of which two would make it poor, or else the lowest."""
    gravest = sorted(factors, key=lambda code: factors[code])
    grave = [code for code in gravest if factors[code] ** 2 < FOUNDING_SCORE]
    return tuple(grave or gravest[:1])


class _Placed:
    """Five landmarks and the similarity transform that moves them onto the template.

    Points are complex numbers, x + iy, so that scaling and turning is one multiplication.
    """

    def __init__(self, landmarks: Landmarks) -> None:
        points = _complex(landmarks)
        self._centre = points.mean()
        moved = points - self._centre
        extent = float((np.abs(moved) ** 2).sum())
        # Least squares: the transform of Umeyama (1991), which has this closed form in the plane.
        self._scale = (moved.conj() @ _TEMPLATE_MOVED) / extent if extent > 0 else 0j
        eyes, mouth = (points[0] + points[1]) / 2, (points[3] + points[4]) / 2
        # A turned head brings the eyes together, a nodding one the eyes and the mouth: whichever
        # is left tells the size.
        self.eye_distance = float(
            max(abs(points[1] - points[0]), abs(mouth - eyes) / _TEMPLATE_EYES_TO_MOUTH)
        )
        """px. Between the eyes, as if the face looked into the camera."""
        off = (points[2] - (eyes + mouth) / 2) * self._scale
        across = self.eye_distance * abs(self._scale)
        self.turn = abs(off.real) / across if across > 0 else 0.0
        """The nose tip's way from the middle of eyes and mouth, across the upright face, in
        distances between the eyes."""

    def outside(self, image: Image) -> float:
        """Share of the chip that lies outside the image, 0 to 1."""
        if not self._scale:
            return 1.0
        height, width = image.shape[:2]
        points = _GRID / self._scale + self._centre
        inside = (
            (points.real >= 0) & (points.real < width) & (points.imag >= 0) & (points.imag < height)
        )
        return float(1 - inside.mean())


def _sharpness(grey: NDArray[np.uint8]) -> float:
    """How much of the chip's gradient a blur along it takes away: 0 (blurred) to 1.

    One minus the metric of Crete et al., "The blur effect" (SPIE 6492, 2007), which needs no
    reference and does not depend on contrast, in the worst of four directions: two as published,
    two on the chip turned by 45 degrees, which finds motion in any direction (rank correlation with
    the cosine under motion blur 0.77 instead of 0.70). `skimage.measure.blur_effect` gives the same
    value to 0.03 in nine times the time.
    """
    import cv2

    # Inside the face, so that neither its outline nor the edge of the frame counts.
    straight = grey[24:108, 16:96]
    turned = cv2.warpAffine(grey, _TURN_45, (_CHIP, _CHIP))[36:96, 26:86]
    lost = []
    for part in (straight, turned):
        pixels = np.asarray(part, np.float32)
        for dx, dy in ((1, 0), (0, 1)):
            window = (_BLUR_LENGTH, 1) if dx else (1, _BLUR_LENGTH)
            blurred = cv2.blur(pixels, window, borderType=cv2.BORDER_REFLECT)
            before = np.abs(cv2.Sobel(pixels, cv2.CV_32F, dx, dy))[2:-2, 2:-2]
            after = np.abs(cv2.Sobel(blurred, cv2.CV_32F, dx, dy))[2:-2, 2:-2]
            total = float(before.sum())
            lost.append(float(np.maximum(before - after, 0).sum()) / total if total else 0.0)
    return min(lost)


def _complex(points: NDArray[Any]) -> NDArray[np.complex128]:
    return points[:, 0].astype(np.float64) + 1j * points[:, 1].astype(np.float64)


def _ellipse(centre: tuple[float, float], axes: tuple[float, float]) -> NDArray[np.bool_]:
    y, x = np.mgrid[0:_CHIP, 0:_CHIP]
    return np.asarray(((x - centre[0]) / axes[0]) ** 2 + ((y - centre[1]) / axes[1]) ** 2 <= 1)


_TEMPLATE_CENTRE = _complex(TEMPLATE).mean()
_TEMPLATE_MOVED = _complex(TEMPLATE) - _TEMPLATE_CENTRE
_TEMPLATE_EYES_TO_MOUTH = 1.155  # distances between the eyes
_INNER_FACE = _ellipse((56.0, 66.0), (30.0, 42.0))  # brows to chin, without hair and background
_STEPS = np.arange(2.0, _CHIP, 4.0)  # px: 784 points tell a share to a tenth of a per cent
_GRID = (_STEPS[None, :] + 1j * _STEPS[:, None]).ravel() - _TEMPLATE_CENTRE
_COS = float(np.sqrt(0.5))
_TURN_45 = np.array(
    [[_COS, _COS, 55.5 - _COS * (55.5 + 65.5)], [-_COS, _COS, 65.5 - _COS * (65.5 - 55.5)]]
)  # by 45 degrees around the middle of the inner face
