"""The arguments that describe a table, completed by the settings that the registry remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ingest.tables.numbers import DecimalSign
from ingest.tables.table import Table, TableOptions
from ingest.tables.units import PLAIN
from registry.core.registry import Registry
from registry.core.table_settings import (
    TableSettings,
    load_table_settings,
    save_table_settings,
)
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
class TableArguments:
    """The arguments of one ingest; the remembered setting replaces an argument that is None."""

    url_column: str | None = None
    metrics: Sequence[str] | None = None
    decimal: DecimalSign | None = None
    units: Mapping[str, str] | None = None
    encoding: str | None = None
    sheet: str | None = None
    url_template: str | None = None
    consolidate: bool | None = None
    base_folder: Path | None = None
    """Not remembered, because the next table may be in another folder."""
    allow_local_files: bool = False
    """Not remembered, because it is a permission."""


def load_settings(registry: Registry) -> TableSettings:
    """Load the settings that the registry remembers; empty ones from an empty registry.

    Earlier versions did not record units. Values without one count as plain numbers, so that the
    user is asked about a table in per cent.
    """
    if registry.is_empty:
        return TableSettings()
    settings = load_table_settings(registry.blobs)
    if settings.units:
        return settings
    return replace(settings, units=dict.fromkeys(metric_names(registry), PLAIN))


def merge_settings(arguments: TableArguments, remembered: TableSettings) -> TableSettings:
    """The settings for this table and later ones: the arguments, then what is remembered."""
    given: dict[str, Any] = {
        name: tuple(value) if name == "metrics" else value
        for name in _OPTIONS
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.consolidate is not None:
        given["consolidate"] = arguments.consolidate
    units = {**remembered.bare_units, **(arguments.units or {})}
    return replace(remembered, **given, bare_units=units)


def by_column(values: Mapping[str, str], renames: Mapping[str, str]) -> dict[str, str]:
    """Values by metric, also under the names of columns that are recorded as the metric."""
    columns = {column: values[name] for column, name in renames.items() if name in values}
    return {**values, **columns}


def with_renames(table: Table, renames: Mapping[str, str]) -> Table:
    """Rename the metrics of a table to the names that they have in the registry.

    Raises `UsageError` if two columns are one metric.
    """
    if not any(spec.name in renames for spec in table.metrics):
        return table
    names = {spec.name: renames.get(spec.name, spec.name) for spec in table.metrics}
    for column, name in names.items():
        if list(names.values()).count(name) > 1:
            raise UsageError(
                f"Two columns of the table are the metric '{printable(name)}', one of them "
                f"'{printable(column)}'. Name only one of them with --metric."
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


def table_options(arguments: TableArguments, settings: TableSettings) -> TableOptions:
    """The options for reading the table. Raises `UsageError` if one is not valid."""
    decimals: dict[str, DecimalSign] = {".": ".", ",": ","}
    return TableOptions(
        url_column=settings.url_column or DEFAULT_URL_COLUMN,
        metrics=settings.metrics or (DEFAULT_METRIC,)
        if arguments.metrics is None
        else arguments.metrics,
        partial=arguments.metrics is None and bool(settings.metrics),
        decimal=decimals.get(settings.decimal, arguments.decimal or ""),
        units=by_column(settings.bare_units, settings.renames),
        known_units=by_column(settings.units, settings.renames),
        encoding=settings.encoding,
        sheet=settings.sheet,
        url_template=settings.url_template,
        base_folder=arguments.base_folder,
        allow_local_files=arguments.allow_local_files,
    )


def remember(registry: Registry, settings: TableSettings, table: Table) -> None:
    """Save the settings for later ingests, together with the units of the table's metrics."""
    settings = replace(settings, units={**settings.units, **table.units})
    if settings != load_table_settings(registry.blobs):
        with registry.writing():
            save_table_settings(registry.blobs, settings)


def describe_changes(settings: TableSettings, remembered: TableSettings) -> list[str]:
    """One sentence for each setting that differs from the remembered one."""
    return [
        f"{option} is now {_format(new)}. Earlier ingests used {_format(old)}."
        for name, option in _OPTIONS.items()
        if (old := getattr(remembered, name)) and old != (new := getattr(settings, name))
    ]


def describe_new_metrics(registry: Registry, remembered: TableSettings, table: Table) -> list[str]:
    """One sentence for each metric of the table that is new to a registry with other metrics."""
    if registry.is_empty:
        return []
    primary = registry.contract.primary_metric
    known = set(remembered.units)
    if not known:
        return []
    reported = sorted(known, key=lambda name: (name != primary, name))
    listed = ", ".join(map(printable, reported))
    sentences = [
        f"This registry has the metrics {listed}. '{printable(spec.name)}' is a new one. If it is "
        f'the same number, run `face-registry metrics rename "{printable(spec.name)}" '
        f'"{printable(reported[0])}"`.'
        for spec in table.metrics
        if spec.name not in known
    ]
    first = table.metrics[0].name
    given = {spec.name for spec in table.metrics}
    if first in known and primary in known & given and first != primary:
        sentences.append(
            f"The first metric of this registry stays {printable(primary)}. To change it, run "
            f'`face-registry metrics first "{printable(first)}"`.'
        )
    return sentences


def _format(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"'{printable(item)}'" for item in value)
    return f"'{redacted(str(value))}'" if value else "not set"
