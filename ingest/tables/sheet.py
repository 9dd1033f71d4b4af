"""Rows of cells as a file holds them, before anything is known of their meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = tuple[int, Sequence[object]]
"""Row number as a spreadsheet counts, and cells: text, or what a typed cell holds
(`numbers.Number` for one with a unit, `datetime`, `bool`, None, …)."""

MOST_ROWS = 1_048_576
"""Of a sheet, in Excel and in LibreOffice; a row number above it is a forgery."""
HEAD = 100
"""Rows, blank ones apart, among which the header is looked for."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One way to read a file as rows: with one separator, or one sheet of a workbook."""

    read: Callable[[int | None], Sequence[Row]]
    """The rows that are not blank; at most so many. Raises `SourceError`."""
    form: str
    """`CSV`, `TSV`, `Excel workbook`, …"""
    name: str = ""
    """Of the sheet in a workbook."""
    encoding: str = ""
    separator: str = ""
    note: str = ""
    """How it was read, where that may surprise."""
