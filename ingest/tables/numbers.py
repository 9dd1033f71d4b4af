"""Parses the text of one cell into all its readings as a number. Pure.

`columns.py` chooses between the readings.

Digits of any script are digits; full-width signs count as the ordinary ones. White space of any
kind, apostrophes and the Arabic thousands separator (U+066C) group digits, in threes. U+066B is a
decimal sign. A comma or a dot is a decimal sign or groups digits:

- It is the decimal sign if it comes once, after everything that groups, and what follows cannot be
  a group: `12.5`, `0,5`, `1.2345`, `.5`, `0.125`, `1234,567`, `1 234,567`, `1.234,5`, `1,5e3`.
- It groups digits if it comes more than once (`1,234,567`, in India `12,34,567`) or before another
  sign (`1,234.5`).
- One comma or dot that stands after one to three digits, of which the first is not 0, and before
  exactly three can be either: `1.250`, `1,250`, `999.000`. Such a cell has two readings.

Around the number may stand a sign, a currency, `%`, `‰`, `x` (a plain ratio), `s`, or a word such
as `K`, `Mio.`; parentheses are a minus. `m:ss` and `h:mm:ss` are seconds. `< 10%` is no value.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Literal

from ingest.tables.units import SECONDS, affixes

DecimalSign = Literal[".", ",", ""]
"""`""` stands for a sign that is not decided or not needed."""

EXPECTED = "a number such as 1234.5, 1,234.5 or 12% is expected"
_LONGEST = 64
"""Characters; a float of 17 digits with exponent, signs, groups and a currency is shorter."""

_WORDS = (
    "-|--|---|—|——|na|n/a|#n/a|n.a.|k.a.|k. a.|#nv|#n/d|null|none|nan|(not set)|(not provided)|"
    "(none)|(blank)|(empty)|#div/0!|#¡div/0!|#div/0|not available|not applicable"
)
_EMPTY = frozenset({"", *_WORDS.split("|")})
"""What exports and spreadsheets write for a missing value; case ignored."""

_INVISIBLE = "\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
INVISIBLE = re.compile(f"[{_INVISIBLE}]")
"""Marks of direction, joiners, soft hyphens, byte order marks: they are not displayed."""

_SIGNS = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63", "-")
    | dict.fromkeys("\u2018\u2019\u02bc`\u00b4", "'")
)
_ARABIC_DECIMAL, _ARABIC_GROUP = "\u066b", "\u066c"
_GROUPS_ONLY = f" '{_ARABIC_GROUP}"

_BODY = rf"[0-9](?:[0-9.,{_GROUPS_ONLY}{_ARABIC_DECIMAL}]*[0-9])?"
_CELL = re.compile(
    rf"(?P<front>[^0-9]*)(?P<body>{_BODY})(?:[eE](?P<power>[+-]?[0-9]{{1,3}}))?(?P<back>[^0-9]*)"
)
_SEPARATORS = re.compile("([^0-9])")
_QUOTED = re.compile(r'="([^"]*)"')
_PARENTHESES = re.compile(r"([^0-9()]*)\(([^()]+)\)([^0-9()]*)")
_BOUND = re.compile(r"(?:[<>]=?|[≤≥])\s*")
_DURATION = re.compile(r"(?:(?P<h>[0-9]+):)?(?P<m>[0-9]+):(?P<s>[0-5][0-9])(?:[.,](?P<f>[0-9]+))?")


class NoValue(Enum):
    """Why a readable cell has no value."""

    EMPTY = "empty"
    BOUND = "bound"
    """A bound such as `< 10%`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The readings of a cell."""

    dot: float | None
    """The value if the dot is the decimal sign; None if it cannot be."""
    comma: float | None
    """The value if the comma is the decimal sign; None if it cannot be."""
    unit: str = ""
    strong: bool = False
    """Whether two or more separators show the decimal sign, which rules out a typing error."""

    @property
    def ambiguous(self) -> bool:
        """Whether the two readings differ."""
        return self.dot != self.comma and self.dot is not None and self.comma is not None

    @property
    def shows(self) -> DecimalSign:
        """The only decimal sign that the cell's form allows; `""` if it allows both."""
        if self.dot is None:
            return ","
        return "." if self.comma is None else ""

    def value(self, decimal: DecimalSign) -> float:
        """The number; `decimal` is used only if the cell is ambiguous."""
        if self.dot is None or (self.comma is not None and decimal == ","):
            assert self.comma is not None
            return self.comma
        return self.dot


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its unit, as a spreadsheet stores it."""

    value: float
    unit: str = ""


def visible(text: str) -> str:
    """The text without invisible characters and surrounding white space."""
    return text.strip() if text.isascii() else INVISIBLE.sub("", text).strip()


def read_number(cell: str) -> Reading | NoValue:
    """Parse a cell. Raises `ValueError`, which says what is expected."""
    text = _plain(cell)
    if text.casefold() in _EMPTY:
        return NoValue.EMPTY
    if len(text) > _LONGEST:
        raise ValueError(EXPECTED)
    bound = _BOUND.match(text)
    if bound:
        if isinstance(_reading(text[bound.end() :]), Reading):
            return NoValue.BOUND
        raise ValueError(EXPECTED)
    return _reading(text)


def _plain(cell: str) -> str:
    """The text with ASCII digits, signs and spaces, and without the quotes of `="text"`."""
    text = visible(cell)
    if not text.isascii():
        text = "".join(
            str(unicodedata.decimal(letter))
            if letter.isdecimal()
            else " "
            if letter.isspace()
            else letter
            for letter in text.translate(_SIGNS)
        )
    if text[:1] in "='":
        quoted = _QUOTED.fullmatch(text)
        return (quoted[1] if quoted else text.removeprefix("'")).strip()
    return text


def _reading(text: str) -> Reading:
    if ":" in text:
        return _duration(text)
    bracketed = _PARENTHESES.fullmatch(text) if "(" in text else None
    match = _CELL.fullmatch("".join(bracketed.groups()) if bracketed else text)
    if match is None:
        if text.startswith("="):
            raise ValueError("it is a formula; export the file with results")
        raise ValueError(EXPECTED)
    front, body, power, back = match.groups()
    if _starts_with_decimal_sign(front):
        front, body = front[:-1], front[-1] + body
    minus, signs = front.count("-"), front.count("-") + front.count("+")
    if signs > (0 if bracketed else 1):
        raise ValueError(EXPECTED)
    if signs:
        front = front.replace("-", "").replace("+", "")
    if back == "." and body.isdigit():
        back = ""
    unit, scale = affixes(front, back)
    negative = bool(bracketed or minus)
    dot, comma, strong = _readings(body, power)
    if dot is None and comma is None:
        raise ValueError("its separators do not group digits in threes")
    return Reading(
        _value(dot, power, scale, negative), _value(comma, power, scale, negative), unit, strong
    )


def _starts_with_decimal_sign(front: str) -> bool:
    """Whether the last character before the first digit is a decimal sign: `.5`, but `Rs.500`."""
    if not front or front[-1] not in (".", ",", _ARABIC_DECIMAL):
        return False
    before = front[-2:-1]
    return before in {"", " ", "+", "-"} or unicodedata.category(before) == "Sc"


def _readings(body: str, power: str | None) -> tuple[str | None, str | None, bool]:
    """The digits for `float` under either sign, and whether two separators show the sign."""
    if body.isdigit():
        return body, body, False
    pieces = _SEPARATORS.split(body)
    digits, separators = pieces[::2], pieces[1::2]
    if _ARABIC_DECIMAL in separators:
        only = _read_with(_ARABIC_DECIMAL, digits, separators, grouped=not power)
        return only, only, False
    dot = _read_with(".", digits, separators, grouped=not power)
    comma = _read_with(",", digits, separators, grouped=not power)
    return dot, comma, len(separators) > 1


def _read_with(
    decimal: str, digits: list[str], separators: list[str], *, grouped: bool
) -> str | None:
    """The digits for `float` if `decimal` is the decimal sign; None if it cannot be."""
    fraction = ""
    if separators[-1] == decimal:
        digits, separators, fraction = digits[:-1], separators[:-1], f".{digits[-1]}"
    if separators:
        sign = separators[0]
        if not grouped or sign == decimal or set(separators) != {sign}:
            return None
        if not _groups(digits, indian=sign == ","):
            return None
    return "".join(digits) + fraction


def _groups(digits: list[str], *, indian: bool) -> bool:
    first, *middle, last = digits
    if len(last) != 3 or first.startswith("0"):
        return False
    if 1 <= len(first) <= 3 and all(len(group) == 3 for group in middle):
        return True
    return indian and 1 <= len(first) <= 2 and all(len(group) == 2 for group in middle)


def _value(digits: str | None, power: str | None, scale: Decimal, negative: bool) -> float | None:
    if digits is None:
        return None
    exact = f"{digits}e{power}" if power else digits
    value = float(exact) if scale == 1 else float(Decimal(exact) * scale)
    if not math.isfinite(value):
        raise ValueError("a number that fits 64 bits is expected")
    # Adding zero makes -0 an ordinary zero, which compares and prints like one.
    return (-value if negative else value) + 0.0


def _duration(text: str) -> Reading:
    match = _DURATION.fullmatch(text)
    if match is None or (match["h"] and len(match["m"]) != 2):
        raise ValueError("a duration is written 1:02:03 or 0:41")
    whole = 3600 * int(match["h"] or 0) + 60 * int(match["m"]) + int(match["s"])
    value = float(f"{whole}.{match['f'] or 0}")
    return Reading(value, value, SECONDS)
