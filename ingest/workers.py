"""Where extraction runs: in this process, or in others that a bad video cannot take along.

A worker loads the model once and then reads video after video. If a decoder crashes or hangs, its
worker is replaced and the run loses that one video. A video that takes more memory than is allowed
ends its worker, too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, TimeoutError, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Event, Lock
from typing import Protocol

from pebble import ProcessExpired, ProcessPool

from ingest.extract import Extraction, extract
from ingest.frames import Decoder, MediaLimits
from ingest.frames.apart import death
from ingest.memory import MemoryGuard
from registry import events
from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core.backends import open_blobs
from registry.domain import Contract
from registry.errors import MediaError, RegistryError
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.settings import Settings

_LOOK_S = 0.5
"""How often a thread that waits for a worker looks whether the run has ended."""


class Extractor(Protocol):
    """Turns a video file into its faces. Threads may share one."""

    def extract(self, path: Path, video_id: str) -> Extraction:
        """As `ingest.extract.extract`. Raises `MediaError` if the video is at fault."""

    def close(self) -> None:
        """Stop what is running and let go."""


class InlineExtractor:
    """Extraction in this process, one video at a time: no limit on memory, and none on time."""

    def __init__(
        self,
        model: FaceModel,
        blobs: BlobStore,
        *,
        every: int,
        limits: MediaLimits,
        run: str = "",
    ) -> None:
        self._model, self._blobs = model, blobs
        self._every, self._limits, self._run = every, limits, run
        self._one = Lock()

    def extract(self, path: Path, video_id: str) -> Extraction:
        """The faces of one video; a second thread waits its turn."""
        with self._one:
            started = time.monotonic()
            extraction = extract(
                path,
                video_id,
                model=self._model,
                blobs=self._blobs,
                every=self._every,
                limits=self._limits,
            )
            _tell(self._run, video_id, extraction, started)
            return extraction

    def close(self) -> None:
        """Nothing to let go of."""


class PoolExtractor:
    """Extraction in `workers` processes, each with one thread of inference.

    ONNX Runtime's makers advise one intra-op thread a process where processes run side by side.
    """

    def __init__(
        self,
        settings: Settings,
        contract: Contract,
        model_source: str,
        *,
        workers: int,
        every: int,
        limits: MediaLimits,
        timeout_s: float,
        run: str = "",
        work: Callable[[Path, str, int, MediaLimits], Extraction] | None = None,
    ) -> None:
        """`work` is what a worker does with a video; by default it extracts."""
        self._work = work or _work
        self._every, self._limits, self._timeout_s = every, limits, timeout_s
        self._closed = Event()
        self._waiting: list[Future[Extraction]] = []
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=_start,
            initargs=(settings, contract, model_source, run, events.listening()),
            context=multiprocessing.get_context("spawn"),
        )

    def extract(self, path: Path, video_id: str) -> Extraction:
        """The faces of one video, from whichever worker is free next."""
        future = self._pool.schedule(
            self._work,
            args=(path, video_id, self._every, self._limits),
            timeout=self._timeout_s,
        )
        self._waiting.append(future)
        try:
            return self._answer(future)
        finally:
            self._waiting.remove(future)

    def _answer(self, future: Future[Extraction]) -> Extraction:
        while not wait([future], timeout=_LOOK_S).done:
            # A job that was handed over while the pool stopped is never answered.
            if self._closed.is_set():
                future.cancel()
                raise MediaError("reading it was stopped")
        try:
            extraction: Extraction = future.result()
        except BrokenProcessPool as exc:
            raise MediaError(_NO_START) from exc
        except TimeoutError as exc:
            raise MediaError(
                f"reading it took longer than {self._timeout_s:.0f} s, and was stopped"
            ) from exc
        except (ProcessExpired, CancelledError) as exc:
            code = getattr(exc, "exitcode", None)
            raise MediaError(death(code, self._limits)) from exc
        return extraction

    def close(self) -> None:
        """Stop the workers, whatever they do; who waits for one is let go.

        Idle ones are told to end: a worker that is killed while it starts complains on stderr.
        """
        self._closed.set()
        if not self._waiting:
            self._pool.close()  # type: ignore[no-untyped-call]
            self._pool.join()
            return
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


class _Worker:
    """What a worker process keeps from one video to the next."""

    def __init__(self, settings: Settings, contract: Contract, model_source: str, run: str) -> None:
        self.run = run
        self.decoder = Decoder()
        self.decoder.start()  # it gets ready while the model is loaded
        self.model = catalogue.load(
            model_source, device=settings.device, cache=settings.model_cache, threads=1
        )
        contracts.check_model(contract, self.model.info)
        self.blobs = open_blobs(settings)  # not guarded: see `registry.core.guarded`
        self.memory = MemoryGuard()


_NO_START = (
    "the processes that read videos cannot start; a script that calls ingest must do so below "
    'the line `if __name__ == "__main__":`, because they import it'
)
_worker: _Worker | RegistryError | None = None


def _start(
    settings: Settings,
    contract: Contract,
    model_source: str,
    run: str,
    log: tuple[events.Format, events.Level] | None,
) -> None:
    """Run once in each worker: Ctrl-C is the parent's to handle, the model is loaded."""
    global _worker  # noqa: PLW0603  a worker process has one model and one store
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    if log:
        events.start(*log)
    started = time.monotonic()
    try:
        _worker = _Worker(settings, contract, model_source, run)
        events.emit("worker.ready", run=run, seconds=time.monotonic() - started)
    except RegistryError as exc:
        _worker = exc  # raised for the first video: an initialiser has nobody to tell


def _work(path: Path, video_id: str, every: int, limits: MediaLimits) -> Extraction:
    if isinstance(_worker, RegistryError):
        raise _worker
    if _worker is None:
        raise RuntimeError("this worker was not started")
    started = time.monotonic()
    with _worker.memory.watching(limits.max_memory):
        extraction = extract(
            path, video_id, model=_worker.model, blobs=_worker.blobs, every=every, limits=limits,
            read=_worker.decoder.read,
        )  # fmt: skip
    _tell(_worker.run, video_id, extraction, started)
    return extraction


def _tell(run: str, video_id: str, extraction: Extraction, started: float) -> None:
    events.emit(
        "video.read",
        run=run,
        video=video_id,
        frames=extraction.media.frames_sampled,
        faces=len(extraction.faces),
        seconds=time.monotonic() - started,
    )
