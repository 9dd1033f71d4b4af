"""The values that the metrics of a video had, each with the run that brought it. Pure.

`Video.history` has no entry for a metric that never changed: its value came with `Video.run`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from registry.domain import MetricValue, Video, Weighted


def history_of(video: Video, metric: str) -> tuple[MetricValue, ...]:
    """All values of a metric, oldest first; empty if it never had one."""
    if metric in video.history:
        return video.history[metric]
    if metric not in video.metrics:
        return ()
    return (MetricValue(video.run, video.metrics[metric], video.weights.get(metric)),)


def first_run(video: Video) -> str:
    """The id of the first run that read the video; empty if it is not known.

    A video without metrics does not tell which runs read it before the last one.
    """
    values = [value.run for name in video.metrics for value in history_of(video, name)]
    return min([video.run, *values]) if values else ""


def before_run(video: Video, run: str) -> Video:
    """The video with the metrics that it had before a run changed them."""
    changed = [
        name
        for name in video.history.keys() | video.metrics.keys()
        if any(value.run == run for value in history_of(video, name))
    ]
    for name in changed:
        left = tuple(value for value in history_of(video, name) if value.run != run)
        video = _with_history(video, name, left)
    return video


def with_values(
    video: Video,
    run: str,
    values: Mapping[str, float],
    weights: Mapping[str, Weighted] | None = None,
    cleared: Collection[str] = (),
) -> Video:
    """The video after a run brought values of some metrics; the others stay.

    Args:
        video: as it was before the run.
        run: id of the run.
        values: by metric. A value that is the current one, with the same weight, is no change.
        weights: of the values that are weighted means.
        cleared: metrics that have no value from now on.
    """
    weights = weights or {}
    for name, value in values.items():
        new = MetricValue(run, value, weights.get(name))
        earlier = history_of(video, name)
        if not earlier or (earlier[-1].value, earlier[-1].weighted) != (value, new.weighted):
            video = _with_history(video, name, (*earlier, new))
    for name in cleared:
        earlier = history_of(video, name)
        if earlier and earlier[-1].value is not None:
            video = _with_history(video, name, (*earlier, MetricValue(run, None)))
    return video


def read_by(video: Video, run: str) -> Video:
    """The video as read (again) by a run; its metrics keep the runs that brought them."""
    history = dict(video.history)
    for name in video.metrics.keys() - history.keys():
        if video.run != run:
            history[name] = history_of(video, name)
    return _compact(replace(video, run=run, history=history))


def renamed(video: Video, old: str, new: str) -> Video:
    """The video with a metric under another name.

    If it has values under both names, all stay, in the order of their runs, and the last counts.
    """
    values = (*history_of(video, new), *history_of(video, old))
    video = _with_history(_with_history(video, old, ()), new, ())
    return _with_history(video, new, tuple(sorted(values, key=lambda value: value.run)))


def _with_history(video: Video, name: str, values: tuple[MetricValue, ...]) -> Video:
    """The video with these values of a metric, of which the last is the current one."""
    metrics, weights, history = dict(video.metrics), dict(video.weights), dict(video.history)
    for known in (metrics, weights, history):
        known.pop(name, None)
    if values:
        history[name] = values
        last = values[-1]
        if last.value is not None:
            metrics[name] = last.value
        if last.weighted is not None:
            weights[name] = last.weighted
    return _compact(replace(video, metrics=metrics, weights=weights, history=history))


def _compact(video: Video) -> Video:
    """Without the entries of metrics whose only value came with the run of the video."""
    history = {
        name: values
        for name, values in video.history.items()
        if len(values) > 1 or values[0].run != video.run
    }
    return replace(video, history=history)
