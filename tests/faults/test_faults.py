"""A sample of the faults that `make faults` injects; the registry comes out as if there were none.

In a process of its own: it forks, and no thread of a test run may be open then.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.network import ONLY_LASTING, ONLY_ONCE, Net
from tests.support.weed import WHEEL, find_weed

ROOT = Path(__file__).parents[2]
KINDS = 2 * (2 * len(Net) - len(ONLY_LASTING) - len(ONLY_ONCE))


def strike(**options: object) -> tuple[int, dict[str, list[int]], str]:
    """Exit code, and points, survived and lost by kind of fault."""
    given = {"timed": 0, "network": 0, "flips": 0, **options}
    arguments = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    counts = {row[0].strip(): [int(cell) for cell in row[1:]] for row in rows[1:]}
    return done.returncode, counts, done.stdout + done.stderr


@pytest.mark.timeout(600)
@pytest.mark.parametrize("points", [5, pytest.param(55, marks=pytest.mark.slow)])
def test_a_process_killed_at_any_point_loses_nothing(points: int) -> None:
    code, counts, output = strike(kind="killed", points=points, timed=0.1)
    assert code == 0, output
    assert counts["all"][0] >= 0.9 * points
    assert counts["all"][2] == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stores_that_fail_lose_nothing() -> None:
    code, counts, output = strike(kind="n", points=30, seed=2)
    assert code == 0, output
    assert len(counts) >= 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_bits_of_the_index_that_flip_are_not_believed() -> None:
    code, counts, output = strike(points=30, flips=1)
    assert code == 0, output
    assert counts["all"] == [30, 30, 0]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_servers_that_are_hard_to_reach_lose_nothing() -> None:
    if find_weed() is None:
        pytest.skip(f"{WHEEL} is not installed: no S3 server to test against")
    points = 80
    code, counts, output = strike(points=points, network=1, steps=points // 4)
    assert code == 0, output
    assert len(counts) - 1 == min(points, KINDS)
    assert counts["all"][2] == 0
