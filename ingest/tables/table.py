"""A table of videos as read, and the options for reading one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.tables.numbers import DecimalSign
from ingest.tables.specs import MetricSpec
from ingest.tables.units import parse_unit
from registry.domain import Weighted
from registry.errors import RowError, UsageError
from registry.settings import DEFAULT_METRIC, DEFAULT_URL_COLUMN
from registry.urls import Url, printable

Value = str | int | float | dt.date | dt.datetime
"""The value of a cell of an attribute column."""
Attribute = Value | tuple[Value, ...]
"""An attribute of a video: one value, or the different values of its rows in their order."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read a table."""

    url_column: str = DEFAULT_URL_COLUMN
    metrics: Sequence[str] = (DEFAULT_METRIC,)
    """Metric specs (`specs.py`): `Views`, `Views:sum`, `ROAS:mean@Spend`."""
    partial: bool = False
    """Whether one of the metrics suffices, because earlier tables had all of them."""
    decimal: DecimalSign = ""
    """Decimal sign of numbers with two readings, where a column does not decide; `""`: ask."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit of the numbers without one (`%`, `plain`, `s`, a currency), by metric."""
    known_units: Mapping[str, str] = field(default_factory=dict)
    """The unit that each metric has on record, as in `Table.units`."""
    encoding: str = ""
    """Encoding of a text file, as Python names it; `""`: detected."""
    sheet: str = ""
    """Sheet of a workbook; `""`: the only one that has the columns."""
    url_template: str = ""
    """With one `{}`, where the cell of the URL column goes; `""`: the cell is the URL."""
    base_folder: Path | None = None
    """Where relative paths start; None: the table's own folder, if it has one."""
    allow_local_files: bool = False
    """Whether the table may name files outside that folder."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for options that are not valid."""
        if isinstance(self.metrics, str) or not self.metrics:
            raise UsageError("No metric column is given. Give a list of at least one name.")
        for name in (self.url_column, *self.metrics):
            if not name.strip():
                raise UsageError(
                    f"'{printable(name)}' is not a column name. Give a name that is not blank."
                )
        if self.decimal not in {".", ",", ""}:
            raise UsageError(
                f"--decimal {printable(self.decimal)} is not valid. Write a dot or a comma."
            )
        for name, unit in self.units.items():
            if parse_unit(unit) is None:
                raise UsageError(
                    f'--unit "{printable(name)}={printable(unit)}" is not valid. Write plain, %, '
                    "‰, s or a currency such as EUR."
                )


_NOTHING: Mapping[str, Any] = {}
"""One object for all rows, to save memory."""


@dataclass(frozen=True, slots=True)
class VideoRow:
    """One video of the table."""

    row: int
    """As a spreadsheet counts: the header is row 1. The first of the video's rows."""
    url: Url
    """The canonical URL, which identifies the video."""
    location: Url
    """The URL to fetch, as written, with its credentials; or an absolute path."""
    metrics: Mapping[str, float]
    """By metric; metrics without a value are left out."""
    weights: Mapping[str, Weighted] = field(default_factory=lambda: _NOTHING)
    """Weights of metrics that are weighted means, where they are known."""
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: _NOTHING)
    """By column: every column that is neither the URL nor a metric; blank ones are left out."""
    unreadable: frozenset[str] = frozenset()
    """Metrics without a value because one of their cells cannot be read."""
    rows: tuple[int, ...] = ()
    """All rows of the video, in order."""


@dataclass(frozen=True, slots=True)
class UnreadableCell:
    """A cell of a metric (or weight) column that is not a number."""

    row: int
    column: str
    cell: str
    why: str

    def __str__(self) -> str:
        """One sentence; `cell` is printable already."""
        return f"Row {self.row}, {self.column}: found '{self.cell}'; {self.why}."


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row of totals, or a repeated header."""

    row: int
    label: str
    """`""`: it has none."""


@dataclass(frozen=True, slots=True)
class Detected:
    """The detected format of a table."""

    form: str = ""
    """`CSV`, `TSV`, `Excel workbook`, `OpenDocument spreadsheet`, `Parquet`, `DataFrame`."""
    encoding: str = ""
    """Of text: `UTF-8`, `UTF-16 LE`, `UTF-16 BE`, `Windows-1252`, or the value of `--encoding`."""
    separator: str = ""
    sheet: str = ""
    header_row: int = 1
    columns: tuple[str, ...] = ()
    """All columns, in order."""
    url_column: str = ""
    """As written in the table."""
    metric_columns: Mapping[str, str] = field(default_factory=dict)
    """The column of each metric, as written in the table."""
    decimals: Mapping[str, DecimalSign] = field(default_factory=dict)
    """The decimal sign of each metric or weight column; `""` if no cell needed one."""


@dataclass(frozen=True, slots=True)
class Table:
    """The content of a table of videos."""

    rows: tuple[VideoRow, ...]
    """One for each URL, in the order of the table."""
    failures: tuple[RowError, ...]
    """Rows that cannot be used, in the order of the table."""
    warnings: tuple[str, ...]
    """Sentences on what may be wrong: conflicts, unreadable cells, columns without a value."""
    total: int
    """Number of rows, without blank ones and totals, with repeated and failed ones."""
    metrics: tuple[MetricSpec, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit of each metric that has a value: `""` (plain), `%`, `‰`, `s`, a currency."""
    attributes: tuple[str, ...] = ()
    """Names of the attribute columns, in order."""
    unreadable: tuple[UnreadableCell, ...] = ()
    skipped: tuple[SkippedRow, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences on how the table was read: encoding, skipped rows, decimal signs."""
    detected: Detected = field(default_factory=Detected)
