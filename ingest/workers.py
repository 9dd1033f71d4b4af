"""Where videos are processed: in this process, or in worker processes.

A worker loads the model once and then processes one video after another. If a video crashes a
worker, hangs it or takes too much memory, the worker is replaced and the run loses that one video.
"""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, Future, TimeoutError, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import Any, Protocol

from pebble import ProcessExpired, ProcessPool

from ingest.extract import Extraction, extract
from ingest.frames import DecoderClient, MediaLimits, Sampling
from ingest.frames.decoder_client import describe_exit
from ingest.memory import MemoryGuard
from ingest.ordered_threads import ThreadLimit
from registry import events
from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core.backends import open_blobs
from registry.domain import Contract
from registry.errors import MediaError, NotReadYet, RegistryError
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.settings import Settings
from registry.system.console import children_ignore_interrupts, ignore_interrupts
from registry.system.process import keep_freed_memory, lower_priority, seconds_since_start
from registry.system.worker_context import SERVER_ENDED, WorkerContext, exit_with_pool

_POLL_S = 0.5
"""How often a thread that waits for a worker checks whether the run has ended."""


class Extractor(Protocol):
    """Extracts the faces of video files; threads can share one."""

    def extract(self, path: Path, video_id: str) -> Extraction:
        """As `ingest.extract.extract`. Raises `MediaError` if the video is at fault."""

    def close(self) -> None:
        """Stop what is running and release the model; can be called twice."""


class InlineExtractor:
    """Extraction in this process, one video at a time, without limits on memory and time."""

    def __init__(
        self,
        model: FaceModel,
        blobs: BlobStore,
        *,
        sampling: Sampling,
        limits: MediaLimits,
        run: str = "",
    ) -> None:
        self._model, self._blobs = model, blobs
        self._sampling, self._limits, self._run = sampling, limits, run
        self._lock = Lock()

    def extract(self, path: Path, video_id: str) -> Extraction:
        """The faces of one video; a second thread waits."""
        with self._lock:
            started = time.monotonic()
            extraction = extract(
                path,
                video_id,
                model=self._model,
                blobs=self._blobs,
                sampling=self._sampling,
                limits=self._limits,
            )
            _emit_read(self._run, video_id, extraction, started)
            return extraction

    def close(self) -> None:
        """Do nothing: the model is the caller's."""


class PoolExtractor:
    """Extraction in `workers` processes.

    ONNX Runtime's documentation advises one intra-op thread per process where several run. While
    fewer videos than that are processed (the last one of a table, a slow network), the workers that
    have one work on several frames of it at once.
    """

    def __init__(
        self,
        settings: Settings,
        contract: Contract,
        model_source: str,
        *,
        workers: int,
        threads: int = 0,
        sampling: Sampling,
        limits: MediaLimits,
        timeout_s: float,
        run: str = "",
    ) -> None:
        """Start the pool.

        Args:
            settings: of the registry.
            contract: whose model the workers check theirs against.
            model_source: a catalogue name or the folder of a pack.
            workers: processes.
            threads: that may use the model at once on the CPU, in all workers together; by default
                one in each.
            sampling: which frames are sampled.
            limits: larger videos are refused.
            timeout_s: the time limit of one video.
            run: id of the run, for events.
        """
        self._sampling, self._limits, self._timeout_s = sampling, limits, timeout_s
        self._closed, self._lock = Event(), Lock()
        self._pending: list[Future[Extraction]] = []
        self._worked = False
        # pebble's type of it has the pipes of Linux, which mypy takes for wrong on Windows.
        context: Any = WorkerContext()
        self._videos = context.RawValue("i", 0)
        """Videos that are processed or wait for a worker; the workers read it."""
        setup = _Setup(
            settings, contract, model_source, max(workers, threads), run, events.listening()
        )
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=_start_worker,
            initargs=(setup, self._videos),
            context=context,
        )

    def extract(self, path: Path, video_id: str) -> Extraction:
        """The faces of one video, from the next free worker."""
        try:
            with children_ignore_interrupts():  # the first call starts the workers
                future = self._pool.schedule(
                    _process,
                    args=(path, video_id, self._sampling, self._limits),
                    timeout=self._timeout_s,
                )
        except RuntimeError as exc:  # also where the pool broke while this video was fetched
            raise self._broken(exc) from exc
        self._pending.append(future)
        self._count(1)
        try:
            return self._result(future)
        finally:
            self._count(-1)
            self._pending.remove(future)

    def _count(self, change: int) -> None:
        with self._lock:
            self._videos.value += change

    def _result(self, future: Future[Extraction]) -> Extraction:
        while not wait([future], timeout=_POLL_S).done:
            # The pool never completes a job that was scheduled while it stopped.
            if self._closed.is_set():
                future.cancel()
                raise MediaError("processing the video was stopped.")
        try:
            self._worked |= not isinstance(future.exception(), BrokenProcessPool)
            extraction: Extraction = future.result()
        except BrokenProcessPool as exc:
            raise self._broken(exc) from exc
        except TimeoutError as exc:
            raise MediaError(
                f"processing the video took longer than {self._timeout_s:.0f} s and was stopped."
            ) from exc
        except (ProcessExpired, CancelledError) as exc:
            code = getattr(exc, "exitcode", None)
            if code == SERVER_ENDED:
                raise NotReadYet(_SERVER_KILLED) from exc
            raise MediaError(describe_exit(code, self._limits)) from exc
        return extraction

    def _broken(self, exc: RuntimeError) -> RegistryError:
        """The error of a run that has no workers any more."""
        if isinstance(exc.__cause__, OSError):
            return RegistryError(f"A worker process cannot start: {exc.__cause__}.")
        return RegistryError(_ALL_ENDED if self._worked else _NO_START)

    def close(self) -> None:
        """Stop the workers, whatever they do; threads that wait for one get an error.

        Idle workers end by themselves: one that is killed while it starts would write to stderr.
        Can be called twice.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        if not self._pending:
            self._pool.close()  # type: ignore[no-untyped-call]
            self._pool.join()
            return
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


class _Number(Protocol):
    """A number that processes share."""

    value: int


@dataclass(frozen=True, slots=True)
class _Setup:
    """What a worker process is told when it starts."""

    settings: Settings
    contract: Contract
    model_source: str
    threads: int
    """As in `PoolExtractor`."""
    run: str
    log: tuple[events.Format, events.Level] | None


class _Worker:
    """The state of a worker process."""

    def __init__(self, setup: _Setup, videos: _Number) -> None:
        settings, most = setup.settings, setup.threads
        self.run = setup.run
        self.decoder = DecoderClient()
        self.decoder.start()  # it gets ready while the model is loaded
        self.model = catalogue.load(
            setup.model_source,
            device=settings.device,
            cache=settings.model_cache,
            threads=1,
            accuracy=settings.accuracy,
        )
        contracts.check_model(setup.contract, self.model.info)
        self.threads = ThreadLimit(lambda: most // max(1, videos.value), most)
        self.blobs = open_blobs(settings)  # not guarded: see `registry.core.guarded`
        self.memory = MemoryGuard()
        self.start_s = seconds_since_start()
        """How long this process took to get ready; 0 once it has been told."""


_NO_START = (
    "The worker processes cannot start. A script that calls ingest must do so below the line "
    '`if __name__ == "__main__":`, because workers import the script.'
)
_ALL_ENDED = (
    "All worker processes have ended, or were killed; the machine may be short of memory. Videos "
    "that were recorded stay. Run the same command again, perhaps with fewer workers."
)
_SERVER_KILLED = (
    "the process from which workers are forked was killed while one read the video; the machine "
    "may be short of memory."
)
_worker: _Worker | RegistryError | None = None


def _start_worker(setup: _Setup, videos: _Number) -> None:
    """Initialise a worker process: ignore Ctrl-C, which the parent handles, and load the model."""
    global _worker  # noqa: PLW0603  a worker process has one model and one store
    ignore_interrupts()
    exit_with_pool()
    lower_priority()
    keep_freed_memory()
    if setup.log:
        events.start(*setup.log)
    started = time.monotonic()
    try:
        _worker = _Worker(setup, videos)
        events.emit("worker.ready", run=setup.run, seconds=time.monotonic() - started)
    except RegistryError as exc:
        _worker = exc  # raised for the first video: nobody sees an error of the initialiser


def _process(path: Path, video_id: str, sampling: Sampling, limits: MediaLimits) -> Extraction:
    if isinstance(_worker, RegistryError):
        raise _worker
    if _worker is None:
        raise RuntimeError("this worker was not started")
    started = time.monotonic()
    with _worker.memory.watching(limits.max_memory):
        extraction = extract(
            path, video_id, model=_worker.model, blobs=_worker.blobs, sampling=sampling,
            limits=limits, open_video=_worker.decoder.open, threads=_worker.threads,
        )  # fmt: skip
    _emit_read(_worker.run, video_id, extraction, started)
    start_s, _worker.start_s = _worker.start_s, 0.0
    return replace(extraction, seconds={**extraction.seconds, "start": start_s})


def _emit_read(run: str, video_id: str, extraction: Extraction, started: float) -> None:
    events.emit(
        "video.read",
        run=run,
        video=video_id,
        frames=extraction.media.frames_sampled,
        faces=len(extraction.faces),
        seconds=time.monotonic() - started,
    )
