"""Run every benchmark of this folder, one after the other."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """The worst exit code of all."""
    worst = 0
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith("_"):
            print(f"== benchmarks.{module.name}", flush=True)
            command = [sys.executable, "-m", f"benchmarks.{module.name}"]
            worst = max(worst, subprocess.run(command, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
