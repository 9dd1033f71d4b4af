"""The performance of the videos with each person: one row per identity, each video once.

An average is over distinct videos and not over faces, so that long screen time does not weigh it.
A video without a value for a metric does not count towards that metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from queries.counted_videos import (
    CountedVideo,
    counted_videos,
    counted_videos_of,
    videos_by_person,
)
from queries.metric_weights import weighted_metrics, weights_of
from queries.zip_paths import cover_path
from registry.core.registry import Registry
from registry.domain import Appearance, Identity
from registry.faces.appearances import exact, mean

if TYPE_CHECKING:
    import pandas as pd


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
LAST_AVERAGE = "interval_high"
"""The last column of `averages`; a report has others behind it."""
_LAST = ["spread", "interval_low", LAST_AVERAGE]


def averages(
    registry: Registry,
    *,
    as_of: int | None = None,
    provisional: bool = False,
    stills: bool = False,
) -> pd.DataFrame:
    """The table of average performance, best first.

    Args:
        registry: an open registry that has ingested something.
        as_of: number of the last decision that counts; 0: none counts. By default all do. The
            videos are those on record now.
        provisional: whether provisional identities have rows too.
        stills: whether people count in the videos that show them only as a still picture, such as a
            poster or the cover of a podcast.

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
    videos, people = counted_videos(registry, as_of=as_of, stills=stills)
    shown = {i: one for i, one in people.items() if provisional or not one.provisional}
    return average_table(videos, shown, primary)


def average_table(
    videos: Sequence[CountedVideo], people: Mapping[str, Identity], primary: str
) -> pd.DataFrame:
    """The table of `averages` for these people in these videos.

    Args:
        videos: those that count.
        people: identities by id; those who are in none of the videos have no row.
        primary: name of the primary metric.
    """
    names = {name for video in videos if video.people for name in video.metrics}
    others = sorted(names - {primary})
    columns = [*_FIRST, *(f"average_{name}" for name in others), *_LAST]
    rows = [
        _row(people[identity], own, primary, others)
        for identity, own in videos_by_person(videos).items()
        if identity in people
    ]
    import pandas as pd

    return best_first(pd.DataFrame(rows, columns=columns))


def best_first(table: pd.DataFrame) -> pd.DataFrame:
    """A table of averages in its order: highest average first, then most videos, then by id."""
    return table.sort_values(
        ["average_performance", "videos", "identity"],
        ascending=[False, False, True],
        na_position="last",
        ignore_index=True,
    )


def _row(
    person: Identity, seen: Sequence[CountedVideo], primary: str, others: Sequence[str]
) -> dict[str, Any]:
    performance = [video.metrics[primary] for video in seen if primary in video.metrics]
    deviation = _standard_deviation(performance)
    low, high = _interval(performance, deviation)
    appearances = [video.people[person.identity_id] for video in seen]
    return {
        "identity": person.identity_id,
        "name": person.name,
        "face_image": cover_path(person),
        "average_performance": mean(performance),
        "videos": len(seen),
        "faces": sum(one.faces for each in appearances for one in each),
        "screen_time_s": round(screen_time([each[0] for each in appearances]), 3),
        **{
            f"average_{name}": mean(
                [video.metrics[name] for video in seen if name in video.metrics]
            )
            for name in others
        },
        "spread": exact(deviation),
        "interval_low": low,
        "interval_high": high,
    }


def average_of(registry: Registry, identity_id: str) -> dict[str, float]:
    """The mean of each metric over the distinct videos of one identity, as in reports.

    A metric that has weights (`mean@WEIGHT`) is weighted.
    """
    shown = counted_videos_of(registry, [identity_id])
    weighted = weighted_metrics(registry, shown)
    means: dict[str, float] = {}
    for name in sorted({name for video in shown for name in video.metrics}):
        own = [video for video in shown if name in video.metrics]
        values = [video.metrics[name] for video in own]
        if name in weighted:
            from queries.statistics.means import weighted_mean  # it brings SciPy

            means[name] = weighted_mean(values, weights_of(own, name, ""))
        else:
            means[name] = mean(values)
    return means


def screen_time(appearances: Sequence[Appearance]) -> float:
    """Seconds, as `registry.domain.Identity` has them."""
    return round(sum(one.screen_time_s for one in appearances), 6)


def _standard_deviation(values: Sequence[float]) -> float:
    """Of the sample; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    array = np.array(values)
    residuals = array - array.sum() / len(values)  # np.std takes three times as long
    return math.sqrt(np.square(residuals).sum() / (len(values) - 1))


def _interval(values: Sequence[float], deviation: float) -> tuple[float, float]:
    """The 95 % t interval of the mean; NaN for fewer than `ENOUGH` values."""
    if len(values) < ENOUGH:
        return math.nan, math.nan
    middle = mean(values)
    margin = _t(len(values) - 1) * deviation / len(values) ** 0.5
    return exact(middle - margin), exact(middle + margin)


@cache
def _t(freedom: int) -> float:
    """The 97.5 % point of Student's t; `scipy.stats.t.ppf` takes a hundred times as long."""
    from scipy.special import stdtrit  # not needed below ten videos

    return float(stdtrit(freedom, 0.975))
