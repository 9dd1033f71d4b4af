"""Tail probabilities of weighted sums of independent residuals, whatever their shape.

The normal approximation fails for the mean of a few values of a skewed metric. The saddlepoint
approximation uses the whole distribution of the residuals through its cumulant generating function
K(t) = log E exp(t e): Lugannani and Rice (1980) in the form of Barndorff-Nielsen (1986), here with
the empirical K, as Davison and Hinkley (1988) and Robinson (1982) use it in place of the bootstrap
and of randomisation. It needs no random numbers and is accurate far out in the tails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from queries.statistics.observations import Floats

SMOOTH = 0.2
"""Standard deviation of the normal noise that smooths the residuals, in their own: without it, a
sum beyond the largest residual would be called impossible (smoothed bootstrap, Silverman and Young
1987). Variance is restored, so that it stays 1."""
_FARTHEST = 400.0
_LINEAR = 0.02


class Shape:
    """The distribution of residuals, standardised and smoothed, as its generating function."""

    def __init__(self, residuals: Floats, probabilities: Floats, smooth: float = SMOOTH) -> None:
        """`residuals`: any location and scale, not all equal; `probabilities` need no sum of 1."""
        self._smooth = smooth
        p = probabilities / probabilities.sum()
        e = residuals - p @ residuals
        e = e / np.sqrt(p @ (e * e)) * np.sqrt(1 - smooth**2)
        if len(e) > 4000:  # quantiles of the same number on each side of the middle: same shape
            order = np.argsort(e)
            e, p = e[order], p[order]
            keep = np.r_[0:500, len(e) - 500 : len(e)]
            inner = np.array_split(np.arange(500, len(e) - 500), 1500)
            mass = np.array([p[part].sum() for part in inner])
            middle = np.array([p[part] @ e[part] for part in inner]) / mass
            e, p = np.r_[e[keep], middle], np.r_[p[keep], mass]
        side = np.sinh(np.linspace(0, np.arcsinh(_FARTHEST / _LINEAR), 241)) * _LINEAR
        t = np.r_[-side[:0:-1], side]
        exponent = t[:, None] * e
        top = exponent.max(axis=1, keepdims=True)
        mass = np.exp(exponent - top) * p
        total = mass.sum(axis=1)
        first = mass @ e / total
        second = np.maximum(mass @ (e * e) / total - first**2, 0)
        u = np.arcsinh(t / _LINEAR)
        self._k = CubicSpline(u, np.log(total) + top[:, 0])
        self._first = CubicSpline(u, first)
        self._second = CubicSpline(u, second)

    def cumulants(self, t: Floats) -> tuple[Floats, Floats, Floats]:
        """K, K' and K'' at each t."""
        u = np.arcsinh(np.clip(t, -_FARTHEST, _FARTHEST) / _LINEAR)
        s2 = self._smooth**2
        first, second = self._first(u), np.maximum(self._second(u), 0)
        beyond = t - np.clip(t, -_FARTHEST, _FARTHEST)
        return (
            self._k(u) + first * beyond + s2 * t * t / 2,
            first + s2 * t,
            second + s2,
        )


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of residuals of one shape, one sum for each person: two sets of equal coefficients.

    Coefficients that differ (unequal weights) are replaced by `number` equal ones with the same sum
    of squares and of cubes, so that variance and skewness are exact (Satterthwaite's idea).
    """

    shape: Shape
    number: Floats
    """People x 2: how many residuals; need not be whole."""
    coefficient: Floats
    """People x 2, with the sign."""

    @classmethod
    def of(cls, shape: Shape, squares: Floats, cubes: Floats) -> Sums:
        """From the sums of squares and of cubes of the coefficients, people x 2 each."""
        floor = 1e-4 * np.sqrt(np.maximum(squares, 1e-300))
        coefficient = cubes / np.maximum(squares, 1e-300)
        small = np.abs(coefficient) < floor
        coefficient = np.where(small, floor, coefficient)
        return cls(shape, squares / coefficient**2, coefficient)

    @property
    def deviation(self) -> Floats:
        """The standard deviation of each sum."""
        return np.asarray(np.sqrt((self.number * self.coefficient**2).sum(axis=1)))

    @property
    def variance_shares(self) -> Floats:
        """The shares of the two sets in the variance of each sum, people x 2."""
        parts = self.number * self.coefficient**2
        return np.asarray(parts / parts.sum(axis=1, keepdims=True))

    def _at(self, t: Floats) -> tuple[Floats, Floats, Floats]:
        """K, K' and K'' of the sums, in units of their standard deviations."""
        c = self.coefficient / self.deviation[:, None]
        k, first, second = self.shape.cumulants(c * t[:, None])
        return (
            (self.number * k).sum(axis=1),
            (self.number * c * first).sum(axis=1),
            (self.number * c * c * second).sum(axis=1),
        )

    def _normal(self, t: Floats) -> Floats:
        """The standard normal score of the sum whose saddlepoint is t."""
        small = np.abs(t) < 0.05
        found = self._score(np.where(small, 0.05, t))
        if small.any():  # the formula cancels near 0: interpolate across
            low, high = self._score(np.full_like(t, -0.05)), self._score(np.full_like(t, 0.05))
            found = np.where(small, low + (high - low) * (t + 0.05) / 0.1, found)
        return found

    def _score(self, t: Floats) -> Floats:
        k, first, second = self._at(t)
        w = np.sign(t) * np.sqrt(np.maximum(2 * (t * first - k), 1e-12))
        return np.asarray(w + np.log(np.maximum(t * np.sqrt(second) / w, 1e-12)) / w)

    def scores(self, x: Floats) -> Floats:
        """Standard normal scores of observed sums: P(sum <= x) is the normal probability."""
        target = x / self.deviation
        t = _solve(lambda t: self._at(t)[1], target)
        return self._normal(t)

    def quantiles(self, score: Floats) -> Floats:
        """The sums at standard normal scores."""
        t = _solve(self._normal, score)
        return self._at(t)[1] * self.deviation


def _solve(rising: Callable[[Floats], Floats], target: Floats) -> Floats:
    """Where a rising function of t reaches the target, by bisection on a compressed axis."""
    low, high = np.full_like(target, -12.0), np.full_like(target, 12.0)
    for _ in range(45):
        middle = (low + high) / 2
        below = rising(np.sinh(middle) * 0.1) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.sinh((low + high) / 2) * 0.1
