"""What `report --compare` and `report --since-run` print."""

from __future__ import annotations

import math

from rich.table import Table

from queries.changes import Changes, Moment
from queries.figures import figure
from registry.terminal import Terminal, clean, count, short


def print_changes(terminal: Terminal, moment: Moment, found: Changes, *, as_json: bool) -> None:
    """Print what changed since a moment, as a table or as a document."""
    rows = found.table.to_dict(orient="records")
    if as_json:
        terminal.json(
            {
                "since": moment.at.isoformat(),
                "metric": found.metric,
                "weight": found.weight or None,
                "new_videos": found.new_videos,
                "changed_metrics": found.changed_metrics,
                "decisions": found.decisions,
                "changes": rows,
            }
        )
        return
    grid = Table("identity", "name", "change", box=None, pad_edge=False)
    for heading in ("videos", "before", "now", "new videos", "metrics", "decisions"):
        grid.add_column(heading, justify="right")
    for row in rows:
        change, _, other = row["change"].partition(" ")
        before, after = row["videos_before"], row["videos"]
        grid.add_row(
            short(row["identity"]),
            clean(row["name"]) or "-",
            f"{change} {short(other)}" if other else change,
            str(after) if before == after else f"{before} → {after}",
            figure(row["mean_before"]),
            figure(row["mean"]),
            *(_signed(row[name]) for name in ("by_videos", "by_metrics", "by_decisions")),
        )
    parts = ("decisions", "metrics", "new videos")
    terminal.table(grid, drop=(*parts, "videos", "before"), shorten={"name": 12})
    weight = f", weighted by {clean(found.weight)}" if found.weight else ""
    terminal.note(
        f"Since {moment.at:%Y-%m-%d %H:%M} UTC: {count(found.new_videos, 'new video')}, "
        f"{count(found.changed_metrics, 'video')} with changed metrics, "
        f"{count(found.decisions, 'decision')}. Means of {clean(found.metric)}{weight}; the last "
        "three columns are the parts of the change."
    )


def _signed(value: float) -> str:
    """A change: `+0.42`, `0`, or `-` where there is no number."""
    if math.isnan(value) or abs(value) < 1e-9:
        return "-" if math.isnan(value) else "0"
    return f"{'+' if value > 0 else ''}{figure(value)}"
