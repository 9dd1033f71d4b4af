"""`face-registry metrics`: which numbers the registry has, and what they are called."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
from rich.table import Table

from registry.core.registry import Registry
from registry.core.table_settings import load_table_settings
from registry.core.video_changes import make_first, rename_metric
from registry.terminal import Terminal, clean, count, json_option, pass_terminal


def metric_documents(registry: Registry) -> list[dict[str, Any]]:
    """Each metric: its name, how rows are combined, its unit, and how many videos have a value."""
    primary = registry.contract.primary_metric
    settings = load_table_settings(registry.blobs)
    videos = Counter(name for video in registry.index.videos() for name in video.metrics)
    names = videos.keys() | settings.units.keys() | {primary}
    return [
        {
            "metric": name,
            "first": name == primary,
            "as": next(
                (s for s in settings.metrics if s == name or s.startswith(f"{name}:")), name
            ),
            "unit": settings.units.get(name),
            "videos": videos[name],
        }
        for name in sorted(names, key=lambda name: (name != primary, name))
    ]


@click.command("list")
@json_option
@pass_terminal
def metrics_list(terminal: Terminal, as_json: bool) -> None:
    """List the metrics: the one that reports average by name first."""
    with terminal.open_to_read() as registry:
        metrics = metric_documents(registry)
    if as_json:
        terminal.json({"metrics": metrics})
        return
    grid = Table("metric", "combined as", "unit", "videos", box=None, pad_edge=False)
    for metric in metrics:
        unit = metric["unit"]
        grid.add_row(
            clean(metric["metric"]),
            clean(metric["as"]),
            "not known" if unit is None else unit or "plain",
            str(metric["videos"]),
        )
    terminal.table(grid, drop=("combined as",), shorten={"metric": 16, "combined as": 12})


@click.command("rename")
@click.argument("old")
@click.argument("new")
@pass_terminal
def metrics_rename(terminal: Terminal, old: str, new: str) -> None:
    """Give a metric another name, in all videos and for later tables.

    If NEW is a metric already, the values of both become one series, and the latest counts.
    """
    with terminal.open() as registry:
        videos = rename_metric(registry, old, new)
    terminal.say(f"'{clean(old)}' is now '{clean(new)}' in {count(videos, 'video')}.")
    terminal.note(f"The column '{clean(old)}' of later tables is recorded as '{clean(new)}' too.")


@click.command("first")
@click.argument("name")
@pass_terminal
def metrics_first(terminal: Terminal, name: str) -> None:
    """Make a metric the one that reports average by name."""
    with terminal.open() as registry:
        make_first(registry, name)
    terminal.say(f"Reports average '{clean(name)}' by name.")
