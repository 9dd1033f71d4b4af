"""The rows of the table of people: their order, and the numbers of each metric."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from queries.page.asking import Asked
from queries.page.naming import Names
from queries.page.redaction import Redaction
from queries.page.wording import VERDICTS, Measured
from queries.report import Report
from queries.statistics import COLUMNS

_TEXTS = {"person", "n", "verdict", "inseparable_from"}


def in_order(found: Report, asked: Asked) -> list[dict[Any, Any]]:
    """The rows of the table in the order of the page, the first `top` of each value of `by`."""
    rows = found.table.to_dict(orient="records")
    if not asked.sort:
        metric, by = found.metrics[0], f"by_{found.by}"

        def place(row: Mapping[Any, Any]) -> tuple[str, int, float, int, str]:
            verdict = _text(row[f"verdict_{metric}"]) or VERDICTS[-1]
            shrunk = row[f"shrunk_{metric}"]
            value = -shrunk if math.isfinite(shrunk) else math.inf
            group = str(row[by]) if found.by else ""
            return group, VERDICTS.index(verdict), value, -row["videos"], row["identity"]

        rows.sort(key=place)
    taken: Counter[str] = Counter()
    chosen = []
    for row in rows:
        group = str(row[f"by_{found.by}"]) if found.by else ""
        taken[group] += 1
        if asked.top is None or taken[group] <= asked.top:
            chosen.append(row)
    return chosen


def group_of(row: Mapping[Any, Any], by: str, redaction: Redaction) -> str:
    """The value of `by` in a row as it may be shown; "" without `by`."""
    return redaction.text(row[f"by_{by}"] or "none") if by else ""


def numbers_of(row: Mapping[Any, Any], metric: str, weight: str, *, log: bool) -> Measured:
    """The numbers of a row for one metric, without the people who cannot be told apart."""
    return Measured(
        **{name: row[f"{name}_{metric}"] for name in {*COLUMNS, "median"} - _TEXTS},
        metric=metric,
        weight=weight,
        n=_whole(row[f"n_{metric}"]),
        verdict=_text(row[f"verdict_{metric}"]) or VERDICTS[-1],
        inseparable_from="",
        log=log,
        identity_low=row.get(f"identity_low_{metric}", math.nan),
        identity_high=row.get(f"identity_high_{metric}", math.nan),
    )


def measured(row: Mapping[Any, Any], found: Report, names: Names) -> list[Measured]:
    """The numbers of a row, for each metric of the report."""
    return [
        replace(
            numbers_of(row, metric, weight, log=found.log),
            metric=names.redaction.text(metric),
            weight=names.redaction.text(weight),
            inseparable_from=", ".join(
                names.label(other)
                for other in _text(row[f"inseparable_from_{metric}"]).split(", ")
                if other
            ),
        )
        for metric, weight in zip(found.metrics, found.weights, strict=True)
    ]


def _whole(number: float) -> int:
    return 0 if math.isnan(number) else int(number)


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else ""
