"""Run the benchmarks of performance in short forms, or every benchmark of this folder.

    python -m benchmarks [--all] [--out FOLDER]

The short forms take less than five minutes on two quiet processors. Each writes FOLDER/NAME.json
(all figures, with the machine) and FOLDER/NAME.md (the tables); FOLDER is build/bench by default.
With --all, every benchmark runs in full, which takes hours.
"""

from __future__ import annotations

import argparse
import pkgutil
import subprocess
import sys
import time
from pathlib import Path

import onnxruntime

SHORT = {
    "ingest": ("--times", "1", "--rounds", "1"),
    "parallel": ("--times", "1"),
    "memory": ("--minutes", "3"),
    "scale": ("--videos", "500", "--commits", "20", "--engines", "5000"),
    "gpu": ("--seconds", "60", "--frames", "64"),
}
"""Arguments of the short form, by module."""


def main() -> int:
    """The worst exit code of all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("build") / "bench")
    given = parser.parse_args()
    worst = 0
    if given.all:
        for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
            if not module.name.startswith("_"):
                print(f"== benchmarks.{module.name}", flush=True)
                command = [sys.executable, "-m", f"benchmarks.{module.name}"]
                worst = max(worst, subprocess.run(command, check=False).returncode)
        return worst
    given.out.mkdir(parents=True, exist_ok=True)
    for name, options in SHORT.items():
        print(f"== benchmarks.{name}", flush=True)
        if name == "gpu" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            print("Not run: ONNX Runtime has no CUDA here.", flush=True)
            continue
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        command += ["--json", str(given.out / f"{name}.json")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, flush=True)
        print(f"{time.monotonic() - began:.0f} s, exit code {done.returncode}", flush=True)
        (given.out / f"{name}.md").write_text(done.stdout, encoding="utf-8")
        worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
