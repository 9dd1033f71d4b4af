"""The people of the registry with their numbers, as the pages show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from queries.figures import figure, interval
from queries.page.marks import Axis, Forest, axis_of_differences, forest
from queries.report import Report, make_report
from queries.selections import Selection
from registry.core.decisions import fold_name
from registry.core.registry import Registry
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
    """One person with the numbers of one metric. NaN: not known."""

    identity: Identity
    n: int
    """Videos with a value of the metric."""
    mean: float
    difference: str
    """With its interval, in words; empty if there is none."""
    verdict: str
    forest: Forest | None

    @property
    def label(self) -> str:
        """The name, or the beginning of the id."""
        return self.identity.name or short(self.identity.identity_id)


@dataclass(frozen=True, slots=True)
class People:
    """Everybody, in the order of a report."""

    rows: tuple[PersonRow, ...]
    axis: Axis
    metric: str
    videos: int
    """How many videos the numbers are of."""


def people_rows(
    registry: Registry, *, metric: str = "", sort: str = "shrunk", as_of: int | None = None
) -> People:
    """All established identities with the numbers of a metric, by default the primary one."""
    report = make_report(registry, (metric,) if metric else (), Selection(), sort=sort, as_of=as_of)
    rows: list[dict[Any, Any]] = report.table.to_dict(orient="records")
    identities = registry.index.get_identities([str(row["identity"]) for row in rows])
    name = report.metrics[0]
    ends = ("difference", "low", "high")
    axis = axis_of_differences(
        [tuple(row[f"{end}_{name}"] for end in ends) for row in rows],
        ratios=report.log,
    )
    return People(
        tuple(
            _row(identities.get(row["identity"]) or _earlier(row), row, name, axis) for row in rows
        ),
        axis,
        name,
        report.videos,
    )


def _row(identity: Identity, row: Mapping[Any, Any], metric: str, axis: Axis) -> PersonRow:
    middle, low, high = (float(row[f"{end}_{metric}"]) for end in ("difference", "low", "high"))
    difference = "" if math.isnan(middle) else interval(middle, low, high)
    verdict = str(row[f"verdict_{metric}"])
    words = f"{difference or figure(middle)}, {verdict}"
    n = row[f"n_{metric}"]
    return PersonRow(
        identity,
        0 if math.isnan(n) else int(n),
        float(row[f"mean_{metric}"]),
        difference,
        verdict,
        forest(axis, middle, low, high, verdict, words),
    )


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
    names = {name for video in registry.index.videos() for name in video.metrics}
    return [primary, *sorted(names - {primary})]


def report_of(registry: Registry) -> Report:
    """The report without any question of its own."""
    return make_report(registry, (), Selection())
