"""Ctrl-C and a second process, with the real command in real processes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.core.opening import open_registry
from registry.domain import Image
from registry.settings import load_settings
from tests.faults.workload import dump
from tests.support.media import write_video

VIDEOS = 4


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, t1_image: Image) -> Path:
    """Four short videos of six people, each a little lighter than the last."""
    folder = tmp_path_factory.mktemp("table")
    picture = t1_image[: 886 // 2 * 2, :]
    for number in range(VIDEOS):
        frames = [picture + number] * 3
        write_video(folder / f"{number}.mp4", frames, size=(picture.shape[1], picture.shape[0]))
    path = folder / "videos.csv"
    with path.open("w", newline="") as file:
        rows = [(f"{number}.mp4", number) for number in range(VIDEOS)]
        csv.writer(file).writerows([("Video URL", "Performance"), *rows])
    return path


Starter = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, table: Path) -> Iterator[Starter]:
    """Starts `ingest` as the console script does."""
    started: list[subprocess.Popen[str]] = []

    def ingest(home: Path, *more: str) -> subprocess.Popen[str]:
        code = "from registry.cli import main; main()"
        arguments = ["--home", str(home), "ingest", str(table), "--every", "1", "--workers", "1"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FACE_REGISTRY_")}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *arguments, *more],
                cwd=Path(__file__).parents[2], env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
        return started[-1]

    yield ingest
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _dumped(home: Path) -> Any:
    with open_registry(load_settings(home=home)) as registry:
        found = dump(registry)
    for key in ("registry_id",):
        found["contract"].pop(key)
    text = json.dumps(found, default=str)
    for name in {r["run"] for r in found["records"]}:
        text = text.replace(name, "run")
    body = json.loads(text)
    for payload in body["videos"]:
        payload.pop("registry_id")
    return body


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ctrl_c_ends_after_the_video_at_hand_and_the_next_run_goes_on(
    start: Starter, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    undisturbed = start(whole)
    assert undisturbed.wait(timeout=150) == 0, undisturbed.communicate()
    process = start(cut)
    deadline = time.monotonic() + 150
    while not list(cut.glob("objects/records/*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, notes = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Run the same command again" in notes
    assert 1 <= len(list(cut.glob("objects/records/*.parquet"))) < VIDEOS
    assert not list(cut.glob("objects/intents/*"))
    again = start(cut)
    assert again.wait(timeout=150) == 0, again.communicate()
    assert _dumped(cut) == _dumped(whole)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_second_process_is_refused_or_waits(start: Starter, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = start(home)
    deadline = time.monotonic() + 60
    while not (home / "lock.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    refused, waiting = start(home), start(home, "--wait", "--json")
    _, said = refused.communicate(timeout=100)
    assert refused.returncode == 1
    assert f"in use by process {first.pid}" in said
    assert first.wait(timeout=150) == 0
    out, said = waiting.communicate(timeout=150)
    assert waiting.returncode == 0
    assert f"waiting: The registry at {home} is in use by process {first.pid}" in said
    assert json.loads(out)["videos"]["unchanged"] == VIDEOS
