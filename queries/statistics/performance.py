"""How the videos with each person perform, how sure that is, and who shares the credit. Pure.

Definitions, formulas and an example worked by hand are in docs/METRICS.md. Everything here is an
association: nothing says that a person causes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from queries.statistics import COLUMNS
from queries.statistics.attributes import covariates
from queries.statistics.comparison import (
    Comparison,
    compare,
    compare_adjusted,
    own_p,
    sums_by_person,
    unanswered,
)
from queries.statistics.dispersion import Dispersion, fitted, moment, pooled
from queries.statistics.membership import Membership, interval
from queries.statistics.observations import Floats, Observations, inseparable, observe
from queries.statistics.shrinkage import shrink
from registry.errors import UsageError

CAUTION = 0.5
"""Share of 1 - level at which "clearly" is tested: the other half is a margin for what the model
does not know. In worlds without effects the full share gave 4 to 5 % wrong worlds, 7 % for t(3)."""
_IN_UNITS = [name for name in COLUMNS[2:] if name not in ("p", "q", "verdict", "inseparable_from")]
TOO_FEW = "too few"
CANNOT_TELL = "cannot tell"
_HEAVY = 3.0
_CUT = 4.0


def performance(
    appearances: pd.DataFrame,
    videos: pd.DataFrame,
    metric: str,
    *,
    weight: str | None = None,
    adjust: Sequence[str] = (),
    scale: str = "linear",
    level: float = 0.95,
) -> pd.DataFrame:
    """One row for each person: how the videos with that person perform.

    Args:
        appearances: columns `person` and `video`, one row for each person in a video; further
            columns are ignored, and so are videos that are not in the other table.
        videos: column `video`, each once; the metric, the weight and the attributes as columns. A
            video without a value (NaN) of the metric or the weight does not count, nor does one
            with the weight 0.
        metric: column of numbers.
        weight: column of amounts, such as views or spend; means are weighted with it.
        adjust: columns to adjust for: numbers, dates or categories.
        scale: `linear`, or `log` for geometric means and ratios; all values have to be above 0.
        level: of the intervals, between 0 and 1.

    Raises:
        UsageError: an argument or a table cannot be used.

    Returns:
        The columns `COLUMNS`, highest `shrunk` first; on the scale `log`, `mean` and the shrunk
        means are geometric means, and `difference`, `low`, `high`, the shared credit and `adjusted`
        are ratios minus one. `difference` to `q` are NaN and `verdict` is `too few` where there are
        too few videos. `adjusted` is NaN without `adjust`; with it, `p`, `q` and `verdict` are
        about `adjusted`. `inseparable_from` names the people in exactly the same videos, with
        commas between them; empty if there are none.
    """
    names = (adjust,) if isinstance(adjust, str) else tuple(adjust)
    _check(metric, weight, names, scale, level)
    observed = observe(appearances, videos, metric, weight)
    # linear results are computed in units of the largest value, so that squares are finite
    unit = 1.0
    if scale == "linear" and len(observed.values) and np.abs(observed.values).max() > 0:
        unit = float(np.abs(observed.values).max())
    observed = replace(observed, values=observed.values / unit)
    counted, w = observed.values, observed.weights
    if scale == "log" and (counted <= 0).any():
        name = videos["video"].iloc[int(observed.rows[int(counted.argmin())])]
        raise UsageError(
            f"The scale 'log' needs values above 0, and {metric!r} has "
            f"{int((counted <= 0).sum())} others, for example {counted.min():g} in the video "
            f"{name!r}. Use scale='linear', or leave these videos out."
        )
    values = np.log(counted) if scale == "log" else counted
    own = sums_by_person(observed, w)
    seen = own > 0
    means = np.where(seen, sums_by_person(observed, w * values) / np.where(seen, own, 1), np.nan)
    table: dict[str, Any] = {name: np.full(len(observed.people), np.nan) for name in COLUMNS}
    table["n"] = observed.counts.astype(np.int64)
    table["mean"] = np.exp(means) if scale == "log" else means
    table["total"] = np.where(seen, sums_by_person(observed, w * counted), np.nan)
    table["shrunk"] = table["mean"].copy()
    tested = unanswered(observed)
    direction, own_spread = tested.difference, tested.p
    design = covariates(videos, names, observed.rows)
    if len(values) > design.shape[1] + 2 and seen.any() and _varies(values):
        spread = pooled(observed, values, scale == "log")
        tested = compare(observed, values, spread, level)
        direction, p = tested.difference, tested.p
        own_spread = own_p(observed, np.log(counted) if spread.logarithmic else counted)
        _add_shrunk(table, observed, means, spread, scale, level)
        credit = _credit(observed, values, design, spread, names, scale)
        _add_credit(table, credit[0], seen, scale, level)
        if names:
            adjusted, own_spread = _adjusted(observed, values, design, spread, credit)
            direction = np.where(np.isfinite(direction), adjusted.difference, np.nan)
            p = np.where(np.isfinite(direction), adjusted.p, np.nan)
            table["adjusted"] = np.expm1(direction) if scale == "log" else direction
        tested = Comparison(tested.difference, tested.low, tested.high, p)
    for name in ("difference", "low", "high"):
        column = getattr(tested, name)
        table[name] = np.expm1(column) if scale == "log" else column
    table["p"] = tested.p
    for name in _IN_UNITS:
        table[name] = table[name] * unit
    table["q"], table["verdict"] = _verdicts(tested, direction, own_spread, 1 - level)
    table["inseparable_from"] = np.array(
        [
            ", ".join(str(observed.people[i]) for i in group)
            for group in inseparable(observed.incidence)
        ],
        dtype=object,
    )
    table["person"] = pd.Series(list(observed.people), dtype=appearances["person"].dtype)
    found = pd.DataFrame(table, columns=list(COLUMNS))
    return found.sort_values("shrunk", ascending=False, kind="stable", ignore_index=True)


def _check(
    metric: str, weight: str | None, adjust: Sequence[str], scale: str, level: float
) -> None:
    if scale not in ("linear", "log"):
        raise UsageError(f"The scale {scale!r} does not exist. Give 'linear' or 'log'.")
    if not 0 < level < 1:
        raise UsageError(f"The level {level} is not between 0 and 1. Give, for example, 0.95.")
    for name in adjust:
        if name in (metric, "video"):
            raise UsageError(
                f"{name!r} cannot be adjusted for: it is "
                f"{'the metric' if name == metric else 'the name of the video'}. Leave it out."
            )


def _varies(values: Floats) -> bool:
    return bool(np.ptp(values) > 1e-12 * np.abs(values).max())


def _add_shrunk(
    table: dict[str, Any],
    observed: Observations,
    means: Floats,
    spread: Dispersion,
    scale: str,
    level: float,
) -> None:
    """The shrunk means; of logarithms where the metric is above 0 and skewed."""
    w, model = observed.weights, spread.model
    own = sums_by_person(observed, w)
    seen = own > 0
    safe = np.where(seen, own, 1)
    counts = np.asarray(observed.incidence.sum(axis=1)).ravel()
    beside = float((counts * (counts - 1)).sum() / max(counts.sum(), 1))
    variance = model.residual_variance * (1 + model.ratio * beside)
    noise = sums_by_person(observed, w * w * spread.relative) / safe**2 * variance
    values = observed.values
    if spread.logarithmic:
        values = np.log(values)
    elif spread.power == 0:
        values = _without_outliers(values, w)
    centre = sums_by_person(observed, w * values) / safe
    middle, error = shrink(centre, np.where(seen, noise, np.inf))
    margin = float(special.stdtrit(max(spread.freedom, 1), (1 + level) / 2)) * error
    ends = [middle, middle - margin, middle + margin]
    if spread.logarithmic:
        ends = [np.exp(end) for end in ends]
        if scale == "linear":  # from geometric means to means (Duan 1983)
            expected = float((own[seen] * ends[0][seen]).sum())
            factor = float(sums_by_person(observed, w * observed.values).sum()) / expected
            ends = [end * factor for end in ends]
    for name, end in zip(("shrunk", "shrunk_low", "shrunk_high"), ends, strict=True):
        table[name] = np.where(seen, end, np.nan)


def _false_discovery_rates(p: Floats) -> Floats:
    """The p values adjusted by Benjamini and Hochberg (1995).

    As `scipy.stats.false_discovery_control`; to import `scipy.stats` takes longer than a report of
    thousands of videos.
    """
    order = np.argsort(p)
    scaled = p[order] * (len(p) / np.arange(1, len(p) + 1))
    rates = np.empty(len(p))
    rates[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.clip(rates, 0, 1)


def _without_outliers(values: Floats, weights: Floats) -> Floats:
    """Values with heavy tails on both sides, drawn in to four robust standard deviations."""
    middle = float(np.median(values))
    deviation = float(np.median(np.abs(values - middle)) / special.ndtri(0.75))
    if deviation <= 0 or moment(values, 4) - 3 < _HEAVY:
        return values
    return np.clip(values, middle - _CUT * deviation, middle + _CUT * deviation)


def _credit(
    observed: Observations,
    values: Floats,
    design: Floats,
    spread: Dispersion,
    adjust: Sequence[str],
    scale: str,
) -> tuple[Membership, Floats]:
    if not adjust and (scale == "log" or spread.power < 2):
        return spread.model, spread.relative  # the same model has been fitted already
    return fitted(observed, values, design)


def _adjusted(
    observed: Observations,
    values: Floats,
    design: Floats,
    spread: Dispersion,
    credit: tuple[Membership, Floats],
) -> tuple[Comparison, Floats]:
    """The differences among videos with equal attributes, and p by each person's own spread.

    Of logarithms where people multiply.
    """
    multiplied = spread.power == 2
    modelled = np.log(values) if multiplied else values
    model, relative = fitted(observed, modelled, design) if multiplied else credit
    found = compare_adjusted(observed, modelled, design, relative, spread.own, model)
    own_spread = own_p(observed, modelled - model.fitted + observed.incidence @ model.effects)
    if not multiplied:
        return found, own_spread
    w = observed.weights
    own = sums_by_person(observed, w)
    rest = np.maximum(w.sum() - own, 1e-300)
    without = (float(w @ values) - sums_by_person(observed, w * values)) / rest
    difference = without * np.expm1(found.difference)
    return Comparison(difference, found.low, found.high, found.p), own_spread


def _add_credit(
    table: dict[str, Any],
    model: Membership,
    seen: np.ndarray,
    scale: str,
    level: float,
) -> None:
    low, high = interval(model, level)
    for name, end in zip(
        ("shared_credit", "shared_low", "shared_high"), (model.effects, low, high), strict=True
    ):
        table[name] = np.where(seen, np.expm1(end) if scale == "log" else end, np.nan)


def _verdicts(
    tested: Comparison, direction: Floats, own_spread: Floats, alpha: float
) -> tuple[Floats, Any]:
    """False discovery rates, and the answers in words.

    "Clearly" holds for all rows together: by Holm's method (1979), the chance that anybody at all
    is wrongly called so is at most `CAUTION` alpha. The person's own spread has to allow it as
    well. "Leaning" holds for a row alone.
    """
    q = np.full(len(tested.p), np.nan)
    known = np.flatnonzero(np.isfinite(tested.p))
    words = np.where(np.isfinite(tested.difference), CANNOT_TELL, TOO_FEW).astype(object)
    if not len(known):
        return q, words
    p = tested.p[known]
    q[known] = _false_discovery_rates(p)
    order = np.argsort(p, kind="stable")
    passes = p[order] * (len(p) - np.arange(len(p))) <= CAUTION * alpha
    first_failure = int(np.argmin(passes)) if not passes.all() else len(p)
    clear = set(known[order[:first_failure]]) - set(np.flatnonzero(own_spread > alpha))
    for row in known[p <= alpha]:
        side = "above" if direction[row] > 0 else "below"
        words[row] = f"{'clearly' if row in clear else 'leaning'} {side}"
    return q, words
