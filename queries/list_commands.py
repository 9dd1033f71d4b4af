"""The lists: identities, decisions and videos, on the terminal or as JSON."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from queries.show import (
    decision_documents,
    established,
    identity_document,
    identity_documents,
    video_documents,
)
from registry.terminal import Terminal, clean, json_option, number, pass_terminal, short

all_option = click.option(
    "--all",
    "provisional",
    is_flag=True,
    help="Also what may be no person: a few poor faces, hands.",
)

_TIME = len("2026-11-23T10:33:30+00:00")
"""Letters of a time: a column of times is not cut, however narrow the terminal."""


def left_out(provisional: int) -> str:
    """What a person should know of identities that a list does not show."""
    return f"{provisional} more may be no person (a few poor faces, hands): --all lists them"


@click.command("list")
@click.option("--decisions", is_flag=True, help="List instead what people decided about them.")
@all_option
@json_option
@pass_terminal
def identities_list(terminal: Terminal, decisions: bool, provisional: bool, as_json: bool) -> None:
    """List the identities, those in most videos first."""
    with terminal.open() as registry:
        _ = registry.contract
        if decisions:
            print_decisions(terminal, decision_documents(registry.decisions.read()), as_json)
            return
        index = registry.index
        found = identity_documents(index.identities(provisional=provisional))
        hidden = 0 if provisional else index.count_identities(provisional=True)
    if as_json:
        terminal.json({"identities": found, "left_out": hidden})
        return
    print_identities(terminal, found)
    if hidden:
        terminal.note(left_out(hidden))


def print_identities(terminal: Terminal, documents: list[dict[str, Any]]) -> None:
    """Print the table of identities."""
    grid = Table("identity", "name", "videos", "faces", "on screen", box=None, pad_edge=False)
    for identity in documents:
        grid.add_row(
            short(identity["identity"]),
            clean(identity["name"]) or "-",
            str(identity["videos"]),
            str(identity["faces"]),
            f"{identity['screen_time_s']:.1f} s",
        )
    terminal.table(grid)


def print_decisions(terminal: Terminal, documents: list[dict[str, Any]], as_json: bool) -> None:
    """Print the log of decisions, first to last."""
    if as_json:
        terminal.json({"decisions": documents})
        return
    grid = Table("decision", box=None, pad_edge=False)
    grid.add_column("when", no_wrap=True, min_width=_TIME)
    for title in ("who", "what", "counts"):
        grid.add_column(title, overflow="fold")
    for document in documents:
        undone = document["undone_by"]
        grid.add_row(
            str(document["decision"]),
            document["at"],
            clean(document["by"]) or "-",
            clean(document["text"]),
            f"no: undone by {undone}" if undone else "yes",
        )
    terminal.table(grid)


@click.command("show")
@click.argument("identity")
@json_option
@pass_terminal
def identities_show(terminal: Terminal, identity: str, as_json: bool) -> None:
    """Show one identity, given by id, beginning of its id, or name: its videos and times."""
    with terminal.open() as registry:
        found = registry.identity(identity)
        payloads = registry.index.videos([found.identity_id])
        same_as = registry.view.same_as
        videos = video_documents(payloads, found.identity_id.__eq__, same_as)
    document = {**identity_document(found), "appearances": videos}
    if as_json:
        terminal.json(document)
        return
    terminal.say(f"{found.identity_id} {found.name or '(no name)'}")
    terminal.say(
        f"{found.videos} videos, {found.faces} faces, {found.screen_time_s:.1f} s on screen"
    )
    terminal.say(f"cover: {found.cover}")
    for video in videos:
        seen = video["appearances"][0]
        metrics = ", ".join(f"{name} {number(v)}" for name, v in video["metrics"].items())
        times = f"{seen['first_s']:.1f}-{seen['last_s']:.1f} s, {seen['faces']} faces"
        same = f"  (same as {short(video['same_as'])})" if "same_as" in video else ""
        terminal.say(f"  {video['url']}  {times}  {metrics}{same}")


@click.command("list")
@all_option
@json_option
@pass_terminal
def videos_list(terminal: Terminal, provisional: bool, as_json: bool) -> None:
    """List all videos, with who is in them."""
    with terminal.open() as registry:
        _ = registry.contract
        keep = established(registry, provisional=provisional)
        videos = video_documents(registry.index.videos(), keep, registry.view.same_as)
    if as_json:
        terminal.json({"videos": videos})
        return
    grid = Table("video", "status", "faces", "identities", box=None, pad_edge=False)
    joined = any("same_as" in video for video in videos)
    for title in (*(("same as",) if joined else ()), "url"):
        grid.add_column(title)
    for video in videos:
        grid.add_row(
            short(video["video"]),
            video["status"],
            str(video["faces"]),
            str(len(video["appearances"])),
            *((short(video.get("same_as", "-")),) if joined else ()),
            clean(video["url"]),
        )
    terminal.table(grid)


@click.command("show")
@click.argument("video")
@all_option
@json_option
@pass_terminal
def videos_show(terminal: Terminal, video: str, provisional: bool, as_json: bool) -> None:
    """Show one video, given by URL, id or beginning of its id."""
    with terminal.open() as registry:
        keep = established(registry, provisional=provisional)
        same_as = registry.view.same_as
        [document] = video_documents([registry.video(video)], keep, same_as)
    if as_json:
        terminal.json(document)
        return
    terminal.say(f"{document['video']} {document['url']}")
    reason = f" ({document['reason']})" if document["reason"] else ""
    terminal.say(
        f"{document['status']}{reason}; {document['frames']} frames, {document['faces']} faces"
    )
    if "same_as" in document:
        terminal.say(f"same footage as {document['same_as']}, and counts as that video")
    if others := sorted(v for v, counts in same_as.items() if counts == document["video"]):
        terminal.say(f"counts for {', '.join(short(other) for other in others)} too: same footage")
    for name, value in document["metrics"].items():
        terminal.say(f"  {name}: {number(value)}")
    for seen in document["appearances"]:
        times = f"{seen['first_s']:.1f}-{seen['last_s']:.1f} s"
        span = f"{seen['screen_time_s']:.1f} s on screen"
        terminal.say(f"  {short(seen['identity_id'])}  {seen['faces']} faces, {times}, {span}")
