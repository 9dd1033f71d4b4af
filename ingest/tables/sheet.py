"""Rows of cells as a file contains them, before they are interpreted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = tuple[int, Sequence[object]]
"""Row number as a spreadsheet counts, and cells: text, or the value of a typed cell
(`numbers.Number` for one with a unit, `datetime`, `bool`, None, …)."""

MOST_ROWS = 1_048_576
"""Rows of a sheet, in Excel and in LibreOffice; larger row numbers are not valid."""
HEAD = 100
"""Rows, without blank ones, in which the header is searched."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One way to read a file as rows: with one separator, or one sheet of a workbook."""

    read_rows: Callable[[int | None], Sequence[Row]]
    """Returns the rows that are not blank, at most the given number. Raises `SourceError`."""
    form: str
    """`CSV`, `TSV`, `Excel workbook`, …"""
    name: str = ""
    """Name of the sheet in a workbook."""
    encoding: str = ""
    separator: str = ""
    note: str = ""
    """A note for the user on how the file was read; empty if there is none."""
