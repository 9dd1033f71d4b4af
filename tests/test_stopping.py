"""SIGTERM stops a command as Ctrl-C does: what was begun is let go, and the exit code says so."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

RESTING = """
import signal, time
from registry.cli import cli, main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it

@cli.command()
def rest():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("let go", flush=True)

main(["rest"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_with_130_and_a_word(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RESTING],
        cwd=Path(__file__).parents[1],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said, error = process.communicate(timeout=30)
    assert (process.returncode, said, error.strip()) == (130, "let go\n", "Stopped.")
