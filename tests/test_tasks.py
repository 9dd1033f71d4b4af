"""`tasks.py` sets the project up without make, and the Makefile has the same tasks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import TASKS

ROOT = Path(__file__).parents[1]


def _tasks(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "tasks.py"), *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the file, with lock files that list nothing and a project without code."""
    shutil.copy(ROOT / "tasks.py", tmp_path)
    (tmp_path / "requirements").mkdir()
    for lock in ("cpu", "dev", "browser"):
        (tmp_path / "requirements" / f"{lock}.txt").touch()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'p'\nversion = '1'\n")
    return tmp_path


def _prepared(project: Path, lock: str) -> Path:
    """An environment in which this lock is installed, whose Python is that of the tests."""
    folder = project / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    folder.mkdir(parents=True)
    stamp = project / ".venv" / (".installed" if lock == "cpu" else f".installed-{lock}")
    stamp.touch()
    return folder


def test_the_makefile_has_every_task() -> None:
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    targets = re.search(r"^TASKS = (.+)$", text, re.M)
    assert targets
    assert sorted(targets[1].split()) == sorted(TASKS)


def test_help_lists_every_task() -> None:
    shown = _tasks(ROOT, "help").stdout
    assert [name for name in TASKS if f"  {name} " not in shown] == []


def test_an_unknown_task_is_named() -> None:
    done = _tasks(ROOT, "tset")
    assert (done.returncode, done.stderr) == (
        1, "There is no task 'tset'. `python tasks.py help` lists them.\n",
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="a program that is a script")
def test_arguments_and_exit_codes_pass_through(project: Path) -> None:
    program = _prepared(project, "cpu") / "face-registry"
    program.write_text('#!/bin/sh\necho "$@"; exit 3\n')
    program.chmod(0o700)
    done = _tasks(project, "demo", "--folder", "a b")
    assert (done.returncode, done.stdout) == (3, "demo --folder a b\n")


@pytest.mark.skipif(os.name == "nt", reason="a program that is a script")
def test_an_installation_is_repeated_only_when_its_lock_changed(project: Path) -> None:
    python = _prepared(project, "browser") / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o700)
    assert _tasks(project, "install-browser").stdout == ""
    assert _tasks(project, "install-browser", VENV="").stdout == "", "as make passes it"
    os.utime(project / "requirements" / "browser.txt", (2**32, 2**32))
    said = _tasks(project, "install-browser").stdout
    assert "--require-hashes -r" in said and "browser.txt" in said
    assert "--editable" in said
    for stamp in (".installed", ".installed-dev", ".installed-browser"):
        assert (project / ".venv" / stamp).is_file()


def test_clean_removes_what_was_written_and_nothing_else(project: Path) -> None:
    (project / "tests" / "__pycache__").mkdir(parents=True)
    (project / "tests" / "a.py").touch()
    (project / ".coverage").touch()
    (project / ".wine" / "prefix").mkdir(parents=True)
    _prepared(project, "cpu")
    assert _tasks(project, "clean").returncode == 0
    left = {str(path.relative_to(project)) for path in project.rglob("*")}
    assert left == {
        "tasks.py", "pyproject.toml", "requirements", "tests", str(Path("tests", "a.py")),
        *(str(Path("requirements", f"{lock}.txt")) for lock in ("cpu", "dev", "browser")),
    }  # fmt: skip
