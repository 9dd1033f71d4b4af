"""The commands `identities forget`, `identities unblock`, `videos remove` and `retention`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from registry.core import retention
from registry.core.retention import OldVideo, older_than
from registry.system.files import atomic_file
from registry.terminal import Terminal, count, file_path, json_option, pass_terminal

_receipt_option = click.option(
    "--receipt", "path", type=file_path(), help="Also write the receipt to this file."
)


@click.command("forget")
@click.argument("identity")
@click.option(
    "--block", is_flag=True,
    help="Do not record the person again. Keeps a template of the face, which is biometric data.",
)  # fmt: skip
@_receipt_option
@json_option
@pass_terminal
def identities_forget(
    terminal: Terminal, identity: str, block: bool, path: Path | None, as_json: bool
) -> None:
    """Remove a person for good: faces, crops, name, decisions, and the points in the index.

    Where pictures of other people show the person too, the face is covered.

    IDENTITY is an id, the beginning of one, or a name. Without --block, the person is recorded
    again when one of the videos is read again.
    """
    with terminal.open() as registry:
        receipt = registry.forget(identity, block=block)
    _print_receipt(terminal, receipt, path, as_json)


@click.command("unblock")
@click.argument("block")
@pass_terminal
def identities_unblock(terminal: Terminal, block: str) -> None:
    """Remove a block and its template, so that the person can be recorded again.

    BLOCK is the id of the block, which the receipt of `identities forget --block` has.
    """
    with terminal.open() as registry:
        registry.unblock(block)
    terminal.say(f"Block {block} and its template were removed.")


@click.command("remove")
@click.argument("videos", nargs=-1)
@click.option(
    "--older-than", "days", type=click.IntRange(min=0), metavar="DAYS",
    help="List the videos that were last read more than so many days ago.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="With --older-than: remove the videos.")
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
    """Remove videos for good, and the identities that are in no other video.

    VIDEOS are URLs, ids or beginnings of ids.
    """
    if bool(videos) == (days is not None):
        raise click.UsageError("Give either videos or --older-than DAYS.")
    with terminal.open() as registry:
        old = [] if days is None else list(older_than(registry, days))
        chosen = [*videos, *(video.video for video in old)]
        receipt = registry.remove_videos(chosen) if chosen and (videos or yes) else None
    if receipt is None:
        _print_preview(terminal, old, as_json)
    else:
        _print_receipt(terminal, receipt, path, as_json)


def _print_preview(terminal: Terminal, old: list[OldVideo], as_json: bool) -> None:
    if as_json:
        documents = [{**asdict(video), "url": video.url.exposed()} for video in old]
        terminal.json({"removed": None, "videos": documents})
        return
    for video in old:
        faces = f"{video.faces:>6} {'face ' if video.faces == 1 else 'faces'}"
        terminal.say(f"{video.last_read or 'unknown':<25}  {faces}  {video.url}")
    if old:
        terminal.note(f"{count(len(old), 'video')} would be removed for good. Use --yes to do so.")
    else:
        terminal.say("No video is that old.")


def _print_receipt(
    terminal: Terminal, receipt: dict[str, Any], path: Path | None, as_json: bool
) -> None:
    if path:
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(receipt, indent=2))
    if as_json:
        terminal.json(receipt)
        return
    removed = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in receipt["removed"].items())
    terminal.say(f"Removed: {removed}. Afterwards, neither objects nor index named any of them.")
    pictures = receipt["pictures"]
    if pictures["looked_through"] or pictures["rewritten"]:
        others = count(pictures["looked_through"], "picture")
        terminal.say(
            f"Pictures of others: {pictures['rewritten']:,} rewritten; {others} looked through "
            f"with {pictures['model'] or 'no model'}, which then found the person "
            f"{pictures['found_afterwards']} times."
        )
    terminal.say(f"Receipt: {receipt['receipt']}")
    if receipt["block"]:
        terminal.say(f"Block {receipt['block']['id']} keeps a template of the face.")
    terminal.note(f"Not covered: {'; '.join(receipt['not_covered'])}.")


@click.command("retention")
@click.option("--days", type=click.IntRange(1, 36_500), help="Set the period, in days.")
@click.option("--none", is_flag=True, help="Remove the period: keep videos without limit.")
@json_option
@pass_terminal
def retention_command(terminal: Terminal, days: int | None, none: bool, as_json: bool) -> None:
    """Show or set the retention period: how long videos are kept after they were last read.

    It applies to everyone who opens the registry. Nothing is removed automatically: `doctor` lists
    older videos, and `videos remove --older-than` removes them.
    """
    if days and none:
        raise click.UsageError("Use only one of --days and --none.")
    with terminal.open() as registry:
        _ = registry.contract  # raises if the registry is empty
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
        return "Videos are kept without limit."
    text = f"Videos are kept for {count(period, 'day')} after they were last read."
    if not old:
        return f"{text} None is older."
    command = f"face-registry videos remove --older-than {period}"
    return f"{text} {old:,} {'is' if old == 1 else 'are'} older. Run `{command}` to list them."
