"""From labelled pairs of a registry's own faces to its thresholds, and how sure they are. Pure.

What is estimated. Impostor similarities of the registry are put on the scale of the model's shipped
curve (`registry.faces.rates`), where the people that it was measured on have mean 0 and deviation
1. Here they have another mean and deviation: one studio, one camera, one kind of people. These two
numbers are estimated and move the curve; the shape of its tail is the model's. So a false-accept
rate of 1e-4 can be given a threshold from fewer than the 3 / 1e-4 independent pairs that would show
it directly (Mansfield and Wayman 2002, Best Practices in Testing and Reporting Performance of
Biometric Devices: the rule of three), and the answer says which of the two it is.

What counts as one: a pair of people, and pairs that share somebody are dependent; see
`registry.calibration.dependence`.

What is believed before. A normal-inverse-chi-squared prior (Gelman et al., Bayesian Data Analysis,
3.3) at the shipped curve; see `PRIOR_PAIRS` and `PRIOR_SPREAD`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from registry.calibration.dependence import Pairs, Support, face_weights, support, wilson
from registry.faces.rates import Curve, fit, rate, score

TARGET_FAR = 1e-4
"""False accepts per comparison that a calibration aims at: what SFace's shipped 0.40 has on LFW
(1.1e-4), one of the points at which verification is usually reported, and with a hundred people on
record one lookup of a stranger in a hundred that names somebody."""
LEAST_PAIRS = 10
"""Pairs of people below which nothing is moved: nominal 95 % intervals of a mean of skewed data
cover about 80 % at n = 5."""
PRIOR_PAIRS = 1.0
"""Pairs of people that the shipped curve's mean counts as. A registry's mean lies off it by a
deviation of 1: measured 0.8 (SFace) and 1.5 (w600k_mbf) on 24 clips of nine people in two studios,
0.0 on videos made of photographs."""
PRIOR_SPREAD = 6.0
"""Pairs that its deviation counts as: a deviation of 30 % in it, 1 / sqrt(2 x 6); measured 1.28 and
1.49 on those clips, 1.0 on the others."""
_DRAWS, _SEED = 20_000, 20_261
_RULE_OF_THREE = 3.0
_ENDS = (0.025, 0.975)


class Basis(StrEnum):
    """What a threshold rests on."""

    MEASURED = "measured"
    """Enough independent pairs to see the target rate itself."""
    MOVED = "moved"
    """The shipped curve, moved and stretched to this registry's pairs: the tail is the model's."""
    SHIPPED = "shipped"
    """Too few pairs: the shipped curve as it is."""


@dataclass(frozen=True, slots=True)
class Operating:
    """A threshold, and what can be said of it."""

    threshold: float
    low: float
    """95 % interval of the threshold that has the target rate."""
    high: float
    target: float
    """False-accept rate that was asked for."""
    far: float
    """The one at `threshold`, estimated."""
    far_low: float
    """Its 95 % interval."""
    far_high: float
    basis: Basis
    shipped: float
    """Threshold of the target rate on the shipped curve."""
    support: Support
    curve: Curve

    @property
    def needed(self) -> int:
        """Independent pairs that would show the target rate itself: 3 / FAR."""
        return math.ceil(_RULE_OF_THREE / self.target)


def operate(impostors: Pairs, shipped: Curve, target: float, own: float | None = None) -> Operating:
    """The threshold of a false-accept rate.

    It is raised as far as the estimate says, and lowered only as far as the upper end of its
    interval lies below the shipped one: to accept more strangers needs evidence.

    Args:
        impostors: pairs of different people.
        shipped: the model's curve.
        target: false-accept rate, above 0 and below 1.
        own: the model's own threshold, which stays where there are too few pairs; None: the one
            that has the target rate on its curve.
    """
    known = shipped.similarity(target)
    found = support(impostors, shipped)
    few = found.of_people < LEAST_PAIRS
    if not few and found.independent >= _RULE_OF_THREE / target:
        return _measured(impostors, found, known, target)
    belief = _Belief(found, shipped)
    low, high = belief.thresholds(target)
    curve = shipped if few else belief.curve()
    stays = known if own is None else own
    threshold = stays if few else _careful(curve.similarity(target), high, known)
    basis = Basis.SHIPPED if few else Basis.MOVED
    far, rates = curve.far(threshold), belief.rates(threshold)
    return Operating(threshold, low, high, target, far, *rates, basis, known, found, curve)


class _Belief:
    """Mean and deviation of the registry's scores, after its pairs were seen."""

    def __init__(self, found: Support, shipped: Curve) -> None:
        n = found.independent if found.of_people > 1 else 0.0
        places, degrees = PRIOR_PAIRS + n, PRIOR_SPREAD + n
        squares = PRIOR_SPREAD + max(n - 1, 0) * found.scale**2
        squares += PRIOR_PAIRS * n / places * found.shift**2
        self._shipped = shipped
        self._mean = n * found.shift / places
        self._deviation = math.sqrt(squares / (degrees - 2))
        random = np.random.default_rng(_SEED)
        self._scales = np.sqrt(squares / random.chisquare(degrees, _DRAWS))
        places_drawn = random.standard_normal(_DRAWS) / math.sqrt(places)
        self._shifts = self._mean + self._scales * places_drawn

    def curve(self) -> Curve:
        return self._shipped.moved(self._mean, self._deviation)

    def thresholds(self, target: float) -> tuple[float, float]:
        """95 % interval of the threshold."""
        low, high = np.quantile(self._shifts + self._scales * score(target), _ENDS)
        return self._shipped.at(float(low)), self._shipped.at(float(high))

    def rates(self, threshold: float) -> tuple[float, float]:
        """95 % interval of the false-accept rate at a threshold."""
        z = float(self._shipped.scores(np.array([threshold]))[0])
        low, high = np.quantile((z - self._shifts) / self._scales, _ENDS)
        return rate(float(high)), rate(float(low))


def _careful(estimate: float, high: float, known: float) -> float:
    return estimate if estimate >= known else min(known, max(estimate, high))


def _measured(impostors: Pairs, found: Support, known: float, target: float) -> Operating:
    """Read off the pairs themselves; the interval is where Wilson's holds the target."""
    curve = fit(impostors.similarities, face_weights(impostors))
    held = [
        r
        for r in (target * np.geomspace(1e-2, 1e2, 401)).tolist()
        if r < 1 and _holds(r, found.independent, target)
    ]
    low, high = curve.similarity(max(held)), curve.similarity(min(held))
    threshold = _careful(curve.similarity(target), high, known)
    far = curve.far(threshold)
    rates = wilson(far, found.independent)
    return Operating(threshold, low, high, target, far, *rates, Basis.MEASURED, known, found, curve)


def _holds(share: float, independent: float, target: float) -> bool:
    low, high = wilson(share, independent)
    return low <= target <= high


@dataclass(frozen=True, slots=True)
class Rejections:
    """How often one person's faces stay below a threshold."""

    rate: float
    """Averaged over people, each counting once."""
    low: float
    """95 % interval, the people being the independent trials."""
    high: float
    people: int
    pairs: int


def rejections(genuine: Pairs, threshold: float) -> Rejections | None:
    """The false-reject rate at a threshold; None without a genuine pair."""
    if not len(genuine.similarities):
        return None
    people, which = np.unique(genuine.people[:, 0], return_inverse=True)
    below = (genuine.similarities < threshold).astype(np.float64)
    shares = np.bincount(which, below) / np.bincount(which)
    mean = float(shares.mean())
    return Rejections(mean, *wilson(mean, len(people)), len(people), len(below))


def odd(similarities: Sequence[float], shipped: Curve, least: float) -> list[bool]:
    """Which pairs of people are too alike to be two: rather a mirror or a picture in the picture.

    Of n pairs as they are here, fewer than `_EXPECTED` should be so alike, and they are at or above
    `least`, the shipped threshold of verification. Where the middle of the pairs lies and how far
    they spread is told by median and quartiles, which a few wrong labels do not move.
    """
    if not similarities:
        return []
    z = shipped.scores(np.array(similarities))
    low, middle, high = np.quantile(z, (0.25, 0.5, 0.75))
    spread = max(float(high - low) / _QUARTILES, 1.0)
    return [
        similarity >= least and len(z) * rate(float(at - middle) / spread) < _EXPECTED
        for similarity, at in zip(similarities, z, strict=True)
    ]


_EXPECTED = 0.01
_QUARTILES = 1.3489795
"""Distance between the quartiles of a normal distribution, in deviations."""
