"""Conditions on the attributes of videos: `--where "Platform=TikTok"`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from registry.domain import Attribute, AttributeValue
from registry.errors import UsageError
from registry.urls import printable

_CONDITION = re.compile(r"(?P<column>.+?)\s*(?P<sign>!=|=|<|>|~)\s*(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """A column, a comparison and a value."""

    column: str
    sign: str
    """`=`, `!=`, `<`, `>`, or `~` for contains."""
    value: str

    def holds(self, attributes: Mapping[str, Attribute]) -> bool:
        """Whether a video fulfils it: with one of its values, `!=` with all of them.

        Text is compared without regard to case; numbers as numbers, dates as text in ISO 8601. A
        video without a value of the column fulfils only `!=`.
        """
        found = attributes.get(self.column, ())
        values: Sequence[AttributeValue] = found if isinstance(found, tuple) else (found,)
        if self.sign == "!=":
            return not any(_COMPARE["="](value, self.value) for value in values)
        return any(_COMPARE[self.sign](value, self.value) for value in values)


def parse_condition(text: str) -> Condition:
    """The condition in a text such as `Platform=TikTok`. Raises `UsageError`."""
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"--where '{printable(text)}': write COLUMN=VALUE, or one of !=, <, >, ~ (contains) in "
            "place of =."
        )
    return Condition(match["column"], match["sign"], match["value"])


def _ordered(value: AttributeValue, wanted: str) -> int:
    """Less than, equal to or greater than 0, as the value is less than, equal to or greater."""
    number = _number(wanted)
    if number is not None and isinstance(value, (int, float)):
        return (value > number) - (value < number)
    one, other = str(value).casefold(), wanted.casefold()
    return (one > other) - (one < other)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


_COMPARE: Mapping[str, Callable[[AttributeValue, str], bool]] = {
    "=": lambda value, wanted: _ordered(value, wanted) == 0,
    "<": lambda value, wanted: _ordered(value, wanted) < 0,
    ">": lambda value, wanted: _ordered(value, wanted) > 0,
    "~": lambda value, wanted: wanted.casefold() in str(value).casefold(),
}
