"""How fast this machine processes videos: measured by `doctor --bench`, kept in the home."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest.frames import MediaLimits, Sampling
from ingest.frames.sample_video import SIZE, write_sample_video
from ingest.pipeline import default_workers
from ingest.workers import PoolExtractor
from registry.core import contract as contracts
from registry.core.registry import Registry
from registry.errors import RegistryError
from registry.settings import DEFAULT_EVERY, DEFAULT_MAX_GAP_S, DEFAULT_METRIC, DEFAULT_THRESHOLD
from registry.system.files import atomic_file
from registry.system.privacy import make_private_folder

_FILE = "speed.json"
_SECONDS = 4.0
"""Length of the made video."""
_MEASURE_S = 6.0
"""Time for measuring; starting the workers and making the video take a few seconds more."""
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured."""

    hours_per_hour: float
    """Hours of video in an hour, without downloads, with one face in every frame."""
    frames_per_s: float
    """Sampled frames per second."""
    workers: int
    model: str
    device: str
    measured: str
    """Date, UTC."""

    def __str__(self) -> str:
        """In a sentence."""
        width, height = SIZE
        return (
            f"{self.hours_per_hour:,.1f} hours of video an hour ({self.frames_per_s:,.0f} frames/s)"
            f" with {self.model} on {self.device} and {self.workers} "
            f"{'worker' if self.workers == 1 else 'workers'}: {width} × {height} px, one face in "
            f"every frame, without downloads. Measured on {self.measured}."
        )


def measure_speed(registry: Registry, workers: int | None = None) -> Speed:
    """Process a made video in worker processes again and again, and save the result in the home.

    Nothing is written to the registry itself. Raises `RegistryError` if the model cannot be loaded
    or the video cannot be processed.
    """
    number = workers or default_workers()
    home = registry.settings.home
    make_private_folder(home / "tmp", existing=True)
    with tempfile.TemporaryDirectory(dir=home / "tmp", prefix="speed-") as name:
        folder = Path(name)
        write_sample_video(folder / "sample.mp4", _SECONDS)
        if registry.settings.model_cache.is_dir():
            _link_folder(registry.settings.model_cache, folder / "models")
        model = registry.model()
        sampling = _sampling(registry)
        pool = PoolExtractor(
            registry.settings.model_copy(update={"home": folder, "minio_endpoint": None}),
            contracts.new(
                model.info,
                registry.model_source(),
                threshold=DEFAULT_THRESHOLD,
                every=sampling.every,
                primary_metric=DEFAULT_METRIC,
            ),
            registry.model_source(),
            workers=number,
            sampling=sampling,
            limits=MediaLimits(),
            timeout_s=_TIMEOUT_S,
        )
        try:
            videos, frames, seconds = _run(pool, folder / "sample.mp4", number)
        finally:
            pool.close()
    speed = Speed(
        hours_per_hour=videos * _SECONDS / seconds,
        frames_per_s=frames / seconds,
        workers=number,
        model=model.info.name,
        device=model.device,
        measured=f"{datetime.now(UTC):%Y-%m-%d}",
    )
    with atomic_file(home / _FILE) as path:
        path.write_text(json.dumps(asdict(speed)) + "\n", encoding="utf-8")
    return speed


def load_speed(home: Path) -> Speed | None:
    """What was measured last; None if nothing was, or the file is not valid."""
    try:
        return Speed(**json.loads((home / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _run(pool: PoolExtractor, video: Path, workers: int) -> tuple[int, int, float]:
    """Videos, sampled frames and seconds, once all workers have started."""

    def work(until: float) -> tuple[int, int]:
        videos = frames = 0
        while not videos or time.monotonic() < until:
            frames += pool.extract(video, "speed").media.frames_sampled
            videos += 1
        return videos, frames

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(work, [time.monotonic()] * workers))
        started = time.monotonic()
        done: Sequence[tuple[int, int]] = list(threads.map(work, [started + _MEASURE_S] * workers))
        seconds = time.monotonic() - started
    videos, frames = (sum(column) for column in zip(*done, strict=True))
    if not frames:
        raise RegistryError("The made video has no frames. Check the installation of PyAV.")
    return videos, frames, seconds


def _sampling(registry: Registry) -> Sampling:
    if registry.is_empty:
        return Sampling(DEFAULT_EVERY, DEFAULT_MAX_GAP_S, True)
    return Sampling.of(registry.contract)


def _link_folder(source: Path, target: Path) -> None:
    """Copy a folder by hard links, or where these are not possible in full."""

    def link(path: str, other: str) -> str:
        try:
            os.link(path, other)
        except OSError:
            shutil.copyfile(path, other)
        return other

    shutil.copytree(source, target, copy_function=link)
