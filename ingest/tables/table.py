"""What a table of videos says, and what a reader has to be told to read it."""

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
"""What a cell of an attribute column holds."""
Attribute = Value | tuple[Value, ...]
"""Of a video: one value, or the different values of its rows in their order."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read a table."""

    url_column: str = DEFAULT_URL_COLUMN
    metrics: Sequence[str] = (DEFAULT_METRIC,)
    """Metric columns, as `specs.py` has them: `Views`, `Views:sum`, `ROAS:mean@Spend`."""
    partial: bool = False
    """Whether it is enough that one of the metrics is there: earlier tables had all of them."""
    decimal: DecimalSign = ""
    """Settles numbers with two readings in columns that do not tell; `""`: ask."""
    units: Mapping[str, str] = field(default_factory=dict)
    """What the numbers without a unit are (`%`, `plain`, `s`, a currency), by metric."""
    known_units: Mapping[str, str] = field(default_factory=dict)
    """The unit that each metric has on record, as `Table.units` gave it."""
    encoding: str = ""
    """Of text files, as Python names encodings; `""`: detected."""
    sheet: str = ""
    """Of a workbook, by name; `""`: the only one that has the columns."""
    url_template: str = ""
    """With one `{}`, where the cell of the URL column goes; `""`: the cell is the URL."""
    base_folder: Path | None = None
    """Where relative paths start; None: the table's own folder, if it has one."""
    allow_local_files: bool = False
    """Whether files outside that folder may be named."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for what cannot be meant."""
        if isinstance(self.metrics, str) or not self.metrics:
            raise UsageError("At least one metric column is needed, as a list of names.")
        for name in (self.url_column, *self.metrics):
            if not name.strip():
                raise UsageError(f"'{printable(name)}' cannot be the name of a column.")
        if self.decimal not in {".", ",", ""}:
            raise UsageError(f"--decimal {printable(self.decimal)}: write a dot or a comma.")
        for name, unit in self.units.items():
            if parse_unit(unit) is None:
                raise UsageError(
                    f'--unit "{printable(name)}={printable(unit)}": write plain, %, ‰, s or a '
                    "currency such as EUR."
                )


_NOTHING: Mapping[str, Any] = {}
"""One for all rows: a table may have very many."""


@dataclass(frozen=True, slots=True)
class VideoRow:
    """One video of the table."""

    row: int
    """As a spreadsheet counts: the header is row 1. The first of the video's rows."""
    url: Url
    """Canonical: what the video is known by."""
    location: Url
    """What to fetch: the URL as written, with its credentials, or an absolute path."""
    metrics: Mapping[str, float]
    """By metric; one without a value is left out."""
    weights: Mapping[str, Weighted] = field(default_factory=lambda: _NOTHING)
    """Of metrics that are weighted means, where the weight is known."""
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: _NOTHING)
    """By column: every column that is neither the URL nor a metric; blank ones are left out."""
    unreadable: frozenset[str] = frozenset()
    """Metrics without a value because a cell of theirs cannot be read; others may be blank."""
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
    """A row of totals, or the header once more."""

    row: int
    label: str
    """`""`: it has none."""


@dataclass(frozen=True, slots=True)
class Detected:
    """What a file turned out to be."""

    form: str = ""
    """`CSV`, `TSV`, `Excel workbook`, `OpenDocument spreadsheet`, `Parquet`, `DataFrame`."""
    encoding: str = ""
    """Of text: `UTF-8`, `UTF-16 LE`, `UTF-16 BE`, `Windows-1252`, or what `--encoding` says."""
    separator: str = ""
    sheet: str = ""
    header_row: int = 1
    columns: tuple[str, ...] = ()
    """All columns, in order."""
    url_column: str = ""
    """As the table spells it."""
    metric_columns: Mapping[str, str] = field(default_factory=dict)
    """By metric: its column as the table spells it."""
    decimals: Mapping[str, DecimalSign] = field(default_factory=dict)
    """By metric or weight column: the sign that settled cells with two readings; else `""`."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a table of videos says."""

    rows: tuple[VideoRow, ...]
    """One for each URL, in the order of the table."""
    failures: tuple[RowError, ...]
    """Rows that cannot be used, in the order of the table."""
    warnings: tuple[str, ...]
    """What may be wrong: conflicts, unreadable cells, columns without a value."""
    total: int
    """Rows that are not blank and no totals, repeated and failed ones included."""
    metrics: tuple[MetricSpec, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    """By metric that has a value: `""` (plain), `%`, `‰`, `s`, a currency."""
    attributes: tuple[str, ...] = ()
    """Names of the attribute columns, in order."""
    unreadable: tuple[UnreadableCell, ...] = ()
    skipped: tuple[SkippedRow, ...] = ()
    notes: tuple[str, ...] = ()
    """What was detected and is worth saying: encoding, skipped rows, what decided a sign."""
    detected: Detected = field(default_factory=Detected)
