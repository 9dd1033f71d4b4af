"""The difference between a row of a table and the record of its video. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingest.tables.questions import plain
from ingest.tables.table import Value, VideoRow
from registry.core.points import as_kept
from registry.domain import Attribute, AttributeValue, Weighted
from registry.urls import printable

_LARGEST = 2**63
"""Whole numbers from here on do not fit into the index; they become floats."""


@dataclass(frozen=True, slots=True)
class MetricChange:
    """A metric of a video before and after a row."""

    metric: str
    before: float | None
    """None: no value."""
    after: float | None

    def __str__(self) -> str:
        """`Views 1200 → 1600`, without the first number for a new value."""
        before = "" if self.before is None else f"{plain(self.before)} "
        after = "no value" if self.after is None else plain(self.after)
        return f"{printable(self.metric)} {before}→ {after}"


@dataclass(frozen=True, slots=True)
class RowChanges:
    """The difference between a row and the video on record."""

    metrics: tuple[MetricChange, ...] = ()
    attributes: tuple[str, ...] = ()
    """Columns whose value differs."""
    weights: bool = False
    """Whether a weight of a mean differs."""
    blank: tuple[str, ...] = ()
    """Metrics that keep their value because the cell is blank."""
    unreadable: tuple[str, ...] = ()
    """Metrics that keep their value because the cell cannot be read."""

    def __bool__(self) -> bool:
        """Whether the record changes."""
        return bool(self.metrics or self.attributes or self.weights)

    def describe(self, metrics: Mapping[str, float]) -> str:
        """The changes in words; `metrics` are those on record."""
        changed = [str(change) for change in self.metrics]
        changed += [printable(name) for name in self.attributes]
        text = f"updated {', '.join(changed or ['weights'])}" if self else "unchanged"
        unchanged = [
            f"{printable(name)} stays {plain(metrics[name])} (its cell {why})"
            for names, why in ((self.blank, "is blank"), (self.unreadable, "cannot be read"))
            for name in names
        ]
        return "; ".join((text, *unchanged))


def cleared(row: VideoRow, metrics: Sequence[str]) -> list[str]:
    """The metrics of the table whose cell in this row is blank."""
    return [name for name in metrics if name not in row.metrics and name not in row.unreadable]


def row_changes(
    row: VideoRow,
    metrics: Sequence[str],
    *,
    known: Mapping[str, float],
    known_attributes: Mapping[str, Attribute],
    known_weights: Mapping[str, Weighted],
    blank_clears: bool,
) -> RowChanges:
    """Compare a row with the video in the index.

    Args:
        row: all rows of the video, combined.
        metrics: the metric columns of the table.
        known: the metrics on record, rounded as the index keeps them; the weights likewise.
        known_attributes: the attributes on record.
        known_weights: numerator and weight of means on record.
        blank_clears: whether a blank cell removes the value.
    """
    new = as_kept(row.metrics)
    blank = [name for name in cleared(row, metrics) if name in known]
    changes = [
        MetricChange(name, known.get(name), row.metrics[name])
        for name in metrics
        if name in new and new[name] != known.get(name)
    ]
    if blank_clears:
        changes += [MetricChange(name, known[name], None) for name in blank]
    attributes = attributes_of(row)
    return RowChanges(
        metrics=tuple(changes),
        attributes=tuple(
            name
            for name, value in attributes.items()
            if not is_same(value, known_attributes.get(name))
        ),
        weights=any(
            _pair(row.weights.get(name)) != _pair(known_weights.get(name))
            for name in metrics
            if name in new
        ),
        blank=() if blank_clears else tuple(blank),
        unreadable=tuple(name for name in metrics if name in row.unreadable and name in known),
    )


def attributes_of(row: VideoRow) -> dict[str, Attribute]:
    """The attributes of a row as a record keeps them: dates and times as ISO 8601."""
    return {
        name: tuple(map(_plain, value)) if isinstance(value, tuple) else _plain(value)
        for name, value in row.attributes.items()
    }


def _plain(value: Value) -> AttributeValue:
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    return float(value) if isinstance(value, int) and abs(value) >= _LARGEST else value


def is_same(a: Attribute, b: Attribute | None) -> bool:
    """Whether two attributes are equal, with numbers rounded as the index keeps them."""
    if isinstance(a, tuple) or isinstance(b, tuple):
        return (
            isinstance(a, tuple)
            and isinstance(b, tuple)
            and len(a) == len(b)
            and all(map(is_same, a, b))
        )
    if isinstance(a, float) and isinstance(b, (int, float)):
        return as_kept({"": a}) == as_kept({"": float(b)})
    return a == b


def _pair(weighted: Weighted | None) -> dict[str, float]:
    if weighted is None:
        return {}
    return as_kept({"numerator": float(weighted.numerator), "weight": float(weighted.weight)})
