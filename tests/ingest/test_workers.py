"""Worker processes that die or hang cost the video they read, and no other."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.frames import MediaLimits, Sampling
from ingest.workers import PoolExtractor
from registry.core import contract as contracts
from registry.errors import MediaError
from registry.models.base import FaceModel
from registry.settings import load_settings
from tests.support.media import write_video
from tests.support.processes import kill, suspend

pytestmark = pytest.mark.slow


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path]:
    """One that takes a while to read, and one that takes none."""
    write_video(tmp_path / "long.mp4", lambda i: (i % 200, 80, 120), frames=1500)
    write_video(tmp_path / "short.mp4", lambda i: (i, 80, 120), frames=3)
    return tmp_path / "long.mp4", tmp_path / "short.mp4"


def _pool(sface: FaceModel, home: Path, timeout_s: float) -> PoolExtractor:
    contract = contracts.new(
        sface.info, "sface", threshold=0.85, every=1, primary_metric="Performance"
    )
    return PoolExtractor(
        load_settings(home=home), contract, "sface",
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
