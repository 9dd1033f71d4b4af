"""One ingest with one worker, with more, and on a local Ray cluster: time, and the same registry.

    python -m benchmarks.parallel [--workers 1 2] [--times 1] [--rounds 1] [--json FILE]

The videos are those of `benchmarks.ingest`, the model is `sface`. The dumps of all registries
(`status --dump`) have to be the same bytes; otherwise it ends with 1. A run on Ray is left out by
name where Ray is not installed. What Ray takes to start is part of its time. Its processes are no
children of the command that it waits for, so their processor time is not counted.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks._machine import machine, sentence, spread, write_json
from benchmarks._options import data_folder
from benchmarks.ingest import clips, copies, timed

_COMMAND = (sys.executable, "-c", "from registry.cli import main; main()", "--home")


def measure(table: Path, options: Sequence[str]) -> dict[str, Any]:
    """Ingest into a new registry; adds the SHA-256 of its dump."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_COMMAND, f"{folder}/home"]
        measured = timed([*command, "ingest", str(table), "--json", *options])
        dump = subprocess.run([*command, "status", "--dump"], capture_output=True, check=True)
    return {**measured, "dump": hashlib.sha256(dump.stdout).hexdigest()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parallel")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not clips(data_folder())[-1].is_file():
        print("Skipped: the shared data is not here (FACE_REGISTRY_TEST_DATA).")
        return 0
    where = machine()
    todo = {f"workers: {number}": ["--workers", str(number)] for number in given.workers}
    if find_spec("ray"):
        most = str(max(given.workers))
        todo[f"Ray, workers: {most}"] = ["--ray", "auto", "--workers", most]
    found: dict[str, list[dict[str, Any]]] = {label: [] for label in todo}
    with tempfile.TemporaryDirectory() as name:
        table = copies(Path(name), given.times)
        for _ in range(given.rounds):
            for label, options in todo.items():
                found[label].append(measure(table, options))
    dumps = {row["dump"] for rows in found.values() for row in rows}
    print(f"`python -m benchmarks.parallel`, {sentence(where)}, {given.rounds} rounds.")
    print(f"\n{given.times * len(clips(data_folder()))} videos with `sface`.", end=" ")
    print("All dumps are equal." if len(dumps) == 1 else f"THE DUMPS DIFFER: {dumps}")
    print("\n| | seconds | processor seconds | speed against the first |\n|---|---|---|---|")
    first = statistics.median(row["seconds"] for row in next(iter(found.values())))
    for label, rows in found.items():
        seconds = [row["seconds"] for row in rows]
        factor = first / statistics.median(seconds)
        cpu = "-" if label.startswith("Ray") else spread([row["cpu"] for row in rows])
        print(f"| {label} | {spread(seconds)} | {cpu} | {factor:.2f} |")
    if not find_spec("ray"):
        print("| Ray | not run: it is not installed (requirements/cluster.txt) | | |")
    write_json(given.json, {"benchmark": "parallel", "machine": where, "results": found})
    return int(len(dumps) != 1)


if __name__ == "__main__":
    sys.exit(main())
