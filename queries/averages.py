"""The performance of the videos with each person: one row per identity, each video once.

An average is over distinct videos and not over faces, so that long screen time does not weigh it.
A video without a value for a metric does not count towards that metric.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from registry.core.counting import Metrics, counted_metrics, metrics_by_identity
from registry.core.decisions import fold, relabelled
from registry.core.registry import Registry
from registry.domain import Identity, Video
from registry.errors import UnknownError
from registry.faces.appearances import exact, identities, mean

ENOUGH = 10
"""Videos below which no interval is given: at n = 5, nominal 95 % t intervals of skewed values
cover 83 % (measured on lognormal samples)."""

_FIRST = [
    "identity",
    "name",
    "face_image",
    "average_performance",
    "videos",
    "faces",
    "screen_time_s",
]
_LAST = ["spread", "interval_low", "interval_high"]

_MetricsOf = Mapping[str, Sequence[Metrics]]
"""The metrics of each distinct video that shows an identity, by identity."""


def averages(
    registry: Registry, *, as_of: int | None = None, provisional: bool = False
) -> pd.DataFrame:
    """The table of average performance, best first.

    Args:
        registry: an open registry that has ingested something.
        as_of: number of the last decision that counts; 0: none counts. By default all do. The
            videos are those on record now.
        provisional: whether provisional identities have rows too.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UnknownError: there is no decision of this number.

    Returns:
        One row per identity, highest average first, then by identity. Columns: `identity`;
        `name` (empty if none); `face_image`, the cover's path inside the exported zip;
        `average_performance`, the mean of the registry's primary metric over distinct videos (NaN
        if none has a value); `videos`; `faces`; `screen_time_s`; `average_<metric>` for each other
        metric; `spread`, the sample standard deviation of the primary metric (NaN below two);
        `interval_low` and `interval_high`, the 95 % t interval of the mean (NaN below ten videos).
    """
    primary = registry.contract.primary_metric
    metrics, people = _current(registry) if as_of is None else _as_of(registry, as_of)
    names = set[str]().union(*(values for seen in metrics.values() for values in seen))
    others = sorted(names - {primary})
    columns = _FIRST + [f"average_{name}" for name in others] + _LAST
    rows = [
        _row(person, metrics[person.identity_id], primary, others)
        for person in people
        if provisional or not person.provisional
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(
        ["average_performance", "videos", "identity"],
        ascending=[False, False, True],
        na_position="last",
        ignore_index=True,
    )


def _row(
    person: Identity, seen: Sequence[Mapping[str, float]], primary: str, others: Sequence[str]
) -> dict[str, Any]:
    performance = [metrics[primary] for metrics in seen if primary in metrics]
    low, high = _interval(performance)
    return {
        "identity": person.identity_id,
        "name": person.name,
        "face_image": cover_path(person.identity_id),
        "average_performance": mean(performance),
        "videos": person.videos,
        "faces": person.faces,
        "screen_time_s": round(person.screen_time_s, 3),
        **{
            f"average_{name}": mean([metrics[name] for metrics in seen if name in metrics])
            for name in others
        },
        "spread": _standard_deviation(performance),
        "interval_low": low,
        "interval_high": high,
    }


def _current(registry: Registry) -> tuple[_MetricsOf, list[Identity]]:
    shown = (
        (video.video_id, video.metrics, [one.identity_id for one in video.appearances])
        for video in registry.index.videos()
    )
    metrics = metrics_by_identity(shown, registry.view.same_as)
    return metrics, list(registry.index.identities())


def _as_of(registry: Registry, number: int) -> tuple[_MetricsOf, list[Identity]]:
    """From the records and the decisions up to this one: the index only holds the current state."""
    log = registry.decisions.entries()
    if not 0 <= number <= len(log):
        raise UnknownError(
            f"There is no decision {number}. `face-registry identities list --decisions` lists all "
            "decisions; 0 stands for none."
        )
    view = fold(log, as_of=number)
    shown: list[tuple[str, Metrics, set[str]]] = []

    def videos() -> Iterator[Video]:
        for record in registry.records.all():
            video = relabelled(record, view.identity_of)
            who = {face.identity_id for face in video.faces}
            shown.append((video.video_id, video.metrics, who))
            yield video

    people = identities(videos(), view.name_of, view.same_as)
    return metrics_by_identity(shown, view.same_as), people


def average_of(registry: Registry, identity_id: str) -> dict[str, float]:
    """Mean of each metric over the distinct videos of one identity."""
    index, same_as = registry.index, registry.view.same_as
    metrics = {video.video_id: video.metrics for video in index.videos([identity_id])}
    counted = {registry.view.counted_video(video) for video in metrics}
    for other in {video for pair in same_as.items() if pair[1] in counted for video in pair}:
        if (joined := index.video(other)) is not None:
            metrics[other] = joined.metrics
    values: dict[str, list[float]] = defaultdict(list)
    for counted_values in counted_metrics(metrics.items(), same_as).values():
        for name, value in counted_values.items():
            values[name].append(value)
    return {name: mean(values[name]) for name in sorted(values)}


def cover_path(identity_id: str) -> str:
    """The path of an identity's cover in the exported zip."""
    return f"{identity_id}/cover.jpg"


def _standard_deviation(values: Sequence[float]) -> float:
    """Of the sample; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    array = np.array(values)
    residuals = array - array.sum() / len(
        values
    )  # np.std computes the same in three times the time
    return exact(math.sqrt(np.square(residuals).sum() / (len(values) - 1)))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % t interval of the mean; NaN for fewer than `ENOUGH` values."""
    if len(values) < ENOUGH:
        return math.nan, math.nan
    from scipy import stats  # takes half a second to import and is seldom needed

    middle = mean(values)
    margin = float(stats.t.ppf(0.975, len(values) - 1)) * float(stats.sem(values))
    return exact(middle - margin), exact(middle + margin)
