"""Combines several rows of one video (ad sets, days, platforms) by the metric specs. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.tables.questions import plain
from ingest.tables.specs import Aggregation, MetricSpec
from ingest.tables.table import Attribute, Value, VideoRow
from registry.domain import Weighted
from registry.urls import printable

MOST_VALUES = 100
"""Different values of one attribute that a video keeps, such as the days of its rows."""


@dataclass(frozen=True, slots=True)
class Combined:
    """One video from its rows."""

    video: VideoRow
    conflicts: tuple[tuple[str, str], ...] = ()
    """Metrics in which its rows differ, each with a sentence."""
    cut: frozenset[str] = frozenset()
    """Attributes with more different values than are kept."""


def combine(rows: Sequence[VideoRow], specs: Sequence[MetricSpec]) -> Combined:
    """Combine all rows of a video, in the order of the table, into one.

    - A sum is over the rows that have a value.
    - A weighted mean is over the rows that have a value and a weight. If no row has a weight (or
      all weights are 0), the value is kept if they agree, and dropped if they differ.
    - A single value is that of the first row that has one; rows that differ are reported.
    - A sum or a mean with an unreadable cell has no value, because the result would be wrong.

    The rows may themselves be combined ones, such as a video's under two URLs.
    """
    first = rows[0]
    if len(rows) == 1:
        return Combined(first)
    unreadable = frozenset[str]().union(*(row.unreadable for row in rows))
    metrics: dict[str, float] = {}
    weights: dict[str, Weighted] = {}
    conflicts: list[tuple[str, str]] = []
    for spec in specs:
        name = spec.name
        values = [(row, row.metrics[name]) for row in rows if name in row.metrics]
        if spec.aggregation is Aggregation.SINGLE:
            conflicts += ((name, sentence) for sentence in _conflicts(rows, name))
        elif name in unreadable:
            continue
        elif spec.aggregation is Aggregation.MEAN:
            weighted = [row.weights[name] for row in rows if name in row.weights]
            if sum(value.weight for value in weighted) > 0:
                weights[name] = _mean(weighted)
                metrics[name] = weights[name].numerator / weights[name].weight
                continue
            if len({value for _, value in values}) > 1:
                conflicts.append((name, _weightless(first, spec)))
                continue
        if values:
            metrics[name] = (
                math.fsum(value for _, value in values)
                if spec.aggregation is Aggregation.SUM
                else values[0][1]
            )
    attributes = _attributes(rows)
    return Combined(
        replace(
            first,
            metrics=metrics,
            weights=weights,
            attributes={name: _limited(values) for name, values in attributes.items()},
            unreadable=unreadable - metrics.keys(),
            rows=tuple(number for row in rows for number in row.rows or (row.row,)),
        ),
        tuple(conflicts),
        frozenset(name for name, values in attributes.items() if len(values) > MOST_VALUES),
    )


def _mean(weighted: Sequence[Weighted]) -> Weighted:
    return Weighted(
        math.fsum(value.numerator for value in weighted),
        math.fsum(value.weight for value in weighted),
    )


def _weightless(first: VideoRow, spec: MetricSpec) -> str:
    return (
        f"The rows of {first.url} differ in {printable(spec.name)} and have no weight in "
        f'"{printable(spec.weight)}". The metric is left empty.'
    )


def _conflicts(rows: Sequence[VideoRow], name: str) -> list[str]:
    used = next((row for row in rows if name in row.metrics), rows[0])
    kept = _format_value(used, name)
    return [
        f"Rows {min(used.row, row.row)} and {max(used.row, row.row)} are one video, "
        f"{rows[0].url}, and differ in {printable(name)}: "
        f"{kept if used.row < row.row else _format_value(row, name)} and "
        f"{_format_value(row, name) if used.row < row.row else kept}. Row {used.row} is used."
        for row in rows
        if row is not used and name not in row.unreadable and _format_value(row, name) != kept
    ]


def _format_value(row: VideoRow, name: str) -> str:
    return plain(row.metrics[name]) if name in row.metrics else "no value"


def how_to_combine(name: str) -> str:
    """The hint for a user whose rows differ in a metric."""
    metric = printable(name)
    return (
        f'To combine the rows of a video, use --metric "{metric}:sum" to add them up, or '
        f'--metric "{metric}:mean@COLUMN" for a mean weighted by a column.'
    )


def _attributes(rows: Sequence[VideoRow]) -> Mapping[str, tuple[Value, ...]]:
    """All different values of each column, in their order."""
    distinct: dict[str, dict[tuple[type, Value], None]] = {}
    for row in rows:
        for name, attribute in row.attributes.items():
            values = attribute if isinstance(attribute, tuple) else (attribute,)
            distinct.setdefault(name, {}).update(((type(value), value), None) for value in values)
    return {name: tuple(value for _, value in values) for name, values in distinct.items()}


def _limited(values: tuple[Value, ...]) -> Attribute:
    return values[0] if len(values) == 1 else values[:MOST_VALUES]
