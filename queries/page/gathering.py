"""From a registry to the contents of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import registry as package
from queries.counted_videos import videos_by_person
from queries.page import basis, marks
from queries.page.asking import Asked
from queries.page.contents import Page, Row
from queries.page.naming import Names
from queries.page.open_questions import Questions, open_questions
from queries.page.pair_rows import pair_rows
from queries.page.periods import days, periods, spelled
from queries.page.person_sections import PersonSections
from queries.page.redaction import Redaction
from queries.page.table_rows import group_of, in_order, measured
from queries.page.video_strips import VideoStrips
from queries.page.wording import Measured, answer
from queries.report import Report, make_report
from registry.core.registry import Registry
from registry.terminal import count


def gather_page(registry: Registry, asked: Asked, found: Report | None = None) -> Page:
    """The contents of the page that answers a question.

    Args:
        registry: an open registry that has ingested something.
        asked: the question.
        found: its report with all rows, where the caller made it already.

    Raises:
        EmptyRegistry: nothing has been ingested.
        StoreCorrupt: a record or a crop that is needed is damaged or missing.
        UnknownError: there is no decision of this number.
        UsageError: the question cannot be answered.
    """
    found = found or make_report(
        registry,
        asked.metrics,
        asked.selection,
        sort=asked.sort or "shrunk",
        min_videos=asked.min_videos,
        by=asked.by,
        weight=asked.weight,
        log=asked.log,
        adjust=asked.adjust,
        identity_range=asked.identity_range,
        as_of=asked.as_of,
        provisional=asked.provisional,
        stills=asked.stills,
    )
    redaction = Redaction(
        asked.redact,
        [one.name for one in registry.index.identities()],
        [one.url for one in registry.index.videos()],
    )
    table = in_order(found, asked)
    names = Names(registry, found, list(dict.fromkeys(row["identity"] for row in table)), redaction)
    days_of_videos = days(names.videos, asked.selection.dated_by)
    strips = VideoStrips(registry, found, names, asked.as_of)
    videos = tuple(map(strips.strip, names.videos, days_of_videos))
    sections = PersonSections(registry, found, names, strips, periods(days_of_videos), asked.weight)
    groups = [group_of(row, found.by, redaction) for row in table]
    numbers = [measured(row, found, names) for row in table]
    own_numbers: dict[str, list[tuple[str, Measured]]] = {}
    for row, group, own in zip(table, groups, numbers, strict=True):
        own_numbers.setdefault(row["identity"], []).extend((group, one) for one in own)
    own_videos = videos_by_person(names.videos)
    people = {
        identity: sections.section(identity, own_videos.get(identity, []), own_numbers[identity])
        for identity in names.people
    }
    axis = marks.axis_of_differences(
        [(own[0].difference, own[0].low, own[0].high) for own in numbers], ratios=asked.log
    )
    untested = (
        {}
        if found.by
        else {
            row["identity"]: sections.untested_difference(own_videos.get(row["identity"], []))
            for row, own in zip(table, numbers, strict=True)
            if own[0].verdict == "too few"
        }
    )
    rows = tuple(
        Row(
            people[row["identity"]], group, own[0], tuple(own[1:]),
            _forest(axis, own[0], untested.get(row["identity"])),
        )
        for row, group, own in zip(table, groups, numbers, strict=True)
    )  # fmt: skip
    questions = Questions((), 0)
    if asked.as_of is None:
        questions = open_questions(registry, asked, found.metrics[0], redaction, names.of_any_video)
    pairs = pair_rows(
        registry,
        asked.selection,
        metric=found.metrics[0],
        weight=asked.weight,
        provisional=asked.provisional,
        stills=asked.stills,
        keys=names.people,
        labels=names.labels,
        as_of=asked.as_of,
    )
    failed = basis.failed_videos(registry, redaction)
    return Page(
        metric=redaction.text(found.metrics[0]),
        log=asked.log,
        by=redaction.text(found.by),
        adjusted=bool(asked.adjust),
        identity_range=asked.identity_range,
        sorted_by=asked.sort,
        made=datetime.now(UTC).date().isoformat(),
        version=package.__version__,
        asked=(
            *_about(found, redaction, days_of_videos, len(people)),
            *basis.asked_texts(
                found, asked.selection, redaction, adjust=asked.adjust,
                min_videos=asked.min_videos, top=asked.top, as_of=asked.as_of,
            ),
        ),
        answer=answer([(row.person.label, row.group, row.first) for row in rows], found.videos),
        metrics=tuple(map(redaction.text, found.metrics)),
        rows=rows,
        total=len(found.table),
        axis=axis,
        values=sections.axis,
        people=tuple(people.values()),
        videos=videos,
        titles=names.titles_by_key(),
        labels=names.labels_by_key(),
        pairs=pairs.rows,
        pairs_axis=pairs.axis,
        pairs_note=pairs.note,
        questions=questions.shown,
        questions_total=questions.total,
        facts=basis.facts(
            registry, found, questions, redaction, asked.as_of, len(failed), asked.stills
        ),
        failed=failed,
        links=names.all_links(),
        covers=sections.covers(),
        registry_id=registry.contract.registry_id,
        model_digest=registry.contract.model.digest,
        decisions=len(registry.decisions.entries()),
    )  # fmt: skip


def _forest(axis: marks.Axis, one: Measured, untested: float | None) -> marks.Forest | None:
    """The row of the forest plot; of too few videos, the difference that could not be tested."""
    if untested is None:
        return marks.forest(axis, one.difference, one.low, one.high, one.verdict, one.spoken())
    text = "too few videos to compare"
    return marks.forest(axis, untested, math.nan, math.nan, one.verdict, text)


def _about(
    found: Report, redaction: Redaction, days_of_videos: Sequence[str], people: int
) -> tuple[str, ...]:
    """What every page says it is about: metric, videos, days, people."""
    metric = redaction.text(found.metrics[0])
    weighted = f", weighted by {redaction.text(found.weights[0])}" if found.weights[0] else ""
    known = sorted(day for day in days_of_videos if day)
    span = f", {spelled(known[0])} to {spelled(known[-1])}" if known else ""
    return (
        f"{metric}{weighted}",
        f"{count(found.videos, 'video')}{span}",
        count(people, "person", "people"),
    )
