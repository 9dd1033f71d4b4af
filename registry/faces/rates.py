"""Curves from cosine similarity to false-accept rate. Pure.

A curve is a list of knots on the probit scale: the score z of a similarity is the quantile of the
standard normal distribution with the same share above it. Similarities of different people are
nearly normally distributed (`docs/BENCHMARKS.md`, "Similarity of different people"), so a curve is
nearly a line on that scale. It is linear between knots, and beyond the outer ones it continues with
the same slope: a normal tail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NORMAL = NormalDist()
_BODY = (0.99, 0.95, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01)
"""False-accept rates of the knots of a fitted curve; beyond the last one is its tail."""
_LAST = 1e-6
"""False-accept rate of the knot that determines the slope of the tail."""
_LEAST, _MOST = -8.0, 30.0
"""Scores between which knots are kept: outside, a rate cannot be told from 1 or 0."""
_STEEPEST = 1e-4
"""Least slope between two knots, in cosine per score: equal similarities, which rounding makes,
must still give a curve."""


def score(rate: float) -> float:
    """The score of a false-accept rate above 0 and below 1."""
    return -_NORMAL.inv_cdf(rate)


def rate(score: float) -> float:
    """The share of a normal distribution above a score."""
    return 0.5 * math.erfc(score / math.sqrt(2))


@dataclass(frozen=True, slots=True)
class Curve:
    """By cosine, the share of pairs of different people that are at least as similar."""

    knots: tuple[tuple[float, float], ...]
    """Two or more pairs (similarity, false-accept rate): similarities rise, rates fall and lie
    between 0 and 1, both excluded."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for knots that are not valid."""
        pairs = [(s, r) for s, r in self.knots if math.isfinite(s) and 0 < r < 1]
        falls = all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(pairs))
        if len(pairs) < 2 or len(pairs) != len(self.knots) or not falls:
            raise ValueError("a curve needs two knots, with rising similarity and falling rate")

    def far(self, similarity: float) -> float:
        """The false-accept rate at a threshold of this cosine, per comparison of two faces."""
        return rate(float(self.scores(np.array([similarity]))[0]))

    def similarity(self, far: float) -> float:
        """The threshold of this false-accept rate: cosine, at most 1 and at least -1."""
        return self.at(score(far))

    def at(self, score: float) -> float:
        """The cosine of a score, at most 1 and at least -1."""
        x, z = self._line()
        return float(np.clip(_linear(np.array([score]), z, x)[0], -1, 1))

    def scores(self, similarities: Floats) -> Floats:
        """float64 (n,): the scores of n similarities."""
        x, z = self._line()
        return _linear(np.asarray(similarities, np.float64), x, z)

    def moved(self, mean: float, deviation: float) -> Curve:
        """The curve of a population whose scores on this one have this mean and deviation."""
        x, z = self._line()
        moved = (z - mean) / deviation
        keep = (moved > _LEAST) & (moved < _MOST)
        if keep.sum() < 2:  # the population lies between two knots
            moved = np.array([-1.0, 1.0])
            x, keep = _linear(mean + deviation * moved, z, x), np.array([True, True])
        knots = zip(x[keep].tolist(), moved[keep].tolist(), strict=True)
        return Curve(tuple((s, rate(m)) for s, m in knots))

    def _line(self) -> tuple[Floats, Floats]:
        x = np.array([s for s, _ in self.knots])
        return x, np.array([score(r) for _, r in self.knots])


def fit(similarities: Floats, weights: Floats | None = None) -> Curve:
    """Fit a curve to a sample: its quantiles down to 1 %, then a normal tail.

    The tail starts at the 1 % quantile u. Its one parameter, the slope b in cosine per score, is
    the maximum-likelihood estimate from the similarities above u, taken as the upper end of a
    normal distribution, so that rates of 1e-4 and below depend on the whole upper 1 % and not on
    the few largest values. A generalised Pareto tail would end at a finite cosine and give
    everything beyond it the rate 0.

    Args:
        similarities: (n,) of pairs of different people, 100 or more.
        weights: (n,), weights of the similarities; by default all are equal.

    Raises `ValueError` for fewer than 100 similarities.
    """
    x = np.asarray(similarities, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    order = np.argsort(x)
    x, w = x[order], w[order]
    if len(x) < 100:
        raise ValueError("fewer than 100 similarities: no curve can be fitted")
    above = 1 - (np.cumsum(w) - 0.5 * w) / w.sum()
    body = np.interp(_BODY, above[::-1], x[::-1])
    steps = np.maximum(np.diff(body), _STEEPEST * np.diff([score(r) for r in _BODY]))
    body = body[0] + np.concatenate([[0.0], np.cumsum(steps)])
    u, start = float(body[-1]), score(_BODY[-1])
    top = x > u
    slope = _tail_slope(x[top] - u, w[top], start) if top.any() else _STEEPEST
    last = u + slope * (score(_LAST) - start)
    return Curve((*zip(body.tolist(), _BODY, strict=True), (last, _LAST)))


def _tail_slope(excess: Floats, weights: Floats, start: float) -> float:
    """The maximum-likelihood b, if `excess` is distributed as b (Z - start) for a normal Z > start.

    With e = excess / b, the log-likelihood of one value is -log b - start e - e² / 2. Its
    derivative in b is 0 at b² - start m b - q = 0, where m and q are the means of excess and of its
    square.
    """
    mean = float(np.average(excess, weights=weights))
    square = float(np.average(excess**2, weights=weights))
    slope = (start * mean + math.sqrt((start * mean) ** 2 + 4 * square)) / 2
    return max(slope, _STEEPEST)


def _linear(at: Floats, x: Floats, y: Floats) -> Floats:
    """Interpolate linearly between the points, and extrapolate with the outer slopes."""
    inside: Floats = np.interp(at, x, y)
    low, high = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
    below: Floats = np.minimum(at - x[0], 0) * low
    above: Floats = np.maximum(at - x[-1], 0) * high
    return inside + below + above


def identification_rate(far: float, comparisons: int) -> float:
    """The probability that someone who is not on record gets a match (FPIR).

    The false-positive identification rate of ISO/IEC 19795-1 for N independent comparisons with the
    same false-accept rate: 1 - (1 - FAR)^N.
    """
    return -math.expm1(comparisons * math.log1p(-min(far, 1 - 1e-16)))
