"""Which videos a report is about, and which of the people in them count. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from queries.conditions import Condition
from queries.counted_videos import CountedVideo
from registry.domain import Appearance, Attribute, AttributeValue, Status
from registry.errors import UsageError
from registry.urls import printable

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].*)?")
ANY, MAIN = "any", "main"
ROLES = (ANY, MAIN)


@dataclass(frozen=True, slots=True)
class Selection:
    """What has to hold of a video, and of a person in it."""

    where: tuple[Condition, ...] = ()
    since: date | None = None
    """Only videos of this day or a later one, by their attribute `dated_by`."""
    dated_by: str = ""
    """By default the only attribute that holds dates."""
    role: str = ANY
    """`main`: a person counts only in videos whose main person they are (`main_person`)."""
    within_s: float | None = None
    """A person counts only in videos that show them in the first so many seconds."""
    min_screen_time_s: float = 0.0
    """A person counts only in videos that show them at least so many seconds."""


def select(
    videos: Sequence[CountedVideo], selection: Selection, people: Iterable[str]
) -> list[CountedVideo]:
    """The videos that fulfil the conditions, each with those of these people who count in it.

    Videos that could not be read are left out: nobody knows who is in them.

    Raises:
        UsageError: a condition is on an attribute that no video has, or no attribute holds dates.
    """
    attributes = [video.attributes for video in videos]
    check_columns([one.column for one in selection.where], attributes)
    column = ""
    if selection.since is not None:
        column = date_column(attributes, selection.dated_by)
    known = frozenset(people)
    return [
        _with_people(video, _counting(video, selection, known))
        for video in videos
        if video.status is not Status.FAILED
        and all(condition.holds(video.attributes) for condition in selection.where)
        and (selection.since is None or first_day(video, column) >= selection.since.isoformat())
    ]


def _with_people(video: CountedVideo, some: Mapping[str, tuple[Appearance, ...]]) -> CountedVideo:
    """The video with these of its people."""
    return video if len(some) == len(video.people) else replace(video, people=some)


def _counting(
    video: CountedVideo, selection: Selection, known: frozenset[str]
) -> Mapping[str, tuple[Appearance, ...]]:
    people = video.people
    if not people.keys() <= known:
        people = {identity: seen for identity, seen in people.items() if identity in known}
    limit = selection.within_s
    if selection.role == ANY and limit is None and selection.min_screen_time_s <= 0:
        return people
    main = main_person(people) if selection.role == MAIN else ""
    return {
        identity: seen
        for identity, seen in people.items()
        if seen[0].screen_time_s >= selection.min_screen_time_s
        and (limit is None or seen[0].first_s < limit)
        and (not main or identity == main)
    }


def main_person(people: Mapping[str, Sequence[Appearance]]) -> str:
    """The identity that is longest on screen; of equal ones, the one that is seen first.

    Args:
        people: of one video, by identity; the first appearance of each counts.

    Returns:
        "" if there is nobody.
    """
    return min(
        people, key=lambda i: (-people[i][0].screen_time_s, people[i][0].first_s, i), default=""
    )


def check_columns(wanted: Iterable[str], attributes: Iterable[Mapping[str, Attribute]]) -> None:
    """Raise `UsageError` for an attribute that no video has."""
    columns = {column for one in attributes for column in one}
    for column in wanted:
        if column not in columns:
            there = ", ".join(sorted(columns)) or "none"
            raise UsageError(
                f"No video has the attribute '{printable(column)}'. Attributes: {printable(there)}."
            )


def date_column(attributes: Sequence[Mapping[str, Attribute]], given: str = "") -> str:
    """The attribute that tells when a video was published.

    Args:
        attributes: of each video.
        given: the name of the attribute; by default the only one whose values are all dates.

    Raises:
        UsageError: the attribute does not hold dates; or none is given and not exactly one does.
    """
    dated: dict[str, bool] = {}
    for one in attributes:
        for column, value in one.items():
            dated[column] = dated.get(column, True) and all(
                isinstance(day, str) and _DATE.fullmatch(day) for day in values_of(value)
            )
    columns = sorted(column for column, holds in dated.items() if holds)
    if given:
        check_columns([given], attributes)
        if given not in columns:
            raise UsageError(
                f"The attribute '{printable(given)}' has values that are not dates. Name another "
                "one."
            )
        return given
    if len(columns) == 1:
        return columns[0]
    if not columns:
        raise UsageError(
            "No attribute of the videos holds dates, so it is not known when they were published. "
            "Ingest a table with a column of dates."
        )
    raise UsageError(
        f"Several attributes hold dates: {printable(', '.join(columns))}. Name one with "
        "--date-column."
    )


def values_of(attribute: Attribute | None) -> tuple[AttributeValue, ...]:
    """The values of an attribute: none, one, or several where the rows of a video differ."""
    if attribute is None:
        return ()
    return attribute if isinstance(attribute, tuple) else (attribute,)


def as_cell(attribute: Attribute | list[AttributeValue] | None) -> AttributeValue | None:
    """An attribute as a cell of a table: several values are one text."""
    if isinstance(attribute, (tuple, list)):
        return ", ".join(map(str, attribute))
    return attribute


def first_day(video: CountedVideo, column: str) -> str:
    """The day of a video in ISO 8601; "", which is before all days, if it has no date."""
    return min((str(day)[:10] for day in values_of(video.attributes.get(column))), default="")
