"""`identities forget`, `identities unblock` and `videos remove`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from registry.core import retention
from registry.core.retention import Old, older_than
from registry.system.files import placed
from registry.terminal import Terminal, file_path, json_option, pass_terminal

_receipt_option = click.option(
    "--receipt", "path", type=file_path(), help="Write the receipt to this file as well."
)


@click.command("forget")
@click.argument("identity")
@click.option(
    "--block", is_flag=True,
    help="Do not enrol the person again. Keeps a template of the face, which is biometric data.",
)  # fmt: skip
@_receipt_option
@json_option
@pass_terminal
def identities_forget(
    terminal: Terminal, identity: str, block: bool, path: Path | None, as_json: bool
) -> None:
    """Remove a person for good: faces, crops, names and decisions, and their bytes in the index.

    Without --block, a video that is read again enrols the person again.
    """
    with terminal.open() as registry:
        receipt = registry.forget(identity, block=block)
    _hand_out(terminal, receipt, path, as_json)


@click.command("unblock")
@click.argument("block")
@pass_terminal
def identities_unblock(terminal: Terminal, block: str) -> None:
    """Lift a block, named by its id in the receipt, and remove its template."""
    with terminal.open() as registry:
        registry.unblock(block)
    terminal.say(f"block {block} is lifted, and its template removed")


@click.command("remove")
@click.argument("videos", nargs=-1)
@click.option(
    "--older-than", "days", type=click.IntRange(min=0), metavar="DAYS",
    help="Those that were last read longer ago; lists them, unless --yes is given.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="With --older-than: remove them.")
@_receipt_option
@json_option
@pass_terminal
def videos_remove(
    terminal: Terminal,
    videos: tuple[str, ...],
    days: int | None,
    yes: bool,
    path: Path | None,
    as_json: bool,
) -> None:
    """Remove videos (URL, id or beginning of an id) for good, and those who are in no other."""
    if bool(videos) == (days is not None):
        raise click.UsageError("name videos, or give --older-than DAYS")
    with terminal.open() as registry:
        old = [] if days is None else list(older_than(registry, days))
        going = [*videos, *(video.video for video in old)]
        receipt = registry.remove_videos(going) if going and (videos or yes) else None
    if receipt is None:
        _preview(terminal, old, as_json)
    else:
        _hand_out(terminal, receipt, path, as_json)


def _preview(terminal: Terminal, old: list[Old], as_json: bool) -> None:
    if as_json:
        documents = [{**asdict(video), "url": video.url.exposed()} for video in old]
        terminal.json({"removed": None, "videos": documents})
        return
    for video in old:
        terminal.say(f"{video.last_read or 'unknown':<25}  {video.faces:>6} faces  {video.url}")
    if old:
        terminal.note(f"{len(old)} videos would be removed for good; --yes removes them")
    else:
        terminal.say("no video is that old")


def _hand_out(
    terminal: Terminal, receipt: dict[str, Any], path: Path | None, as_json: bool
) -> None:
    if path:
        with placed(path) as aside:
            aside.write_text(json.dumps(receipt, indent=2))
    if as_json:
        terminal.json(receipt)
        return
    removed = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in receipt["removed"].items())
    terminal.say(f"removed: {removed}; nothing is left. Receipt {receipt['receipt']}")
    if receipt["block"]:
        terminal.say(f"block {receipt['block']['id']} keeps a template of the face")
    terminal.note(f"not covered: {'; '.join(receipt['not_covered'])}")


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
