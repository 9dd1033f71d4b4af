"""Thresholds and their intervals, estimated from labelled pairs of a registry's own faces. Pure.

Model. Impostor similarities are put on the scale of the model's shipped curve
(`registry.faces.rates`), where those that it was measured on have mean 0 and deviation 1. In a
registry with one studio, one camera or one kind of people they have another mean and deviation.
These two are estimated and move the curve; the shape of the tail stays the model's. So a threshold
for a false-accept rate of 1e-4 needs fewer than the 3 / 1e-4 independent pairs that would show that
rate directly (the rule of three: Mansfield and Wayman 2002, Best Practices in Testing and Reporting
Performance of Biometric Devices). `Basis` says which of the two an estimate is.

Sample. The unit is a pair of people, and pairs that share a person are dependent; see
`registry.calibration.sample_size`.

Prior. Normal-inverse-chi-squared (Gelman et al., Bayesian Data Analysis, 3.3), centred on the
shipped curve; see `PRIOR_PAIRS` and `PRIOR_SPREAD`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from registry.calibration.sample_size import Pairs, Support, face_weights, support, wilson
from registry.faces.rates import Curve, fit, rate, score

TARGET_FAR = 1e-4
"""False accepts per comparison that a calibration aims at. Verification is usually reported there,
SFace's shipped 0.40 has about as many, and with a hundred people on record one lookup of a stranger
in a hundred names somebody. Source: docs/BENCHMARKS.md, "Constants of calibration"."""
LEAST_PAIRS = 10
"""Pairs of people below which no threshold is moved. Source: there."""
PRIOR_PAIRS = 1.0
"""Pairs of people that the mean of the shipped curve counts as: a registry's mean differs from it
by a standard deviation of 1. Source: there."""
PRIOR_SPREAD = 6.0
"""Pairs that the deviation of the shipped curve counts as: it varies by 30 % between registries,
1 / sqrt(2 x 6). Source: there."""
_DRAWS, _SEED = 20_000, 20_261
_RULE_OF_THREE = 3.0
_ENDS = (0.025, 0.975)


class Basis(StrEnum):
    """The source of a threshold."""

    MEASURED = "measured"
    """The pairs themselves: enough independent ones to show the target rate."""
    MOVED = "moved"
    """The shipped curve, moved and stretched to this registry's pairs; the tail is the model's."""
    SHIPPED = "shipped"
    """The shipped curve as it is: there are too few pairs."""


@dataclass(frozen=True, slots=True)
class ThresholdEstimate:
    """A threshold with its interval and its false-accept rate."""

    threshold: float
    low: float
    """Lower end of the 95 % interval of the threshold that has the target rate."""
    high: float
    """Upper end."""
    target: float
    """The false-accept rate that was asked for."""
    far: float
    """The estimated false-accept rate at `threshold`."""
    far_low: float
    """Lower end of its 95 % interval."""
    far_high: float
    """Upper end."""
    basis: Basis
    shipped: float
    """The threshold that has the target rate on the shipped curve."""
    support: Support
    curve: Curve

    @property
    def needed(self) -> int:
        """Independent pairs that would show the target rate directly: 3 / FAR."""
        return math.ceil(_RULE_OF_THREE / self.target)


def estimate_threshold(
    impostors: Pairs, shipped: Curve, target: float, own: float | None = None
) -> ThresholdEstimate:
    """Estimate the threshold that has a false-accept rate.

    A threshold is raised to the estimate, but lowered only to the upper end of the interval,
    because accepting more strangers needs evidence.

    Args:
        impostors: pairs of different people.
        shipped: the model's curve.
        target: false-accept rate, above 0 and below 1.
        own: the model's own threshold, which stays if there are too few pairs; None stands for the
            one that has the target rate on the shipped curve.
    """
    known = shipped.similarity(target)
    sample = support(impostors, shipped)
    few = sample.of_people < LEAST_PAIRS
    if not few and sample.independent >= _RULE_OF_THREE / target:
        return _measured(impostors, sample, known, target)
    posterior = _Posterior(sample, shipped)
    low, high = posterior.thresholds(target)
    curve = shipped if few else posterior.curve()
    unmoved = known if own is None else own
    threshold = unmoved if few else _conservative(curve.similarity(target), high, known)
    basis = Basis.SHIPPED if few else Basis.MOVED
    far, rates = curve.far(threshold), posterior.rates(threshold)
    return ThresholdEstimate(threshold, low, high, target, far, *rates, basis, known, sample, curve)


class _Posterior:
    """The posterior distribution of mean and deviation of the registry's scores."""

    def __init__(self, sample: Support, shipped: Curve) -> None:
        n = sample.independent if sample.of_people > 1 else 0.0
        pairs, degrees = PRIOR_PAIRS + n, PRIOR_SPREAD + n
        squares = PRIOR_SPREAD + max(n - 1, 0) * sample.scale**2
        squares += PRIOR_PAIRS * n / pairs * sample.shift**2
        self._shipped = shipped
        self._mean = n * sample.shift / pairs
        self._deviation = math.sqrt(squares / (degrees - 2))
        random = np.random.default_rng(_SEED)
        self._scales = np.sqrt(squares / random.chisquare(degrees, _DRAWS))
        errors = random.standard_normal(_DRAWS) / math.sqrt(pairs)
        self._shifts = self._mean + self._scales * errors

    def curve(self) -> Curve:
        """The shipped curve, moved to the posterior mean and deviation."""
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


def _conservative(estimate: float, high: float, known: float) -> float:
    return estimate if estimate >= known else min(known, max(estimate, high))


def _measured(impostors: Pairs, sample: Support, known: float, target: float) -> ThresholdEstimate:
    """An estimate from the pairs alone.

    Its interval is made of the rates whose Wilson interval contains the target.
    """
    curve = fit(impostors.similarities, face_weights(impostors))
    plausible = [
        r
        for r in (target * np.geomspace(1e-2, 1e2, 401)).tolist()
        if r < 1 and _contains(r, sample.independent, target)
    ]
    low, high = curve.similarity(max(plausible)), curve.similarity(min(plausible))
    threshold = _conservative(curve.similarity(target), high, known)
    far = curve.far(threshold)
    rates = wilson(far, sample.independent)
    return ThresholdEstimate(
        threshold, low, high, target, far, *rates, Basis.MEASURED, known, sample, curve
    )


def _contains(share: float, independent: float, target: float) -> bool:
    low, high = wilson(share, independent)
    return low <= target <= high


@dataclass(frozen=True, slots=True)
class FalseRejects:
    """The share of pairs of one person that are below a threshold."""

    rate: float
    """The mean over people, each counting once."""
    low: float
    """Lower end of its 95 % interval; the people are the independent trials."""
    high: float
    """Upper end."""
    people: int
    pairs: int


def false_rejects(genuine: Pairs, threshold: float) -> FalseRejects | None:
    """The false-reject rate at a threshold; None if there are no genuine pairs."""
    if not len(genuine.similarities):
        return None
    people, which = np.unique(genuine.people[:, 0], return_inverse=True)
    below = (genuine.similarities < threshold).astype(np.float64)
    shares = np.bincount(which, below) / np.bincount(which)
    mean = float(shares.mean())
    return FalseRejects(mean, *wilson(mean, len(people)), len(people), len(below))


def too_similar(similarities: Sequence[float], shipped: Curve, least: float) -> list[bool]:
    """Which pairs of people are too similar to be two: rather a mirror or a picture in the picture.

    A pair is too similar if its similarity is at or above `least` and if fewer than `_EXPECTED`
    pairs as similar are expected in a sample of this size. Median and quartiles give the centre and
    the spread of the sample, because a few wrong labels do not move them.

    Args:
        similarities: one for each pair of people.
        shipped: the model's curve.
        least: the shipped verification threshold.
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
