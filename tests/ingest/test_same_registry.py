"""The same table gives the same registry, however many processes and threads read its videos."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock

import pytest

from ingest.extract import extract
from ingest.frames import MediaLimits, Sampling
from ingest.ordered_threads import OrderedThreads, ThreadLimit
from ingest.stage_times import STAGES
from registry.blobs.folder import FolderStore
from registry.models.base import FaceModel
from tests.test_main_job import call_here as call


@pytest.fixture
def table(demo_videos: Path, tmp_path: Path) -> Callable[[int], Path]:
    def write(videos: int) -> Path:
        path = tmp_path / f"{videos}.csv"
        files = sorted(demo_videos.glob("*.mp4"))[:videos]
        rows = [f"{file},{number}" for number, file in enumerate(files)]
        path.write_text("\n".join(["Video URL,Performance", *rows]))
        return path

    return write


@pytest.mark.slow
@pytest.mark.parametrize("videos", [1, 5])
def test_workers_and_their_threads_change_nothing(
    table: Callable[[int], Path], tmp_path: Path, videos: int
) -> None:
    """With one video and several workers, one worker has several threads."""
    dumps = []
    for workers in (0, 1, 2, 3):
        home = tmp_path / f"home{workers}"
        options = ["--allow-local-files", "--workers", str(workers)]
        done = call(home, "ingest", str(table(videos)), *options, "--json", "--profile")
        assert done.exit_code == 0, done.output
        document = json.loads(done.stdout)
        assert document["videos"]["ingested"] == videos
        profile = document["profile"]
        assert profile["workers"] == max(1, workers)
        assert list(profile["stages"]) == list(STAGES)
        assert profile["stages"]["detect"] > 0
        assert profile["stages"]["commit"] > 0
        busy = sum(profile["stages"].values()) - profile["stages"]["fetch"]
        assert busy - profile["stages"]["commit"] + profile["idle"] == pytest.approx(
            profile["workers"] * profile["elapsed"], rel=0.1
        )
        dumps.append(json.loads(call(home, "status", "--dump").stdout))
    assert all(dump == dumps[0] for dump in dumps[1:])


def test_the_size_of_batches_changes_nothing(
    table: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many faces are collected from frames, and how many of them are embedded in one run."""
    dumps = []
    for size in (1, 16):
        monkeypatch.setattr("ingest.extract.BATCH", size)
        monkeypatch.setattr("registry.models.recognition._CPU_BATCH", size)
        home = tmp_path / f"home{size}"
        done = call(home, "ingest", str(table(1)), "--allow-local-files", "--workers", "0")
        assert done.exit_code == 0, done.output
        dumps.append(json.loads(call(home, "status", "--dump").stdout))
    assert dumps[0] == dumps[1]
    faces = sum(len(video["faces"]) for video in dumps[0]["videos"])
    assert faces > size, "several batches"


def test_threads_that_share_a_model_find_the_same(
    sface: FaceModel, demo_videos: Path, tmp_path: Path
) -> None:
    allowed = itertools.cycle([1, 1, 2, 2, 2, 1])
    sometimes, always = ThreadLimit(lambda: next(allowed), 2), ThreadLimit(lambda: 2, 2)
    path = min(demo_videos.glob("*.mp4"), key=lambda path: path.stat().st_size)
    found = []
    for number, threads in enumerate((None, always, sometimes)):
        blobs = FolderStore(tmp_path / str(number))
        extraction = extract(
            path, "video", model=sface, blobs=blobs, sampling=Sampling(every=20),
            limits=MediaLimits(), threads=threads,
        )  # fmt: skip
        faces = [
            (face.embedding.tobytes(), face.face_id, face.box, face.track, face.crop_digest)
            for face in extraction.faces
        ]
        stored = {info.key: blobs.get(info.key) for info in blobs.list("")}
        found.append((faces, extraction.media, stored))
    assert found[0][0]
    assert found[0] == found[1] == found[2]


def test_as_many_threads_work_as_are_allowed() -> None:
    allowed = 1
    working, most = 0, list[int]()
    lock = Lock()

    def work(item: int) -> int:
        nonlocal working
        with lock:
            working += 1
            most.append(working)
        time.sleep(0.02)
        with lock:
            working -= 1
        return item

    def items() -> Iterator[int]:
        nonlocal allowed
        for number in range(60):
            allowed = 3 if 20 <= number < 40 else 1
            yield number

    with closing(OrderedThreads(ThreadLimit(lambda: allowed, 3))) as pool:
        assert list(pool.map(work, items())) == list(range(60))
    assert max(most) == 3
    assert most[:15] == [1] * 15
    assert most[-15:] == [1] * 15


def test_the_profile_is_a_table(table: Callable[[int], Path], tmp_path: Path) -> None:
    options = ["--allow-local-files", "--workers", "0", "--profile"]
    done = call(tmp_path / "home", "ingest", str(table(1)), *options)
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert lines["stage"] == ["seconds", "share", "what"]
    assert float(lines["detect"][0]) > 0
    assert lines["detect"][1].endswith("%")
    assert not lines["commit"][1].endswith("%")
