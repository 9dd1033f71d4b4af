"""Videos by day, and a metric by week, month or quarter. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from queries.counted_videos import CountedVideo
from queries.selections import date_column, first_day
from registry.errors import UsageError

_FEW_DAYS = 100
"""Days up to which videos are grouped by week."""
_MANY_DAYS = 1_100
"""Days from which they are grouped by quarter: three years of months are 36 points."""
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods that the videos of a page fall into."""

    labels: tuple[str, ...]
    unit: str
    """`week`, `month` or `quarter`."""
    of_video: tuple[int, ...]
    """By video, the number of its period; -1: it has no date."""


def days(videos: Sequence[CountedVideo], given: str) -> list[str]:
    """The day of each video in ISO 8601; "" where it is not known.

    Args:
        videos: those that were selected.
        given: the attribute that says when; "" for the only one that holds dates, if there is one.

    Raises:
        UsageError: the given attribute does not hold dates.
    """
    try:
        column = date_column([video.attributes for video in videos], given)
    except UsageError:
        if given:
            raise
        return [""] * len(videos)
    return [first_day(video, column) for video in videos]


def periods(days_of_videos: Sequence[str]) -> Periods:
    """Weeks, months or quarters from the first to the last day, without a gap."""
    known = [_parsed(day) for day in days_of_videos]
    there = [day for day in known if day]
    if not there:
        return Periods((), "", tuple(-1 for _ in known))
    first, last = min(there), max(there)
    length = (last - first).days
    unit = "week" if length <= _FEW_DAYS else "month" if length < _MANY_DAYS else "quarter"
    places = [None if day is None else _place(day, unit) for day in known]
    start, end = _place(first, unit), _place(last, unit)
    labels = tuple(_label(place, unit, place == start) for place in range(start, end + 1))
    return Periods(labels, unit, tuple(-1 if place is None else place - start for place in places))


def spelled(day: str) -> str:
    """`1 June 2026`-like text of a day in ISO 8601; the text itself if it is no day."""
    parsed = _parsed(day)
    return f"{parsed.day} {_MONTHS[parsed.month - 1]} {parsed.year}" if parsed else day


def _parsed(day: str) -> date | None:
    try:
        return date.fromisoformat(day)
    except ValueError:
        return None


def _place(day: date, unit: str) -> int:
    if unit == "week":
        return (day.toordinal() - 1) // 7
    month = 12 * day.year + day.month - 1
    return month if unit == "month" else month // 3


def _label(place: int, unit: str, first: bool) -> str:
    if unit == "week":
        monday = date.fromordinal(1) + timedelta(days=7 * place)
        return f"{monday.day} {_MONTHS[monday.month - 1]}"
    if unit == "quarter":
        return f"Q{place % 4 + 1} {place // 4}"
    name = _MONTHS[place % 12]
    return f"{name} {place // 12}" if first or place % 12 == 0 else name
