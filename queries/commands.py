"""`report`, `lookup`, and the lists: options to one call, and its answer to the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from queries.averages import averages
from queries.export import write_csv, write_zip
from queries.lookup import Answer, CloseSecond, Match, lookup
from queries.show import decision_documents, identity_document, report_head, video_documents
from registry.errors import UsageError
from registry.terminal import (
    Terminal,
    clean,
    duplicates_note,
    file_path,
    json_option,
    number,
    pass_terminal,
    rate,
    short,
)

_SHOWN = 40


@click.command("report")
@click.option("--csv", "csv_path", type=file_path(), help="Write the table to this file.")
@click.option("--zip", "zip_path", type=file_path(), help="Write all face images to this file.")
@click.option(
    "--as-of", type=click.IntRange(min=0),
    help="Number of the last decision that counts; 0: none. See `identities list --decisions`.",
)  # fmt: skip
@json_option
@pass_terminal
def report_command(
    terminal: Terminal,
    csv_path: Path | None,
    zip_path: Path | None,
    as_of: int | None,
    as_json: bool,
) -> None:
    """Show how the videos with each person perform: average over distinct videos."""
    if zip_path and as_of is not None:
        raise UsageError("--zip holds the faces as they stand now: leave --zip or --as-of out")
    with terminal.open() as registry:
        table = averages(registry, as_of=as_of)
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
    help="Least cosine similarity of a match.  [default: as calibrated, or the model's own]",
)  # fmt: skip
@json_option
@pass_terminal
def lookup_command(
    terminal: Terminal, image: Path, top: int, threshold: float | None, as_json: bool
) -> None:
    """Ask who is in a photo; a face that nobody on record is similar enough to is unknown."""
    with terminal.open() as registry:
        answer = lookup(registry, image, top=top, threshold=threshold)
    if as_json:
        terminal.json(answer.as_dict())
    else:
        print_answer(terminal, answer)
    if answer.warning:
        terminal.note(f"warning: {answer.warning}")


def print_answer(terminal: Terminal, answer: Answer) -> None:
    """Print who each face of a photo may be."""
    for place, probe in enumerate(answer.faces, start=1):
        box = probe.detection.box
        where = f"at x {box.x1:.0f}-{box.x2:.0f}, y {box.y1:.0f}-{box.y2:.0f}"
        terminal.say(f"face {place} of {len(answer.faces)}, {where}:")
        if not probe.matches:
            nearest = "-" if probe.nearest is None else f"{probe.nearest:.2f}"
            terminal.say(f"  unknown, no match: nearest {nearest}, below {answer.threshold:.2f}")
        for match in probe.matches:
            _print_match(terminal, match, answer.identities)
        if probe.close_second:
            _print_second(terminal, probe.close_second)


def _print_second(terminal: Terminal, second: CloseSecond) -> None:
    name = f" {second.name}" if second.name else ""
    advice = (
        f"they are two people, {second.apart}: look at both"
        if second.apart
        else "they may be one person under two identities: `identities suggest` shows such pairs"
    )
    terminal.say(
        f"  close: {short(second.identity)}{name} is only {second.margin:.3f} behind; {advice}"
    )


def _print_match(terminal: Terminal, match: Match, identities: int) -> None:
    rule = "same by the registry's rule" if match.same_by_rule else "likely the same person"
    name = f" {match.name}" if match.name else ""
    terminal.say(f"  {match.similarity:.3f}  {short(match.identity)}{name}  ({rule})")
    terminal.say(
        f"         false-accept rate {rate(match.false_accept_rate)} a comparison, "
        f"{rate(match.false_positive_identification_rate)} among {identities} identities (FPIR)"
    )
    averages = ", ".join(f"{metric} {number(value)}" for metric, value in match.average.items())
    terminal.say(f"         in {match.videos} videos; average {averages or '-'}")
    for evidence in match.evidence:
        terminal.say(
            f"         {evidence.similarity:.3f}  {evidence.video_url} at {evidence.time_s:.1f} s"
        )


@click.command("list")
@click.option("--decisions", is_flag=True, help="List instead what people decided about them.")
@json_option
@pass_terminal
def identities_list(terminal: Terminal, decisions: bool, as_json: bool) -> None:
    """List all identities, those in most videos first."""
    with terminal.open() as registry:
        _ = registry.contract
        if decisions:
            print_decisions(terminal, decision_documents(registry.decisions.read()), as_json)
            return
        found = sorted(
            registry.index.identities(), key=lambda i: (-i.videos, -i.faces, i.identity_id)
        )
    if as_json:
        terminal.json({"identities": [identity_document(identity) for identity in found]})
        return
    grid = Table("identity", "name", "videos", "faces", "on screen", box=None, pad_edge=False)
    for identity in found:
        grid.add_row(
            short(identity.identity_id),
            clean(identity.name) or "-",
            str(identity.videos),
            str(identity.faces),
            f"{identity.screen_time_s:.1f} s",
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
        videos = video_documents(registry.index.videos([found.identity_id]), found.identity_id)
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
@json_option
@pass_terminal
def videos_list(terminal: Terminal, as_json: bool) -> None:
    """List all videos, with who is in them."""
    with terminal.open() as registry:
        _ = registry.contract
        videos = video_documents(registry.index.videos())
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
@json_option
@pass_terminal
def videos_show(terminal: Terminal, video: str, as_json: bool) -> None:
    """Show one video, given by URL, id or beginning of its id."""
    with terminal.open() as registry:
        [document] = video_documents([registry.video(video)])
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
