"""What a page shows, before it is drawn: values only, which the templates read.

Keys (`p1`, `v1`, `q1`) are ids of elements of the page. Every text has been through
`queries.page.redaction`; templates escape it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from queries.page.marks import Axis, Course, Dots, Forest, Lane
from queries.page.wording import Answer, Measured


@dataclass(frozen=True, slots=True)
class Moment:
    """A face in a video, with a link to that second."""

    picture: str
    """A `data:` URL."""
    time_s: float
    video: str
    """Key of the video on the page."""
    title: str
    link: str
    """To the second in the video; empty if there is no link."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A video of a person, with its numbers."""

    video: str
    """Key of the video on the page."""
    values: tuple[float, ...]
    """Of each metric; NaN: none."""
    first_s: float
    seconds: float
    link: str
    """To the second in which the person first appears; empty if there is no link."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the table, with all that can be opened."""

    key: str
    identity: str
    label: str
    """Name, or the first characters of the id."""
    named: bool
    videos: int
    seconds: float
    opening: float
    """Share of the videos that show the person in the first three seconds, 0 to 1."""
    facts: tuple[str, ...]
    moments: tuple[Moment, ...]
    sightings: tuple[Sighting, ...]
    distribution: tuple[Dots, ...]
    course: Course | None
    numbers: tuple[tuple[str, Measured], ...]
    """Each value of `--by` ("" without it) and metric."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of people."""

    person: Person
    group: str
    """The value of `--by`, or ""."""
    first: Measured
    """The numbers of the metric that the page is about."""
    more: tuple[Measured, ...]
    """The numbers of the other metrics."""
    forest: Forest | None


@dataclass(frozen=True, slots=True)
class VideoStrip:
    """A video: who is on screen when."""

    key: str
    title: str
    link: str
    """Web address; empty if there is none that may be shown."""
    day: str
    """ISO 8601; empty if it is not known."""
    duration_s: float
    values: tuple[float, ...]
    lanes: tuple[Lane, ...]
    others: int
    """How many people are in it who are not on the page."""
    third: float | None
    """Place of the third second in percent; None if the video is shorter."""
    partial: bool


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two people who are in the same videos."""

    first: str
    """Keys of people on the page, or ""; the labels follow."""
    second: str
    first_label: str
    second_label: str
    videos: int
    seconds: float
    means: tuple[tuple[float, int], ...]
    """Mean and number of videos: of both together, of the first alone, of the second alone."""
    verdict: str
    difference: str
    interval: str
    forest: Forest | None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two people of a question."""

    label: str
    about: str
    """How many videos and how long on screen."""
    moments: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """Whether two identities are one person."""

    key: str
    first: str
    """Identity that keeps its id if the answer is yes."""
    second: str
    sides: tuple[Side, Side]
    effect: str
    """What a yes changes, in a sentence."""
    evidence: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that one page shows."""

    metric: str
    log: bool
    by: str
    adjusted: bool
    identity_range: bool
    sorted_by: str
    """What `--sort` asked for; "" for the page's own order."""
    made: str
    """ISO 8601."""
    version: str
    asked: tuple[str, ...]
    """What was asked, in words."""
    answer: Answer
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    total: int
    """How many people could have a row."""
    axis: Axis
    values: Axis
    people: tuple[Person, ...]
    videos: tuple[VideoStrip, ...]
    titles: dict[str, str]
    """Of the videos on the page, by key."""
    labels: dict[str, str]
    """What everybody is called: by key, or by identity of those who are not on the page."""
    pairs: tuple[PairRow, ...]
    pairs_axis: Axis | None
    pairs_note: str
    questions: tuple[OpenQuestion, ...]
    questions_total: int
    """How many there are; a page shows the first of them."""
    facts: tuple[tuple[str, str], ...]
    """What the numbers rest on: headings and sentences."""
    failed: tuple[tuple[str, str], ...]
    """Videos that could not be read, and why."""
    links: tuple[tuple[str, str], ...]
    """Titles and addresses, for print."""
    covers: dict[str, str] = field(default_factory=dict)
    """`data:` URLs by key of person, of those who have one: pictures of the class `c<key>`."""
    registry_id: str = ""
    model_digest: str = ""
    decisions: int = 0
    """How many entries the log had: what an answer refers to."""
