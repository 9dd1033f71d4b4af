"""Reads a table of videos from a file, a URL, standard input or a DataFrame."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.fetch.share_links import Fetch, is_link, table_address
from ingest.tables import files
from ingest.tables.cells import header_text, looks_like_url
from ingest.tables.columns import is_missing
from ingest.tables.header import Header, closeness, find_header, missing
from ingest.tables.interpretation import interpret
from ingest.tables.separated import joined_row
from ingest.tables.sheet import HEAD, Row, Sheet
from ingest.tables.table import SkippedRow, Table, TableOptions
from ingest.tables.totals import total_label, unlabelled_total
from ingest.tables.videos import Body
from registry.errors import RowError, SourceError, UsageError
from registry.urls import printable, redacted

if TYPE_CHECKING:
    import pandas as pd

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The bytes of a table."""

    source: str
    """Its name in messages."""
    data: bytes
    folder: Path | None
    """The folder of the file; None if it is not a file."""


def read_table(source: str | Path, options: TableOptions, fetch: Fetch | None = None) -> Table:
    """Read a table: CSV, TSV, an Excel or OpenDocument workbook, or Parquet, detected by content.

    Args:
        source: a path; `-` for standard input; or an http(s) URL, also of a Google sheet.
        options: how to read it.
        fetch: downloads the bytes of a URL; if None, URLs are refused.

    Raises:
        SourceError: the file as a whole cannot be used. Errors of single rows are in the table's
            `failures`, of single cells in `unreadable`.
        UsageError: the options do not fit the table. `QuestionError` is a subclass: the numbers
            can be read in several ways.
        FetchError: the URL cannot be downloaded.
    """
    loaded = _load(source, fetch)
    candidates = files.sheets(loaded.source, loaded.data, options.encoding)
    return _read(loaded.source, candidates, options, options.base_folder or loaded.folder)


def read_frame(frame: pd.DataFrame, options: TableOptions, base: Path) -> Table:
    """Read a DataFrame as if it were a file in the folder `base`; its first row is row 2.

    Cells may be text or have types; missing values (NaN, None, NA) are no value. Raises as
    `read_table` does.
    """
    names = [str(name) for name in frame.columns]
    columns = [frame.iloc[:, place].tolist() for place in range(len(names))]
    rows: list[Row] = [(1, names)]
    rows += (
        (number, cells)
        for number, cells in enumerate(zip(*columns, strict=True), 2)
        if not all(_is_blank(cell) for cell in cells)
    )
    sheet = Sheet(read_rows=lambda most: rows[:most], form="DataFrame")
    return _read("The DataFrame", [sheet], options, options.base_folder or base)


def _load(source: str | Path, fetch: Fetch | None) -> _Loaded:
    text = str(source)
    if text == STANDARD_INPUT:
        return _Loaded(
            "Standard input", files.read_stream("Standard input", sys.stdin.buffer), None
        )
    if is_link(text):
        if fetch is None:
            raise SourceError(
                f"{redacted(text)} is a URL, and no download is possible here. Give a file."
            )
        shown = redacted(text)
        return _Loaded(shown, files.check_size(shown, fetch(table_address(text))), None)
    path = Path(source)
    return _Loaded(str(path), files.read_file(path), path.absolute().parent)


def _read(
    source: str, candidates: Sequence[Sheet], options: TableOptions, base: Path | None
) -> Table:
    with _collection_paused():
        sheet, header = _choose(source, candidates, options)
        body = _read_body(source, sheet, header)
        if header.absent:
            names = " and no ".join(f'column "{printable(name)}"' for name in header.absent)
            body.warnings.append(
                f"{source} has no {names}, which earlier tables had. The values on record stay."
            )
        if len(candidates) > 1 and sheet.name:
            body.notes.append(f'{source}: read sheet "{printable(sheet.name)}".')
        return interpret(source, sheet, header, body, options, base)


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Disable garbage collection, which would traverse millions of cells again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _choose(
    source: str, candidates: Sequence[Sheet], options: TableOptions
) -> tuple[Sheet, Header]:
    """Choose the separator, or the sheet, with which the table has the named columns."""
    candidates = _sheets_named(source, candidates, options.sheet)
    heads: list[tuple[Sheet, Sequence[Row]]] = []
    failure: SourceError | None = None
    for sheet in candidates:
        try:
            heads.append((sheet, sheet.read_rows(HEAD)))
        except SourceError as exc:
            failure = failure or exc
    url_column, metrics = options.url_column, options.metrics
    fitting: list[tuple[Sheet, Header]] = []
    for partial in (False, True) if options.partial else (False,):
        fitting = fitting or [
            (sheet, header)
            for sheet, rows in heads
            if (header := find_header(source, rows, url_column, metrics, partial=partial))
        ]
    if not fitting:
        if failure is not None:
            raise failure
        best = max((rows for _, rows in heads), key=lambda r: closeness(r, url_column, metrics))
        raise missing(source, best, url_column, metrics)
    named = [f'"{printable(sheet.name)}"' for sheet, _ in fitting if sheet.name]
    if len(named) > 1:
        raise UsageError(
            f"{source} has these columns on the sheets {', '.join(named)}. Name one with --sheet."
        )
    return max(fitting, key=lambda candidate: len(candidate[1].columns))


def _sheets_named(source: str, candidates: Sequence[Sheet], name: str) -> Sequence[Sheet]:
    if not name or not candidates[0].name:
        return candidates
    exact = [sheet for sheet in candidates if sheet.name == name]
    loose = [sheet for sheet in candidates if sheet.name.casefold() == name.strip().casefold()]
    if not exact and len(loose) != 1:
        known = ", ".join(f'"{printable(sheet.name)}"' for sheet in candidates)
        raise UsageError(f'{source} has no sheet "{printable(name)}". Its sheets are {known}.')
    return exact or loose


def _read_body(source: str, sheet: Sheet, header: Header) -> Body:
    """The rows below the header, without totals; rows that are too long fail."""
    width, body = len(header.columns), Body()
    if sheet.note:
        body.notes.append(sheet.note)
    above = 0
    for row, cells in sheet.read_rows(None):
        if row <= header.row:
            above += row < header.row
            continue
        label = total_label(cells, header.url) or _repeated_header(cells, header)
        if label:
            body.skipped.append(SkippedRow(row, printable(label)))
        elif len(cells) == width:
            body.rows.append((row, cells))
        elif any(not _is_blank(cell) for cell in cells[width:]):
            body.failures.append(_too_long(row, cells, header))
        else:
            blanks = ("",) * (width - len(cells))
            body.rows.append((row, (*cells[:width], *blanks)))
        if sheet.separator and "\n" in "".join(map(str, cells)):
            _check_quotes(source, sheet, header, row, cells)
    total = unlabelled_total(body.rows, header.url)
    if total is not None:
        body.skipped.append(SkippedRow(body.rows.pop(total)[0], ""))
    if not body.rows and not body.failures:
        raise SourceError(f"{source} has a header but no rows. Add one row for each video.")
    if above:
        lines = f"{above} rows" if above > 1 else "1 row"
        body.notes.append(f"{source}: the header is row {header.row}; {lines} above it skipped.")
    if body.skipped:
        body.notes.append(_describe_skipped(source, body.skipped))
    return body


def _check_quotes(
    source: str, sheet: Sheet, header: Header, row: int, cells: Sequence[object]
) -> None:
    joined = joined_row(cells, len(header.columns), sheet.separator)
    if joined and looks_like_url(joined[header.url]):
        raise SourceError(
            f"{source}, row {row}: a quotation mark opens there and closes in a later row, "
            f"which would be lost ('{printable(str(joined[header.url]))}'). Remove the quotation "
            'mark, or write "" for it inside a quoted cell.'
        )


def _too_long(row: int, cells: Sequence[object], header: Header) -> RowError:
    return RowError(
        row,
        redacted(header_text(cells[header.url])),
        f"Row {row} has {len(cells)} cells and the header {len(header.columns)}. Put quotation "
        "marks around a cell that has the separator in it.",
    )


def _repeated_header(cells: Sequence[object], header: Header) -> str:
    """The name of the URL column if the row repeats the header, as in concatenated files."""
    name = header.columns[header.url]
    if len(cells) < len(header.columns) or cells[header.url] in (None, ""):
        return ""
    again = header_text(cells[header.url]) == name and (
        tuple(map(header_text, cells[: len(header.columns)])) == header.columns
    )
    return name if again else ""


def _describe_skipped(source: str, rows: Sequence[SkippedRow]) -> str:
    labels = ", ".join(
        (f"'{row.label}'" if row.label else "without a label") + f" (row {row.row})"
        for row in rows[:5]
    )
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    what = "rows of totals or headers" if len(rows) > 1 else "row of totals or headers"
    return f"{source}: {len(rows)} {what} skipped: {labels}{more}."


def _is_blank(cell: object) -> bool:
    return is_missing(cell) or (isinstance(cell, str) and not cell.strip())
