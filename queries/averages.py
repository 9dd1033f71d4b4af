"""How the videos with a person perform: one row per identity, each video once.

An average is over distinct videos and never over faces, so that long screen time does not weigh the
mean silently. A video without a value for a metric does not count towards that metric.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from registry.core.counting import Metrics, counted_metrics, metrics_by_identity
from registry.core.decisions import fold
from registry.core.registry import Registry
from registry.domain import Appearance, Identity
from registry.errors import UnknownError
from registry.faces.appearances import appearances, identity

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


def averages(
    registry: Registry, *, as_of: int | None = None, provisional: bool = False
) -> pd.DataFrame:
    """The table of who performs how, best first.

    Args:
        registry: an open registry that has ingested something.
        as_of: number of the last decision that counts; 0: none does. By default all do. The videos
            are those on record now.
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
    values, identities = _now(registry) if as_of is None else _earlier(registry, as_of)
    others = sorted(
        {name for seen in values.values() for metrics in seen for name in metrics} - {primary}
    )
    columns = _FIRST + [f"average_{name}" for name in others] + _LAST
    rows: list[dict[str, Any]] = []
    for one in identities:
        if one.provisional and not provisional:
            continue
        seen = values[one.identity_id]
        performance = [metrics[primary] for metrics in seen if primary in metrics]
        low, high = _interval(performance)
        rows.append(
            {
                "identity": one.identity_id,
                "name": one.name,
                "face_image": cover_path(one.identity_id),
                "average_performance": _mean(performance),
                "videos": one.videos,
                "faces": one.faces,
                "screen_time_s": round(one.screen_time_s, 3),
                **{
                    f"average_{name}": _mean([metrics[name] for metrics in seen if name in metrics])
                    for name in others
                },
                "spread": _exact(float(np.std(performance, ddof=1)))
                if len(performance) > 1
                else math.nan,
                "interval_low": low,
                "interval_high": high,
            }
        )
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(
        ["average_performance", "videos", "identity"],
        ascending=[False, False, True],
        na_position="last",
        ignore_index=True,
    )


_Values = Mapping[str, Sequence[Metrics]]
"""The metrics of each video that shows an identity, by identity."""


def _now(registry: Registry) -> tuple[_Values, list[Identity]]:
    index = registry.index
    shown = (
        (
            payload["video_id"],
            payload["metrics"],
            [a["identity_id"] for a in payload["appearances"]],
        )
        for payload in index.videos()
    )
    return metrics_by_identity(shown, registry.view.same_as), list(index.identities())


def _earlier(registry: Registry, as_of: int) -> tuple[_Values, list[Identity]]:
    """From the records, with the decisions up to this one: the index knows how things stand now."""
    log = registry.decisions.entries()
    if not 0 <= as_of <= len(log):
        raise UnknownError(
            f"there is no decision {as_of}; `face-registry identities list --decisions` shows "
            "those there are, and 0 stands for none"
        )
    view = fold(log, as_of=as_of)
    shown: list[tuple[str, Metrics, list[str]]] = []
    seen: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
    for video in registry.records.all():
        faces = [replace(face, identity_id=view.identity_of(face)) for face in video.faces]
        here = appearances(faces)
        shown.append((video.video_id, video.metrics, [a.identity_id for a in here]))
        for appearance in here:
            seen[appearance.identity_id].append((video.video_id, appearance))
    found = [identity(i, view.name_of(i), where, view.same_as) for i, where in seen.items()]
    values = metrics_by_identity(shown, view.same_as)
    return values, [one for one in found if one is not None]


def average_of(registry: Registry, identity_id: str) -> dict[str, float]:
    """Mean of each metric over the distinct videos of one identity."""
    index, same_as = registry.index, registry.view.same_as
    metrics = {payload["video_id"]: payload["metrics"] for payload in index.videos([identity_id])}
    counted = {registry.view.counted_video(video) for video in metrics}
    for other in {video for pair in same_as.items() if pair[1] in counted for video in pair}:
        payload = index.video(other)
        if payload is not None:
            metrics[other] = payload["metrics"]
    values: dict[str, list[float]] = defaultdict(list)
    for video in counted_metrics(metrics.items(), same_as).values():
        for name, value in video.items():
            values[name].append(value)
    return {name: _mean(values[name]) for name in sorted(values)}


def cover_path(identity_id: str) -> str:
    """Where the exported zip has the picture that stands for an identity."""
    return f"{identity_id}/cover.jpg"


def _mean(values: list[float]) -> float:
    return _exact(math.fsum(values) / len(values)) if values else math.nan


def _exact(value: float) -> float:
    """Without the last digits, which only tell how binary numbers round: 6.8, and no 6.800…01."""
    return float(f"{value:.15g}")


def _interval(values: list[float]) -> tuple[float, float]:
    if len(values) < ENOUGH:
        return math.nan, math.nan
    from scipy import stats  # half a second to import, and mostly not needed

    mean, error = _mean(values), float(stats.sem(values))
    margin = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return _exact(mean - margin), _exact(mean + margin)
