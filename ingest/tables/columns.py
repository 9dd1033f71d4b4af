"""A column of cells to numbers: its decimal sign and its unit are decided for all of it together.

The decimal sign matters only for cells that have two readings (`1.250`). A column decides it

1. by itself, if more of its cells show one sign than show the other or have two readings; or if no
   cell shows the other sign, and one shows this by two separators (`1,234,567`), or as many cells
   show it as have two readings, or at least two and one in twenty do;
2. else by `--decimal`;
3. else by the other columns of the table, if those that decide by themselves agree.

Otherwise it is a question. One cell against many is taken for a slip, which must not turn them all.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real

import pandas as pd

from ingest.tables.numbers import EXPECTED, DecimalSign, NoValue, Number, Reading, read_number
from ingest.tables.questions import Choice, Example, Question
from ingest.tables.units import SECONDS
from registry.urls import printable

_WHOLE = 15
"""Digits of a whole number that a float holds exactly."""
_DECIMAL = re.compile(r"-?[0-9]+\.(?:[0-9]{1,2}|[0-9]{4,12})")
"""Programs write most numbers so; what it matches has one reading, with a dot."""
_NUMERIC = 0.9
"""Share of a column's cells that must be numbers for it to speak for the table's decimal sign."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A cell that is not a number."""

    cell: str
    why: str


Found = float | Reading | NoValue | Unreadable


@dataclass(frozen=True, slots=True)
class Scanned:
    """A column before anything is decided."""

    name: str
    found: tuple[Found, ...]
    """One for each cell; a float is a number without a unit that has one reading."""
    cells: Sequence[object]
    dots: int
    """Cells that only make sense with a decimal dot."""
    commas: int
    ambiguous: int
    strong_dots: int
    strong_commas: int

    def own_sign(self) -> DecimalSign:
        """What the column decides by itself; `""`: nothing."""
        dots, commas, either = self.dots, self.commas, self.ambiguous
        if dots > commas + either:
            return "."
        if commas > dots + either:
            return ","
        if not commas and (self.strong_dots or _enough(dots, either)):
            return "."
        if not dots and (self.strong_commas or _enough(commas, either)):
            return ","
        return ""

    def is_numeric(self) -> bool:
        """Whether nearly all cells that hold anything are numbers."""
        filled = [one for one in self.found if not isinstance(one, NoValue)]
        numbers = sum(not isinstance(one, Unreadable) for one in filled)
        return bool(filled) and numbers >= _NUMERIC * len(filled)


@dataclass(frozen=True, slots=True)
class Decision:
    """The decimal sign of a column, and what decided it."""

    sign: DecimalSign
    by: str = ""
    """For a note; empty where the column itself decided or nothing had to be."""


def _enough(shown: int, either: int) -> bool:
    return (shown >= 1 and shown >= either) or (shown >= 2 and 20 * shown >= either)


def scan(name: str, cells: Sequence[object]) -> Scanned:
    """Read each cell as far as it can be read by itself."""
    known: dict[str, Found] = {}
    found: list[Found] = []
    plain_dots = 0
    for cell in cells:
        if type(cell) is str:
            if cell.isascii():
                if cell.isdigit() and len(cell) <= _WHOLE:
                    found.append(float(cell))
                    continue
                if _DECIMAL.fullmatch(cell):
                    found.append(float(cell) + 0.0)
                    plain_dots += 1
                    continue
            one = known.get(cell)
            if one is None:
                one = known[cell] = _read(cell)
            found.append(one)
        else:
            found.append(_typed(cell))
    return _counted(name, tuple(found), cells, plain_dots)


def _counted(
    name: str, found: tuple[Found, ...], cells: Sequence[object], plain_dots: int
) -> Scanned:
    shown: Counter[tuple[str, bool]] = Counter()
    for one in found:
        if type(one) is Reading:
            shown["?" if one.ambiguous else one.shows, one.strong] += 1
    strong_dots, strong_commas = shown[".", True], shown[",", True]
    return Scanned(
        name=name,
        found=found,
        cells=cells,
        dots=plain_dots + shown[".", False] + strong_dots,
        commas=shown[",", False] + strong_commas,
        ambiguous=shown["?", False] + shown["?", True],
        strong_dots=strong_dots,
        strong_commas=strong_commas,
    )


def _read(cell: str) -> Found:
    try:
        return read_number(cell)
    except ValueError as exc:
        return Unreadable(cell.strip(), str(exc))


def _typed(cell: object) -> Found:
    """A cell of a workbook or a DataFrame, which has a type."""
    if is_missing(cell):
        return NoValue.EMPTY
    if isinstance(cell, str):
        return _read(cell)
    if isinstance(cell, Number) and math.isfinite(cell.value):
        return Reading(cell.value, cell.value, cell.unit)
    if isinstance(cell, dt.timedelta):
        return _seconds(cell)
    if isinstance(cell, dt.time):
        return _seconds(dt.datetime.combine(dt.date.min, cell) - dt.datetime.min)
    if isinstance(cell, dt.date):
        return Unreadable(str(cell), "it is a date")
    if isinstance(cell, bool) or not isinstance(cell, (Real, Decimal)):
        return Unreadable(str(cell), EXPECTED)
    try:
        value = float(cell)
    except OverflowError:
        value = math.inf
    return value + 0.0 if math.isfinite(value) else Unreadable(str(cell)[:80], "it is not finite")


def _seconds(duration: dt.timedelta) -> Reading:
    seconds = duration.total_seconds()
    return Reading(seconds, seconds, SECONDS)


def is_missing(cell: object) -> bool:
    """Whether a typed cell holds nothing: None, NaN, NA, NaT."""
    return (
        cell is None
        or cell is pd.NA
        or cell is pd.NaT
        or (isinstance(cell, (float, Decimal)) and cell != cell)
    )


def decide(
    column: Scanned,
    rows: Sequence[int],
    told: DecimalSign,
    others: Callable[[], Iterable[Scanned]],
) -> Decision | Question:
    """The decimal sign of a column.

    Args:
        column: the column.
        rows: the number of each row.
        told: what `--decimal` says.
        others: the other columns of the table; called only if they are needed.
    """
    if not column.ambiguous:
        return Decision("")
    own = column.own_sign()
    if own:
        against = told and told != own
        return Decision(own, f'its own cells, against "--decimal {told}"' if against else "")
    if told:
        return Decision(told)
    speaking = {
        other.name: other.own_sign()
        for other in others()
        if other.name != column.name and other.is_numeric()
    }
    signs = {sign for sign in speaking.values() if sign}
    if len(signs) == 1:
        (sign,) = signs
        witnesses = [f'"{printable(name)}"' for name, its in speaking.items() if its]
        return Decision(sign, f"column {witnesses[0]}")
    return _question(column, rows)


def _question(column: Scanned, rows: Sequence[int]) -> Question:
    examples = tuple(
        Example(row, str(cell).strip(), (one.value("."), one.value(",")))
        for row, cell, one in zip(rows, column.cells, column.found, strict=True)
        if type(one) is Reading and one.ambiguous
    )
    return Question(
        column.name,
        f'The numbers in "{printable(column.name)}" can be read in two ways, and nothing in the '
        "table tells which; say it with --decimal.",
        (Choice("--decimal .", "decimal dot"), Choice("--decimal ,", "decimal comma")),
        examples,
    )
