"""Reads text with separators (CSV, TSV) into rows of cells, numbered as in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from ingest.tables.sheet import Row
from registry.errors import SourceError

_SEPARATORS = (",", ";", "\t")
_MAX_CELL = 1024 * 1024
"""Characters; cells of spreadsheets have at most 32,767."""
_cell_limit = Lock()
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?(?:\r\n|\n|\r)', re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def separators(text: str) -> tuple[tuple[str, ...], str]:
    """The separators that a text may have, and the text without a first line that names one.

    Excel reads a first line `sep=;` as the separator, not as a row.
    """
    declared = _SEPARATOR_LINE.match(text)
    if declared:
        return (declared[1],), text[declared.end() :]
    return tuple(mark for mark in _SEPARATORS if mark in text) or _SEPARATORS[:1], text


def read_rows(source: str, text: str, separator: str, most: int | None = None) -> list[Row]:
    """The rows that are not blank, at most `most`. Raises `SourceError` for broken quoting.

    Cells are quoted as in RFC 4180. In text with tabs, exports often do not escape quotation marks,
    so there a line with the usual number of cells is a row, whatever quotation marks it has.
    """
    if separator == "\t":
        lines = re.split(r"\r\n|\n|\r", text)
        rows = _tabbed(lines)
        if rows is not None:
            return list(_first(rows, most))
    with _limited_cells():
        return list(_first(_quoted(source, text, separator), most))


def _first(rows: Iterator[Row], most: int | None) -> Iterator[Row]:
    for count, row in enumerate(rows):
        if count == most:
            return
        yield row


def _tabbed(lines: Sequence[str]) -> Iterator[Row] | None:
    """Each line as a row; None if a quoted cell spans lines or contains a tab."""
    quoting = [line for line in lines if '"' in line]
    plain = Counter(line.count("\t") for line in lines if line and '"' not in line)
    widths = plain or Counter(line.count("\t") for line in quoting)
    usual = widths.most_common(1)[0][0] if widths else 0
    for line in quoting:
        opened = any(
            cell.startswith('"') and not _QUOTED.fullmatch(cell) for cell in line.split("\t")
        )
        if opened and line.count("\t") != usual:
            return None
    return _lines(lines)


def _lines(lines: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if '"' in line:
            cells = [
                cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell for cell in cells
            ]
        yield number, cells


def _quoted(source: str, text: str, separator: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    row = 0
    while True:
        row += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            raise SourceError(_quoting_error(source, row, str(exc))) from exc
        if any(cell and not cell.isspace() for cell in cells):
            yield row, cells


@contextmanager
def _limited_cells() -> Iterator[None]:
    """Set the csv module's limit on cells, which applies to the whole process, for a while."""
    with _cell_limit:
        before = csv.field_size_limit(_MAX_CELL)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _quoting_error(source: str, row: int, problem: str) -> str:
    if "field larger" in problem:
        return (
            f"{source}, row {row}: a cell has more than {_MAX_CELL:,} characters. "
            "Look for a quotation mark that opens there and is never closed."
        )
    if "unexpected end" in problem:
        return (
            f"{source}, row {row}: a quotation mark opens there and is never closed. Close it, or "
            "remove it."
        )
    return (
        f'{source}, row {row}: text follows a closing quotation mark. Write "" for a quotation '
        "mark inside a quoted cell."
    )


def joined_row(cells: Sequence[object], width: int, separator: str) -> Sequence[object]:
    """The later row that a stray quotation mark has joined to this one; empty if there is none.

    A quotation mark that opens a cell by mistake and closes in a later row joins both rows, and is
    valid by RFC 4180. So a cell that spans lines is suspicious if the row's first and last line
    have as many cells as the header.
    """
    for place, cell in enumerate(cells):
        if isinstance(cell, str) and "\n" in cell:
            first, *_, last = cell.split("\n")
            row = [*last.split(separator), *cells[place + 1 :]]
            if place + 1 + first.count(separator) == width == len(row):
                return row
    return ()
