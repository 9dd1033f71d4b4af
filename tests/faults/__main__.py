"""`python -m tests.faults`: strike, print the table, and end with 1 if anything was lost."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from registry.core import intents
from tests.faults.flips import FLIPPED, flip_strike, flips
from tests.faults.harness import (
    AT_A_TIME,
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
from tests.faults.servers import every_net_strike, net_strike, rehearse_on_servers, rig, sample
from tests.faults.workload import STEPS
from tests.support.weed import find_weed

intents.MOST_KEPT = 3  # so that faults strike before, during and after a flush of several commits


def _hit(golden: Golden, one: Strike) -> Outcome:
    """Strike; a kill that came too late is tried again in half the time."""
    outcome = strike(golden, one)
    while not outcome.hit and one.after_s > 0.001:
        one = replace(one, after_s=one.after_s / 2)
        outcome = strike(golden, one)
    return outcome


def _embedded(
    golden: Golden, points: int, timed: int, kind: str, step: str, seed: int
) -> Iterator[Outcome]:
    """Faults at the operations of the stores, and kills at random times."""
    chance = random.Random(seed)
    pool = [s for s in every_strike(golden) if kind in s.kind and step in STEPS[s.step][0]]
    chosen = chance.sample(pool, min(len(pool), points))
    chosen += timed_strikes(golden, timed, chance)
    for one in sorted(chosen, key=lambda s: (s.kind, s.step, s.at, s.after_s)):
        yield _hit(golden, one)


def _on_servers(points: int, kind: str, seed: int, steps: int) -> Iterator[tuple[Outcome, str]]:
    """Faults on the way to servers, each with the request that it struck."""
    with rig() as servers:
        rehearse_on_servers(servers, steps)
        pool = [s for s in every_net_strike(servers) if kind in s.kind]
        chosen = sample(pool, points, random.Random(seed))
        for one in sorted(chosen, key=lambda s: (s.kind, s.step, s.at)):
            yield net_strike(servers, one), servers.described(one)


def _lost(what: str) -> None:
    print(f"LOST {what}", file=sys.stderr, flush=True)


def main() -> int:
    """A sample of all faults, evenly over their kinds and operations, by a seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--points", type=int, default=1000, help="How many faults.")
    parser.add_argument("--timed", type=float, default=0.2, help="Share of kills at random times.")
    parser.add_argument("--network", type=float, default=0.3, help="Share on the way to servers.")
    parser.add_argument("--flips", type=float, default=0.1, help="Share of bits of the index.")
    parser.add_argument("--steps", type=int, default=99, help="Of the workload, on servers.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="", help="Only kinds that contain this.")
    parser.add_argument("--step", default="", help="Only steps whose name contains this.")
    given = parser.parse_args()
    timed = round(given.points * given.timed) * (given.kind in AT_A_TIME)
    network, flipped = round(given.points * given.network), round(given.points * given.flips)
    outcomes: list[Outcome] = []
    found_out: Counter[str] = Counter()
    started = time.monotonic()
    points = given.points - timed - network - flipped
    if points or timed or flipped:
        with workshop() as folder:  # forks: before any thread is started
            golden = rehearse(folder)
            for outcome in _embedded(golden, points, timed, given.kind, given.step, given.seed):
                outcomes.append(outcome)
                if outcome.lost:
                    _lost(described(golden, outcome))
            for flip in flips(golden, flipped * (given.kind in FLIPPED), random.Random(given.seed)):
                outcome, how = flip_strike(golden, flip)
                outcomes.append(outcome)
                found_out[how] += 1
                if outcome.lost:
                    _lost(outcome.lost)
    if network and find_weed() is None:
        print("no S3 server is installed: no faults on the way to servers", file=sys.stderr)
    elif network:
        for outcome, request in _on_servers(network, given.kind, given.seed, given.steps):
            outcomes.append(outcome)
            if outcome.lost:
                _lost(f"{request}: {outcome.lost}")
    print(f"seed {given.seed}\n")
    print(table(outcomes, time.monotonic() - started))
    if found_out:
        print("bits flipped: " + ", ".join(f"{n} {how}" for how, n in found_out.most_common()))
    return int(any(o.lost for o in outcomes))


sys.exit(main())
