"""Reads OpenDocument spreadsheets (.ods) into rows of typed cells.

The XML is read here, because no library keeps units and links at speed: calamine returns 0.0125 for
a cell of 1.25 % and drops links, odfpy has had no release since 2020, and odfdo takes five times as
long (docs/BENCHMARKS.md, "Tables").
"""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from xml.etree.ElementTree import Element, ParseError, iterparse

from ingest.tables.numbers import Number
from ingest.tables.sheet import MOST_ROWS, Row, Sheet
from ingest.tables.units import PERCENT, currency
from registry.errors import SourceError

_NAMESPACE = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_OFFICE, _TABLE, _TEXT = (_NAMESPACE % name for name in ("office", "table", "text"))
_LINK = "{http://www.w3.org/1999/xlink}href"
_CELLS = frozenset({f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"})
_MOST_COLUMNS = 16_384
"""Columns of a sheet, in LibreOffice and in Excel."""
_MOST_CELLS = 20_000_000
"""Cells with content in a document, whose repeated rows could make any number of them."""
_TIME = re.compile(r"(-?)PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?")


def spreadsheet(source: str, data: bytes) -> Sequence[Sheet]:
    """The sheets of a document. Raises `SourceError` if it cannot be read."""
    sheets = _tables(source, data)
    if not sheets:
        raise SourceError(f"{source} has no sheet. Use another file.")
    return [
        Sheet(read_rows=partial(_first, rows), form="OpenDocument spreadsheet", name=name)
        for name, rows in sheets
    ]


def _first(rows: Sequence[Row], most: int | None) -> Sequence[Row]:
    return rows[:most]


def _events(source: str, data: bytes) -> Iterator[tuple[str, Element]]:
    """Starts and ends of elements. Expat loads no external entities and limits internal ones."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("content.xml") as content:
            yield from iterparse(content, ("start", "end"))
    except (ParseError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError) as exc:
        raise SourceError(
            f"{source} cannot be read as an OpenDocument spreadsheet ({exc}). Save it without a "
            "password, or export it as CSV."
        ) from exc


def _tables(source: str, data: bytes) -> list[tuple[str, list[Row]]]:
    """Every sheet with its rows that are not blank; repeated rows and cells are expanded."""
    tables: list[tuple[str, list[Row]]] = []
    number, cell_count = 0, 0
    for event, element in _events(source, data):
        if event == "start":
            if element.tag == f"{_TABLE}table":
                tables.append((element.get(f"{_TABLE}name", ""), []))
                number = 0
            continue
        if element.tag != f"{_TABLE}table-row" or not tables:
            continue
        repeated = _count(source, element, "rows")
        cells = list(_cells(source, element))
        element.clear()
        while cells and cells[-1] in (None, ""):
            cells.pop()
        if cells:
            cell_count += repeated * len(cells)
            if cell_count > _MOST_CELLS or number + repeated > MOST_ROWS:
                raise SourceError(f"{source} has more cells than a sheet can hold. Split it.")
            tables[-1][1].extend((number + nth, cells) for nth in range(1, repeated + 1))
        number += repeated
    return tables


def _count(source: str, element: Element, of: str) -> int:
    text = element.get(f"{_TABLE}number-{of}-repeated", "1")
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise SourceError(f"{source}: '{text[:20]}' is not a number of {of}.")
    return count


def _cells(source: str, row: Element) -> Iterator[object]:
    filled, blank = 0, 0
    for element in row:
        if element.tag not in _CELLS:
            continue
        repeated = _count(source, element, "columns")
        cell = _cell(element)
        if cell is None:
            blank += repeated
            continue
        filled += blank + repeated
        if filled > _MOST_COLUMNS:
            raise SourceError(f"{source} has more than {_MOST_COLUMNS:,} columns. Remove some.")
        yield from [None] * blank
        yield from [cell] * repeated
        blank = 0


def _cell(element: Element) -> object:
    kind = element.get(f"{_OFFICE}value-type")
    formula = element.get(f"{_TABLE}formula", "").partition(":")[2]
    if "HYPERLINK(" in formula.upper():
        return formula
    if kind is None:
        text = _text(element)
        return formula or text or None
    if kind == "date":
        return _date(element.get(f"{_OFFICE}date-value", ""))
    if kind == "time":
        return _duration(element.get(f"{_OFFICE}time-value", ""))
    if kind == "boolean":
        return element.get(f"{_OFFICE}boolean-value") == "true"
    if kind in {"float", "percentage", "currency"}:
        return _number(element, kind)
    text = element.get(f"{_OFFICE}string-value") or _text(element)
    link = next(
        (
            anchor.get(_LINK)
            for paragraph in element.findall(f"{_TEXT}p")
            for anchor in paragraph.iter(f"{_TEXT}a")
        ),
        None,
    )
    if link:
        address, shown = (part.replace('"', '""') for part in (link, text))
        return f'=HYPERLINK("{address}","{shown}")'
    return text


def _number(element: Element, kind: str) -> object:
    text = element.get(f"{_OFFICE}value", "")
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return text
    if not exact.is_finite():
        return text
    if kind == "percentage":
        return Number(float(100 * exact), PERCENT)
    unit = currency(element.get(f"{_OFFICE}currency", "")) if kind == "currency" else None
    if unit:
        return Number(float(exact), unit)
    return (
        int(exact) if exact == exact.to_integral_value() and abs(exact) < 10**15 else float(exact)
    )


def _date(text: str) -> object:
    try:
        return dt.datetime.fromisoformat(text) if "T" in text else dt.date.fromisoformat(text)
    except ValueError:
        return text


def _duration(text: str) -> object:
    match = _TIME.fullmatch(text)
    if not match:
        return text
    sign, hours, minutes, seconds = match.groups()
    try:
        whole = dt.timedelta(
            hours=int(hours or 0),
            minutes=int(minutes or 0),
            seconds=float((seconds or "0").replace(",", ".")),
        )
    except (OverflowError, ValueError):
        return text
    return -whole if sign else whole


def _text(element: Element) -> str:
    """The paragraphs of a cell, a line each; not those of a comment on it."""
    return "\n".join(_inline(paragraph) for paragraph in element.findall(f"{_TEXT}p"))


def _inline(element: Element) -> str:
    pieces = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            count = child.get(f"{_TEXT}c", "1")
            pieces.append(" " * (int(count) if count.isdigit() and len(count) < 4 else 1))
        elif child.tag == f"{_TEXT}line-break":
            pieces.append("\n")
        else:
            pieces.append(_inline(child))
        pieces.append(child.tail or "")
    return "".join(pieces)
