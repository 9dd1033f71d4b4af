"""How alike strangers are to each model: false-accept rate by cosine, and its source.

SFace and w600k MobileFaceNet were measured on 360 photos of 60 people (LFW), each with its own
detector, good faces only: 61,611 and 61,960 pairs of photos of 1,770 pairs of different people
(`python -m benchmarks.rates` prints the knots). Down to 1 % the knots are quantiles; the last one
is on a normal tail fitted to the upper 1 %. So rates below about 1e-4 are estimates of the tail.
The comparison with counted rates is in docs/BENCHMARKS.md, Models.

These are press photos of public figures, mostly of men. People in one studio are more alike, so
`face-registry calibrate` measures the rates on a registry's own videos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from registry.domain import ModelInfo
from registry.faces.rates import Curve
from registry.models.entries import CATALOGUE, INT8


@dataclass(frozen=True, slots=True)
class ModelCurve:
    """The curve of one model."""

    curve: Curve
    source: str
    measured: bool
    """Whether its rates were measured here, not published or assumed."""
    finest: float
    """The lowest rate that was measured: one in as many pairs. Rates below it are guesses."""
    same_person: float
    """Median cosine of two photos of one person. Source: docs/BENCHMARKS.md, "Relatives"."""
    lower: tuple[float, ...]
    """Cosine by which consolidation lowers its threshold for a join with one pair of tracks that is
    evidence, two pairs, and three or more: an average over several pairs strays less than one pair
    does. Source: docs/BENCHMARKS.md, "Hard footage"."""


_LFW = 1 / 60_000
"""One in the pairs of photos of different people (61,611 and 61,960), rounded down."""
_SAME_PERSON = 0.60
"""Measured with w600k MobileFaceNet, and taken for other packs, which were not measured."""
_LOWER = (0.0, 0.04, 0.05)
"""Measured with SFace, and taken for packs that were not measured."""
_MR_ALL = 1e-6
"""The false-accept rate at which InsightFace publishes results."""
_ASSUMED = 1e-4
"""Nothing was measured: the false-accept rate that a calibration aims at by default."""


_SFACE = ModelCurve(
    Curve(
        (
            (-0.1137, 0.99), (-0.0540, 0.95), (-0.0222, 0.9), (0.0165, 0.8), (0.0564, 0.65),
            (0.0909, 0.5), (0.1246, 0.35), (0.1653, 0.2), (0.2032, 0.1), (0.2347, 0.05),
            (0.2695, 0.02), (0.2932, 0.01), (0.4835, 1e-6),
        )
    ),
    "measured on 360 photos of 60 people (LFW)",
    measured=True,
    finest=_LFW,
    same_person=0.67,
    lower=_LOWER,
)  # fmt: skip
_MOBILEFACENET = ModelCurve(
    Curve(
        (
            (-0.1341, 0.99), (-0.0919, 0.95), (-0.0689, 0.9), (-0.0403, 0.8), (-0.0106, 0.65),
            (0.0149, 0.5), (0.0405, 0.35), (0.0713, 0.2), (0.1025, 0.1), (0.1275, 0.05),
            (0.1583, 0.02), (0.1782, 0.01), (0.3621, 1e-6),
        )
    ),
    "measured on 360 photos of 60 people (LFW), with the network's int8 version",
    measured=True,
    finest=_LFW,
    same_person=_SAME_PERSON,
    lower=(0.0, 0.05, 0.06),
)  # fmt: skip
_PUBLISHED = Curve(((0.0, 0.5), (0.4078, 1e-6)))
"""A normal distribution with mean 0, as of unrelated directions, through the one point that
InsightFace publishes for buffalo_l: FAR 1e-6 at 0.4078 (MR-ALL)."""
_W600K_R50 = ModelCurve(
    _PUBLISHED,
    "a normal curve through InsightFace's published FAR 1e-6 at 0.4078 (MR-ALL); not measured here",
    measured=False,
    finest=_MR_ALL,
    same_person=_SAME_PERSON,
    lower=_LOWER,
)
_UNKNOWN = ModelCurve(
    _PUBLISHED,
    "buffalo_l's published point, since this model has none",
    measured=False,
    finest=_ASSUMED,
    same_person=_SAME_PERSON,
    lower=_LOWER,
)

CURVES: Mapping[str, ModelCurve] = MappingProxyType(
    {
        CATALOGUE["sface"].digest: _SFACE,
        CATALOGUE["buffalo_s"].digest: _MOBILEFACENET,
        INT8: _MOBILEFACENET,
        CATALOGUE["buffalo_l"].digest: _W600K_R50,
    }
)
"""The curves by `ModelInfo.digest`; buffalo_sc has the weights of buffalo_s."""


def shipped_curve(model: ModelInfo) -> ModelCurve:
    """The curve of a registry's model, identified by its weights."""
    return CURVES.get(model.digest, _UNKNOWN)
