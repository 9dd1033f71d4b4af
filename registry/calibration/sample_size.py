"""Labelled pairs, and the effective size of a sample of them. Pure.

Each pair of people counts once, however many pairs of their faces there are, and pairs that share a
person are dependent. The variance of the mean is therefore the one for dyadic data (Aronow, Samii
and Assenova 2015, Political Analysis 23). The variance of one pair divided by it is the effective
size: the number of independent pairs that carry as much information. Estimated from few people that
ratio is too large, so it is capped at the number of people, which is the effective size of all
pairs among many people if half of the variance of a pair comes from its two people. Wilson
intervals with that number keep their coverage at rates near zero, where bootstraps do not
(Fogliato, Patil and Perona 2024, International Journal of Computer Vision: confidence intervals for
error rates in 1:1 matching tasks).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registry.faces.rates import Curve, Floats

_Z = 1.959963984540054
"""Standard normal quantile of the upper end of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Similarities of pairs that are known to show one person, or two different people."""

    similarities: Floats
    """(n,) cosines."""
    people: NDArray[np.int64]
    """(n, 2): the numbers of the two people of each, the lesser first; equal for one person."""
    weights: Floats | None = None
    """(n,): the weight of the two people of each pair, the same for all pairs of the same two. None
    gives all people equal weight."""


@dataclass(frozen=True, slots=True)
class Support:
    """The size of a sample of impostor pairs, and the distribution of its scores."""

    pairs: int
    """Pairs of faces, or of tracks."""
    of_people: int
    """Pairs of people."""
    people: int
    independent: float
    """Effective size: the number of independent pairs of people that carry as much information."""
    shift: float
    """Mean of their scores on the shipped curve."""
    scale: float
    """Standard deviation of their scores."""


def support(impostors: Pairs, shipped: Curve) -> Support:
    """The size of a sample, and the mean and deviation of its scores on the shipped curve."""
    if not len(impostors.similarities):
        return Support(0, 0, 0, 0.0, 0.0, 1.0)
    scores = shipped.scores(impostors.similarities)
    who, of_pair, size = by_people(impostors)
    weight = _of_pairs(impostors, of_pair, len(who))
    share = (weight / size)[of_pair]
    mean = float(np.average(scores, weights=share))
    spread = math.sqrt(float(np.average((scores - mean) ** 2, weights=share)))
    means = np.bincount(of_pair, scores, len(who)) / size
    effective = _effective_size(means, who, weight)
    people = len(np.unique(who))
    return Support(len(scores), len(who), people, effective, mean, spread)


def face_weights(pairs: Pairs) -> Floats:
    """float64 (n,): weights of the pairs that sum, for each pair of people, to its weight."""
    who, of_pair, size = by_people(pairs)
    weights: Floats = (_of_pairs(pairs, of_pair, len(who)) / size)[of_pair]
    return weights


def by_people(pairs: Pairs) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Group pairs by their two people.

    Returns:
        The pairs of people (m, 2), the row of it for each pair (n,), and the pairs of each (m,).
    """
    who, of_pair = np.unique(pairs.people, axis=0, return_inverse=True)
    of_pair = of_pair.reshape(-1)
    return who, of_pair, np.bincount(of_pair, minlength=len(who)).astype(np.float64)


def _of_pairs(pairs: Pairs, of_pair: NDArray[np.int64], count: int) -> Floats:
    weights = np.ones(count)
    if pairs.weights is not None:
        weights[of_pair] = pairs.weights
    return weights


def _effective_size(means: Floats, who: NDArray[np.int64], weights: Floats) -> float:
    """Variance of one pair of people over the variance of the mean.

    The products of residuals, summed over all two pairs that share a person, are the squared sums
    of the residuals of each person, less each pair with itself, which those count twice.
    """
    centred = weights * (means - np.average(means, weights=weights))
    own = float((centred**2).sum())
    sums = np.bincount(who.ravel(), np.repeat(centred, 2))
    people = len(np.unique(who))
    # Residuals from an estimated mean are too small, by this factor for data with two people each.
    shared = (float((sums**2).sum()) - own) * people / max(people - 2, 1)
    variance = max(shared, own) / weights.sum() ** 2
    if variance <= 0:
        return 1.0
    single = own / float((weights**2).sum())
    return float(np.clip(single / variance, 1.0, min(len(means), people)))


def wilson(share: float, independent: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `independent` trials; 0 to 1 for no trials."""
    if independent <= 0:
        return 0.0, 1.0
    middle = (share + _Z**2 / (2 * independent)) / (1 + _Z**2 / independent)
    half = math.sqrt(share * (1 - share) / independent + _Z**2 / (4 * independent**2))
    half *= _Z / (1 + _Z**2 / independent)
    return max(middle - half, 0.0), min(middle + half, 1.0)
