"""The command `calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from registry.calibration.chart import draw
from registry.calibration.measurement import Measurement, adopt, calibrate, supported
from registry.calibration.page import page
from registry.calibration.text import document, sentences
from registry.calibration.thresholds import TARGET_FAR
from registry.charts import png
from registry.core import keys
from registry.core import operating_point as operating
from registry.core.registry import Registry
from registry.system.files import atomic_file
from registry.terminal import Terminal, json_option, output_file, pass_terminal


@click.command("calibrate")
@click.option(
    "--target-far", default=TARGET_FAR, show_default=True,
    help="False-accept rate of a lookup's comparisons of two faces.",
)  # fmt: skip
@click.option("--png", "png_path", type=output_file("PNG"), help="Write the chart to this file.")
@click.option(
    "--html", "html_path", type=output_file("HTML"), help="Write chart and numbers as a page."
)
@click.option("--dry-run", is_flag=True, help="Show the result and change nothing.")
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
    """Measure how similar strangers are in this registry's own videos, and set thresholds by it.

    Faces side by side in a frame, and identities that you separated or split, are two people. Faces
    of one track, and identities that you merged, are one. `lookup`, `identities suggest` and
    `identities consolidate` use the thresholds from then on.
    """
    with terminal.open() as registry:
        if reset:
            _reset(terminal, registry, dry_run=dry_run, as_json=as_json)
            return
        measurement = calibrate(registry, target=target_far)
        _write_files(terminal, registry, measurement, png_path, html_path)
        written = supported(measurement) and not dry_run
        if written:
            adopt(registry, measurement)
    if as_json:
        terminal.json(document(measurement, written=written))
        return
    for line in sentences(measurement):
        terminal.say(line)
    if written:
        terminal.note(
            "Wrote the calibration. `lookup`, `identities suggest` and `identities consolidate` "
            "use it. `face-registry calibrate --reset` takes it back."
        )
    else:
        terminal.note("Nothing was changed.")


def _reset(terminal: Terminal, registry: Registry, *, dry_run: bool, as_json: bool) -> None:
    there = keys.CALIBRATION in {info.key for info in registry.blobs.list(keys.CALIBRATION)}
    removed = there and not dry_run and operating.remove_calibration(registry)
    if as_json:
        terminal.json({"calibrated": there, "removed": removed})
    elif not there:
        terminal.say("There is no calibration. The model's own thresholds are used.")
    elif removed:
        terminal.say("Removed the calibration. The model's own thresholds are used.")
    else:
        terminal.say("Without --dry-run this removes the calibration.")


def _write_files(
    terminal: Terminal,
    registry: Registry,
    measurement: Measurement,
    png_path: Path | None,
    html_path: Path | None,
) -> None:
    if png_path:
        with atomic_file(png_path) as aside:
            aside.write_bytes(png(draw(measurement)))
        terminal.note(f"Wrote {png_path}.")
    if html_path:
        with atomic_file(html_path) as aside:
            aside.write_text(page(registry, measurement), encoding="utf-8")
        terminal.note(f"Wrote {html_path}.")
