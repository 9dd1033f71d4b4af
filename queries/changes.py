"""What changed since a moment: new people, numbers that moved, and what moved them.

The earlier state is computed from the records, whose histories name the run that brought each
value, and from the decisions until then. What was erased since is in neither state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import pairwise

import pandas as pd

from queries.counted_videos import CountedVideo, join_counted, videos_by_person
from queries.metric_weights import check_metrics, weight_of, weights_of
from queries.selections import Selection, select
from queries.statistics.means import weighted_mean
from registry.core import keys
from registry.core.decisions import View, fold, relabelled
from registry.core.metric_history import history_of
from registry.core.registry import Registry
from registry.core.runs import began
from registry.domain import Appearance, Identity, Video
from registry.errors import UnknownError
from registry.faces.appearances import appearances, identities

CHANGE_COLUMNS = (
    "identity",
    "name",
    "change",
    "videos_before",
    "videos",
    "mean_before",
    "mean",
    "by_videos",
    "by_metrics",
    "by_decisions",
)
_FORM = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that separates earlier runs and decisions from later ones."""

    at: datetime
    run: str
    """The first run that is later; ids of runs sort by time."""

    def is_before(self, run: str) -> bool:
        """Whether a run is earlier. A run whose id has no time in it is."""
        return began(run) is None or run < self.run


@dataclass(frozen=True, slots=True)
class Changes:
    """The answer to the question what changed."""

    table: pd.DataFrame
    """A row for each person who is new or gone, or whose number of videos or mean changed; the
    columns are `CHANGE_COLUMNS`, the largest changes of the mean first."""
    metric: str
    weight: str
    new_videos: int
    changed_metrics: int
    """Videos on record before of which a metric has another value now."""
    decisions: int
    """How many were made since."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What a record says of a video, before and now."""

    video: Video
    """Without faces."""
    is_new: bool
    earlier: Video
    """With the metrics of then."""
    shown_before: tuple[Appearance, ...]
    shown: tuple[Appearance, ...]


def moment_of_date(day: date) -> Moment:
    """The beginning of a day, UTC."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Moment(at, f"{at:{_FORM}}")


def moment_of_run(registry: Registry, run: str) -> Moment:
    """The beginning of a run. Raises `UnknownError` unless it is in the history of runs."""
    at = began(run)
    if at is None or run not in {keys.name_in(one.key) for one in registry.blobs.list(keys.RUNS)}:
        raise UnknownError(
            f"There is no run {run!r}. `face-registry status --runs` lists all runs."
        )
    return Moment(at, run)


def changes(
    registry: Registry,
    moment: Moment,
    *,
    metric: str = "",
    weight: str = "",
    selection: Selection | None = None,
    provisional: bool = False,
    stills: bool = False,
) -> Changes:
    """What changed since a moment.

    The change of each mean is the sum of three steps: the videos that are new (with the decisions
    of then), the metrics of the others that changed, and the decisions made since.

    Args:
        registry: an open registry that has ingested something.
        moment: from `moment_of_date` or `moment_of_run`.
        metric: by default the primary metric.
        weight: as for `queries.report.report`.
        selection: which videos count; by default all.
        provisional: whether provisional identities have rows too.
        stills: as for `queries.report.report`.
    """
    metric = metric or registry.contract.primary_metric
    log = registry.decisions.entries()
    earlier = [one for one in log if datetime.fromisoformat(one.at) < moment.at]
    before, now = fold(log, as_of=len(earlier)), registry.view
    recorded, people_before, people = _records(registry, moment, before, now)
    known = {
        identity: one
        for identity, one in {**people_before, **people}.items()
        if provisional or not one.provisional
    }
    chosen = selection or Selection()
    states = [
        select(join_counted(videos, view.same_as, stills=stills), chosen, known)
        for videos, view in (
            ([(one.earlier, one.shown_before) for one in recorded if not one.is_new], before),
            (
                [(one.video if one.is_new else one.earlier, one.shown_before) for one in recorded],
                before,
            ),
            ([(one.video, one.shown_before) for one in recorded], before),
            ([(one.video, one.shown) for one in recorded], now),
        )
    ]
    check_metrics((metric, weight), [video for state in states for video in state])
    weighted = weight_of(registry, metric, weight, states[-1])
    by_person = [videos_by_person(state) for state in states]
    rows = []
    for identity in sorted(known):
        own = [videos.get(identity, []) for videos in by_person]
        means = [_mean(videos, metric, weighted, weight) for videos in own]
        rows.append(_row(known[identity], now, len(own[0]), len(own[-1]), means))
    table = pd.DataFrame([row for row in rows if row[2]], columns=list(CHANGE_COLUMNS))
    size = (table["mean"] - table["mean_before"]).abs().rename("size")
    order = pd.concat([table, size], axis=1).sort_values(
        ["size", "videos", "identity"], ascending=[False, False, True], na_position="last"
    )
    return Changes(
        table=order.drop(columns="size").reset_index(drop=True),
        metric=metric,
        weight=weighted,
        new_videos=sum(one.is_new for one in recorded),
        changed_metrics=sum(
            not one.is_new and dict(one.earlier.metrics) != dict(one.video.metrics)
            for one in recorded
        ),
        decisions=len(log) - len(earlier),
    )


def _records(
    registry: Registry, moment: Moment, before: View, now: View
) -> tuple[list[_Recorded], Mapping[str, Identity], Mapping[str, Identity]]:
    """All records, and the identities of their faces before and now."""
    recorded: list[_Recorded] = []

    def videos() -> Iterator[Video]:
        for record in registry.records.all():
            then = relabelled(record, before.identity_of)
            bare = replace(record, faces=())
            recorded.append(
                _Recorded(
                    video=bare,
                    is_new=not _was_known(record, moment),
                    earlier=_with_earlier_metrics(bare, moment),
                    shown_before=appearances(then.faces),
                    shown=appearances(relabelled(record, now.identity_of).faces),
                )
            )
            yield then

    found = identities(videos(), before.name_of, before.same_as, before.hidden)
    people = {one.identity_id: one for one in registry.index.identities()}
    return recorded, {one.identity_id: one for one in found}, people


def _was_known(video: Video, moment: Moment) -> bool:
    runs = [value.run for values in video.history.values() for value in values]
    return any(moment.is_before(run) for run in (video.run, *runs))


def _with_earlier_metrics(video: Video, moment: Moment) -> Video:
    metrics, weights = {}, {}
    for name in video.metrics.keys() | video.history.keys():
        values = [value for value in history_of(video, name) if moment.is_before(value.run)]
        if values and values[-1].value is not None:
            metrics[name] = values[-1].value
            if values[-1].weighted is not None:
                weights[name] = values[-1].weighted
    return replace(video, metrics=metrics, weights=weights)


def _mean(videos: Sequence[CountedVideo], metric: str, weighted: str, weight: str) -> float:
    """The mean of these videos; NaN if none has a value."""
    return weighted_mean(
        [video.metrics.get(metric, math.nan) for video in videos],
        weights_of(videos, metric, weight) if weighted else None,
    )


def _row(
    person: Identity, now: View, before: int, after: int, means: Sequence[float]
) -> tuple[object, ...]:
    identity = person.identity_id
    steps = [then - earlier for earlier, then in pairwise(means)]
    change = ""
    if not before and after:
        change = "new"
    elif before and not after:
        root = now.root(identity)
        change = f"joined {root}" if root != identity else "gone"
    elif before != after or not _equal(means[0], means[-1]):
        change = "changed"
    return (identity, person.name, change, before, after, means[0], means[-1], *steps)


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
