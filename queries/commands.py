"""`report`, `lookup`, and the lists: options to one call, and its answer to the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from queries.averages import averages
from queries.export import write_csv, write_zip
from queries.lookup import Answer, Match, lookup
from queries.show import (
    decision_documents,
    established,
    identity_document,
    identity_documents,
    report_head,
    video_documents,
)
from registry.errors import UsageError
from registry.terminal import (
    Terminal,
    clean,
    duplicates_note,
    file_path,
    json_option,
    number,
    pass_terminal,
    short,
)

_SHOWN = 40
_all_option = click.option(
    "--all",
    "provisional",
    is_flag=True,
    help="Also what may be no person: a few poor faces, hands.",
)


@click.command("report")
@click.option("--csv", "csv_path", type=file_path(), help="Write the table to this file.")
@click.option("--zip", "zip_path", type=file_path(), help="Write all face images to this file.")
@click.option(
    "--as-of", type=click.IntRange(min=0),
    help="Number of the last decision that counts; 0: none. See `identities list --decisions`.",
)  # fmt: skip
@_all_option
@json_option
@pass_terminal
def report_command(
    terminal: Terminal,
    csv_path: Path | None,
    zip_path: Path | None,
    as_of: int | None,
    provisional: bool,
    as_json: bool,
) -> None:
    """Show how the videos with each person perform: average over distinct videos."""
    if zip_path and as_of is not None:
        raise UsageError("--zip holds the faces as they stand now: leave --zip or --as-of out")
    with terminal.open() as registry:
        table = averages(registry, as_of=as_of, provisional=provisional)
        head = report_head(registry, as_of)
        contract = registry.contract
        if csv_path:
            write_csv(table, csv_path)
            terminal.note(f"wrote {csv_path}: {len(table)} identities")
        if zip_path:
            terminal.note(f"wrote {zip_path}: {write_zip(registry, zip_path)} face images")
    if as_json:
        terminal.json({**head, "rows": table.to_dict(orient="records")})
    else:
        print_averages(terminal, table.to_dict(orient="records"), contract.primary_metric)
    if head["likely_duplicates"]:
        terminal.note(duplicates_note(head["likely_duplicates"], len(table)))
    if head["provisional"] and not provisional:
        terminal.note(_left_out(head["provisional"]))


def _left_out(provisional: int) -> str:
    return f"{provisional} more may be no person (a few poor faces, hands): --all lists them"


def print_averages(terminal: Terminal, rows: list[dict[Any, Any]], metric: str) -> None:
    """Print the table of averages; a terminal gets its beginning."""
    shown = rows[:_SHOWN] if terminal.out.is_terminal else rows
    grid = Table("identity", "name", box=None, pad_edge=False)
    grid.add_column(f"average {clean(metric)}", justify="right")
    others = [
        c
        for c in (rows[0] if rows else {})
        if c.startswith("average_") and c != "average_performance"
    ]
    for heading in [clean(c.replace("_", " ", 1)) for c in others] + [
        "videos",
        "faces",
        "on screen",
    ]:
        grid.add_column(heading, justify="right")
    for row in shown:
        grid.add_row(
            short(row["identity"]),
            clean(row["name"]) or "-",
            number(row["average_performance"]),
            *(number(row[column]) for column in others),
            str(row["videos"]),
            str(row["faces"]),
            f"{row['screen_time_s']:.1f} s",
        )
    terminal.out.print(grid)
    if len(rows) > len(shown):
        terminal.note(f"… and {len(rows) - len(shown)} more: --csv PATH or --json for all of them")


@click.command("lookup")
@click.argument("image", type=file_path())
@click.option("--top", default=5, show_default=True, help="Identities for each face, at most.")
@click.option(
    "--threshold", type=click.FloatRange(-1, 1),
    help="Least cosine similarity of a match.  [default: the model's verification point]",
)  # fmt: skip
@json_option
@pass_terminal
def lookup_command(
    terminal: Terminal, image: Path, top: int, threshold: float | None, as_json: bool
) -> None:
    """Ask who is in a photo."""
    with terminal.open() as registry:
        answer = lookup(registry, image, top=top, threshold=threshold)
    if as_json:
        terminal.json(answer.as_dict())
    else:
        print_answer(terminal, answer)


def print_answer(terminal: Terminal, answer: Answer) -> None:
    """Print who each face of a photo may be."""
    for place, probe in enumerate(answer.faces, start=1):
        box = probe.detection.box
        where = f"at x {box.x1:.0f}-{box.x2:.0f}, y {box.y1:.0f}-{box.y2:.0f}"
        terminal.say(f"face {place} of {len(answer.faces)}, {where}:")
        if not probe.matches:
            terminal.say(
                f"  no match: nobody on record is this similar (threshold {answer.threshold:g}, "
                f"{answer.model})"
            )
        for match in probe.matches:
            _print_match(terminal, match)


def _print_match(terminal: Terminal, match: Match) -> None:
    rule = "same by the registry's rule" if match.same_by_rule else "likely the same person"
    name = f" {match.name}" if match.name else ""
    terminal.say(f"  {match.similarity:.3f}  {short(match.identity)}{name}  ({rule})")
    averages = ", ".join(f"{metric} {number(value)}" for metric, value in match.average.items())
    terminal.say(f"         in {match.videos} videos; average {averages or '-'}")
    for evidence in match.evidence:
        terminal.say(
            f"         {evidence.similarity:.3f}  {evidence.video_url} at {evidence.time_s:.1f} s"
        )


@click.command("list")
@click.option("--decisions", is_flag=True, help="List instead what people decided about them.")
@_all_option
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
        left_out = 0 if provisional else index.count_identities(provisional=True)
    if as_json:
        terminal.json({"identities": found, "left_out": left_out})
        return
    print_identities(terminal, found)
    if left_out:
        terminal.note(_left_out(left_out))


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
    terminal.out.print(grid)


def print_decisions(terminal: Terminal, documents: list[dict[str, Any]], as_json: bool) -> None:
    """Print the log of decisions, first to last."""
    if as_json:
        terminal.json({"decisions": documents})
        return
    grid = Table("decision", "when", "who", "what", "counts", box=None, pad_edge=False)
    for document in documents:
        undone = document["undone_by"]
        grid.add_row(
            str(document["decision"]),
            document["at"],
            clean(document["by"]) or "-",
            clean(document["text"]),
            f"no: undone by {undone}" if undone else "yes",
        )
    terminal.out.print(grid)


@click.command("show")
@click.argument("identity")
@json_option
@pass_terminal
def identities_show(terminal: Terminal, identity: str, as_json: bool) -> None:
    """Show one identity, given by id, beginning of its id, or name: its videos and times."""
    with terminal.open() as registry:
        found = registry.identity(identity)
        payloads = registry.index.videos([found.identity_id])
        videos = video_documents(payloads, found.identity_id.__eq__)
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
        terminal.say(f"  {video['url']}  {times}  {metrics}")


@click.command("list")
@_all_option
@json_option
@pass_terminal
def videos_list(terminal: Terminal, provisional: bool, as_json: bool) -> None:
    """List all videos, with who is in them."""
    with terminal.open() as registry:
        _ = registry.contract
        keep = established(registry, provisional=provisional)
        videos = video_documents(registry.index.videos(), keep)
    if as_json:
        terminal.json({"videos": videos})
        return
    grid = Table("video", "status", "faces", "identities", box=None, pad_edge=False)
    grid.add_column("url", overflow="fold")
    for video in videos:
        grid.add_row(
            short(video["video"]),
            video["status"],
            str(video["faces"]),
            str(len(video["appearances"])),
            clean(video["url"]),
        )
    terminal.out.print(grid)


@click.command("show")
@click.argument("video")
@_all_option
@json_option
@pass_terminal
def videos_show(terminal: Terminal, video: str, provisional: bool, as_json: bool) -> None:
    """Show one video, given by URL, id or beginning of its id."""
    with terminal.open() as registry:
        keep = established(registry, provisional=provisional)
        [document] = video_documents([registry.video(video)], keep)
    if as_json:
        terminal.json(document)
        return
    terminal.say(f"{document['video']} {document['url']}")
    reason = f" ({document['reason']})" if document["reason"] else ""
    terminal.say(
        f"{document['status']}{reason}; {document['frames']} frames, {document['faces']} faces"
    )
    for name, value in document["metrics"].items():
        terminal.say(f"  {name}: {number(value)}")
    for seen in document["appearances"]:
        times = f"{seen['first_s']:.1f}-{seen['last_s']:.1f} s"
        span = f"{seen['screen_time_s']:.1f} s on screen"
        terminal.say(f"  {short(seen['identity_id'])}  {seen['faces']} faces, {times}, {span}")
