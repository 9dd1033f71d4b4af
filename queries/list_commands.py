"""The commands `list` and `show` of identities and videos."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from queries.conditions import parse_condition
from queries.documents import (
    decision_documents,
    identity_document,
    identity_documents,
    listed,
    shown_attributes,
    track_documents,
    video_documents,
)
from queries.selections import check_columns
from queries.video_details import video_details
from registry.terminal import (
    Terminal,
    clean,
    count,
    identity_argument,
    json_option,
    number,
    pass_terminal,
    short,
)
from registry.urls import Url

all_option = click.option(
    "--all",
    "provisional",
    is_flag=True,
    help="Include provisional identities: a few poor faces, or hands taken for faces.",
)


stills_option = click.option(
    "--stills",
    is_flag=True,
    help="Count people also in videos that show them only as a still picture: a logo, a poster, "
    "the cover of a podcast.",
)


def not_counted(pictures: int) -> str:
    """A note on the number of identities that are still pictures, which have no average."""
    said = "1 identity is a still picture" if pictures == 1 else f"{pictures:,} are still pictures"
    return f"{said} (a logo, a poster, a cover) and not counted; see --stills."


def left_out(provisional: int) -> str:
    """A note on the number of identities that a list does not show."""
    return (
        f"{count(provisional, 'provisional identity', 'provisional identities')} not listed (a few "
        "poor faces, or hands taken for faces); see --all."
    )


@click.command("list")
@click.option("--decisions", is_flag=True, help="List the decisions about identities instead.")
@all_option
@json_option
@pass_terminal
def identities_list(terminal: Terminal, decisions: bool, provisional: bool, as_json: bool) -> None:
    """List the identities, those in most videos first, and still pictures last."""
    with terminal.open_to_read() as registry:
        _ = registry.contract
        if decisions:
            print_decisions(terminal, decision_documents(registry.decisions.entries()), as_json)
            return
        index = registry.index
        identities = identity_documents(index.identities(provisional=provisional))
        hidden = 0 if provisional else index.count_identities(provisional=True)
    if as_json:
        terminal.json({"identities": identities, "left_out": hidden})
        return
    print_identities(terminal, identities)
    if hidden:
        terminal.note(left_out(hidden))


def print_identities(terminal: Terminal, documents: list[dict[str, Any]]) -> None:
    """Print the table of identities."""
    grid = Table("identity", "name", "videos", "faces", "on screen", box=None, pad_edge=False)
    if any(identity["still_picture"] for identity in documents):
        grid.add_column("what")
    for identity in documents:
        grid.add_row(
            short(identity["identity"]),
            clean(identity["name"]) or "-",
            str(identity["videos"]),
            str(identity["faces"]),
            f"{identity['screen_time_s']:.1f} s",
            *(("still picture",) if identity["still_picture"] else ()),
        )
    terminal.table(grid, drop=("on screen", "faces"), shorten={"name": 16})


def print_decisions(terminal: Terminal, documents: list[dict[str, Any]], as_json: bool) -> None:
    """Print the decisions, first to last."""
    if as_json:
        terminal.json({"decisions": documents})
        return
    grid = Table("decision", box=None, pad_edge=False)
    for title in ("when", "who", "what", "counts"):
        grid.add_column(title)
    for document in documents:
        undone = document["undone_by"]
        grid.add_row(
            str(document["decision"]),
            document["at"],
            clean(document["by"]) or "-",
            clean(document["text"]),
            f"no: undone by {undone}" if undone else "yes",
        )
    terminal.table(grid, drop=("who", "when"), shorten={"what": 32})


@click.command("show")
@identity_argument()
@click.option("--faces", "all_faces", is_flag=True, help="List each face, too.")
@json_option
@pass_terminal
def identities_show(terminal: Terminal, identity: str, all_faces: bool, as_json: bool) -> None:
    """Show one identity, given by id, beginning of its id, or name: its videos, tracks and times.

    Tracks (VIDEO:N) and faces (VIDEO:N:FRAME) are shown as `identities split` takes them.
    """
    with terminal.open_to_read() as registry:
        person = registry.identity(identity)
        tracks = track_documents(registry.index.faces_of(person.identity_id))
        indexed = registry.index.videos([person.identity_id])
        same_as = registry.view.same_as
        videos = video_documents(indexed, keep=person.identity_id.__eq__, same_as=same_as)
    videos = [{**video, "tracks": tracks[video["video"]]} for video in videos]
    document = {**identity_document(person), "appearances": videos}
    if as_json:
        terminal.json(document)
        return
    terminal.say(f"{person.identity_id} {person.name or '(no name)'}")
    terminal.say(
        f"{count(person.videos, 'video')}, {count(person.faces, 'face')}, "
        f"{person.screen_time_s:.1f} s on screen" + ("; a still picture" if person.still else "")
    )
    terminal.say(f"cover: {person.cover}")
    for video in videos:
        seen = video["appearances"][0]
        metrics = ", ".join(f"{name} {number(v)}" for name, v in video["metrics"].items())
        times = f"{seen['first_s']:.1f}-{seen['last_s']:.1f} s, {count(seen['faces'], 'face')}"
        same = f"  (same as {short(video['same_as'])})" if "same_as" in video else ""
        same += "  (still picture: not counted)" if seen["still_picture"] else ""
        url = Url(video["url"]).redacted(None)
        terminal.say(f"  {url}  {times}  {metrics}{same}")
        for track in video["tracks"]:
            _say_track(terminal, video["video"], track, all_faces)


def _say_track(terminal: Terminal, video: str, track: dict[str, Any], all_faces: bool) -> None:
    name, faces = f"{short(video)}:{track['track']}", track["faces"]
    times = f"{faces[0]['time_s']:.1f}-{faces[-1]['time_s']:.1f} s"
    ends = dict.fromkeys(f"{name}:{face['frame']}" for face in (faces[0], faces[-1]))
    terminal.say(f"    track {name}  {times}, {count(len(faces), 'face')}: {' to '.join(ends)}")
    for face in faces if all_faces else ():
        terminal.say(
            f"      face {name}:{face['frame']}  {face['time_s']:.1f} s, "
            f"quality {face['quality']:.2f}  {clean(face['crop'])}"
        )


@click.command("list")
@click.option(
    "--where", "conditions", multiple=True, metavar="CONDITION",
    help="Only videos whose attributes fulfil this: Platform=TikTok, Length>30, Title~summer, "
    "Format!=Reel. Repeat for several.",
)  # fmt: skip
@all_option
@json_option
@pass_terminal
def videos_list(
    terminal: Terminal, conditions: tuple[str, ...], provisional: bool, as_json: bool
) -> None:
    """List all videos, and who is in them; of failed ones, why."""
    wanted = [parse_condition(text) for text in conditions]
    with terminal.open_to_read() as registry:
        _ = registry.contract
        indexed = list(registry.index.videos())
        attributes = {video.video_id: video.attributes for video in indexed}
        check_columns([one.column for one in wanted], attributes.values())
        keep = listed(registry, provisional=provisional)
        documents = video_documents(indexed, keep, registry.view.same_as)
        videos = [
            {**document, "attributes": shown_attributes(attributes[document["video"]])}
            for document in documents
            if all(one.holds(attributes[document["video"]]) for one in wanted)
        ]
    if as_json:
        terminal.json({"videos": videos})
        return
    joined = any("same_as" in video for video in videos)
    failed = any(video["reason"] for video in videos)
    grid = Table("video", "status", "faces", "identities", box=None, pad_edge=False)
    for title in (*(("same as",) if joined else ()), "url"):
        grid.add_column(title)
    if failed:
        grid.add_column("reason")
    for video in videos:
        grid.add_row(
            short(video["video"]),
            video["status"],
            str(video["faces"]),
            str(len(video["appearances"])),
            *((short(video.get("same_as", "-")),) if joined else ()),
            Url(video["url"]).redacted(None),
            *((clean(video["reason"]),) if failed else ()),
        )
    terminal.table(grid, drop=("identities", "faces", "same as"), shorten={"url": 24, "reason": 16})


@click.command("show")
@click.argument("video")
@all_option
@json_option
@pass_terminal
def videos_show(terminal: Terminal, video: str, provisional: bool, as_json: bool) -> None:
    """Show one video: names, metrics with their history, attributes, and who is in it.

    VIDEO is one of its URLs, its id, the beginning of its id, or what only this video has: the last
    part of its URL, such as ad-7.mp4, or an attribute, such as the id of an ad.
    """
    with terminal.open_to_read() as registry:
        keep = listed(registry, provisional=provisional)
        same_as = registry.view.same_as
        [found] = video_documents([registry.video(video)], keep, same_as)
        document = {**found, **video_details(registry, found["video"])}
    if as_json:
        terminal.json(document)
        return
    terminal.say(f"{document['video']} {Url(document['url']).redacted(None)}")
    reason = f" ({document['reason']})" if document["reason"] else ""
    terminal.say(
        f"{document['status']}{reason}; {count(document['frames'], 'frame')}, "
        f"{count(document['faces'], 'face')}"
    )
    if "same_as" in document:
        terminal.say(f"Same footage as {document['same_as']}, and counts as that video.")
    if others := sorted(v for v, counts in same_as.items() if counts == document["video"]):
        terminal.say(f"Counts for {', '.join(map(short, others))} too: the same footage.")
    _say_details(terminal, document)
    for seen in document["appearances"]:
        times = f"{seen['first_s']:.1f}-{seen['last_s']:.1f} s"
        span = f"{seen['screen_time_s']:.1f} s on screen"
        terminal.say(
            f"  {short(seen['identity_id'])}  {count(seen['faces'], 'face')}, {times}, {span}"
            + (", a still picture" if seen["still_picture"] else "")
        )


def _say_details(terminal: Terminal, document: dict[str, Any]) -> None:
    """Names, metrics and attributes of a video."""
    for name in document.get("names", ()):
        terminal.say(f"also {clean(name)}")
    if dropped := document.get("dropped_parameters"):
        terminal.say(f"parameters left out of its URL: {clean(', '.join(dropped))}")
    history = document.get("history", {})
    for name in history or document["metrics"]:
        values = history.get(name, ())
        earlier = ", ".join(number(one["value"]) for one in values[:-1])
        now = number(document["metrics"].get(name))
        terminal.say(f"  {clean(name)}: {now}" + (f" (before: {earlier})" if earlier else ""))
    for name, value in document.get("attributes", {}).items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        terminal.say(f"  {clean(name)}: {clean(shown)}")
