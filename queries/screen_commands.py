"""The commands `videos timeline` and `identities together`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from queries.export import export_csv
from queries.figures import figure, interval
from queries.list_commands import all_option
from queries.pairs import Pairs, pairs
from queries.report_commands import selection_of, selection_options
from queries.screen_time import timeline, timeline_table
from queries.timelines import OPENINGS_S, PersonOnScreen
from registry.terminal import (
    Terminal,
    clean,
    count,
    csv_options,
    identity_argument,
    json_option,
    pass_terminal,
    short,
)


@click.command("timeline")
@click.argument("video")
@csv_options("Write the intervals to this file.")
@all_option
@json_option
@pass_terminal
def videos_timeline(
    terminal: Terminal,
    video: str,
    csv_path: Path | None,
    csv_for_excel: str | None,
    provisional: bool,
    as_json: bool,
) -> None:
    """Show when each person of a video is on screen, how large, alone or with whom.

    VIDEO is given as for `videos show`. The main person, who is longest on screen, comes first.
    """
    with terminal.open_to_read() as registry:
        found = registry.video(video)
        people = timeline(registry, found.video_id, provisional=provisional)
        identities = registry.index.get_identities([person.identity_id for person in people])
        names = {identity: one.name for identity, one in identities.items()}
        if csv_path:
            table = timeline_table(found.video_id, people, names)
            export_csv(registry, table, csv_path, for_excel=csv_for_excel)
    if csv_path:
        terminal.note(f"Wrote {csv_path} with {count(len(people), 'person', 'people')}.")
    if as_json:
        terminal.json(
            {
                "video": found.video_id,
                "url": found.url.exposed(),
                "duration_s": found.media.duration_s,
                "people": [
                    _person_document(person, names, main=place == 0)
                    for place, person in enumerate(people)
                ],
            }
        )
        return
    terminal.say(f"{found.video_id} {found.url.redacted(None)}")
    terminal.say(f"{found.media.duration_s:.1f} s, {count(len(people), 'person', 'people')}")
    if people:
        _print_timeline(terminal, people, names)


def _person_document(
    person: PersonOnScreen, names: dict[str, str], *, main: bool
) -> dict[str, Any]:
    return {
        "identity": person.identity_id,
        "name": names.get(person.identity_id, ""),
        "main": main,
        "intervals": [
            {"start_s": one.start_s, "end_s": one.end_s, "size": one.size}
            for one in person.intervals
        ],
        "seconds": person.seconds,
        "share": person.share,
        **{f"within_{limit:g}_s": person.within[limit] for limit in OPENINGS_S},
        "alone_s": person.alone_s,
        "together": [
            {"identity": other, "name": names.get(other, ""), "seconds": seconds}
            for other, seconds in person.together_s.items()
        ],
        "face_height": person.face_height,
        "size": person.size,
        "sizes": person.sizes_s,
    }


def _print_timeline(
    terminal: Terminal, people: list[PersonOnScreen], names: dict[str, str]
) -> None:
    grid = Table("identity", "name", box=None, pad_edge=False)
    openings = [f"first {limit:g} s" for limit in OPENINGS_S]
    for heading in ("on screen", "share", *openings, "alone"):
        grid.add_column(heading, justify="right")
    grid.add_column("face")
    for person in people:
        grid.add_row(
            short(person.identity_id),
            clean(names.get(person.identity_id, "")) or "-",
            f"{person.seconds:.1f} s",
            f"{100 * person.share:.0f} %",
            *(f"{person.within[limit]:.1f} s" for limit in OPENINGS_S),
            f"{person.alone_s:.1f} s",
            person.size or "-",
        )
    terminal.table(grid, drop=("alone", *reversed(openings), "face", "share"), shorten={"name": 16})
    for place, person in enumerate(people):
        times = ", ".join(
            f"{one.start_s:.1f}-{one.end_s:.1f} s{f' ({one.size})' if one.size else ''}"
            for one in person.intervals
        )
        company = ", ".join(
            f"{_called(other, names)} {seconds:.1f} s"
            for other, seconds in person.together_s.items()
        )
        main = ", main person" if place == 0 else ""
        terminal.say(
            f"{_called(person.identity_id, names)}{main}: {times}"
            + (f"; with {company}" if company else "")
        )


def _called(identity: str, names: dict[str, str]) -> str:
    name = names.get(identity, "")
    return f"{short(identity)} {name}" if name else short(identity)


@click.command("together")
@identity_argument("identities", nargs=-1, metavar="[IDENTITY]...")
@click.option("--metric", default="", help="The metric.  [default: the primary metric]")
@click.option(
    "--weight", default="", metavar="METRIC",
    help="Weight means with this metric; none: do not weight.  [default: by the metric's kind]",
)  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True,
    help="The number of pairs.",
)  # fmt: skip
@click.option(
    "--min-videos", type=click.IntRange(min=1), default=1, show_default=True,
    help="Leave out pairs with fewer videos in common.",
)  # fmt: skip
@selection_options
@csv_options("Write the pairs to this file.")
@all_option
@json_option
@pass_terminal
def identities_together(
    terminal: Terminal,
    /,
    identities: tuple[str, ...],
    csv_path: Path | None,
    csv_for_excel: str | None,
    provisional: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show who is in the same videos, and whether these do better than those of each alone.

    With one IDENTITY, its pairs; with several, the pairs among them and their videos.
    """
    selection = selection_of(options)
    with terminal.open_to_read() as registry:
        found = pairs(registry, identities, selection=selection, provisional=provisional, **options)
        if csv_path:
            export_csv(registry, found.table, csv_path, for_excel=csv_for_excel)
    if csv_path:
        terminal.note(f"Wrote {csv_path} with {count(len(found.table), 'pair')}.")
    if as_json:
        terminal.json(_pairs_document(found))
        return
    _print_pairs(terminal, found)
    if len(identities) > 1:
        for videos in found.shared.values():
            for video, seconds in videos:
                value = figure(video.metrics.get(found.metric, float("nan")))
                terminal.say(
                    f"  {short(video.video_id)}  {seconds:.1f} s together, "
                    f"{clean(found.metric)} {value}  {video.url.redacted(None)}"
                )


def _pairs_document(found: Pairs) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "weight": found.weight or None,
        "pairs": [
            {
                **row,
                "shared": [
                    {
                        "video": video.video_id,
                        "url": video.url.exposed(),
                        "seconds": seconds,
                        "value": video.metrics.get(found.metric),
                    }
                    for video, seconds in found.shared[row["first"], row["second"]]
                ],
            }
            for row in found.table.to_dict(orient="records")
        ],
    }


def _print_pairs(terminal: Terminal, found: Pairs) -> None:
    grid = Table("first", "second", box=None, pad_edge=False)
    for heading in ("videos", "seconds", "together", "first alone", "second alone"):
        grid.add_column(heading, justify="right")
    grid.add_column("difference (95 %)", justify="right")
    grid.add_column("verdict")
    for row in found.table.to_dict(orient="records"):
        grid.add_row(
            clean(row["first_name"]) or short(row["first"]),
            clean(row["second_name"]) or short(row["second"]),
            str(row["videos"]),
            f"{row['seconds']:.1f}",
            *(figure(row[f"mean_{who}"]) for who in ("together", "first_alone", "second_alone")),
            interval(row["difference"], row["low"], row["high"]),
            row["verdict"],
        )
    drop = ("second alone", "first alone", "difference (95 %)", "seconds")
    terminal.table(grid, drop=drop, shorten={"first": 12, "second": 12})
    weight = f", weighted by {clean(found.weight)}" if found.weight else ""
    terminal.note(
        f"Means of {clean(found.metric)}{weight}. first alone: the videos of the first without the "
        "second. difference: from the videos with one of the two. Definitions: docs/METRICS.md."
    )
