"""The metrics of videos, and what their means are weighted with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from queries.counted_videos import CountedVideo
from registry.core.registry import Registry
from registry.core.table_settings import load_table_settings
from registry.errors import UsageError
from registry.urls import printable

UNWEIGHTED = "none"


def check_metrics(metrics: Sequence[str], videos: Sequence[CountedVideo]) -> None:
    """Raise `UsageError` for a metric that no video has; "" and `UNWEIGHTED` are none."""
    known = {name for video in videos for name in video.metrics}
    for name in metrics:
        if name not in known | {"", UNWEIGHTED}:
            there = ", ".join(sorted(known)) or "none"
            raise UsageError(
                f"No video has the metric '{printable(name)}'. Metrics: {printable(there)}."
            )


def weight_of(registry: Registry, metric: str, given: str, videos: Sequence[CountedVideo]) -> str:
    """The name of what a metric is weighted with; "" if it is not."""
    if given:
        return "" if given == UNWEIGHTED else given
    if not any(metric in video.weights for video in videos):
        return ""
    return _told_weights(registry).get(metric, f"weight of {metric}")


def weighted_metrics(registry: Registry, videos: Sequence[CountedVideo]) -> set[str]:
    """The metrics whose means are weighted by their kind, as they are in a report on all videos.

    Args:
        registry: an open registry.
        videos: some of the videos, such as those of one person. If none of them has a weight of a
            metric that ingests weighted, the other videos tell whether it is weighted.
    """
    weighted = {name for video in videos for name in video.weights}
    unsure = {name for video in videos for name in video.metrics} - weighted
    if unsure and (unsure := unsure & _told_weights(registry).keys()):
        weighted |= unsure & {name for one in registry.index.videos() for name in one.weights}
    return weighted


def _told_weights(registry: Registry) -> dict[str, str]:
    """By metric, the column that earlier ingests weighted it with (`ROAS:mean@Spend`)."""
    settings = load_table_settings(registry.blobs)
    parts = [told.partition(":mean@") for told in settings.metrics]
    return {settings.renames.get(column, column): weight for column, _, weight in parts if weight}


def weights_of(videos: Sequence[CountedVideo], metric: str, given: str) -> list[float]:
    """The weight of each video, by a metric that was named or by the kind of this one."""
    if given:
        return [video.metrics.get(given, math.nan) for video in videos]
    return [
        video.weights[metric].weight if metric in video.weights else math.nan for video in videos
    ]
