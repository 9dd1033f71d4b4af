"""`calibrate`: options to one call, and its answer to the terminal and to files."""

from __future__ import annotations

from pathlib import Path

import click

from registry.calibration.chart import draw
from registry.calibration.drawing import png
from registry.calibration.measuring import Found, adopt, calibrate, supported
from registry.calibration.page import page
from registry.calibration.text import document, sentences
from registry.calibration.thresholds import TARGET_FAR
from registry.core import keys
from registry.core import operating_point as operating
from registry.core.registry import Registry
from registry.system.files import atomic_file
from registry.terminal import Terminal, file_path, json_option, pass_terminal


@click.command("calibrate")
@click.option(
    "--target-far", default=TARGET_FAR, show_default=True,
    help="False accepts per comparison of two faces that a lookup may make.",
)  # fmt: skip
@click.option("--png", "png_path", type=file_path(), help="Write the chart to this file.")
@click.option("--html", "html_path", type=file_path(), help="Write chart and numbers as a page.")
@click.option("--dry-run", is_flag=True, help="Show what would come of it, and change nothing.")
@click.option("--reset", is_flag=True, help="Go back to the model's own thresholds.")
@json_option
@pass_terminal
def calibrate_command(
    terminal: Terminal,
    target_far: float,
    png_path: Path | None,
    html_path: Path | None,
    dry_run: bool,
    reset: bool,
    as_json: bool,
) -> None:
    """Measure on this registry's own videos how alike strangers are, and set thresholds by it.

    Faces side by side in a frame, and identities that you separated or split, are two people; faces
    of one track, and identities that you merged, are one. `lookup`, `identities suggest` and
    `identities consolidate` go by the thresholds from then on.
    """
    with terminal.open() as registry:
        if reset:
            _reset(terminal, registry, dry_run=dry_run, as_json=as_json)
            return
        found = calibrate(registry, target=target_far)
        _write_files(terminal, registry, found, png_path, html_path)
        written = supported(found) and not dry_run
        if written:
            adopt(registry, found)
    if as_json:
        terminal.json(document(found, written=written))
        return
    for line in sentences(found):
        terminal.say(line)
    if written:
        terminal.note("written: lookup, suggest and consolidate go by it; --reset takes it back")
    else:
        terminal.note("nothing was changed")


def _reset(terminal: Terminal, registry: Registry, *, dry_run: bool, as_json: bool) -> None:
    there = keys.CALIBRATION in {info.key for info in registry.blobs.list(keys.CALIBRATION)}
    removed = there and not dry_run and operating.remove_calibration(registry)
    if as_json:
        terminal.json({"calibrated": there, "removed": removed})
    elif not there:
        terminal.say("there is no calibration: the model's own thresholds are in force")
    else:
        terminal.say("the model's own thresholds are in force again" if removed else "would reset")


def _write_files(
    terminal: Terminal,
    registry: Registry,
    found: Found,
    png_path: Path | None,
    html_path: Path | None,
) -> None:
    if png_path:
        with atomic_file(png_path) as aside:
            aside.write_bytes(png(draw(found)))
        terminal.note(f"wrote {png_path}")
    if html_path:
        with atomic_file(html_path) as aside:
            aside.write_text(page(registry, found), encoding="utf-8")
        terminal.note(f"wrote {html_path}")
