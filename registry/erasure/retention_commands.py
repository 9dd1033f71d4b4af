"""`retention`: how long videos are kept."""

from __future__ import annotations

import click

from registry.erasure import retention
from registry.terminal import Terminal, json_option, pass_terminal


@click.command("retention")
@click.option("--days", type=click.IntRange(1, 36_500), help="Keep videos for so many days.")
@click.option("--none", is_flag=True, help="Keep them without limit.")
@json_option
@pass_terminal
def retention_command(terminal: Terminal, days: int | None, none: bool, as_json: bool) -> None:
    """Show or set how long videos are kept after they were last read.

    It holds for everyone who opens the registry. Nothing is removed by itself: `doctor` names the
    videos that are older, and `videos remove --older-than` removes them.
    """
    if days and none:
        raise click.UsageError("choose one of --days and --none")
    with terminal.open() as registry:
        _ = registry.contract  # there is something to keep
        if days or none:
            retention.set_days(registry, days)
        period = retention.days(registry.blobs)
        old = sum(1 for _ in retention.older_than(registry, period)) if period else 0
    if as_json:
        terminal.json({"days": period, "older": old})
    else:
        terminal.say(_sentence(period, old))


def _sentence(period: int | None, old: int) -> str:
    if period is None:
        return "videos are kept without limit"
    text = f"videos are kept for {period} days after they were last read"
    if not old:
        return f"{text}; none is older"
    return f"{text}; {old} older: `face-registry videos remove --older-than {period}`"
