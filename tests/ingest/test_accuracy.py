"""The accuracy of an ingest: `exact` by default, `fast` where it is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from face_registry import ingest, open_registry
from registry.core.runs import runs
from registry.errors import UsageError
from registry.models import catalogue
from registry.settings import load_settings
from tests.support.media import numbered, write_video
from tests.support.tables import table_of
from tests.test_main_job import call_here as call

VIDEOS = ("card-tricks.mp4", "poker-night.mp4", "table-talk.mp4", "after-the-landing.mp4")


@pytest.fixture
def table(demo_videos: Path, tmp_path: Path) -> Path:
    files = [file.name for file in sorted(demo_videos.glob("*.mp4"))]
    assert set(VIDEOS) <= set(files)
    folder = tmp_path / "videos"
    folder.mkdir()
    return table_of(demo_videos, VIDEOS, folder)


def _people(dump: dict[str, Any]) -> list[tuple[tuple[str, int], ...]]:
    """Of each identity, how many of its faces are in which video."""
    counts: dict[str, dict[str, int]] = {}
    for video in dump["videos"]:
        for face in video["faces"]:
            of_one = counts.setdefault(face["identity_id"], {})
            of_one[video["video_id"]] = of_one.get(video["video_id"], 0) + 1
    return sorted(tuple(sorted(of_one.items())) for of_one in counts.values())


def _dump(home: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(call(home, "status", "--dump").stdout)
    return document


@pytest.mark.slow
def test_fast_finds_the_same_people_and_reaches_workers(table: Path, tmp_path: Path) -> None:
    """Results of worker processes with `fast` are those of this process with `fast`."""
    dumps = {}
    for name, options in {
        "default": ("--workers", "0"),
        "exact": ("--workers", "1", "--profile-accuracy", "exact"),
        "fast": ("--workers", "1", "--profile-accuracy", "fast"),
        "fast here": ("--workers", "0", "--profile-accuracy", "fast"),
    }.items():
        done = call(tmp_path / name, "ingest", str(table), *options)
        assert done.exit_code == 0, done.output
        dumps[name] = _dump(tmp_path / name)
    assert dumps["exact"] == dumps["default"]
    assert dumps["fast"] == dumps["fast here"]
    assert dumps["fast"]["videos"] != dumps["exact"]["videos"]
    assert _people(dumps["fast"]) == _people(dumps["exact"])

    for name, text in (("exact", False), ("fast", True)):
        shown = call(tmp_path / name, "status", "--runs").stdout
        assert ("accuracy: fast" in shown) is text
        [run] = (tmp_path / name / "objects" / "runs").glob("*.json")
        assert ('"accuracy"' in run.read_text(encoding="utf-8")) is text
        [found] = json.loads(call(tmp_path / name, "status", "--runs", "--json").stdout)["runs"]
        assert found["accuracy"] == name


def test_the_environment_and_python_choose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(home=tmp_path).accuracy == "exact"
    monkeypatch.setenv("FACE_REGISTRY_ACCURACY", "fast")
    write_video(tmp_path / "v.mp4", numbered(3))
    table = tmp_path / "videos.csv"
    table.write_text("Video URL,Performance\nv.mp4,1\n")
    with open_registry(home=tmp_path / "home") as registry:
        ingest(registry, table, metrics=["Performance"], workers=0)
        ingest(registry, table, workers=0, accuracy="exact")
        assert [run.accuracy for run in runs(registry)] == ["exact", "fast"]
        with pytest.raises(UsageError, match=r"accuracy is 'quick'\. Give exact or fast\."):
            ingest(registry, table, accuracy="quick")  # type: ignore[arg-type]
        assert len(runs(registry)) == 2


def test_a_retry_can_be_fast(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "videos.csv").write_text("Video URL,Performance\nbroken.mp4,1\n")
    home = tmp_path / "home"
    call(home, "ingest", str(tmp_path / "videos.csv"), "--workers", "0")

    call(home, "videos", "retry", "--all", "--workers", "0", "--profile-accuracy", "fast")

    shown = json.loads(call(home, "status", "--runs", "--json").stdout)["runs"]
    assert [(run["kind"], run["accuracy"]) for run in shown] == [
        ("retry", "fast"),
        ("ingest", "exact"),
    ]


def test_a_device_on_which_fast_saves_nothing_is_named(
    tmp_path: Path, pack_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation with CUDA, and a pack that runs on the CPU there."""
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    monkeypatch.setattr(
        "onnxruntime.get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    assert catalogue.is_faster("cpu")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "videos.csv").write_text("Video URL,Performance\nbroken.mp4,1\n")
    with open_registry(home=tmp_path / "home") as registry:
        table = tmp_path / "videos.csv"
        fast = ingest(registry, table, model=str(pack_folder), workers=0, accuracy="fast")
        exact = ingest(registry, table, workers=0, retry_failed=True)

    assert [note for note in fast.notes if "Accuracy fast saves nothing" in note]
    assert not [note for note in exact.notes if "Accuracy" in note]
