"""`videos duplicates`, `videos join` and `videos separate`."""

from __future__ import annotations

from collections.abc import Mapping

import click
from rich.table import Table

from registry.core.counting import combined_metrics
from registry.core.registry import Registry
from registry.footage.duplicates import DuplicateVideos, duplicate_videos
from registry.footage.joining import join_videos, separate_videos
from registry.footage.overlap import OverlapKind
from registry.terminal import (
    Terminal,
    clean,
    json_option,
    number,
    pass_terminal,
    short,
    undo_note,
)


@click.command("duplicates")
@json_option
@pass_terminal
def duplicates_command(terminal: Terminal, as_json: bool) -> None:
    """List videos that are likely the same footage, though their files differ.

    Finds videos that were encoded again, scaled, cropped, mirrored or cut down, by how the faces in
    them change. It joins nothing: decide with `videos join` or `videos separate`.
    """
    with terminal.open_to_read() as registry:
        _ = registry.contract
        found = duplicate_videos(registry)
        names = {i.identity_id: i.name for i in registry.index.identities(provisional=False)}
        metric = registry.contract.primary_metric
    if as_json:
        terminal.json({"duplicates": [pair.as_dict() for pair in found]})
        return
    if not found:
        terminal.note("No two videos are likely the same footage.")
        return
    _print_pairs(terminal, found, names, metric)
    certain = sum(pair.overlap.certain for pair in found)
    pairs = "1 pair" if len(found) == 1 else f"{len(found)} pairs"
    terminal.note(
        f"{pairs}, {certain} certain. `face-registry videos join` makes two videos count once, as "
        "the first; `face-registry videos separate` removes a pair from this list."
    )


def _print_pairs(
    terminal: Terminal, found: list[DuplicateVideos], names: Mapping[str, str], metric: str
) -> None:
    """Print two lines for each pair; the first also holds what both videos share."""
    grid = Table("sure", "what", "people", "video", "length", "shared", box=None, pad_edge=False)
    grid.add_column(clean(metric), justify="right")
    grid.add_column("url")
    for pair in found:
        sure = f"{'certain' if pair.overlap.certain else 'likely'} {pair.overlap.evidence:.0f}"
        people = [clean(names[i]) or short(i) for i in pair.identities if i in names]
        what = _KINDS[pair.overlap.kind]
        for cells, side in (
            ((sure, what, ", ".join(people) or "-"), pair.first),
            (("", "", ""), pair.second),
        ):
            grid.add_row(
                *cells,
                short(side.video_id),
                f"{side.duration_s:.1f} s",
                f"{100 * side.share:.0f} %",
                number(side.metrics.get(metric)),
                clean(side.url.exposed()),
            )
    terminal.table(
        grid,
        drop=("people", "shared", "length", clean(metric), "what"),
        shorten={"people": 12, "url": 24},
    )


_KINDS = {
    OverlapKind.SAME_LENGTH: "same length",
    OverlapKind.PART: "second is part of first",
    OverlapKind.SOME: "share a part",
}


@click.command("join")
@click.argument("video")
@click.argument("others", nargs=-1, required=True)
@pass_terminal
def join_command(terminal: Terminal, video: str, others: tuple[str, ...]) -> None:
    """Decide that videos (URL, id or beginning of an id) are the same footage and count once.

    They count as the first one, with its metrics. No record is changed.
    """
    with terminal.open() as registry:
        decision = join_videos(registry, (video, *others))
        counted = registry.view.counted_video(decision.videos[0])
        rest = [one for one in decision.videos if one != counted]
        verb = "counts" if len(rest) == 1 else "count"
        terminal.say(f"{', '.join(map(short, rest))} now {verb} as {counted}.")
        _say_metrics(terminal, registry, counted, rest)
    terminal.note(undo_note(decision.number))


def _say_metrics(terminal: Terminal, registry: Registry, counted: str, others: list[str]) -> None:
    """Print which value of each metric counts, if the videos have different ones."""
    metrics = {video: registry.video(video).metrics for video in (counted, *others)}
    values = combined_metrics(list(metrics.values()))
    for name in dict.fromkeys(name for each in metrics.values() for name in each):
        differing = [
            f"{short(video)} has {number(metrics[video][name])}"
            for video in others
            if name in metrics[video] and metrics[video][name] != values.get(name)
        ]
        if differing:
            value = number(values.get(name)) if name in values else "no value"
            terminal.say(
                f"{clean(name)}: {value} counts ({short(counted)}); {', '.join(differing)}."
            )


@click.command("separate")
@click.argument("one")
@click.argument("other")
@pass_terminal
def separate_command(terminal: Terminal, one: str, other: str) -> None:
    """Decide that two videos are not the same footage: they are never listed or joined again."""
    with terminal.open() as registry:
        decision = separate_videos(registry, one, other)
    first, second = decision.videos
    terminal.say(f"{first} and {second} are not the same footage.")
    terminal.note(undo_note(decision.number))
