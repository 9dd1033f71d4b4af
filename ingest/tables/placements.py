"""Several rows of one video (ad sets, days, platforms) to one, as each metric asks. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.tables.questions import plain
from ingest.tables.specs import Kind, MetricSpec
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
    """What its rows disagree on: the metric, and a sentence."""
    cut: frozenset[str] = frozenset()
    """Attributes with more different values than are kept."""


def combine(rows: Sequence[VideoRow], specs: Sequence[MetricSpec]) -> Combined:
    """One row of a video from all of its rows, in the order of the table.

    - A sum is over the rows that have a value.
    - A weighted mean is over the rows that have a value and a weight. If no row has a weight (or
      all weights are 0), their value stands if they agree, and there is none if they differ.
    - A single value is that of the first row that has one; rows that differ are reported.
    - A sum or a mean with a cell that cannot be read has no value: it would be another number.

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
        if spec.kind is Kind.SINGLE:
            conflicts += ((name, said) for said in _conflicts(rows, name))
        elif name in unreadable:
            continue
        elif spec.kind is Kind.MEAN:
            weighed = [row.weights[name] for row in rows if name in row.weights]
            if sum(one.weight for one in weighed) > 0:
                weights[name] = _mean(weighed)
                metrics[name] = weights[name].numerator / weights[name].weight
                continue
            if len({value for _, value in values}) > 1:
                conflicts.append((name, _weightless(first, spec)))
                continue
        if values:
            metrics[name] = (
                math.fsum(value for _, value in values) if spec.kind is Kind.SUM else values[0][1]
            )
    attributes = _attributes(rows)
    return Combined(
        replace(
            first,
            metrics=metrics,
            weights=weights,
            attributes={name: _kept(values) for name, values in attributes.items()},
            unreadable=unreadable - metrics.keys(),
            rows=tuple(number for row in rows for number in row.rows or (row.row,)),
        ),
        tuple(conflicts),
        frozenset(name for name, values in attributes.items() if len(values) > MOST_VALUES),
    )


def _mean(weighed: Sequence[Weighted]) -> Weighted:
    return Weighted(
        math.fsum(one.numerator for one in weighed), math.fsum(one.weight for one in weighed)
    )


def _weightless(first: VideoRow, spec: MetricSpec) -> str:
    return (
        f"The rows of {first.url} differ in {printable(spec.name)} and have no weight in "
        f'"{printable(spec.weight)}"; it is left without a value.'
    )


def _conflicts(rows: Sequence[VideoRow], name: str) -> list[str]:
    counts = next((row for row in rows if name in row.metrics), rows[0])
    kept = _shown(counts, name)
    return [
        f"Rows {min(counts.row, row.row)} and {max(counts.row, row.row)} are one video, "
        f"{rows[0].url}, and differ in {printable(name)}: "
        f"{kept if counts.row < row.row else _shown(row, name)} and "
        f"{_shown(row, name) if counts.row < row.row else kept}. Row {counts.row} counts."
        for row in rows
        if row is not counts and name not in row.unreadable and _shown(row, name) != kept
    ]


def _shown(row: VideoRow, name: str) -> str:
    return plain(row.metrics[name]) if name in row.metrics else "no value"


def how_to_combine(name: str) -> str:
    """What to say once to somebody whose rows disagree on a metric."""
    shown = printable(name)
    return (
        f'To combine the rows of a video, say how: --metric "{shown}:sum" adds them up, '
        f'--metric "{shown}:mean@COLUMN" averages them, weighted by a column.'
    )


def _attributes(rows: Sequence[VideoRow]) -> Mapping[str, tuple[Value, ...]]:
    """Of each column all different values, in their order."""
    found: dict[str, dict[tuple[type, Value], None]] = {}
    for row in rows:
        for name, attribute in row.attributes.items():
            values = attribute if isinstance(attribute, tuple) else (attribute,)
            found.setdefault(name, {}).update(((type(one), one), None) for one in values)
    return {name: tuple(value for _, value in values) for name, values in found.items()}


def _kept(values: tuple[Value, ...]) -> Attribute:
    return values[0] if len(values) == 1 else values[:MOST_VALUES]
