"""Reads Excel workbooks (openpyxl) and Parquet files (pyarrow) into rows of typed cells.

Faster readers of workbooks (calamine) leave out what openpyxl has: that 0.0125 is shown as 1.25 %,
that an empty cell is a formula without a stored result, and the targets of links.
"""

from __future__ import annotations

import datetime as dt
import functools
import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import Any

from ingest.tables.numbers import Number
from ingest.tables.sheet import MOST_ROWS, Row, Sheet
from ingest.tables.units import PERCENT, currency
from registry.errors import SourceError

_SECTION = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|[^;]')
_MORE_THAN_VALUES = re.compile(rb"<(?:\w+:)?(?:f|hyperlink)[ />]")


def excel(source: str, data: bytes) -> Sequence[Sheet]:
    """The visible sheets of a workbook. Raises `SourceError` if it cannot be read."""
    extras = functools.lru_cache(maxsize=1)(lambda: _formulas_and_links(source, data))
    with _opened(source, data, read_only=True, data_only=True) as book:
        names = [sheet.title for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if not names:
        raise SourceError(f"{source} has no visible sheet. Make one visible.")
    return [
        Sheet(
            read_rows=functools.partial(_rows, source, data, name, extras),
            form="Excel workbook",
            name=name,
        )
        for name in names
    ]


@contextmanager
def _opened(source: str, data: bytes, **how: bool) -> Iterator[Any]:
    """Open a workbook. Any exception of openpyxl counts as a damaged file."""
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # styles and validations that it leaves out
            book = openpyxl.load_workbook(io.BytesIO(data), **how)
            yield book
            book.close()
    except SourceError:
        raise
    except Exception as exc:
        raise SourceError(
            f"{source} cannot be read as a workbook ({type(exc).__name__}: {exc}). "
            "Open it and save it again, or export it as CSV."
        ) from exc


def _rows(
    source: str,
    data: bytes,
    name: str,
    extras: Callable[[], Mapping[tuple[str, int, int], str]],
    most: int | None,
) -> Sequence[Row]:
    known = extras()
    with _opened(source, data, read_only=True, data_only=True) as book:
        sheet = book[name]
        sheet.reset_dimensions()  # files that declare only one cell are common
        return list(islice(_filled(source, sheet, name, known), most))


def _filled(
    source: str, sheet: Any, name: str, extras: Mapping[tuple[str, int, int], str]
) -> Iterator[Row]:
    for number, cells in enumerate(sheet.iter_rows(), 1):
        if number > MOST_ROWS:
            raise SourceError(f"{source}: sheet {name} has more than {MOST_ROWS:,} rows. Split it.")
        row = [
            _typed_value(cell.value, cell.number_format, cell.data_type)
            if cell.value is not None
            else None
            for cell in cells
        ]
        if extras:
            row = [extras.get((name, number, place), cell) for place, cell in enumerate(row, 1)]
        if any(cell is not None and cell != "" for cell in row):
            yield number, row


def _typed_value(value: object, number_format: str | None, kind: str) -> object:
    """A cell's value, with the unit that its format shows."""
    if kind == "n" and not isinstance(value, bool):
        unit, factor = _displayed_unit(number_format or "")
        if unit and isinstance(value, (int, float)):
            return Number(float(Decimal(repr(value)) * factor), unit)
    if isinstance(value, dt.datetime) and value.time() == dt.time.min:
        return value.date()
    return value


@functools.lru_cache(maxsize=1024)
def _displayed_unit(number_format: str) -> tuple[str, int]:
    r"""The unit that a number format displays, and the factor from the value to what is displayed.

    `0.0%` displays a hundred times the value; `0.0\ "%"` and `"€" 0.00` display the value itself.
    """
    if number_format == "General":
        return "", 1
    quoted = []
    for piece in _section(number_format):
        if piece == "%":
            return PERCENT, 100
        if piece.startswith("[$"):
            quoted.append(piece[2:-1].partition("-")[0])
        elif piece.startswith('"'):
            quoted.append(piece[1:-1])
        elif piece.startswith("\\") or piece in "$€£¥":
            quoted.append(piece[-1])
    text = "".join(quoted).strip()
    return (PERCENT, 1) if text == "%" else (currency(text) or "" if text else "", 1)


def _section(number_format: str) -> Iterator[str]:
    """The pieces of the first section, which is the one for positive numbers."""
    place = 0
    while place < len(number_format) and number_format[place] != ";":
        piece = _SECTION.match(number_format, place)
        if piece is None:
            return
        yield piece[0]
        place = piece.end()


def _formulas_and_links(source: str, data: bytes) -> Mapping[tuple[str, int, int], str]:
    """Links and formulas as text, by sheet, row and column.

    Links become `=HYPERLINK("address","text")`; formulas without a stored result stay formulas.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if not any(
            _MORE_THAN_VALUES.search(archive.read(entry))
            for entry in archive.infolist()
            if entry.filename.startswith("xl/worksheets/") and entry.filename.endswith(".xml")
        ):
            return {}
    texts: dict[tuple[str, int, int], str] = {}
    with (
        _opened(source, data, data_only=False) as written,
        _opened(source, data, data_only=True) as results,
    ):
        for sheet in written.worksheets:
            result = results[sheet.title]
            for cells in sheet.iter_rows():
                for cell in cells:
                    text = _link_or_formula(cell, result.cell(cell.row, cell.column).value)
                    if text:
                        texts[sheet.title, cell.row, cell.column] = text
    return texts


def _link_or_formula(cell: Any, result: object) -> str:
    link = cell.hyperlink.target if getattr(cell, "hyperlink", None) else None
    if link:
        address, shown = (str(text).replace('"', '""') for text in (link, result or ""))
        return f'=HYPERLINK("{address}","{shown}")'
    if cell.data_type == "f":
        formula = str(getattr(cell.value, "text", cell.value))
        if result is None or "HYPERLINK(" in formula.upper():
            return formula
    return ""


def parquet(source: str, data: bytes) -> Sheet:
    """A Parquet file; its column names are row 1, and its first row is row 2."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def read_rows(most: int | None) -> Sequence[Row]:
        try:
            file = pq.ParquetFile(io.BytesIO(data))
            if file.metadata.num_rows > 4 * MOST_ROWS:
                raise SourceError(f"{source} has {file.metadata.num_rows:,} rows. Split it.")
            names = file.schema_arrow.names
            batches = file.iter_batches(batch_size=min(65536, most or 65536))
            rows: list[Row] = [(1, names)]
            for batch in batches:
                columns = [column.to_pylist() for column in batch.columns]
                start = len(rows) + 1
                rows += enumerate(zip(*columns, strict=True), start)
                if most is not None and len(rows) >= most:
                    break
        except (pa.ArrowException, OSError, ValueError) as exc:
            raise SourceError(
                f"{source} cannot be read as Parquet ({exc}). Write it again."
            ) from exc
        return rows[:most]

    return Sheet(read_rows=read_rows, form="Parquet")
