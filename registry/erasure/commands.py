"""The commands `identities forget`, `identities unblock`, `videos remove` and `retention`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from registry.core import clock, retention
from registry.core.registry import Registry
from registry.core.retention import LONGEST_PERIOD, OldVideo, older_than
from registry.erasure.previews import preview_of_person, preview_of_videos
from registry.erasure.receipt_commands import print_receipt
from registry.system.files import atomic_file
from registry.terminal import (
    Terminal,
    count,
    identity_argument,
    json_option,
    output_file,
    pass_terminal,
    yes_option,
)

_receipt_option = click.option(
    "--receipt", "path", type=output_file("JSON"), help="Also write the receipt to this file."
)


@click.command("forget")
@identity_argument()
@click.option(
    "--block", is_flag=True,
    help="Do not record the person again. Keeps a template of the face, which is biometric data.",
)  # fmt: skip
@_receipt_option
@yes_option
@json_option
@pass_terminal
def identities_forget(
    terminal: Terminal, identity: str, block: bool, path: Path | None, yes: bool, as_json: bool
) -> None:
    """Remove a person for good: faces, crops, name, decisions, and the points in the index.

    Where pictures of other people show the person too, the face is covered.

    IDENTITY is an id, the beginning of one, or a name. Without --block, the person is recorded
    again when one of the videos is read again. Shows who it is and asks.
    """
    with terminal.open() as registry:
        person = registry.identity(identity)
        preview = preview_of_person(registry, person, block=block)
        terminal.confirm(preview, "Forget this person?", yes=yes)
        receipt = registry.forget(person.identity_id, block=block)
    _hand_out(terminal, receipt, path, as_json)


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
    "--older-than", "days", type=click.IntRange(0, LONGEST_PERIOD), metavar="DAYS",
    help="The videos that were last read more than so many days ago.",
)  # fmt: skip
@click.option(
    clock.OPTION, "clock_is_right", is_flag=True,
    help="Remove by age although the times of runs contradict the clock of this computer.",
)  # fmt: skip
@yes_option
@_receipt_option
@json_option
@pass_terminal
def videos_remove(
    terminal: Terminal,
    videos: tuple[str, ...],
    days: int | None,
    clock_is_right: bool,
    yes: bool,
    path: Path | None,
    as_json: bool,
) -> None:
    """Remove videos for good, and the identities that are in no other video.

    VIDEOS are URLs, ids or beginnings of ids. Shows the videos and identities and asks. With
    --older-than and without --yes, only lists the videos where there is no terminal to ask on.
    Where the clock may be wrong (a run in the future, years without a run), nothing is removed by
    age until --clock-is-right confirms it.
    """
    if bool(videos) == (days is not None):
        raise click.UsageError("Give either videos or --older-than DAYS.")
    with terminal.open() as registry:
        old = [] if days is None else list(older_than(registry, days))
        if days is not None and not (old and (yes or (terminal.interactive and not as_json))):
            _print_old(terminal, old, as_json)
            if doubts := clock.doubts(registry.blobs):
                terminal.note(doubts)
            return
        if days is not None:
            clock.check_clock(registry.blobs, confirmed=clock_is_right)
        chosen = [video.video for video in old] or [registry.video(key).video_id for key in videos]
        question = f"Remove {'it' if len(set(chosen)) == 1 else 'them'}?"
        terminal.confirm(preview_of_videos(registry, chosen), question, yes=yes)
        receipt = registry.remove_videos(chosen)
    _hand_out(terminal, receipt, path, as_json)


def _print_old(terminal: Terminal, old: list[OldVideo], as_json: bool) -> None:
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


def _hand_out(
    terminal: Terminal, receipt: dict[str, Any], path: Path | None, as_json: bool
) -> None:
    if path:
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(receipt, indent=2))
    if as_json:
        terminal.json(receipt)
        return
    print_receipt(terminal, receipt)


@click.command("retention")
@click.option("--days", type=click.IntRange(1, LONGEST_PERIOD), help="Set the period, in days.")
@click.option("--none", is_flag=True, help="Remove the period: keep videos without limit.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@json_option
@pass_terminal
def retention_command(
    terminal: Terminal, days: int | None, none: bool, yes: bool, as_json: bool
) -> None:
    """Show or set the retention period: how long videos are kept after they were last read.

    It applies to everyone who opens the registry. Nothing is removed automatically: `doctor` lists
    older videos, and `videos remove --older-than` removes them. On a terminal, a change shows how
    many videos are older, and asks.
    """
    if days and none:
        raise click.UsageError("Use only one of --days and --none.")
    with terminal.open() as registry:
        _ = registry.contract  # raises if the registry is empty
        if (days or none) and days != retention.days(registry.blobs):
            terminal.confirm(
                _change_of_period(registry, days),
                "Change the retention period?",
                yes=yes,
                final=False,
                required=False,
            )
            retention.set_days(registry, days)
        period = retention.days(registry.blobs)
        old = _count_older(registry, period)
        doubts = clock.doubts(registry.blobs) if period else ""
    if as_json:
        terminal.json({"days": period, "older": old})
    else:
        terminal.say(_sentence(period, old))
    if doubts:
        terminal.note(doubts)


def _change_of_period(registry: Registry, period: int | None) -> Iterator[str]:
    before = retention.days(registry.blobs)
    yield f"Now: {_sentence(before, _count_older(registry, before))}"
    yield f"Then: {_sentence(period, _count_older(registry, period))}"
    yield "It applies to everyone who opens the registry. No video is removed by this."


def _count_older(registry: Registry, period: int | None) -> int:
    return sum(1 for _ in retention.older_than(registry, period)) if period else 0


def _sentence(period: int | None, old: int) -> str:
    if period is None:
        return "Videos are kept without limit."
    text = f"Videos are kept for {count(period, 'day')} after they were last read."
    if not old:
        return f"{text} None is older."
    command = f"face-registry videos remove --older-than {period}"
    return f"{text} {old:,} {'is' if old == 1 else 'are'} older. Run `{command}` to list them."
