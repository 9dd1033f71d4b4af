"""Weighted means, totals, medians, trimmed and geometric means. Pure.

Formulas and an example are in docs/METRICS.md. Each function leaves out values that are NaN, and
values whose weight is NaN or 0, and returns NaN if nothing is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from queries.statistics.observations import Floats
from registry.errors import UsageError

TRIM = 0.1
"""Share that the trimmed mean leaves out at each end: Tukey's usual 10 %, with which it keeps most
of its efficiency for normal values (Wilcox, Introduction to Robust Estimation, 3rd ed., 3.3)."""

_Numbers = Sequence[float] | Floats


def weighted_mean(values: _Numbers, weights: _Numbers | None = None) -> float:
    """Sum of w y over sum of w."""
    y, w = _counted(values, weights)
    return float((w * y).sum() / w.sum()) if len(y) else math.nan


def total(values: _Numbers, weights: _Numbers | None = None) -> float:
    """Sum of w y: of ROAS by spend, the revenue; of rates by views, the clicks."""
    y, w = _counted(values, weights)
    return float((w * y).sum()) if len(y) else math.nan


def geometric_mean(values: _Numbers, weights: _Numbers | None = None) -> float:
    """The exponential of the weighted mean of logarithms.

    Raises:
        UsageError: a value is 0 or negative.
    """
    y, w = _counted(values, weights)
    if (y <= 0).any():
        raise UsageError(
            f"A geometric mean needs values above 0, and {int((y <= 0).sum())} are not. Use the "
            "linear scale."
        )
    return math.exp(float((w * np.log(y)).sum() / w.sum())) if len(y) else math.nan


def weighted_median(values: _Numbers, weights: _Numbers | None = None) -> float:
    """The value with half of the weight on either side; the mean of two where both do."""
    return _median(*_ordered(values, weights))


def median_and_trimmed(values: _Numbers, weights: _Numbers | None = None) -> tuple[float, float]:
    """What `weighted_median` and `trimmed_mean` return, with the values put in order once."""
    y, w = _ordered(values, weights)
    return _median(y, w), _trimmed(y, w, TRIM)


def _median(y: Floats, w: Floats) -> float:
    if not len(y):
        return math.nan
    below = np.cumsum(w)
    half = below[-1] / 2
    at = int(np.searchsorted(below, half * (1 - 1e-12)))
    if abs(below[at] - half) <= 1e-12 * below[-1] and at + 1 < len(y):
        return float((y[at] + y[at + 1]) / 2)
    return float(y[at])


def trimmed_mean(
    values: _Numbers, weights: _Numbers | None = None, *, share: float = TRIM
) -> float:
    """The weighted mean without the lowest and highest `share` of the values, by number.

    The number left out at each end is rounded down, as in `scipy.stats.trim_mean`.
    """
    if not 0 <= share < 0.5:
        raise UsageError(f"The share to trim is {share}. Give a number from 0 to below 0.5.")
    return _trimmed(*_ordered(values, weights), share)


def _trimmed(y: Floats, w: Floats, share: float) -> float:
    if not len(y):
        return math.nan
    cut = int(share * len(y))
    y, w = y[cut : len(y) - cut], w[cut : len(w) - cut]
    return float((w * y).sum() / w.sum())


def _ordered(values: _Numbers, weights: _Numbers | None) -> tuple[Floats, Floats]:
    """The values that count, lowest first, and their weights."""
    y, w = _counted(values, weights)
    order = np.argsort(y, kind="stable")
    return y[order], w[order]


def _counted(values: _Numbers, weights: _Numbers | None) -> tuple[Floats, Floats]:
    y = np.asarray(values, np.float64)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    if len(w) != len(y):
        raise UsageError(f"There are {len(y)} values and {len(w)} weights. Give one for each.")
    if (w < 0).any():
        raise UsageError("A weight is negative. Weights are amounts, such as views or spend.")
    kept = np.isfinite(y) & np.isfinite(w) & (w > 0)
    return y[kept], w[kept]
