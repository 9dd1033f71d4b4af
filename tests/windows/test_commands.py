"""The program on Windows, as a user has it: every command is a process of its own.

The demo with its numbers, the files that it wrote, a lookup, paths of Windows in a table, and a
writer that is killed and the run after it.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(os.name != "nt", reason="the program on Windows"),
    pytest.mark.timeout(1200),
]

_MAIN = (
    "if __name__ == '__main__':\n import sys\n from registry.cli import main\n main(sys.argv[1:])"
)
_MEANS = [8.0, 6.95, 6.93, 6.8, 5.3, 4.4]
"""Of the six people of the demo; the README has the table."""


def _start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    script = folder / "main.py"
    script.write_text(_MAIN, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), *arguments], cwd=folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _run(folder: Path, *arguments: str, code: int = 0) -> str:
    process = _start(folder, *arguments)
    output, errors = process.communicate(timeout=900)
    assert process.returncode == code, errors.decode() + output.decode()
    return output.decode("utf-8")


def _document(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_run(folder, *arguments, "--json", code=code))
    return document


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo was run."""
    folder = tmp_path_factory.mktemp("demo")
    output = _run(folder, "demo")
    assert "9 rows: 8 videos ingested, 0 updated, 0 unchanged, 1 failed" in output
    return folder / "face-registry-demo"


def test_the_demo_finds_the_people_of_its_videos(folder: Path) -> None:
    with (folder / "influencer_performance.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    means = [round(float(row["average_performance"]), 2) for row in rows]
    assert sorted(means, reverse=True) == _MEANS
    with zipfile.ZipFile(folder / "faces.zip") as archive:
        names = [Path(name).name for name in archive.namelist() if name.endswith(".jpg")]
    assert len(names) - names.count("cover.jpg") == 143
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_doctor_finds_nothing_damaged(folder: Path) -> None:
    output = _run(folder, "--home", "registry", "doctor", "--deep")
    assert "error" not in output.lower()


def test_a_person_is_looked_up(folder: Path) -> None:
    answer = _document(folder, "--home", "registry", "lookup", "who-is-this.jpg")
    (face,) = answer["faces"]
    similarities = [match["similarity"] for match in face["matches"]]
    assert round(similarities[0], 3) == 0.981


def test_a_table_with_paths_of_windows(folder: Path) -> None:
    """Each cell is a file, or an error of its row; none ends the run."""
    videos = (folder / "videos").resolve()
    clip = videos / "table-talk.mp4"
    shutil.copy(videos / "poker-night.mp4", folder / "Ünder wegs.mp4")
    table = folder / "paths.csv"
    cells = [
        str(clip), clip.as_uri(), str(clip).upper(), "Ünder wegs.mp4",
        "C:c.mp4", "NUL", "videos\\aux.mp4", r"\\server\share\a.mp4", r"\\.\PhysicalDrive0",
        "file://server/share/a.mp4", "file:C:/v.mp4", "a.mp4:stream", "D:\\none.mp4",
    ]  # fmt: skip
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("Video URL", "Performance"), *((cell, 1) for cell in cells)])
    found = _document(
        folder, "--home", "paths", "ingest", "paths.csv", "--allow-local-files", code=3
    )
    failed = {failure["row"]: failure["reason"] for failure in found["failures"]}
    # Row 11 is another spelling of the file of row 9.
    assert sorted(failed) == [6, 7, 8, 9, 10, 12, 13, 14], failed
    assert "depends on the current folder of drive C:" in failed[6]
    assert "gives the name NUL to a device" in failed[7]
    names = {
        video["url"] for video in _document(folder, "--home", "paths", "videos", "list")["videos"]
    }
    assert clip.as_uri() in names


def test_a_killed_writer_is_followed_by_a_run_that_completes_its_work(folder: Path) -> None:
    table = folder / "local.csv"
    names = ["ask-an-astronaut.mp4", "card-tricks.mp4", "table-talk.mp4"]  # 1, 2 and 2 people
    rows = "".join(f"videos/{name},{number}\n" for number, name in enumerate(names))
    table.write_text(f"Video URL,Performance\n{rows}", encoding="utf-8")
    first = _start(folder, "--home", "killed", "ingest", "local.csv")
    records = folder / "killed" / "objects" / "records"
    deadline = time.monotonic() + 600
    while not any(records.glob("*.parquet")) and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()[1].decode()
        time.sleep(0.02)
    first.kill()
    first.communicate(timeout=60)
    again = _document(folder, "--home", "killed", "ingest", "local.csv")
    assert again["failures"] == []
    listed = _document(folder, "--home", "killed", "videos", "list")["videos"]
    assert len(listed) == len(names)
    assert {video["status"] for video in listed} == {"done"}
    people = _document(folder, "--home", "killed", "identities", "list")["identities"]
    assert len(people) == 5
