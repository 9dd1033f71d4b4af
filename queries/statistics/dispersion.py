"""How much the values of videos vary beyond their people: pooled over all videos. Pure.

A person with few videos of a skewed metric shows too small a spread of their own, so nobody's own
spread is used. What the multiple-membership model leaves of each value is pooled instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from queries.statistics.membership import Membership, fit
from queries.statistics.observations import Floats, Observations
from queries.statistics.saddlepoint import SMOOTH, Shape

SKEWED = 0.5
"""Skewness from which the variance of a metric without negative values grows with its mean."""

EVIDENCE = 2.71
"""Fall of the deviance from which people are taken to differ, and the variance between them is not
counted as dispersion. Below it, nothing is taken out, and the answer is that of randomisation. The
95 % point where the true ratio is 0 (Self and Liang 1987)."""

_OWN = 3
"""Videos of a person, and such people, from which own variances are looked at."""
_OWN_FLOOR = 0.25
_PASSES = 3
_DOUBT = 0.5


@dataclass(frozen=True, slots=True)
class Dispersion:
    """The pooled residuals."""

    power: int
    """The variance of a mean grows with this power of it: 2 for a skewed metric above 0 (a person
    multiplies it), 1 for a skewed metric with zeros (counts, rates), otherwise 0."""
    shape: Shape
    sigma: float
    """Standard deviation of a residual where the relative variance is 1, at the mean of all videos;
    for power 2 as a share of that mean."""
    relative: Floats
    """Relative variance of each video, which its weight decides. Mean 1."""
    own: Floats
    """How many times larger the variance is in each person's videos, at least 1."""
    freedom: float
    model: Membership
    """Without covariates; of the logarithms if `logarithmic`."""
    logarithmic: bool


def pooled(observed: Observations, values: Floats, logarithmic: bool) -> Dispersion:
    """The dispersion of values, or of their logarithms if these are the values given.

    Args:
        observed: the videos that count; their values are not used.
        values: one for each video, not all equal: the metric, or its logarithms.
        logarithmic: whether these are logarithms already.
    """
    weights = observed.weights
    power = 0
    if not logarithmic and values.min() >= 0 and moment(values, 3) > SKEWED:
        power = 2 if values.min() > 0 else 1
    modelled = np.log(values) if power == 2 else values
    model, relative = fitted(observed, modelled, np.ones((len(values), 1)))
    centred = modelled - np.average(modelled, weights=weights)
    rest = centred / np.sqrt(relative)
    variance, freedom = float(np.var(rest, ddof=1)), len(values) - 1.0
    if model.evidence > EVIDENCE:
        variance, freedom = model.residual_variance, model.freedom
    rest *= np.sqrt(variance / np.mean((rest - rest.mean()) ** 2))
    own = own_variance(observed, rest / np.sqrt(variance), power == 1)
    if power == 2:
        shape, sigma = _multiplied(rest, relative, weights)
    else:
        shape, sigma = Shape(rest, np.ones(len(rest))), float(np.sqrt(variance))
    return Dispersion(power, shape, sigma, relative, own, freedom, model, logarithmic or power == 2)


def _multiplied(rest: Floats, relative: Floats, weights: Floats) -> tuple[Shape, float]:
    """Shape and deviation of factors, whose logarithms these are; smoothed as logarithms."""
    nodes = np.array([-np.sqrt(3), 0, np.sqrt(3)])  # of Gauss and Hermite: a normal kernel
    chances = np.array([1 / 6, 2 / 3, 1 / 6])
    smoothed = rest[:, None] * np.sqrt(1 - SMOOTH**2) + SMOOTH * rest.std() * nodes
    root = np.sqrt(relative)[:, None]
    factors = np.exp(np.clip(smoothed * root, -50, 50))
    mean = float(np.average(factors @ chances, weights=weights))
    residuals = (factors / mean - 1) / root
    p = np.broadcast_to(chances / len(rest), residuals.shape)
    middle = float((residuals * p).sum())
    sigma = float(np.sqrt((p * (residuals - middle) ** 2).sum()))
    return Shape(residuals.ravel(), p.ravel(), smooth=0.02), sigma


def moment(values: Floats, power: int) -> float:
    """The standardised central moment of this power; that of a normal sample if all are equal."""
    centred = values - values.mean()
    largest = float(np.abs(centred).max())
    if largest <= 1e-12 * float(np.abs(values).max()):
        return 3.0 if power == 4 else 0.0
    centred /= largest
    return float(np.mean(centred**power) / np.mean(centred**2) ** (power / 2))


def own_variance(observed: Observations, standard: Floats, growing: bool) -> Floats:
    """How many times larger the variance within each person's videos is than the pooled one.

    The variance of a few values tells little, so it is drawn towards the pooled one like a mean is
    (Smyth 2004, with moments in place of the normal theory: a sample variance has the variance
    2 / (n - 1) + k / n where k is the excess kurtosis of a value). If variances scatter no more
    than chance explains, by half a standard error, all are the pooled one. None is taken to be
    smaller.

    Args:
        observed: the videos that count.
        standard: values less their mean, in units of the pooled deviation.
        growing: whether the variance grows with the mean, and values are those of the metric.
    """
    n = observed.counts
    usable = n >= _OWN
    if usable.sum() < _OWN:
        return np.ones(len(n))
    safe = np.maximum(n, 2)
    middle = observed.incidence.T @ standard / safe
    squares = observed.incidence.T @ standard**2
    ratio = (squares - n * middle**2) / (safe - 1)
    if growing:
        mean = float(np.average(observed.values))
        part = observed.incidence.T @ observed.values / safe / mean
        ratio = ratio / np.maximum((part + part**2) / 2, _OWN_FLOOR)
    drawn = np.ones(len(n))
    videos, person = observed.pairs
    for _ in range(_PASSES):  # unequal variances alone also cause kurtosis: take it out
        values = standard[videos] / np.sqrt(np.maximum(drawn, _OWN_FLOOR))[person]
        chance = 2 / (safe - 1) + max(moment(values, 4) - 3, 0) / safe
        trust = np.where(usable, 1 / chance**2, 0)
        scatter = float((trust * ((ratio - 1) ** 2 - chance)).sum() / trust.sum())
        scatter -= _DOUBT * float(np.sqrt(2 / trust.sum()))
        if scatter <= 0:
            return np.ones(len(n))
        drawn = np.where(usable, 1 + scatter / (scatter + chance) * (ratio - 1), 1)
    return np.maximum(drawn, 1)


def fitted(observed: Observations, values: Floats, design: Floats) -> tuple[Membership, Floats]:
    """The multiple-membership model of values with covariates, and their relative variances.

    With weights it is fitted twice: the second time, how the variance depends on the weight is
    estimated from what the people leave, if they differ.
    """
    weights = observed.weights
    deviations = values - np.average(values, weights=weights)
    relative = relative_variance(deviations, weights)
    model = fit(observed.incidence, values, design, 1 / relative)
    if np.ptp(relative) > 0 and (model.evidence > EVIDENCE or design.shape[1] > 1):
        relative = relative_variance(values - model.fitted, weights)
        model = fit(observed.incidence, values, design, 1 / relative)
    return model, relative


def relative_variance(deviations: Floats, weights: Floats) -> Floats:
    """Variance of each value by its weight: a part that stays plus a part that falls with 1 / w.

    The first is how videos differ, the second sampling noise, as of a rate of `w` views. Both are
    estimated from squared deviations by non-negative least squares, each weighted by the inverse of
    its variance. Scaled to a mean of 1.
    """
    if np.ptp(weights) <= 1e-12 * weights.max():
        return np.ones(len(deviations))
    squares = deviations**2
    terms = np.column_stack([np.ones(len(squares)), 1 / (weights / weights.mean())])
    variance = np.ones(len(squares))
    for _ in range(5):
        parts, _ = optimize.nnls(terms / variance[:, None], squares / variance)
        if not parts.any():
            return np.ones(len(squares))
        variance = terms @ parts
        variance = np.maximum(variance / variance.mean(), 1e-6)
    return variance
