"""Reads the cells of a column of numbers, and decides the decimal sign of the whole column.

The decimal sign matters only for cells that have two readings (`1.250`). A column decides it

1. by itself, if more of its cells show one sign than show the other or have two readings; or if no
   cell shows the other sign, and one shows this by two separators (`1,234,567`), or as many cells
   show it as have two readings, or at least two and one in twenty do;
2. else by `--decimal`;
3. else by the other columns of the table, if those that decide by themselves agree.

Otherwise the user is asked. One cell that disagrees with many is taken for a typing error, which
must not decide the whole column.
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

from ingest.tables.numbers import EXPECTED, DecimalSign, NoValue, Number, Reading, read_number
from ingest.tables.questions import Choice, Example, Question
from ingest.tables.units import SECONDS
from registry.urls import printable

_WHOLE = 15
"""Digits of a whole number that a float holds exactly."""
_DECIMAL = re.compile(r"-?[0-9]+\.(?:[0-9]{1,2}|[0-9]{4,12})")
"""The form in which programs write most numbers; it has one reading, with a decimal dot."""
_NUMERIC = 0.9
"""Share of a column's cells that must be numbers for it to decide the signs of other columns."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A cell that is not a number."""

    cell: str
    why: str


ParsedCell = float | Reading | NoValue | Unreadable


@dataclass(frozen=True, slots=True)
class ScannedColumn:
    """The parsed cells of a column, before its decimal sign and unit are decided."""

    name: str
    cells_read: tuple[ParsedCell, ...]
    """One for each cell; a float is a number without a unit that has one reading."""
    cells: Sequence[object]
    dots: int
    """Cells that only make sense with a decimal dot."""
    commas: int
    ambiguous: int
    strong_dots: int
    strong_commas: int

    def own_sign(self) -> DecimalSign:
        """The sign that the column shows by itself; `""` if it shows none."""
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
        """Whether nearly all cells that are not blank are numbers."""
        filled = [cell for cell in self.cells_read if not isinstance(cell, NoValue)]
        numbers = sum(not isinstance(cell, Unreadable) for cell in filled)
        return bool(filled) and numbers >= _NUMERIC * len(filled)


@dataclass(frozen=True, slots=True)
class Decision:
    """The decimal sign of a column, and its source."""

    sign: DecimalSign
    by: str = ""
    """The source, for a note; empty if the column itself decided, or if no sign was needed."""


def _enough(shown: int, either: int) -> bool:
    return (shown >= 1 and shown >= either) or (shown >= 2 and 20 * shown >= either)


def scan(name: str, cells: Sequence[object]) -> ScannedColumn:
    """Parse each cell as far as this is possible without the rest of the column."""
    known: dict[str, ParsedCell] = {}
    parsed: list[ParsedCell] = []
    plain_dots = 0
    for cell in cells:
        if type(cell) is str:
            if cell.isascii():
                if cell.isdigit() and len(cell) <= _WHOLE:
                    parsed.append(float(cell))
                    continue
                if _DECIMAL.fullmatch(cell):
                    parsed.append(float(cell) + 0.0)
                    plain_dots += 1
                    continue
            reading = known.get(cell)
            if reading is None:
                reading = known[cell] = _parse_text(cell)
            parsed.append(reading)
        else:
            parsed.append(_parse_typed(cell))
    return _counted(name, tuple(parsed), cells, plain_dots)


def _counted(
    name: str, parsed: tuple[ParsedCell, ...], cells: Sequence[object], plain_dots: int
) -> ScannedColumn:
    shown: Counter[tuple[str, bool]] = Counter()
    for cell in parsed:
        if type(cell) is Reading:
            shown["?" if cell.ambiguous else cell.shows, cell.strong] += 1
    strong_dots, strong_commas = shown[".", True], shown[",", True]
    return ScannedColumn(
        name=name,
        cells_read=parsed,
        cells=cells,
        dots=plain_dots + shown[".", False] + strong_dots,
        commas=shown[",", False] + strong_commas,
        ambiguous=shown["?", False] + shown["?", True],
        strong_dots=strong_dots,
        strong_commas=strong_commas,
    )


def _parse_text(cell: str) -> ParsedCell:
    try:
        return read_number(cell)
    except ValueError as exc:
        return Unreadable(cell.strip(), str(exc))


def _parse_typed(cell: object) -> ParsedCell:
    """Parse a cell of a workbook or a DataFrame, which has a type."""
    if is_missing(cell):
        return NoValue.EMPTY
    if isinstance(cell, str):
        return _parse_text(cell)
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


_MISSING = ("NAType", "NaTType")
"""Types of pandas' NA and NaT. Importing pandas takes half a second, and most tables are files."""


def is_missing(cell: object) -> bool:
    """Whether a typed cell has no value: None, NaN, NA, NaT."""
    return (
        cell is None
        or type(cell).__name__ in _MISSING
        or (isinstance(cell, (float, Decimal)) and cell != cell)
    )


def decide(
    column: ScannedColumn,
    rows: Sequence[int],
    requested: DecimalSign,
    others: Callable[[], Iterable[ScannedColumn]],
) -> Decision | Question:
    """Decide the decimal sign of a column, or ask for it.

    Args:
        column: the column.
        rows: the number of each row.
        requested: the sign given with `--decimal`; `""` if none was given.
        others: the other columns of the table; called only if they are needed.
    """
    if not column.ambiguous:
        return Decision("")
    own = column.own_sign()
    if own:
        contradicts = requested and requested != own
        source = f'its own cells, against "--decimal {requested}"' if contradicts else ""
        return Decision(own, source)
    if requested:
        return Decision(requested)
    own_signs = {
        other.name: other.own_sign()
        for other in others()
        if other.name != column.name and other.is_numeric()
    }
    signs = {sign for sign in own_signs.values() if sign}
    if len(signs) == 1:
        (sign,) = signs
        deciding = next(name for name, own_sign in own_signs.items() if own_sign)
        return Decision(sign, f'column "{printable(deciding)}"')
    return _question(column, rows)


def _question(column: ScannedColumn, rows: Sequence[int]) -> Question:
    examples = tuple(
        Example(row, str(cell).strip(), (parsed.value("."), parsed.value(",")))
        for row, cell, parsed in zip(rows, column.cells, column.cells_read, strict=True)
        if type(parsed) is Reading and parsed.ambiguous
    )
    return Question(
        column.name,
        f'The numbers in "{printable(column.name)}" can be read in two ways, and nothing in the '
        "table shows which. Choose one with --decimal.",
        (Choice("--decimal .", "decimal dot"), Choice("--decimal ,", "decimal comma")),
        examples,
    )
