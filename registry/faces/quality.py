"""Quality of a face: how far it can be trusted to tell people apart, as a score with reasons.

The score estimates the cosine between the embedding of a face and that of the same face under good
conditions. It is the product of seven factors. Each is read off a curve that gives the cosine that
is left with one fault alone (1: no effect). The curves follow medians measured on degraded photos
of 60 people with two models; their agreement with real similarities, and what the score does not
see, are in `docs/BENCHMARKS.md` under "Quality of faces".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.domain import Detection, Image, Landmarks, Quality

FOUNDING_SCORE = 0.65
"""Faces with a lower score are poor. From this score on, different people are hardly more similar
than on clean photos (`docs/BENCHMARKS.md`, "Quality of faces")."""

TEMPLATE: Landmarks = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]],
    dtype=np.float32,
)  # fmt: skip
"""px. The places of the five landmarks in an aligned face, as in `insightface.utils.face_align`."""

COMPARABLE_SCORE = 0.5
"""Dark and small faces from this score on found nobody, and can be compared with others."""
_MILD = {"dark", "small"}

COVERS = ("covered_eyes", "covered_mouth")
"""Reasons that are a cover: sunglasses, a mask."""

SPOILT = ("pixelated", "unclear")
"""Reasons for which an embedding says nothing of who it is."""

_CHIP = 112  # px, the side of an aligned face

# A curve: values of a measure, and the cosine that is left at each. Linear between its points.
_Curve = tuple[tuple[float, ...], tuple[float, ...]]

_SIZE: _Curve = (
    (5.0, 6.5, 8.0, 11.0, 15.0, 22.0, 45.0, 90.0),
    (0.50, 0.65, 0.80, 0.90, 0.94, 0.96, 0.99, 1.0),
)
"""By px between the eyes. Its effect is mild, because the loss by enlargement shows as blur too;
90 px is what ISO/IEC 19794-5 requires of a portrait."""

_SHARPNESS: _Curve = (
    (0.145, 0.20, 0.25, 0.30, 0.36, 0.42, 0.50, 0.55),
    (0.35, 0.53, 0.62, 0.74, 0.88, 0.95, 0.98, 1.0),
)
"""By `_measure_sharpness`. 0.55 is the median of clean photos. Gaussian blur of 2, 4 and 6 px at
42 px between the eyes gives 0.38, 0.21 and 0.15, motion over 13 and 21 px 0.29 and 0.25."""

_CONTRAST: _Curve = (
    (1.5, 2.5, 3.5, 4.5, 9.0, 18.0, 36.0),
    (0.05, 0.30, 0.52, 0.68, 0.88, 0.96, 1.0),
)
"""By the standard deviation of the face's grey levels: a quarter of the light leaves 9, an eighth
5. The mean brightness is not a factor, so that the score does not depend on the colour of skin: on
clean photos it does not (rank correlation 0.00 with SFace, 0.09 with w600k_mbf)."""

_OVEREXPOSURE: _Curve = (
    (0.0, 0.1, 0.3, 0.6, 0.8, 0.9, 1.0),
    (1.0, 0.97, 0.88, 0.74, 0.52, 0.32, 0.10),
)
"""By the share of the face at grey 247 or more (ISO/IEC 29794-5, as OFIQ measures it)."""

_TURN: _Curve = (
    (0.0, 0.1, 0.2, 0.3, 0.4, 0.55),
    (1.0, 0.99, 0.97, 0.90, 0.64, 0.45),
)
"""By the distance of the nose tip from the middle, in distances between the eyes: 0.55 is a full
profile, 0.40 a turn of about 45 degrees. In LFW, similarity does not fall up to 0.35; in a clip of
a turning head, the cosine to its frontal frames falls to 0.7 (SFace) and 0.6 (w600k_mbf) of its
value at 0.4. Pitch is not a factor: in faces that detectors find, similarity does not depend on
it."""
_TURNED = 0.8
"""Factor of the turn below which a face counts as turned, whatever its score: the nose tip 0.34
distances between the eyes from the middle."""

_OUTSIDE: _Curve = (
    (0.0, 0.2, 0.3, 0.4, 0.5, 0.6),
    (1.0, 0.95, 0.88, 0.75, 0.50, 0.25),
)
"""By the share of the aligned face that lies outside the frame."""

_YUNET: _Curve = (
    (0.5, 0.7, 0.8, 0.85, 0.88, 0.90, 0.92, 0.95),
    (0.38, 0.43, 0.51, 0.60, 0.77, 0.89, 0.98, 1.0),
)
"""By YuNet's score; 0.93 on clean photos. Tilted heads, which get lower scores, are detected again
after rotation (`registry.models.upright`), and that score counts."""

_SCRFD: _Curve = (
    (0.5, 0.6, 0.7, 0.8, 0.9),
    (0.68, 0.74, 0.90, 0.96, 1.0),
)
"""By the score of SCRFD or another detector; 0.83 on clean photos. Its landmarks follow a tilt."""

_WITH_YUNET = ("sface", "auraface")
"""Models whose scores are YuNet's."""
_OVEREXPOSED = 247
_DARK = 64.0
"""Mean grey level below which a face without contrast is called dark instead of flat."""

_BLUR_LENGTH = 11  # px; `skimage.measure.blur_effect` takes the same


def assess(
    image: Image, detection: Detection, chip: NDArray[np.uint8], *, model: str = ""
) -> Quality:
    """Assess the quality of one detected face.

    Args:
        image: BGR uint8 (H, W, 3), the frame in which it was detected.
        detection: its box and landmarks, in px of the frame.
        chip: BGR uint8 (112, 112, 3), the face aligned to `TEMPLATE`.
        model: name of the model: `sface` and `auraface` have scores of YuNet; those of any other
            model are taken for scores of SCRFD.

    Returns:
        The score, 0 to 1, and reasons why the face is not good: at least one for a score below
        `FOUNDING_SCORE`, the gravest first, and what covers or spoils the face, whatever the score.
        The reasons are codes:

        - `small`: the face is too few pixels across;
        - `blurred`: it is out of focus, moved, or was enlarged from very few pixels;
        - `dark`: it is too dark to show its features;
        - `flat`: it has almost no contrast, as in haze, smoke or a fade;
        - `bright`: much of it is overexposed;
        - `profile`: it is turned too far to the side;
        - `cut_off`: part of it lies outside the frame;
        - `low_score`: the detector is not sure that it is a face, or the head is tilted;
        - `covered_eyes`, `covered_mouth`: sunglasses, a mask;
        - `pixelated`: it was made unrecognisable.
    """
    import cv2  # not at the top: callers of `founds` need not load it

    from registry.faces.covers import measure_covers

    grey = np.asarray(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), np.uint8)
    face = grey[_INNER_FACE]
    fit = _TemplateFit(detection.landmarks)
    factors = {
        "small": _interpolate(_SIZE, fit.eye_distance),
        "blurred": _interpolate(_SHARPNESS, _measure_sharpness(grey)),
        "dark" if face.mean() < _DARK else "flat": _interpolate(_CONTRAST, float(face.std())),
        "bright": _interpolate(_OVEREXPOSURE, float((face >= _OVEREXPOSED).mean())),
        "profile": _interpolate(_TURN, fit.turn),
        "cut_off": _interpolate(_OUTSIDE, fit.outside(image)),
        "low_score": _interpolate(_YUNET if model in _WITH_YUNET else _SCRFD, detection.score),
    }
    score = float(np.prod(list(factors.values())))
    reasons = () if score >= FOUNDING_SCORE else _reasons(factors)
    covers = measure_covers(chip, grey)
    if factors["profile"] < _TURNED:  # before a plain wall, it has few and strong edges too
        covers = tuple(code for code in covers if code != "pixelated")
    return Quality(score, (*reasons, *covers))


def with_length(quality: Quality, length: float, least: float) -> Quality:
    """The quality of a face whose embedding had this length before it was normalised.

    Args:
        quality: as `assess` gives it.
        length: of the embedding.
        least: the model's `least_length`; a shorter embedding is that of no face which the network
            understands, and the face gets the reason `unclear`.
    """
    return quality if length >= least else replace(quality, reasons=(*quality.reasons, "unclear"))


def founds(quality: Quality) -> bool:
    """Whether the face is good: it may found an identity, join two, and represent an identity."""
    return not quality.reasons


def is_certain(quality: Quality) -> bool:
    """Whether the detector is sure that it is a face, however poor, and it can be understood."""
    return not {"low_score", *COVERS, *SPOILT} & set(quality.reasons)


def is_comparable(quality: Quality) -> bool:
    """Whether its embedding can be compared with others.

    It is good, or good but for a cover, or dark or small and nearly good.
    """
    rest = set(quality.reasons) - set(COVERS)
    return not rest or (quality.score >= COMPARABLE_SCORE and rest <= _MILD)


def is_spoilt(quality: Quality) -> bool:
    """Whether the embedding says nothing of who it is."""
    return not set(SPOILT).isdisjoint(quality.reasons)


def tells_apart(one: Quality, other: Quality) -> bool:
    """Whether the likeness of two faces is evidence: neither is spoilt, nor both covered alike."""
    spoilt = is_spoilt(one) or is_spoilt(other)
    return not spoilt and not cover_bits(one) & cover_bits(other)


def rates_hold(quality: Quality) -> bool:
    """Whether an error rate can be stated: it is good, or good but for a cover."""
    return set(quality.reasons) <= set(COVERS)


def is_covered(quality: Quality) -> bool:
    """Whether something covers the face."""
    return not set(COVERS).isdisjoint(quality.reasons)


def cover_bits(quality: Quality) -> int:
    """What covers the face, as bits. The likeness of two faces that share a bit tells nothing."""
    return sum(1 << bit for bit, code in enumerate(COVERS) if code in quality.reasons)


def _interpolate(curve: _Curve, value: float) -> float:
    return float(np.interp(value, *curve))


def _reasons(factors: Mapping[str, float]) -> tuple[str, ...]:
    """The factors so low that two of them would make a face poor; if there is none, the lowest."""
    gravest = sorted(factors, key=lambda code: factors[code])
    grave = [code for code in gravest if factors[code] ** 2 < FOUNDING_SCORE]
    return tuple(grave or gravest[:1])


class _TemplateFit:
    """Five landmarks and the similarity transform that maps them to the template.

    Points are complex numbers, x + iy, so that scaling with rotation is one multiplication.
    """

    def __init__(self, landmarks: Landmarks) -> None:
        points = _complex(landmarks)
        self._centre = points.mean()
        moved = points - self._centre
        extent = float((np.abs(moved) ** 2).sum())
        # Least squares: the transform of Umeyama (1991), which has this closed form in the plane.
        self._scale = (moved.conj() @ _TEMPLATE_MOVED) / extent if extent > 0 else 0j
        eyes, mouth = (points[0] + points[1]) / 2, (points[3] + points[4]) / 2
        # Yaw shortens the distance between the eyes, pitch that between eyes and mouth: the longer
        # one gives the size.
        self.eye_distance = float(
            max(abs(points[1] - points[0]), abs(mouth - eyes) / _TEMPLATE_EYES_TO_MOUTH)
        )
        """px between the eyes, as if the face looked into the camera."""
        off = (points[2] - (eyes + mouth) / 2) * self._scale
        across = self.eye_distance * abs(self._scale)
        self.turn = abs(off.real) / across if across > 0 else 0.0
        """Horizontal distance of the nose tip from the middle of eyes and mouth on the upright
        face, in distances between the eyes."""

    def outside(self, image: Image) -> float:
        """The share of the aligned face that lies outside the image, 0 to 1."""
        if not self._scale:
            return 1.0
        height, width = image.shape[:2]
        points = _GRID / self._scale + self._centre
        inside = (
            (points.real >= 0) & (points.real < width) & (points.imag >= 0) & (points.imag < height)
        )
        return float(1 - inside.mean())


def _measure_sharpness(grey: NDArray[np.uint8]) -> float:
    """The share of the gradient that a blur along it removes: 0 (blurred) to 1.

    One minus the metric of Crete et al., "The blur effect" (SPIE 6492, 2007), which needs no
    reference and does not depend on contrast. The lowest of four directions counts: two as
    published, and two after a rotation by 45 degrees, to find motion in any direction (rank
    correlation with the cosine under motion blur 0.77 instead of 0.70).
    `skimage.measure.blur_effect` agrees within 0.03 and takes nine times as long.
    """
    import cv2

    # The inner face only: neither its outline nor the edge of the frame counts.
    upright = grey[24:108, 16:96]
    rotated = cv2.warpAffine(grey, _TURN_45, (_CHIP, _CHIP))[36:96, 26:86]
    lost = []
    for part in (upright, rotated):
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
