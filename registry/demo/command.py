"""The command `demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.table import Table

from ingest.commands import reporting
from ingest.printing import print_summary
from queries.lookup_commands import print_answer
from queries.report_commands import print_report
from registry.demo.run import PROBE, Places, expected, prepare, run
from registry.terminal import Terminal, number, pass_terminal

FOLDER = Path("face-registry-demo")


@click.command("demo")
@pass_terminal
def demo_command(terminal: Terminal) -> None:
    """Build sample videos, ingest them, report averages, and look up a photo.

    Needs no network. All files are written to ./face-registry-demo; an earlier demo is replaced.
    """
    places = Places(FOLDER.absolute())
    terminal.say("1. Build sample videos from photographs that installed packages carry")
    prepare(places)
    _print_cast(terminal)
    terminal.say("\n2. Ingest their table: face-registry ingest videos.csv --metric … --metric …")
    with reporting(terminal) as reporter:
        result = run(places, reporter)
    print_summary(terminal, result.summary, hints=False)
    terminal.say("\n3. Who performs how: face-registry report --csv … --zip … --html …")
    print_report(terminal, result.report)
    terminal.say(f"\n4. Who is this: face-registry lookup {places.probe.name}  ({PROBE})")
    print_answer(terminal, result.answer)
    terminal.say(
        f"\nFiles in {FOLDER}/: {places.table.name} (what went in), {places.report.name}, "
        f"{places.faces.name} ({result.faces} face images),\n{places.page.name} (open it in a "
        f"browser), {places.probe.name}, videos/, and the registry itself:\nface-registry --home "
        f"{FOLDER}/registry serve"
    )
    identities, people = len(result.report.table), len(expected())
    if identities != people:
        terminal.note(
            f"error: The demo found {identities} identities, but its videos show {people} people."
        )
        sys.exit(1)


def _print_cast(terminal: Terminal) -> None:
    grid = Table("who", "is in", "Performance of those", "average", box=None, pad_edge=False)
    for person, videos in expected().items():
        values = [performance for _, performance in videos]
        grid.add_row(
            person,
            ", ".join(file.removesuffix(".mp4") for file, _ in videos),
            ", ".join(map(number, values)),
            number(sum(values) / len(values)),
        )
    terminal.table(grid, drop=("Performance of those",), shorten={"is in": 24})
