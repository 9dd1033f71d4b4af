"""The package's own wheel, installed by plain pip into a fresh environment, runs the demo."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PEOPLE = 6
"""In the videos of the demo; the README has the table."""


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode("utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_installed_by_pip_runs_the_demo(tmp_path: Path) -> None:
    built = tmp_path / "built"
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", built, ROOT,
         cwd=tmp_path)  # fmt: skip
    (wheel,) = built.glob("face_registry-*.whl")
    venv.create(tmp_path / "fresh", with_pip=True)
    programs = tmp_path / "fresh" / ("Scripts" if os.name == "nt" else "bin")
    _run(programs / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    output = _run(programs / "face-registry", "demo", cwd=tmp_path)
    assert "9 rows: 8 videos ingested, 0 updated, 0 unchanged, 1 failed" in output
    assert f"{PEOPLE} new identities ({PEOPLE} in all)" in output
    table = tmp_path / "face-registry-demo" / "influencer_performance.csv"
    assert len(table.read_text(encoding="utf-8-sig").splitlines()) == PEOPLE + 1
