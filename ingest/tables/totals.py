"""Rows that are no video: totals, with a label or without one."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from ingest.tables.columns import is_missing
from ingest.tables.numbers import NoValue, Number, Reading, read_number, visible
from ingest.tables.sheet import Row

_TOTALS = (
    "total|totals|grand total|sub-?total|sum|sums|overall|total general|total général|totale|"
    "total geral|totaal|totalt|gesamt|gesamtsumme|gesamtergebnis|insgesamt|summe|zwischensumme|"
    "somme|suma|razem|celkem|yhteensä|toplam|итого|всего|合計|総計|总计|合计|합계|الإجمالي"
)
_TOTAL = re.compile(rf"(?:{_TOTALS})(?:\s*[:(\-–—].*|\s+of\s+[0-9].*)?", re.IGNORECASE)
"""`Total`, `Total: Account`, `Total - 5 rows`, `Total of 5 results`; not `Total war`."""
_LONGEST_LABEL, _LONGEST_BLANK = 80, 16
"""Characters of a total's label, and of a word for no value."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.{0,16}")
_ROUNDING = 0.002
"""How far a total may be from the sum of its column: platforms round each row."""


def total_label(cells: Sequence[object], url: int) -> str:
    """The label of a row of totals, or "" if it is an ordinary row.

    Its URL cell is blank, and the first cell that is neither blank nor a number says `Total` or the
    like; or its URL cell says so itself.
    """
    link = cells[url] if url < len(cells) else None
    if isinstance(link, str) and len(link) > _LONGEST_LABEL:
        return ""
    if not is_blank(link):
        return _total(link)
    return next((_total(cell) for cell in cells if not _is_number(cell)), "")


def _total(cell: object) -> str:
    label = visible(cell) if isinstance(cell, str) else ""
    return label if _TOTAL.fullmatch(label) else ""


def is_blank(cell: object) -> bool:
    """Whether a cell holds nothing, or what exports write for it."""
    if not isinstance(cell, str):
        return is_missing(cell)
    label = visible(cell)
    if len(label) > _LONGEST_BLANK:
        return False
    try:
        return read_number(label) is NoValue.EMPTY
    except ValueError:
        return False


def _is_number(cell: object) -> bool:
    """Whether a cell is a number or holds nothing."""
    if not isinstance(cell, str):
        return is_missing(cell) or isinstance(cell, (int, float, Decimal, Number))
    try:
        read_number(cell)
    except ValueError:
        return False
    return True


def unlabelled_total(rows: Sequence[Row], url: int) -> int | None:
    """The place of a row of totals without a label, as Meta writes one: the first or the last row.

    Its URL is blank, as is every cell that is neither a number nor a date, and one of its numbers
    is the sum of its column over at least two other rows. A row without a URL that adds nothing up
    is a video whose URL is missing.
    """
    for place in {0, len(rows) - 1} if len(rows) > 2 else ():
        _, cells = rows[place]
        if not is_blank(cells[url]) or not all(_is_number(c) or _is_date(c) for c in cells):
            continue
        others = [other for at, (_, other) in enumerate(rows) if at != place]
        if any(
            _adds_up(total, (other[column] for other in others))
            for column, total in enumerate(cells)
        ):
            return place
    return None


def _is_date(cell: object) -> bool:
    return isinstance(cell, dt.date) or (isinstance(cell, str) and bool(_DATE.fullmatch(cell)))


def _adds_up(total: object, cells: Iterable[object]) -> bool:
    """Whether a cell is the sum of two others or more, whichever the decimal sign is."""
    wanted = _values(total)
    if not any(wanted):
        return False
    parts = [values for cell in cells if any(values := _values(cell))]
    return len(parts) > 1 and any(
        value and math.isclose(value, math.fsum(part[sign] for part in parts), rel_tol=_ROUNDING)
        for sign, value in enumerate(wanted)
    )


def _values(cell: object) -> tuple[float, float]:
    """A number under either decimal sign; zero where it is none."""
    if isinstance(cell, str):
        try:
            reading = read_number(cell)
        except ValueError:
            return 0.0, 0.0
        return (
            (reading.dot or 0.0, reading.comma or 0.0)
            if isinstance(reading, Reading)
            else (0.0, 0.0)
        )
    if isinstance(cell, Number):
        return cell.value, cell.value
    if isinstance(cell, (int, float, Decimal)) and not is_missing(cell):
        return float(cell), float(cell)
    return 0.0, 0.0
