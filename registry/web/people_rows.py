"""The people of the registry with their numbers, as the pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from queries.page.marks import Axis, Forest, axis_of_differences, forest
from queries.page.table_rows import numbers_of
from queries.page.wording import Answer, Measured, answer
from queries.report import make_report
from queries.selections import Selection
from registry.core.decisions import fold_name
from registry.core.registry import Registry
from registry.core.video_changes import metric_names
from registry.domain import Identity
from registry.terminal import short

SORTS = {
    "shrunk": "Most likely best",
    "mean": "Highest mean",
    "videos": "Most videos",
    "screen-time": "Longest on screen",
    "name": "Name",
}
"""The orders that the page of people offers; a part of `queries.report.SORTS`."""


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person with the numbers of one metric."""

    identity: Identity
    measured: Measured
    forest: Forest | None

    @property
    def label(self) -> str:
        """The name, or the beginning of the id."""
        return self.identity.name or short(self.identity.identity_id)


@dataclass(frozen=True, slots=True)
class People:
    """Everybody, in the order of a report."""

    rows: tuple[PersonRow, ...]
    answer: Answer
    metric: str
    videos: int
    """How many videos the numbers are of."""


def people_rows(
    registry: Registry,
    *,
    metric: str = "",
    sort: str = "shrunk",
    as_of: int | None = None,
    left_out: bool = False,
) -> People:
    """All established identities with the numbers of a metric, by default the primary one.

    With `left_out`, those that are not, and still pictures: hidden ones, and those of a few poor
    faces.
    """
    metrics = (metric,) if metric else ()
    report = make_report(
        registry,
        metrics,
        Selection(),
        sort=sort,
        as_of=as_of,
        provisional=left_out,
        stills=left_out,
    )
    rows: list[dict[Any, Any]] = report.table.to_dict(orient="records")
    identities = registry.index.get_identities([str(row["identity"]) for row in rows])
    name, weight = report.metrics[0], report.weights[0]
    measured = [numbers_of(row, name, weight, log=False) for row in rows]
    axis = axis_of_differences(
        [(one.difference, one.low, one.high) for one in measured], ratios=False
    )
    shown = tuple(
        PersonRow(identities.get(row["identity"]) or _earlier(row), one, _forest(axis, one))
        for row, one in zip(rows, measured, strict=True)
    )
    if left_out:
        shown = tuple(row for row in shown if row.identity.provisional or row.identity.still)
    said = answer([(row.label, "", row.measured) for row in shown], report.videos)
    return People(shown, said, name, report.videos)


def _forest(axis: Axis, one: Measured) -> Forest | None:
    words = f"{one.spoken() or 'no difference known'}, {one.verdict}"
    return forest(axis, one.difference, one.low, one.high, one.verdict, words)


def _earlier(row: Mapping[Any, Any]) -> Identity:
    """An identity of an earlier state that was merged since: it has no cover now."""
    return Identity(
        identity_id=row["identity"],
        name=row["name"],
        videos=int(row["videos"]),
        faces=int(row["faces"]),
        screen_time_s=float(row["screen_time_s"]),
        cover="",
        cover_face="",
    )


def matching(rows: Sequence[PersonRow], query: str) -> list[PersonRow]:
    """The people whose name contains the text, or whose id begins with it.

    Names are compared without regard to case and accents.
    """
    wanted = fold_name(query)
    return [
        row
        for row in rows
        if wanted in fold_name(row.identity.name)
        or row.identity.identity_id.startswith(query.strip().lower())
    ]


def metrics_of(registry: Registry) -> list[str]:
    """The names of all metrics, the primary one first."""
    primary = registry.contract.primary_metric
    return [primary, *sorted(metric_names(registry) - {primary})]
