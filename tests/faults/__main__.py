"""`python -m tests.faults`: strike, print the table, and end with 1 if anything was lost."""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import replace

from tests.faults.harness import (
    Golden,
    Outcome,
    Strike,
    described,
    every_strike,
    rehearse,
    strike,
    table,
    timed_strikes,
    workshop,
)
from tests.faults.workload import STEPS


def _hit(golden: Golden, one: Strike) -> Outcome:
    """Strike; a kill that came too late is tried again in half the time."""
    outcome = strike(golden, one)
    while not outcome.hit and one.after_s > 0.001:
        one = replace(one, after_s=one.after_s / 2)
        outcome = strike(golden, one)
    return outcome


def main() -> int:
    """A sample of all faults, evenly over their kinds and operations, by a seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--points", type=int, default=1000, help="How many faults.")
    parser.add_argument("--timed", type=float, default=0.2, help="Share of kills at random times.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="", help="Only kinds that contain this.")
    parser.add_argument("--step", default="", help="Only steps whose name contains this.")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with workshop() as folder:
        golden = rehearse(folder)
        timed = round(given.points * given.timed)
        pool = [
            s for s in every_strike(golden)
            if given.kind in s.kind and given.step in STEPS[s.step][0]
        ]  # fmt: skip
        chosen = chance.sample(pool, min(len(pool), given.points - timed))
        chosen += timed_strikes(golden, timed, chance)
        chosen.sort(key=lambda s: (s.kind, s.step, s.at, s.after_s))
        started, outcomes = time.monotonic(), []
        for one in chosen:
            outcomes.append(_hit(golden, one))
            if outcomes[-1].lost:
                print(f"LOST {described(golden, outcomes[-1])}", file=sys.stderr, flush=True)
    print(f"{len(pool)} operations x kinds; seed {given.seed}\n")
    print(table(outcomes, time.monotonic() - started))
    return int(any(o.lost for o in outcomes))


sys.exit(main())
