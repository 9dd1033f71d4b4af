"""Pairs of people who are in the same videos, and how these perform beside those of each alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from queries.counted_videos import CountedVideo, counted_videos, videos_by_person
from queries.metric_weights import check_metrics, weight_of, weights_of
from queries.screen_time import seconds_together
from queries.selections import Selection, select
from queries.statistics.means import weighted_mean
from queries.statistics.performance import CAUTION, TOO_FEW, performance
from registry.core.registry import Registry

LEVEL = 0.95
PAIR_COLUMNS = (
    "first",
    "first_name",
    "second",
    "second_name",
    "videos",
    "seconds",
    "n_together",
    "mean_together",
    "n_first_alone",
    "mean_first_alone",
    "n_second_alone",
    "mean_second_alone",
    "difference",
    "low",
    "high",
    "p",
    "verdict",
)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The answer to a question about pairs."""

    table: pd.DataFrame
    """A row for each pair, with the columns `PAIR_COLUMNS`; most videos first."""
    metric: str
    weight: str
    """What the metric is weighted with; "" if it is not."""
    shared: dict[tuple[str, str], list[tuple[CountedVideo, float]]]
    """By pair, the videos with both, each with the seconds for which both are on screen."""


def pairs(
    registry: Registry,
    people: Sequence[str] = (),
    *,
    metric: str = "",
    weight: str = "",
    selection: Selection | None = None,
    min_videos: int = 1,
    top: int | None = None,
    provisional: bool = False,
    stills: bool = False,
) -> Pairs:
    """Who is in the same videos, and whether these perform better than those of each alone.

    Args:
        registry: an open registry that has ingested something.
        people: keys of identities; of one, all pairs with it; of several, the pairs among them.
        metric: by default the primary metric.
        weight: as for `queries.report.report`.
        selection: which videos count; by default all.
        min_videos: leave out pairs with fewer videos in common.
        top: the number of pairs; by default all.
        provisional: whether provisional identities have pairs, too.
        stills: as for `queries.report.report`.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UnknownError: there is no such identity.
        UsageError: the metric, the weight or the selection cannot be used.
    """
    metric = metric or registry.contract.primary_metric
    everything, identities = counted_videos(registry, stills=stills)
    check_metrics((metric, weight), everything)
    known = {i for i, one in identities.items() if provisional or not one.provisional}
    named = {registry.identity(key).identity_id for key in people}
    videos = select(everything, selection or Selection(), known | named)
    of_pair: dict[tuple[str, str], list[CountedVideo]] = defaultdict(list)
    of_person = videos_by_person(videos)
    for video in videos:
        for first, second in combinations(sorted(video.people), 2):
            if (
                not named
                or (first in named and second in named)
                or (len(named) == 1 and named & {first, second})
            ):
                of_pair[first, second].append(video)
    chosen = sorted(
        (pair for pair, where in of_pair.items() if len(where) >= min_videos),
        key=lambda pair: (-len(of_pair[pair]), pair),
    )[:top]
    shared = _seconds(registry, {pair: of_pair[pair] for pair in chosen})
    weighted = weight_of(registry, metric, weight, videos)
    rows = []
    for pair in chosen:
        first, second = pair
        rows.append(
            {
                "first": first,
                "first_name": identities[first].name,
                "second": second,
                "second_name": identities[second].name,
                "videos": len(of_pair[pair]),
                "seconds": round(sum(seconds for _, seconds in shared[pair]), 3),
                **_compared(
                    of_pair[pair], of_person[first], of_person[second], metric, weighted, weight
                ),
            }
        )
    table = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    return Pairs(_with_family(table), metric, weighted, shared)


def _seconds(
    registry: Registry, of_pair: dict[tuple[str, str], list[CountedVideo]]
) -> dict[tuple[str, str], list[tuple[CountedVideo, float]]]:
    """The videos of each pair with the seconds that it shares; each record is decoded once."""
    read: dict[str, dict[frozenset[str], float]] = {}
    for videos in of_pair.values():
        for video in videos:
            if video.video_id not in read:
                read[video.video_id] = seconds_together(registry, video.video_id)
    return {
        pair: [(video, read[video.video_id].get(frozenset(pair), 0.0)) for video in videos]
        for pair, videos in of_pair.items()
    }


def _compared(
    together: Sequence[CountedVideo],
    first: Sequence[CountedVideo],
    second: Sequence[CountedVideo],
    metric: str,
    weighted: str,
    weight: str,
) -> dict[str, Any]:
    """The columns about the metric: of videos with both, and of those with one of them alone."""
    both = {video.video_id for video in together}
    alone = [[video for video in own if video.video_id not in both] for own in (first, second)]
    row: dict[str, Any] = {}
    for name, videos in zip(
        ("together", "first_alone", "second_alone"), (together, *alone), strict=True
    ):
        values, amounts = _values(videos, metric), _amounts(videos, metric, weighted, weight)
        row[f"n_{name}"] = int((np.isfinite(values) & (amounts > 0)).sum())
        row[f"mean_{name}"] = weighted_mean(values, amounts)
    either = [*together, *alone[0], *alone[1]]
    tested = performance(
        pd.DataFrame({"person": "pair", "video": [video.video_id for video in together]}),
        pd.DataFrame(
            {
                "video": [video.video_id for video in either],
                "value": _values(either, metric),
                "weight": _amounts(either, metric, weighted, weight),
            }
        ),
        "value",
        weight="weight",
        level=LEVEL,
    ).iloc[0]
    return {**row, **{name: tested[name] for name in ("difference", "low", "high", "p", "verdict")}}


def _values(videos: Sequence[CountedVideo], metric: str) -> np.ndarray:
    return np.array([video.metrics.get(metric, math.nan) for video in videos], np.float64)


def _amounts(videos: Sequence[CountedVideo], metric: str, weighted: str, weight: str) -> np.ndarray:
    if not weighted:
        return np.ones(len(videos))
    return np.array(weights_of(videos, metric, weight), np.float64)


def _with_family(table: pd.DataFrame) -> pd.DataFrame:
    """The table, where "clearly" holds for all of its pairs together (Bonferroni)."""
    tests = int((table["verdict"] != TOO_FEW).sum())
    weak = table["p"].astype(np.float64) * tests > CAUTION * (1 - LEVEL)
    words = table["verdict"].where(~weak, table["verdict"].str.replace("clearly", "leaning"))
    return table.assign(verdict=words)
