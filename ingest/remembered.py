"""What an ingest is told of its table, and what earlier ingests were told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ingest.tables.numbers import DecimalSign
from ingest.tables.table import Table, TableOptions
from ingest.tables.units import PLAIN
from registry.core import table_settings
from registry.core.registry import Registry
from registry.core.table_settings import TableSettings
from registry.core.video_changes import metric_names
from registry.errors import UsageError
from registry.settings import DEFAULT_METRIC, DEFAULT_URL_COLUMN
from registry.urls import printable, redacted

T = TypeVar("T")
_OPTIONS = {
    "url_column": "--url-column",
    "metrics": "--metric",
    "decimal": "--decimal",
    "encoding": "--encoding",
    "sheet": "--sheet",
    "url_template": "--url-template",
}


@dataclass(frozen=True, slots=True)
class Told:
    """The options of one call; None: not given, so what is remembered holds."""

    url_column: str | None = None
    metrics: Sequence[str] | None = None
    decimal: DecimalSign | None = None
    units: Mapping[str, str] | None = None
    encoding: str | None = None
    sheet: str | None = None
    url_template: str | None = None
    consolidate: bool | None = None
    base_folder: Path | None = None
    """Not remembered: the next table may lie elsewhere."""
    allow_local_files: bool = False
    """Not remembered: it is a permission."""


def read_settings(registry: Registry) -> TableSettings:
    """What the registry remembers; nothing if it is empty.

    A registry of an earlier version did not record units. Its numbers count as plain ones, so that
    a table with per cent is a question.
    """
    if registry.is_empty:
        return TableSettings()
    settings = table_settings.read(registry.blobs)
    return (
        settings
        if settings.units
        else replace(settings, units=dict.fromkeys(metric_names(registry), PLAIN))
    )


def settle(told: Told, remembered: TableSettings) -> TableSettings:
    """What holds for this table, and is remembered from now on."""
    given: dict[str, Any] = {
        name: tuple(value) if name == "metrics" else value
        for name in _OPTIONS
        if (value := getattr(told, name)) is not None
    }
    if told.consolidate is not None:
        given["consolidate"] = told.consolidate
    units = {**remembered.bare_units, **(told.units or {})}
    return replace(remembered, **given, bare_units=units)


def by_column(values: Mapping[str, str], renames: Mapping[str, str]) -> dict[str, str]:
    """Values by metric, also under the columns that are recorded as a metric."""
    columns = {column: values[name] for column, name in renames.items() if name in values}
    return {**values, **columns}


def with_renames(table: Table, renames: Mapping[str, str]) -> Table:
    """The table with its numbers under the names that its metrics have in the registry.

    Raises `UsageError` if two columns are one metric.
    """
    if not any(spec.name in renames for spec in table.metrics):
        return table
    names = {spec.name: renames.get(spec.name, spec.name) for spec in table.metrics}
    for column, name in names.items():
        if list(names.values()).count(name) > 1:
            raise UsageError(
                f"Two columns of the table are the metric '{printable(name)}', among them "
                f"'{printable(column)}'; name one of them with --metric."
            )

    def named(values: Mapping[str, T]) -> dict[str, T]:
        return {names.get(name, name): value for name, value in values.items()}

    return replace(
        table,
        rows=tuple(
            replace(
                row,
                metrics=named(row.metrics),
                weights=named(row.weights),
                unreadable=frozenset(names.get(name, name) for name in row.unreadable),
            )
            for row in table.rows
        ),
        metrics=tuple(replace(spec, name=names[spec.name]) for spec in table.metrics),
        units=named(table.units),
        detected=replace(table.detected, metric_columns=named(table.detected.metric_columns)),
    )


def options(told: Told, settings: TableSettings) -> TableOptions:
    """How to read the table. Raises `UsageError` for what cannot be meant."""
    decimals: dict[str, DecimalSign] = {".": ".", ",": ","}
    return TableOptions(
        url_column=settings.url_column or DEFAULT_URL_COLUMN,
        metrics=settings.metrics or (DEFAULT_METRIC,) if told.metrics is None else told.metrics,
        partial=told.metrics is None and bool(settings.metrics),
        decimal=decimals.get(settings.decimal, told.decimal or ""),
        units=by_column(settings.bare_units, settings.renames),
        known_units=by_column(settings.units, settings.renames),
        encoding=settings.encoding,
        sheet=settings.sheet,
        url_template=settings.url_template,
        base_folder=told.base_folder,
        allow_local_files=told.allow_local_files,
    )


def remember(registry: Registry, settings: TableSettings, table: Table) -> None:
    """Keep what holds for this table, and the units of its metrics."""
    settings = replace(settings, units={**settings.units, **table.units})
    if settings != table_settings.read(registry.blobs):
        with registry.writing():
            table_settings.write(registry.blobs, settings)


def replaced(settings: TableSettings, remembered: TableSettings) -> list[str]:
    """A sentence for each option that takes the place of a remembered one."""
    return [
        f"{option} is {_shown(is_now)} from now on; until now it was {_shown(was)}."
        for name, option in _OPTIONS.items()
        if (was := getattr(remembered, name)) and was != (is_now := getattr(settings, name))
    ]


def new_metrics(registry: Registry, remembered: TableSettings, table: Table) -> list[str]:
    """A sentence for each metric that the registry does not have yet, beside those it has."""
    if registry.is_empty:
        return []
    primary = registry.contract.primary_metric
    known = set(remembered.units) or metric_names(registry)
    if not known:
        return []
    reported = sorted(known, key=lambda name: (name != primary, name))
    listed = ", ".join(map(printable, reported))
    said = [
        f"This registry reports {listed}; '{printable(spec.name)}' is kept beside it. If it is the "
        f'same number: `face-registry metrics rename "{printable(spec.name)}" '
        f'"{printable(reported[0])}"`'
        for spec in table.metrics
        if spec.name not in known
    ]
    first = table.metrics[0].name
    given = {spec.name for spec in table.metrics}
    if first in known and primary in known & given and first != primary:
        said.append(
            f"This registry reports {printable(primary)} by name, also if {printable(first)} is "
            f'named first: `face-registry metrics first "{printable(first)}"` changes that.'
        )
    return said


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"'{printable(one)}'" for one in value)
    return f"'{redacted(str(value))}'" if value else "not set"
