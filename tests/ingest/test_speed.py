"""How fast this machine is, and how long a run still takes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ingest.frames import MediaLimits, Sampling, VideoReader
from ingest.frames.sample_video import FPS, SIZE, write_sample_video
from ingest.progress import LineReporter
from ingest.speed import load_speed
from ingest.summary import Summary
from registry.models.base import FaceModel
from tests.test_main_job import call_here as call


def _doctor(home: Path, *options: str) -> dict[str, Any]:
    """The findings by part."""
    done = call(home, "doctor", "--json", *options)
    assert done.exit_code == 0, done.output
    return {finding["part"]: finding for finding in json.loads(done.stdout)["findings"]}


@pytest.mark.slow
def test_doctor_measures_the_speed_and_keeps_it_in_the_home(tmp_path: Path) -> None:
    assert "speed" not in _doctor(tmp_path)

    measured = _doctor(tmp_path, "--bench")["speed"]
    assert measured["verdict"] == "ok"
    assert "hours of video an hour" in measured["detail"]
    assert _doctor(tmp_path)["speed"] == measured
    speed = load_speed(tmp_path)
    assert speed is not None
    assert str(speed) == measured["detail"]
    # Three sampled frames a second: the two figures are of the same run.
    assert speed.hours_per_hour == pytest.approx(speed.frames_per_s / 3, rel=0.1)

    status = json.loads(call(tmp_path, "status", "--json").stdout)
    assert status["empty"]  # the made video is nowhere in the registry
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not list((tmp_path / "objects").rglob("*.jpg"))


def test_a_speed_that_cannot_be_read_counts_as_not_measured(tmp_path: Path) -> None:
    assert load_speed(tmp_path) is None
    (tmp_path / "speed.json").write_text('{"fast": true}')
    assert load_speed(tmp_path) is None


def test_the_made_video_shows_one_face_in_every_frame(tmp_path: Path, sface: FaceModel) -> None:
    write_sample_video(tmp_path / "made.mp4", 1.0)
    with VideoReader(tmp_path / "made.mp4", sampling=Sampling(10), limits=MediaLimits()) as reader:
        frames = list(reader)
    assert [frame.index for frame in frames] == [0, 10, 20]
    assert frames[0].image.shape == (SIZE[1], SIZE[0], 3)
    assert frames[1].time_s == pytest.approx(10 / FPS)
    assert [len(sface.detect(frame.image)) for frame in frames] == [1, 1, 1]


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(59.0, ""), (60.0, " (about 0 h 01 min left)"), (7500.0, " (about 2 h 05 min left)")],
)
def test_a_log_says_how_long_the_rest_takes(seconds: float, left: str) -> None:
    paper = io.StringIO()
    reporter = LineReporter(Console(file=paper, width=200))
    reporter.begin(2)
    reporter.advance(Summary("", seconds=seconds), "a.mp4", "1 face")
    reporter.advance(Summary("", seconds=2 * seconds), "b.mp4", "no face")
    assert paper.getvalue() == f"[1/2] a.mp4: 1 face{left}\n[2/2] b.mp4: no face\n"
