"""The report: how the videos with each person perform, and how sure that is. One row per person.

It extends the table of `queries.averages` with the statistics of `queries.statistics`, whose
definitions are in docs/METRICS.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from queries.averages import average_table
from queries.conditions import parse_condition
from queries.counted_videos import CountedVideo, counted_videos
from queries.documents import shown_value
from queries.metric_weights import check_metrics, weight_of, weights_of
from queries.selections import (
    ANY,
    ROLES,
    Selection,
    as_cell,
    check_columns,
    select,
    values_of,
)
from queries.statistics import COLUMNS
from registry.core.registry import Registry
from registry.domain import Identity
from registry.errors import UsageError
from registry.urls import printable

if TYPE_CHECKING:
    import pandas as pd


SORTS = (
    "shrunk",
    "mean",
    "average",
    "total",
    "median",
    "trimmed",
    "difference",
    "p",
    "n",
    "videos",
    "screen-time",
    "name",
)
_ASCENDING = {"p", "name"}
_PLAIN = {
    "average": "average_performance",
    "videos": "videos",
    "screen-time": "screen_time_s",
    "name": "name",
}
_ALSO = COLUMNS.index("difference")
MEASURES = (*COLUMNS[1:_ALSO], "median", "trimmed", *COLUMNS[_ALSO:])
"""What the columns say of each metric: the column is called by it and the metric, `mean_ROAS`."""


IDENTITY_RANGE = ("identity_low", "identity_high")
"""The measures that `identity_range` adds."""


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to one question."""

    table: pd.DataFrame
    """One row for each person, or for each person and value of `by`."""
    metrics: tuple[str, ...]
    weights: tuple[str, ...]
    """What each metric is weighted with; "" if it is not."""
    videos: int
    """How many videos were selected."""
    weightless: tuple[int, ...]
    """By metric, how many of these have a value and no weight, and do not count."""
    log: bool
    by: str
    selected: tuple[CountedVideo, ...]
    """The videos that were selected, each with the people who count in it."""
    people: Mapping[str, Identity]
    """Everybody who may have a row, by identity."""

    def first(self, top: int | None) -> Report:
        """The same with the first `top` rows, with `by` of each of its values; None: with all."""
        if top is None:
            return self
        rows = self.table.groupby(f"by_{self.by}", sort=False) if self.by else self.table
        return replace(self, table=rows.head(top).reset_index(drop=True))


def report(
    registry: Registry,
    metrics: str | Sequence[str] = (),
    *,
    sort: str = "shrunk",
    top: int | None = None,
    min_videos: int = 1,
    min_screen_time: float = 0.0,
    where: Sequence[str] = (),
    since: date | str | None = None,
    date_column: str = "",
    by: str = "",
    weight: str = "",
    log: bool = False,
    adjust: Sequence[str] = (),
    role: str = ANY,
    within: float | None = None,
    identity_range: bool = False,
    as_of: int | None = None,
    provisional: bool = False,
    stills: bool = False,
) -> pd.DataFrame:
    """How the videos with each person perform, and how sure that is.

    Args:
        registry: an open registry that has ingested something.
        metrics: names; by default the primary metric.
        sort: one of `SORTS`, of the first metric; highest first, but for `p` and `name`.
        top: the number of rows, with `by` for each value; by default all.
        min_videos: leave out people in fewer videos. This changes no number of the others.
        min_screen_time: a person counts only in videos that show them so many seconds.
        where: conditions on attributes, `Platform=TikTok`; all have to hold.
        since: only videos published on this day or later (a date, or ISO 8601).
        date_column: the attribute that says when; by default the only one that holds dates.
        by: an attribute; each of its values has its own rows, computed from its videos alone.
        weight: the metric that means are weighted with. By default the weight of the metric's kind
            (`ROAS:mean@Spend`); `none`: no weight.
        log: geometric means and ratios instead of means and differences.
        adjust: attributes to adjust for.
        role: `main`: a person counts only in videos whose main person they are; `any`: in all.
        within: a person counts only in videos that show them in the first so many seconds.
        identity_range: whether to add the range of each mean over plausible joins and splits.
        as_of: number of the last decision that counts; by default all do.
        provisional: whether provisional identities have rows too.
        stills: whether people count in the videos that show them only as a still picture, such as a
            poster or the cover of a podcast.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UnknownError: there is no decision of this number.
        UsageError: a metric, attribute or other argument cannot be used.

    Returns:
        The columns of `averages`, of the selected videos; `by_<attribute>` with `by`; and for each
        metric the columns `<measure>_<metric>`, with the measures `MEASURES`, as
        `statistics.performance` defines them; with `identity_range` also `identity_low_<metric>`
        and `identity_high_<metric>`. `n_<metric>` is there for all other metrics, too.
    """
    return make_report(
        registry,
        (metrics,) if isinstance(metrics, str) else tuple(metrics),
        make_selection(
            where=where,
            since=since,
            date_column=date_column,
            role=role,
            within=within,
            min_screen_time=min_screen_time,
        ),
        sort=sort,
        top=top,
        min_videos=min_videos,
        by=by,
        weight=weight,
        log=log,
        adjust=(adjust,) if isinstance(adjust, str) else tuple(adjust),
        identity_range=identity_range,
        as_of=as_of,
        provisional=provisional,
        stills=stills,
    ).table


def make_report(
    registry: Registry,
    metrics: tuple[str, ...],
    selection: Selection,
    *,
    sort: str = "shrunk",
    top: int | None = None,
    min_videos: int = 1,
    by: str = "",
    weight: str = "",
    log: bool = False,
    adjust: tuple[str, ...] = (),
    identity_range: bool = False,
    as_of: int | None = None,
    provisional: bool = False,
    stills: bool = False,
) -> Report:
    """The report with what its reader has to know besides. Arguments and errors as for `report`."""
    if sort not in SORTS:
        raise UsageError(f"There is no order {sort!r}. Choose one of {', '.join(SORTS)}.")
    if selection.role not in ROLES:
        raise UsageError(f"There is no role {selection.role!r}. Choose one of {', '.join(ROLES)}.")
    if identity_range and as_of is not None:
        raise UsageError(
            "The identity range is about the identities of now, and --as-of about earlier ones. "
            "Leave one out."
        )
    primary = registry.contract.primary_metric
    everything, identities = counted_videos(registry, as_of=as_of, stills=stills)
    people = {i: one for i, one in identities.items() if provisional or not one.provisional}
    names = tuple(dict.fromkeys(metrics)) or (primary,)
    check_metrics((*metrics, weight), everything)
    videos = select(everything, selection, people)
    if by or adjust:
        check_columns([*((by,) if by else ()), *adjust], [one.attributes for one in everything])
    weights = tuple(weight_of(registry, name, weight, videos) for name in names)
    unsure = (
        _IdentityRanges(registry, everything, selection, identities) if identity_range else None
    )
    others = sorted({name for video in everything for name in video.metrics} - {*names})
    tables = []
    for value, group in _groups(videos, by):
        table = average_table(group, people, primary)
        if by:
            table[f"by_{by}"] = shown_value(value)
        for name, weighted in zip(names, weights, strict=True):
            measured = _measured(group, name, weighted, weight, log, adjust)
            table = table.join(measured.add_suffix(f"_{name}"), on="identity")
            if unsure:
                ranges = unsure.table(group, name, weighted, weight, log)
                table = table.join(ranges.add_suffix(f"_{name}"), on="identity")
        counts = _counts(group, others)
        table = table.join(counts, on="identity")
        tables.append(_ordered(table[table["videos"] >= min_videos], sort, names[0]))
    import pandas as pd

    table = pd.concat(tables, ignore_index=True) if len(tables) != 1 else tables[0]
    weightless = tuple(
        _weightless(videos, name, weighted, weight)
        for name, weighted in zip(names, weights, strict=True)
    )
    found = Report(table, names, weights, len(videos), weightless, log, by, tuple(videos), people)
    return found.first(top)


class _IdentityRanges:
    """The ranges of means over plausible joins and splits."""

    def __init__(
        self,
        registry: Registry,
        videos: Sequence[CountedVideo],
        selection: Selection,
        identities: Iterable[str],
    ) -> None:
        from registry.people.plausible import plausible_changes

        self._plausible = plausible_changes(registry)
        self._counted = registry.view.same_as
        self._partners = select(videos, selection, identities)

    def table(
        self, videos: Sequence[CountedVideo], metric: str, weighted: str, weight: str, log: bool
    ) -> pd.DataFrame:
        """The columns `identity_low` and `identity_high`, by identity."""
        import pandas as pd

        from queries.identity_effects import identity_ranges

        chosen = {video.video_id for video in videos}
        ranges = identity_ranges(
            self._plausible,
            self._counted,
            videos,
            [video for video in self._partners if video.video_id in chosen],
            metric,
            weighted,
            weight,
            log=log,
        )
        return pd.DataFrame.from_dict(ranges, orient="index", columns=list(IDENTITY_RANGE))


def make_selection(
    *,
    where: Iterable[str] = (),
    since: date | str | None = None,
    date_column: str = "",
    role: str = ANY,
    within: float | None = None,
    min_screen_time: float = 0.0,
) -> Selection:
    """The selection in arguments of `report`. Raises `UsageError`."""
    return Selection(
        where=tuple(map(parse_condition, where)),
        since=None if since is None else as_date(since),
        dated_by=date_column,
        role=role,
        within_s=within,
        min_screen_time_s=min_screen_time,
    )


def as_date(given: date | str) -> date:
    """The day in a text of ISO 8601, `2026-06-01`. Raises `UsageError`."""
    if isinstance(given, date):
        return given
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise UsageError(f"'{printable(given)}' is not a date. Write it as 2026-06-01.") from None


def _weightless(videos: Sequence[CountedVideo], metric: str, weighted: str, given: str) -> int:
    if not weighted:
        return 0
    found = zip(videos, weights_of(videos, metric, given), strict=True)
    return sum(metric in video.metrics and not amount > 0 for video, amount in found)


def _groups(videos: list[CountedVideo], by: str) -> list[tuple[str, list[CountedVideo]]]:
    """The videos of each value of an attribute; a video with several values is in several."""
    if not by:
        return [("", videos)]
    groups: dict[str, list[CountedVideo]] = {}
    for video in videos:
        for value in values_of(video.attributes.get(by)) or ("",):
            groups.setdefault(str(value), []).append(video)
    return sorted(groups.items()) or [("", [])]


def _measured(
    videos: Sequence[CountedVideo],
    metric: str,
    weighted: str,
    given: str,
    log: bool,
    adjust: tuple[str, ...],
) -> pd.DataFrame:
    """The `MEASURES` of one metric, by identity."""
    # Not at the top: every command of this package loads this module, and SciPy takes 0.6 s.
    import pandas as pd

    from queries.statistics.means import median_and_trimmed
    from queries.statistics.performance import performance

    pairs = [(identity, video.video_id) for video in videos for identity in video.people]
    appearances = pd.DataFrame(pairs, columns=["person", "video"])
    if not pairs:
        return pd.DataFrame(columns=list(MEASURES), dtype=np.float64)
    values = [video.metrics.get(metric, math.nan) for video in videos]
    columns: dict[str, Any] = {"video": [one.video_id for one in videos], metric: values}
    amounts = None
    if weighted:
        amounts = weights_of(videos, metric, given)
        columns[weighted] = amounts
    for name in adjust:
        columns[name] = [as_cell(video.attributes.get(name)) for video in videos]
    table = performance(
        appearances,
        pd.DataFrame(columns),
        metric,
        weight=weighted or None,
        adjust=adjust,
        scale="log" if log else "linear",
    ).set_index("person")
    place = {video.video_id: i for i, video in enumerate(videos)}
    rows = appearances["video"].map(place).to_numpy()
    by_person = pd.Series(rows).groupby(appearances["person"].to_numpy()).indices
    y = np.array(values, np.float64)
    w = np.ones(len(y)) if amounts is None else np.array(amounts, np.float64)
    y = np.where(w > 0, y, np.nan)
    medians, trimmed = {}, {}
    for person, where in by_person.items():
        own = rows[where]
        medians[person], trimmed[person] = (
            median_and_trimmed(y[own], w[own]) if len(own) > 1 else (y[own[0]], y[own[0]])
        )
    table["median"], table["trimmed"] = table.index.map(medians), table.index.map(trimmed)
    return table[list(MEASURES)]


def _counts(videos: Sequence[CountedVideo], metrics: Sequence[str]) -> pd.DataFrame:
    """By identity, how many videos have a value of each metric."""
    counts: dict[str, dict[str, int]] = {}
    for video in videos:
        for identity in video.people:
            own = counts.setdefault(identity, dict.fromkeys(metrics, 0))
            for name in metrics:
                own[name] += name in video.metrics
    import pandas as pd

    table = pd.DataFrame.from_dict(counts, orient="index", columns=list(metrics))
    return table.add_prefix("n_")


def _ordered(table: pd.DataFrame, sort: str, metric: str) -> pd.DataFrame:
    column = _PLAIN.get(sort, f"{sort}_{metric}")
    return table.sort_values(
        [column, "videos", "identity"],
        ascending=[sort in _ASCENDING, False, True],
        na_position="last",
        ignore_index=True,
    )
