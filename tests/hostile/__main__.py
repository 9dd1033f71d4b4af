"""`python -m tests.hostile`: the corpus, or with `--fuzz N` chance, against the real commands."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.hostile.fuzz import TARGETS, fuzz
from tests.hostile.harness import strike


def main() -> int:
    """1 if anything crashed, hung, wrote where it must not, or called the canary."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("--fuzz", type=int, metavar="N", help="N examples for each fuzz target.")
    parser.add_argument("--verbose", action="store_true", help="What was said of each input.")
    given = parser.parse_args()
    if given.fuzz:
        for name in TARGETS:
            started = time.monotonic()
            fuzz(name, given.fuzz)
            print(f"{name}: {given.fuzz} examples, {time.monotonic() - started:.0f} s", flush=True)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        report = strike(Path(folder))
    if given.verbose:
        for outcome in report.outcomes:
            what = f"{outcome.case.kind}: {outcome.case.cell[:60]!r}"
            print(f"{outcome.verdict:12} {what}: {outcome.said[:300]!r}")
    print(report.table())
    for line in report.bad():
        print(line, file=sys.stderr)
    return int(bool(report.bad()))


if __name__ == "__main__":
    sys.exit(main())
