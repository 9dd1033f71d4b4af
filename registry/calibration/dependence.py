"""What a sample of pairs is worth: labelled similarities, and how many independent ones. Pure.

Each pair of people counts once, however many pairs of their faces there are, and pairs that share
somebody are dependent. The variance of the mean is therefore the one for dyadic data (Aronow, Samii
and Assenova 2015, Political Analysis 23), and the ratio of the variance of one pair to it is the
number of independent pairs that the sample is worth. Estimated from few people that ratio is too
large, so it is capped at their number: what all pairs among many people are worth where half of a
pair's variance is its people's own. Wilson intervals with that number keep their coverage at rates
near zero, where bootstraps do not (Fogliato, Patil and Perona 2024, International Journal of
Computer Vision: confidence intervals for error rates in 1:1 matching tasks).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registry.faces.rates import Curve, Floats

_Z = 1.959963984540054
"""Score of the upper end of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Similarities of pairs of which it is known whether they show one person."""

    similarities: Floats
    """(n,) cosines."""
    people: NDArray[np.int64]
    """(n, 2): the two people of each, the lesser number first; of one person, twice the same."""
    weights: Floats | None = None
    """(n,): how much the people of each stand for; None: as much for all. It is one for all pairs
    of the same two."""


@dataclass(frozen=True, slots=True)
class Support:
    """How much a sample of impostor pairs is worth."""

    pairs: int
    """Pairs of faces, or of tracks."""
    of_people: int
    """Pairs of people."""
    people: int
    independent: float
    """Independent pairs of people that they are worth."""
    shift: float
    """Mean of their scores on the shipped curve."""
    scale: float
    """Standard deviation of their scores."""


def support(impostors: Pairs, shipped: Curve) -> Support:
    """What the pairs come to: mean and deviation of their scores, and how many they are worth."""
    if not len(impostors.similarities):
        return Support(0, 0, 0, 0.0, 0.0, 1.0)
    scores = shipped.scores(impostors.similarities)
    who, of_pair, size = by_people(impostors)
    weight = _of_pairs(impostors, of_pair, len(who))
    share = (weight / size)[of_pair]
    mean = float(np.average(scores, weights=share))
    spread = math.sqrt(float(np.average((scores - mean) ** 2, weights=share)))
    means = np.bincount(of_pair, scores, len(who)) / size
    worth = _independent(means, who, weight)
    people = len(np.unique(who))
    return Support(len(scores), len(who), people, worth, mean, spread)


def face_weights(pairs: Pairs) -> Floats:
    """(n,): what each pair counts, so that each pair of people counts once, or as its weight."""
    who, of_pair, size = by_people(pairs)
    weights: Floats = (_of_pairs(pairs, of_pair, len(who)) / size)[of_pair]
    return weights


def by_people(pairs: Pairs) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """The pairs of people (m, 2), which of them each pair is of (n,), and how many are (m,)."""
    who, of_pair = np.unique(pairs.people, axis=0, return_inverse=True)
    of_pair = of_pair.reshape(-1)
    return who, of_pair, np.bincount(of_pair, minlength=len(who)).astype(np.float64)


def _of_pairs(pairs: Pairs, of_pair: NDArray[np.int64], count: int) -> Floats:
    weights = np.ones(count)
    if pairs.weights is not None:
        weights[of_pair] = pairs.weights
    return weights


def _independent(means: Floats, who: NDArray[np.int64], weights: Floats) -> float:
    """Independent pairs of people that these are worth: variance of one over that of the mean.

    The sum over all two pairs that share somebody of the product of their residuals is the sum over
    people of the squared sum of theirs, less what was counted twice: each pair with itself.
    """
    centred = weights * (means - np.average(means, weights=weights))
    own = float((centred**2).sum())
    sums = np.bincount(who.ravel(), np.repeat(centred, 2))
    people = len(np.unique(who))
    # Residuals from an estimated mean are too small: by the factor of two-way data with few people.
    shared = (float((sums**2).sum()) - own) * people / max(people - 2, 1)
    variance = max(shared, own) / weights.sum() ** 2
    if variance <= 0:
        return 1.0
    single = own / float((weights**2).sum())
    return float(np.clip(single / variance, 1.0, min(len(means), people)))


def wilson(share: float, independent: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of so many independent trials; none: 0 to 1."""
    if independent <= 0:
        return 0.0, 1.0
    middle = (share + _Z**2 / (2 * independent)) / (1 + _Z**2 / independent)
    half = math.sqrt(share * (1 - share) / independent + _Z**2 / (4 * independent**2))
    half *= _Z / (1 + _Z**2 / independent)
    return max(middle - half, 0.0), min(middle + half, 1.0)
