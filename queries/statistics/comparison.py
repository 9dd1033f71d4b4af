"""Each person's videos against the videos without them: difference, interval, p. Pure.

The interval and p come from one pivot, so that they always agree: the difference between the two
means, whose distribution is that of a weighted sum of pooled residuals (`saddlepoint`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from queries.statistics.dispersion import Dispersion
from queries.statistics.membership import Membership, orthonormal
from queries.statistics.observations import Floats, Observations
from queries.statistics.saddlepoint import Shape, Sums

ENOUGH = 3
"""Videos with a person, and videos without, from which there is an answer: with fewer, the
distribution of the difference is that of one or two residuals, and not known in the tails."""
_EFFECTIVE = 2.0
_FREEDOM = 5.0
_MOST = 1000.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value for each person; NaN where there are too few videos."""

    difference: Floats
    low: Floats
    high: Floats
    p: Floats


def unanswered(observed: Observations) -> Comparison:
    """NaN for everybody."""
    return Comparison(*(np.full(len(observed.people), np.nan) for _ in range(4)))


def sums_by_person(observed: Observations, by_video: Floats) -> Floats:
    """The sum of a quantity over each person's videos."""
    return np.asarray(observed.incidence.T @ by_video, np.float64)


def answerable(observed: Observations, freedom: float) -> npt.NDArray[np.bool_]:
    """Whether there are enough videos with and without each person."""
    counts, w = observed.counts, observed.weights
    own, squares = sums_by_person(observed, w), sums_by_person(observed, w * w)
    effective = own**2 / np.maximum(squares, 1e-300)
    others = np.maximum(w.sum() - own, 0) ** 2 / np.maximum((w * w).sum() - squares, 1e-300)
    enough = (counts >= ENOUGH) & (len(w) - counts >= ENOUGH)
    spread = (effective >= _EFFECTIVE) & (others >= _EFFECTIVE) & (freedom >= _FREEDOM)
    return np.asarray(enough & spread)


def compare(observed: Observations, values: Floats, spread: Dispersion, level: float) -> Comparison:
    """The weighted mean of the videos with each person, less that of the videos without them.

    Args:
        observed: the videos that count; their values are not used.
        values: one for each video: the metric, or its logarithms.
        spread: of these values.
        level: of the interval, between 0 and 1.
    """
    found = unanswered(observed)
    tested = np.flatnonzero(answerable(observed, spread.freedom))
    if not len(tested):
        return found
    w, v = observed.weights, spread.relative
    own = sums_by_person(observed, w)[tested]
    rest = w.sum() - own
    total = float(w @ values)
    inside = sums_by_person(observed, w * values)[tested]
    with_person, without = inside / own, (total - inside) / rest
    squares = sums_by_person(observed, w * w * v)[tested]
    cubes = sums_by_person(observed, (w * np.sqrt(v)) ** 3)[tested]
    wider = spread.own[tested]
    sums = Sums.of(
        spread.shape,
        np.column_stack([wider * squares / own**2, ((w * w * v).sum() - squares) / rest**2]),
        np.column_stack(
            [wider**1.5 * cubes / own**3, -(((w * np.sqrt(v)) ** 3).sum() - cubes) / rest**3]
        ),
    )
    mean, share = total / w.sum(), own / w.sum()
    difference = with_person - without
    unit = spread.sigma * (mean if spread.power == 2 else 1.0)
    low_sum, high_sum = _ends(sums, spread.freedom, level, unit)
    if spread.power:
        part = sums.variance_shares[:, 0]
        ends = [
            _growing(difference / mean, q / mean, share, part, spread.power) * mean
            for q in (high_sum, low_sum)
        ]
    else:
        ends = [difference - high_sum, difference - low_sum]
    p = np.maximum(_two_sided(sums, difference / unit, spread.freedom), _smallest(observed)[tested])
    bounded = np.isfinite(ends[0]) & np.isfinite(ends[1])
    for column, part in zip(
        (found.difference, found.low, found.high, found.p), (difference, *ends, p), strict=True
    ):
        column[tested] = np.where(bounded, part, np.nan)
    return found


def compare_adjusted(
    observed: Observations,
    values: Floats,
    covariates: Floats,
    relative: Floats,
    wider: Floats,
    model: Membership,
) -> Comparison:
    """The same difference among videos with equal covariates; without an interval.

    The coefficient of the person in a weighted regression on the person and the covariates (Frisch
    and Waugh 1933). NaN where the covariates alone tell who is in a video.
    """
    people = len(observed.people)
    found = unanswered(observed)
    residuals = (values - model.fitted) / np.sqrt(relative)
    if np.ptp(residuals) <= 1e-9 * np.ptp(values):
        return found  # the model explains all values, so nothing is left to judge by
    shape = Shape(residuals, np.ones(len(residuals)))
    sigma, freedom = float(np.sqrt(model.residual_variance)), model.freedom
    w = observed.weights
    basis = orthonormal(covariates, w)
    scaled = values * np.sqrt(w)
    rest = scaled - basis @ (basis.T @ scaled)
    shared = np.asarray(observed.incidence.T @ (basis * np.sqrt(w)[:, None]))
    own = sums_by_person(observed, w)
    left = own - (shared**2).sum(axis=1)
    enough = answerable(observed, freedom) & (left > 0.02 * own * (1 - own / w.sum()))
    tested = np.flatnonzero(enough)
    if not len(tested):
        return found
    videos, person = observed.pairs
    part = np.sqrt(w[videos]) - (basis[videos] * shared[person]).sum(axis=1)
    root = np.sqrt(w * relative)[videos]
    safe = np.where(left > 0, left, 1)
    inside = part / safe[person] * root
    squares = (wider * np.bincount(person, inside**2, people))[tested]
    cubes = (wider**1.5 * np.bincount(person, inside**3, people))[tested]
    plain = np.bincount(person, (part / safe[person]) ** 2, people)[tested]
    outside = np.maximum(1 / left[tested] - plain, 0) * (w * w * relative).sum() / w.sum()
    number = np.maximum(len(w) - observed.counts[tested], 1)
    sums = Sums.of(
        shape,
        np.column_stack([squares, outside]),
        np.column_stack([cubes, -(outside**1.5) / np.sqrt(number)]),
    )
    difference = sums_by_person(observed, rest * np.sqrt(w))[tested] / left[tested]
    p = _two_sided(sums, difference / sigma, freedom)
    found.difference[tested] = difference
    found.p[tested] = np.maximum(p, _smallest(observed)[tested])
    return found


def own_p(observed: Observations, values: Floats) -> Floats:
    """Two-sided p of no difference by each person's own spread (Welch 1947). NaN below two videos.

    Args:
        observed: the videos that count; their values are not used.
        values: one for each video, the part that attributes explain taken out.
    """
    w, values = observed.weights, values - values.mean()  # against cancellation
    sums = [sums_by_person(observed, part) for part in (w, w * values, w**2)]
    squares = [sums_by_person(observed, w**2 * values**power) for power in (0, 1, 2)]
    spreads = []
    means = []
    for inside in (True, False):
        own, first, second = (
            part if inside else whole - part
            for part, whole in zip(sums, (w.sum(), w @ values, w @ w), strict=True)
        )
        q0, q1, q2 = (
            part if inside else float((w**2 * values**power).sum()) - part
            for power, part in enumerate(squares)
        )
        own = np.where(own > 0, own, np.nan)
        mean = first / own
        number = own**2 / second
        error = np.maximum(q2 - 2 * mean * q1 + mean**2 * q0, 0) / own**2
        with np.errstate(divide="ignore", invalid="ignore"):
            spreads.append((error * number / (number - 1), number - 1))
        means.append(mean)
    (one, n_one), (other, n_other) = spreads
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(means[0] - means[1]) / np.sqrt(one + other)
        freedom = (one + other) ** 2 / (one**2 / n_one + other**2 / n_other)
    return np.asarray(2 * special.stdtr(freedom, -t))


def _ends(sums: Sums, freedom: float, level: float, unit: float) -> tuple[Floats, Floats]:
    """The central quantiles of the sums; 0 lies between them."""
    score = np.full(len(sums.number), float(special.stdtrit(freedom, (1 + level) / 2)))
    low, high = sums.quantiles(-score) * unit, sums.quantiles(score) * unit
    return np.minimum(low, 0), np.maximum(high, 0)


def _two_sided(sums: Sums, observed: Floats, freedom: float) -> Floats:
    return np.asarray(2 * special.stdtr(freedom, -np.abs(sums.scores(observed))))


def _smallest(observed: Observations) -> Floats:
    """One in so many: the ways to choose as many videos. No randomisation shows a smaller p."""
    n, counts = len(observed.values), observed.counts
    ways = special.gammaln(n + 1) - special.gammaln(counts + 1) - special.gammaln(n - counts + 1)
    return np.asarray(np.exp(-ways))


def _growing(
    difference: Floats, quantile: Floats, share: Floats, part: Floats, power: int
) -> Floats:
    """An end of the interval, all in units of the mean of all videos, where the variance grows.

    If the mean with the person is c times that without, the second is 1 / (share c + 1 - share) and
    the spread of the observed difference is sqrt(part s(c) + 1 - part) times that at c = 1, `part`
    of whose variance comes from the videos with the person. s(c) is c^2 for a metric above 0; with
    zeros (c + c^2) / 2, between Poisson counts and a metric that people multiply. NaN where no c up
    to `_MOST` is large enough.
    """

    def expected(c: Floats) -> Floats:
        growth = c * c if power == 2 else (c + c * c) / 2
        sqrt = np.sqrt(part * growth + 1 - part)
        return np.asarray((c - 1 + quantile * sqrt) / (share * c + 1 - share))

    low, high = np.full_like(difference, np.log(1e-9)), np.full_like(difference, np.log(_MOST))
    unbounded = expected(np.exp(high)) < difference
    for _ in range(50):
        middle = (low + high) / 2
        below = expected(np.exp(middle)) < difference
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    none = expected(np.zeros_like(low)) >= difference
    c = np.where(none, 0, np.exp(low))
    return np.where(unbounded, np.nan, (c - 1) / (share * c + 1 - share))
