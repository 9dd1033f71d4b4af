"""This process and others."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil

from registry.system.process import (
    is_alive,
    machine_id,
    usable_processors,
    was_killed,
)

_RUNS = "import sys; print('ready', flush=True); sys.stdin.read()"


def test_a_process_is_alive_until_it_ends() -> None:
    assert is_alive(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", _RUNS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        assert is_alive(child.pid)
        child.kill()
    assert not is_alive(child.pid)


def test_two_processes_of_a_machine_have_the_same_place() -> None:
    code = "from registry.system.process import machine_id; print(machine_id())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == machine_id()


def test_a_process_that_was_killed_is_told_from_one_that_failed() -> None:
    with subprocess.Popen([sys.executable, "-c", "import os; os.abort()"]) as aborted:
        pass
    assert was_killed(aborted.returncode)
    for code in (0, 1):
        ended = subprocess.run([sys.executable, "-c", f"raise SystemExit({code})"], check=False)
        assert not was_killed(ended.returncode)


def test_peak_memory_grows_with_what_is_held() -> None:
    code = (
        "import os; from registry.system.process import PeakMemory; memory = PeakMemory();"
        "before = memory.bytes(); held = os.urandom(64 * 2**20); print(memory.bytes() - before)"
    )
    # In a process of its own: what this one held before may have been more.
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 48 * 2**20 < int(grown.stdout) < 96 * 2**20


def test_a_process_in_the_background_has_a_lower_priority() -> None:
    code = (
        "import psutil; from registry.system.process import lower_priority;"
        "before = psutil.Process().nice(); lower_priority(); print(before, psutil.Process().nice())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    lower = getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", min(before + 5, 19))
    assert after == lower


def test_there_is_a_processor() -> None:
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)


def test_a_process_knows_how_long_it_has_run() -> None:
    code = (
        "from registry.system.process import seconds_since_start; import time; time.sleep(0.3);"
        "print(seconds_since_start())"
    )
    started = time.monotonic()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.29 < float(told.stdout) < time.monotonic() - started + 0.02
