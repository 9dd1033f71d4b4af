"""The command `status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from registry.core.runs import EXACT, runs
from registry.errors import StoreError
from registry.terminal import Terminal, json_option, pass_terminal
from registry.upkeep.status import dump, status


@click.command("status")
@click.option(
    "--dump", "whole", is_flag=True,
    help="Print everything in the registry as JSON, to compare it with another registry.",
)  # fmt: skip
@click.option("--runs", "history", is_flag=True, help="List the runs, newest first.")
@click.option("--metrics", is_flag=True, help="Print metrics in the text format of Prometheus.")
@json_option
@pass_terminal
def status_command(
    terminal: Terminal, whole: bool, history: bool, metrics: bool, as_json: bool
) -> None:
    """Show what the registry holds and where it is."""
    if whole + history + metrics > 1:
        raise click.UsageError("Use only one of --dump, --runs and --metrics.")
    if history or metrics:
        (_print_runs if history else _print_metrics)(terminal, as_json)
        return
    if whole:
        with terminal.open() as registry:
            terminal.json(dump(registry))
        return
    with terminal.open_to_read() as registry:
        document = status(registry)
    if as_json:
        terminal.json(document)
        return
    for key, value in _flatten(document):
        terminal.say(f"{key:<24}{_format(value)}")
    if document["empty"]:
        home = terminal.settings.home
        found = "The registry is empty." if home.exists() else f"There is no folder {home}."
        terminal.note(f"{found} Check --home, or run `face-registry ingest CSV` to fill it.")


def _print_runs(terminal: Terminal, as_json: bool) -> None:
    with terminal.open_to_read() as registry:
        history = runs(registry)
    if as_json:
        terminal.json({"runs": [asdict(run) for run in history]})
        return
    for run in history:
        ended = f"{run.seconds:.1f} s" if run.ended else ""
        words = (run.started, run.kind, run.outcome, ended, run.csv, run.by, run.run)
        terminal.say("  ".join(word for word in words if word))
        counts = ", ".join(f"{n} {what}" for what, n in run.counts.get("videos", {}).items() if n)
        accuracy = "" if run.accuracy == EXACT else f"accuracy: {run.accuracy}"
        for text in (counts, accuracy, run.reason, run.purpose and f"purpose: {run.purpose}"):
            if text:
                terminal.say(f"    {text}")


def _print_metrics(terminal: Terminal, as_json: bool) -> None:
    if as_json:
        raise click.UsageError("--metrics prints no JSON. Leave --json out.")
    from registry.upkeep.monitoring import format_availability, format_metrics

    try:
        with terminal.open_to_read() as registry:
            text = format_metrics(registry)
    except StoreError:
        click.echo(format_availability(terminal.settings), nl=False)
        raise
    click.echo(text, nl=False)


def _flatten(document: dict[str, Any]) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in document.items():
        if isinstance(value, dict):
            rows += [(f"{key} {inner}".replace("_", " "), v) for inner, v in value.items()]
        else:
            rows.append((key.replace("_", " "), value))
    return rows


def _format(value: object) -> object:
    if value is None:
        return "-"
    return ("no", "yes")[value] if isinstance(value, bool) else value
