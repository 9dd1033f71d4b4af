"""Worker processes that die or hang cost the video they read, and no other."""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from ingest.frames import MediaLimits, Sampling
from ingest.workers import PoolExtractor
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.core import contract as contracts
from registry.domain import Image
from registry.errors import MediaError, RegistryError
from registry.faces.face_table import PART
from registry.models.base import FaceModel
from registry.settings import Accuracy, load_settings
from tests.support.media import write_video
from tests.support.processes import kill, suspend
from tests.support.tables import table_of
from tests.support.terminal_session import children, is_server

pytestmark = pytest.mark.slow


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path]:
    """One that takes a while to read, and one that takes none."""
    write_video(tmp_path / "long.mp4", lambda i: (i % 200, 80, 120), frames=1500)
    write_video(tmp_path / "short.mp4", lambda i: (i, 80, 120), frames=3)
    return tmp_path / "long.mp4", tmp_path / "short.mp4"


def _pool(
    sface: FaceModel, home: Path, timeout_s: float, *, accuracy: Accuracy = "exact"
) -> PoolExtractor:
    contract = contracts.new(
        sface.info, "sface", threshold=0.85, every=1, primary_metric="Performance"
    )
    return PoolExtractor(
        load_settings(home=home, accuracy=accuracy), contract, "sface",
        workers=1, sampling=Sampling(every=1), limits=MediaLimits(), timeout_s=timeout_s,
    )  # fmt: skip


@pytest.fixture
def pool(sface: FaceModel, tmp_path: Path) -> Iterator[PoolExtractor]:
    extractor = _pool(sface, tmp_path / "home", 600)
    yield extractor
    extractor.close()


def test_a_worker_that_is_killed_costs_its_video(
    pool: PoolExtractor, clips: tuple[Path, Path]
) -> None:
    long, short = clips
    assert pool.extract(short, "warm-up").media.frames_sampled == 3
    [worker] = multiprocessing.active_children()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(pool.extract, long, "long")
        time.sleep(0.5)
        assert worker.pid is not None
        kill(worker.pid)
        with pytest.raises(MediaError, match=r"was killed.*short of memory"):
            reading.result(timeout=120)
    assert pool.extract(short, "short").media.frames_sampled == 3


def test_the_faces_of_a_long_video_come_through_a_file(
    sface: FaceModel, t1_image: Image, tmp_path: Path
) -> None:
    """A crowd of 156 faces in each frame, so that seven frames have more than fit into a part."""
    six_people = cv2.resize(t1_image, (212, 146), interpolation=cv2.INTER_AREA)
    crowd = np.tile(six_people, (6, 6, 1)).astype(np.uint8, copy=False)
    write_video(tmp_path / "long.mp4", [crowd] * 7, options={"crf": "18"})
    extractor = _pool(sface, tmp_path / "home", 600, accuracy="fast")
    try:
        extraction = extractor.extract(tmp_path / "long.mp4", "long")
    finally:
        extractor.close()
    assert len(extraction.faces) > PART
    blobs = FolderStore(tmp_path / "home" / "objects")
    digests = {f.crop: hashlib.sha256(blobs.get(f.crop)).hexdigest() for f in extraction.faces}
    assert digests == {face.crop: face.crop_digest for face in extraction.faces}
    assert list((tmp_path / "home" / "tmp").iterdir()) == []


def test_a_worker_that_hangs_costs_its_video(
    sface: FaceModel, tmp_path: Path, clips: tuple[Path, Path]
) -> None:
    long, short = clips
    extractor = _pool(sface, tmp_path / "home", 10)
    try:
        extractor.extract(short, "warm-up")
        [worker] = multiprocessing.active_children()
        with ThreadPoolExecutor(1) as threads:
            reading = threads.submit(extractor.extract, long, "long")
            time.sleep(0.5)
            assert worker.pid is not None
            suspend(worker.pid)
            with pytest.raises(MediaError, match="took longer than 10 s and was stopped"):
                reading.result(timeout=120)
        assert extractor.extract(short, "short").media.frames_sampled == 3
    finally:
        extractor.close()


def test_a_pool_that_breaks_while_no_video_is_read_calls_no_video_failed(
    pool: PoolExtractor, clips: tuple[Path, Path]
) -> None:
    """`pebble` gives a pool up if a worker ends that has nothing to do."""
    pool.extract(clips[1], "warm-up")
    [worker] = multiprocessing.active_children()
    assert worker.pid is not None
    kill(worker.pid)
    deadline = time.monotonic() + 60
    while worker.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(1)  # until the pool, which looks ten times a second, knows it
    with pytest.raises(RegistryError, match=r"All worker processes have ended.*Run the same"):
        pool.extract(clips[1], "short")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the folder of a process")
def test_a_run_whose_workers_cannot_start_calls_no_video_failed(
    clips: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process can be started from a folder that was deleted meanwhile."""
    home, table, folder = tmp_path / "home", tmp_path / "videos.csv", tmp_path / "deleted"
    table.write_text(f"Video URL,Performance\n{clips[1].name},1\n")
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    arguments = ["--home", str(home), "ingest", str(table), "--workers", "1"]
    done = CliRunner().invoke(cli, arguments)
    assert isinstance(done.exception, RegistryError)
    assert str(done.exception).startswith("A worker process cannot start: [Errno 2] ")
    assert not list(home.glob("objects/records/*"))


def _ingest(home: Path, table: Path) -> subprocess.Popen[str]:
    code = "from registry.cli import main; main()"
    options = ["--home", str(home), "ingest", str(table), "--every", "3", "--workers", "2"]
    return subprocess.Popen(
        [sys.executable, "-c", code, *options], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers from a server")
def test_videos_that_are_read_when_the_server_of_the_workers_is_killed_are_read_by_the_next_run(
    demo_videos: Path, tmp_path: Path
) -> None:
    """The server is started again. The old workers end, since nobody waits for them."""
    names = ("card-tricks.mp4", "ask-an-astronaut.mp4", "poker-night.mp4", "table-talk.mp4")
    table = table_of(demo_videos, names, tmp_path)
    home = tmp_path / "home"
    process = _ingest(home, table)
    while not list(home.glob("objects/records/*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    server = next(filter(is_server, children(process.pid)))
    workers = server.children()
    kill(server.pid)
    assert not psutil.wait_procs(workers, timeout=60)[1]
    _, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    assert "not read yet: " in said
    assert "The next ingest tries again." in said
    assert "Traceback" not in said
    again = _ingest(home, table)
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert len(list(home.glob("objects/records/*.parquet"))) == len(names)
