"""The command `doctor`: checks of the machine and the registry, and how fast this machine is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict

import click

from ingest.speed import load_speed, measure_speed
from registry.core.opening import open_registry
from registry.errors import RegistryError
from registry.terminal import Terminal, json_option, pass_terminal
from registry.upkeep.checks import Finding, run_check
from registry.upkeep.doctor import examine


@click.command("doctor")
@click.option("--deep", is_flag=True, help="Also read every crop and check its digest.")
@click.option(
    "--fix", is_flag=True,
    help="Repair what can be repaired safely: remove crops that no record names, rebuild an index "
    "that differs from the records, remove the access of other users, mark videos with damaged "
    "records or crops to be read again.",
)  # fmt: skip
@click.option(
    "--bench", is_flag=True,
    help="Also measure how many hours of video this machine processes in an hour (10 to 20 s).",
)  # fmt: skip
@json_option
@pass_terminal
def doctor_command(terminal: Terminal, deep: bool, fix: bool, bench: bool, as_json: bool) -> None:
    """Check the machine, the model, both stores and everything in the registry.

    Prints one line for each part, and below it what to do. Exits with 1 if a part has failed.
    """
    findings = []
    for finding in _findings(terminal, deep=deep, fix=fix, bench=bench):
        findings.append(finding)
        if not as_json:
            terminal.say(f"{finding.verdict:<8} {finding.part:<12} {finding.detail}")
            if finding.advice:
                terminal.say(f"{'':<21} {finding.advice}")
    if as_json:
        terminal.json({"findings": [asdict(finding) for finding in findings]})
    sys.exit(any(finding.verdict == "failed" for finding in findings))


def _findings(terminal: Terminal, *, deep: bool, fix: bool, bench: bool) -> Iterator[Finding]:
    yield from examine(terminal.settings, fix=fix, deep=deep)
    if bench:
        yield run_check("speed", lambda: _measured(terminal))
    elif speed := load_speed(terminal.settings.home):
        yield Finding("speed", "ok", str(speed))


def _measured(terminal: Terminal) -> Finding:
    try:
        with open_registry(terminal.settings, say=terminal.note) as registry:
            return Finding("speed", "ok", str(measure_speed(registry)))
    except RegistryError as exc:
        return Finding("speed", "failed", str(exc))
