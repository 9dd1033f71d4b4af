"""Requests to end a command, and who obeys Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType

import pytest

from registry.system.console import (
    children_ignore_interrupts,
    handling_stops,
    interrupt_when_ended,
    own_group,
)

ENDING = [signal.SIGTERM, *filter(None, [getattr(signal, "SIGBREAK", None)])]


@pytest.mark.parametrize("number", ENDING)
def test_a_request_to_end_is_an_interrupt_unless_it_is_handled(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def own(number: int, frame: FrameType | None) -> None: ...

    try:
        signal.signal(number, signal.SIG_DFL)
        interrupt_when_ended()
        assert signal.getsignal(number) is signal.default_int_handler
        signal.signal(number, own)
        interrupt_when_ended()
        assert signal.getsignal(number) is own
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING])
def test_a_handler_is_called_within_the_block_only(number: signal.Signals) -> None:
    before, seen = signal.getsignal(number), []

    def handler(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    with handling_stops(handler):
        signal.raise_signal(number)
    assert seen == [number]
    assert signal.getsignal(number) is before


def test_a_child_of_its_own_group_starts() -> None:
    code = "import os; print(os.getpgid(0) == os.getpid() if hasattr(os, 'getpgid') else True)"
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, **own_group()
    )
    assert child.stdout.strip() == "True"


def test_children_start_while_interrupts_are_ignored() -> None:
    with children_ignore_interrupts():
        assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0
