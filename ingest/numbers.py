"""Numbers as people and spreadsheets write them.

The rule, which the documentation repeats:

- Spaces around the number are ignored; between digits, spaces (also the no-break kinds) and
  apostrophes group thousands.
- With both a comma and a dot, the one further right is the decimal sign. A sign that comes more
  than once groups thousands.
- A lone comma or dot that three digits follow (`1,234`, `12.345`) can mean either, and the column
  tells which: one kind of decimal sign wins if more cells show it beyond doubt than show the other
  or can be read both ways, so that one slip turns nothing round. Otherwise the dot is the decimal
  sign, as programs write it, if no cell shows a decimal comma; in a file separated by semicolons,
  which comes from where the comma is, the comma, if a cell shows it and none shows a decimal dot.
  Else the cell is refused, not guessed.
- `12%` is 12.0. A currency sign before or after the number is left out.
- Empty, `-`, `NA`, `N/A`, `#N/A`, `null` and `none` mean that there is no value.
- Anything else, NaN and infinity included, is refused.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

DecimalSign = Literal[".", ",", ""]
"""`""`: the column does not tell."""

_NO_VALUE = frozenset({"", "-", "–", "—", "na", "n/a", "#n/a", "null", "none"})
_LONGEST = 64
"""Characters; a float of 17 digits with exponent, signs and groups is well below."""
_GROUP = "[ \u00a0\u2009\u202f'’]"
_OUTSIDE = r"[^\d\s.,+'’-]?"
_CELL = re.compile(
    rf"(?P<sign>[+-]?)(?P<front>{_OUTSIDE})\s?(?P<inner>[+-]?)"
    rf"(?P<body>[0-9.,]+(?:{_GROUP}[0-9.,]+)*)(?P<power>[eE][+-]?[0-9]+)?\s?(?P<back>{_OUTSIDE})"
)
_SPACED = re.compile(
    rf"[0-9]{{1,3}}(?P<gap>{_GROUP})[0-9]{{3}}(?:(?P=gap)[0-9]{{3}})*(?:[.,][0-9]+)?"
)
_THOUSANDS = {
    # The second form is India's: 12,34,567.
    ",": re.compile(r"[0-9]{1,3}(,[0-9]{3})+|[0-9]{1,2}(,[0-9]{2})+,[0-9]{3}"),
    ".": re.compile(r"[0-9]{1,3}(\.[0-9]{3})+"),
}
_EITHER = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
_OTHER = {",": ".", ".": ","}
_PLAIN = re.compile(r"[0-9]+|[0-9]*[.,][0-9]+|[0-9]+\.")


@dataclass(frozen=True, slots=True)
class Number:
    """A cell that holds a number."""

    value: float
    unit: str = ""
    """`%`, a currency sign, or nothing."""


def parse(cell: str, decimal: DecimalSign = ".") -> Number | None:
    """The number in a cell, or None for no value.

    `decimal` settles cells that can be read two ways. Raises `ValueError` saying what is expected.
    """
    text = cell.strip().replace("\u2212", "-")
    if text.lower() in _NO_VALUE:
        return None
    match = _CELL.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError("a number such as 1234.5, 1,234.5 or 12% is expected")
    value = float(_digits(match["body"], bool(match["power"]), decimal) + (match["power"] or ""))
    signs, units = match["sign"] + match["inner"], match["front"] + match["back"]
    if len(signs) > 1 or not _is_unit(match["front"], match["back"]):
        raise ValueError("a number such as 1234.5, 1,234.5 or 12% is expected")
    if not math.isfinite(value):
        raise ValueError("a number that fits 64 bits is expected")
    # Adding zero makes -0 an ordinary zero, which compares and prints like one.
    return Number((-value if signs == "-" else value) + 0.0, units)


def decimal_sign(cells: Iterable[str], *, semicolons: bool = False) -> DecimalSign:
    """What settles the cells of a column that can be read two ways.

    `semicolons`: whether they separate the columns of the file.
    """
    count = Counter(_shows(cell) for cell in cells)
    dots, commas, either = count["."], count[","], count["?"]
    if dots > commas + either:
        return "."
    if commas > dots + either:
        return ","
    if semicolons:
        return "," if commas and not dots else ""
    return "" if commas else "."


def _shows(cell: str) -> str:
    """The decimal sign that a cell shows, `?` if it can be read two ways, or nothing."""
    match = _CELL.fullmatch(cell.strip()) if len(cell) <= _LONGEST else None
    body = match["body"] if match else ""
    sign = max(",.", key=body.rfind)
    if match is None or sign not in body:
        return ""
    if not match["power"] and _EITHER.fullmatch(body):
        return "?"
    try:
        _digits(body, has_power=bool(match["power"]), decimal="")
    except ValueError:
        return ""
    return sign if body.count(sign) == 1 else _OTHER[sign]


def _digits(body: str, has_power: bool, decimal: DecimalSign) -> str:
    """The body as `float` reads it."""
    spaced = _SPACED.fullmatch(body)
    if spaced:
        return body.replace(spaced["gap"], "").replace(",", ".")
    if not has_power and _EITHER.fullmatch(body):
        if not decimal:
            bare = re.sub("[.,]", "", body)
            raise ValueError(
                f"it can mean {bare} or {body.replace(',', '.')}, and the rest of the column does "
                "not tell which; write it without thousands separators and with a decimal dot"
            )
        return body.replace(",", ".") if decimal in body else re.sub("[.,]", "", body)
    if _PLAIN.fullmatch(body):
        return body.replace(",", ".")
    sign = max(",.", key=body.rfind)
    if body.count(sign) == 1:
        whole, _, fraction = body.partition(sign)
        other = _OTHER[sign]
        if _THOUSANDS[other].fullmatch(whole) and fraction:
            return f"{whole.replace(other, '')}.{fraction}"
    elif _THOUSANDS[sign].fullmatch(body):
        return body.replace(sign, "")
    raise ValueError("its commas and dots do not group thousands")


def _is_unit(front: str, back: str) -> bool:
    if front and back:
        return False
    return back == "%" or not (front or back) or unicodedata.category(front or back) == "Sc"
