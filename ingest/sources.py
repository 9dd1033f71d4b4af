"""The table of videos: rows to URLs and numbers, each row judged for itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from pathlib import Path

import pandas as pd

from ingest import csvfile
from ingest.locations import locate
from ingest.numbers import DecimalSign, Number, decimal_sign, parse
from registry.errors import RowError, SourceError, UsageError
from registry.urls import Url, printable, redacted

_CONFLICTS_SHOWN = 20
_Cells = tuple[int, object, Mapping[str, object], int]
"""Row, URL cell, metric cells, and how many cells lie beyond the last column."""


@dataclass(frozen=True, slots=True)
class VideoRow:
    """One video of the table."""

    row: int
    """As a spreadsheet counts: the header is row 1."""
    url: Url
    """Canonical: what the video is known by."""
    location: Url
    """What to fetch: the URL as written, with its credentials, or an absolute path."""
    metrics: Mapping[str, float]
    """By column; a metric without a value is left out."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a table of videos says."""

    rows: tuple[VideoRow, ...]
    """One for each URL, in the order of the table."""
    failures: tuple[RowError, ...]
    """Rows that cannot be used, in the order of the table."""
    warnings: tuple[str, ...]
    total: int
    """Rows that are not blank, repeated and failed ones included."""


def read_csv(
    path: Path,
    *,
    url_column: str = "Video URL",
    metrics: Sequence[str] = ("Performance",),
    allow_local_files: bool = False,
) -> Table:
    """Read a CSV file: UTF-8, separated by commas, semicolons or tabs, quoted as RFC 4180 has it.

    Paths in it are relative to its folder and must stay inside it unless `allow_local_files`.
    Raises `SourceError` if the file as a whole cannot be used, `UsageError` if the names of the
    columns clash; what is wrong with single rows is in the table's `failures`.
    """
    names = _names(url_column, metrics)
    sheet = csvfile.read(path, names)
    places = {name: sheet.columns.index(name) for name in names}
    width = len(sheet.columns)

    def cells() -> Iterator[_Cells]:
        for row, found in sheet.records:
            padded = [*found, *[""] * (width - len(found))]
            extra = len(found) if any(cell.strip() for cell in found[width:]) else 0
            yield row, padded[places[url_column]], {m: padded[places[m]] for m in metrics}, extra

    rows = tuple(cells())
    if not rows:
        raise SourceError(f"{path} has a header and no rows.")
    base = path.absolute().parent
    return _table(rows, width, sheet.delimiter == ";", base, allow_local_files)


def read_frame(
    frame: pd.DataFrame,
    *,
    url_column: str,
    metrics: Sequence[str],
    base: Path,
    allow_local_files: bool = True,
) -> Table:
    """Read a DataFrame as if it were a CSV file in the folder `base`; its first row is row 2.

    Metric cells may be numbers or text; missing values (NaN, None, NA) are no value. Raises as
    `read_csv` does.
    """
    names = _names(url_column, metrics)
    columns = [str(name).strip() for name in frame.columns]
    csvfile.check_columns("The DataFrame", columns, names)
    found = {name: frame.iloc[:, columns.index(name)].tolist() for name in names}
    rows = tuple(
        (place + 2, found[url_column][place], {name: found[name][place] for name in metrics}, 0)
        for place in range(len(frame))
        if not all(_is_blank(found[name][place]) for name in names)
    )
    if not rows:
        raise SourceError("The DataFrame has no rows.")
    return _table(rows, len(columns), False, base, allow_local_files)


def _names(url_column: str, metrics: Sequence[str]) -> tuple[str, ...]:
    if isinstance(metrics, str) or not metrics:
        raise UsageError("At least one metric column is needed, as a list of names.")
    names = (url_column, *metrics)
    for name in names:
        if not name.strip() or name != name.strip():
            raise UsageError(f"'{printable(name)}' cannot be the name of a column.")
    if url_column in metrics:
        raise UsageError(f"'{printable(url_column)}' cannot be both the URL column and a metric.")
    if len(set(metrics)) < len(metrics):
        raise UsageError("A metric column is named twice; name each once.")
    return names


def _table(
    rows: Sequence[_Cells], width: int, semicolons: bool, base: Path, allow_local_files: bool
) -> Table:
    columns = _Columns(rows, semicolons)
    videos: dict[Url, VideoRow] = {}
    failures: list[RowError] = []
    conflicts: list[str] = []
    repeated = 0
    for row, url_cell, metric_cells, extra in rows:
        text = _url_text(url_cell)
        try:
            if extra:
                raise RowError(
                    row,
                    redacted(text),
                    f"Row {row} has {extra} cells and the header {width}; put quotation marks "
                    "around a cell that has the separator in it.",
                )
            url, location = locate(row, text, base, allow_local_files)
            metrics = columns.values(row, text, metric_cells)
        except RowError as exc:
            failures.append(exc)
            continue
        first = videos.setdefault(url, VideoRow(row, url, location, metrics))
        if first.row != row:
            repeated += 1
            conflicts += _conflicts(first, row, metrics)
    warnings = [*(columns.warnings() if videos else ()), *conflicts[:_CONFLICTS_SHOWN]]
    if len(conflicts) > _CONFLICTS_SHOWN:
        warnings.append(f"{len(conflicts) - _CONFLICTS_SHOWN} more values differ in the same way.")
    if repeated:
        warnings.append(
            f"{repeated} row{'s repeat URLs' if repeated > 1 else ' repeats a URL'} of earlier "
            "rows; each video counts once, with the values of its first row."
        )
    return Table(tuple(videos.values()), tuple(failures), tuple(warnings), len(rows))


def _conflicts(first: VideoRow, row: int, metrics: Mapping[str, float]) -> Iterator[str]:
    for name in dict.fromkeys([*first.metrics, *metrics]):
        kept, other = (_shown(values.get(name)) for values in (first.metrics, metrics))
        if kept != other:
            yield (
                f"Rows {first.row} and {row} are one video, {first.url}, and differ in "
                f"{printable(name)}: {kept} and {other}. Row {first.row} counts."
            )


def _shown(value: float | None) -> str:
    return "no value" if value is None else f"{value:.15g}"


class _Columns:
    """Reads metric cells; knows what their columns tell about them."""

    def __init__(self, rows: Sequence[_Cells], semicolons: bool) -> None:
        self._units: dict[str, dict[str, int]] = {name: {} for name in rows[0][2]}
        self._decimal = {
            name: decimal_sign(
                (str(found[name]) for *_, found, extra in rows if not extra),
                semicolons=semicolons,
            )
            for name in self._units
        }

    def values(self, row: int, url: str, cells: Mapping[str, object]) -> dict[str, float]:
        found = {}
        for name, cell in cells.items():
            try:
                number = _number(cell, self._decimal[name])
            except ValueError as exc:
                raise RowError(
                    row,
                    redacted(url),
                    f"Row {row}, {printable(name)}: found '{printable(str(cell))}'; {exc}.",
                ) from exc
            if number is not None:
                found[name] = number.value
                self._units[name].setdefault(number.unit, row)
        return found

    def warnings(self) -> Iterator[str]:
        for name, units in self._units.items():
            if not units:
                yield f'No row has a value in column "{printable(name)}".'
            elif len(units) > 1:
                told = ", ".join(f"{unit or 'none'} (row {row})" for unit, row in units.items())
                yield f'Column "{printable(name)}" mixes units: {told}. Numbers count as written.'


def _number(cell: object, decimal: DecimalSign) -> Number | None:
    if isinstance(cell, str):
        return parse(cell, decimal)
    if _is_missing(cell):
        return None
    if isinstance(cell, bool) or not isinstance(cell, (Real, Decimal)):
        raise ValueError("a number is expected")
    try:
        value = float(cell)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError("a finite number is expected")
    return Number(value)


def _url_text(cell: object) -> str:
    return "" if _is_missing(cell) else str(cell).strip()


def _is_blank(cell: object) -> bool:
    return _is_missing(cell) or (isinstance(cell, str) and not cell.strip())


def _is_missing(cell: object) -> bool:
    return (
        cell is None
        or cell is pd.NA
        or cell is pd.NaT
        or (isinstance(cell, float) and cell != cell)
    )
