"""Reading tables in tests: short calls, and what came of it in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingest.tables.reading import read_table
from ingest.tables.table import Table, TableOptions

HEADER = "Video URL,Performance\n"


def read(path: str | Path, *metrics: str, **options: Any) -> Table:
    """Read a table; without metrics, that of the default."""
    if metrics:
        options["metrics"] = metrics
    return read_table(path, TableOptions(**options))


def found(table: Table) -> list[tuple[int, str, Mapping[str, float]]]:
    """Row, URL and metrics of a table in which nothing failed."""
    assert table.failures == ()
    return [(row.row, row.url.exposed(), row.metrics) for row in table.rows]


def metrics(table: Table) -> list[Mapping[str, float]]:
    """The metrics of a table in which nothing failed."""
    return [values for *_, values in found(table)]


def reasons(table: Table) -> list[tuple[int, str]]:
    """Which rows failed, and why."""
    return [(failure.row, str(failure)) for failure in table.failures]
