"""Fetching and extraction on a Ray cluster: many machines read videos, one process records them.

`RayCluster` takes the place of the downloader and of the extractor of a run. Each worker is an
actor on some machine of the cluster. A video is fetched and processed by the same worker, so its
file never travels; only its faces do. If a worker is lost, the videos that it held are fetched and
processed again by another one, and a new worker is started where there is room.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import registry
from ingest.extract import Extraction
from ingest.fetch.downloads import Download
from ingest.ray_node import Failed, NodeSetup, NodeWorker
from registry import events
from registry.core.backends import open_buckets
from registry.domain import Source
from registry.errors import MediaError, NotReadYet, RegistryError, UsageError
from registry.settings import MOST_WORKERS, Settings
from registry.system.console import keeping_handlers

LOCAL = "auto"
"""The address that stands for a cluster of this machine alone, for this run alone."""
ATTEMPTS = 3
"""Workers that may be lost with one video before it counts as not read, and workers in one place
that may be lost as they start before the run ends: a chosen value."""
_CONNECT_S = 10.0
_START_S = 600.0
"""A worker loads a model, and may have to wait until a machine has room for it."""
_POLL_S = 0.5
"""How often a thread that waits for a worker checks whether the run has ended."""
_VIDEOS = 2
"""Videos that a worker holds: it fetches the next one while it processes one."""
_THREADS = 2 * _VIDEOS
"""Calls of one worker at once."""
_LOCAL_STORE = 256 << 20
"""Bytes of shared memory for results under way; a video of 10,000 faces takes about 10 MB."""


@dataclass(eq=False, slots=True)
class _Worker:
    """An actor, as the main process knows it."""

    actor: Any
    started: Any
    """The reference of the answer of `NodeWorker.start`."""
    name: str = ""
    """Of its machine; "": it has not started yet."""
    videos: int = 0
    """Videos that it holds now."""
    lost_before: int = 0
    """Workers in its place that were lost before they had started."""


@dataclass(frozen=True, slots=True)
class _NodeDownload(Download):
    """A video file on the machine of a worker."""

    release: Callable[[], None] = field(default=lambda: None, compare=False)

    def discard(self) -> None:
        """Delete the file if it is temporary; can be called twice."""
        self.release()


@dataclass(slots=True)
class _Held:
    """A video that a worker has fetched."""

    worker: _Worker
    download: Download
    location: str


class _Lost(Exception):
    """The worker has ended, or its machine does not answer."""


class RayCluster:
    """A `Fetcher` and an `Extractor` that work on a Ray cluster; threads can share one."""

    def __init__(
        self,
        address: str,
        setup: Callable[[Path], NodeSetup],
        settings: Settings,
        *,
        workers: int | None,
        videos: int,
        local_workers: int,
        run: str = "",
    ) -> None:
        """Connect to the cluster and ask for workers.

        Args:
            address: HOST:PORT of the cluster's head, or `auto` for a local one.
            setup: what workers need to know, given the path of the marker in the home.
            settings: where the registry is.
            workers: how many workers; None: one for each processor, or each GPU with `cuda`.
            videos: more workers than videos are not started.
            local_workers: the default of `auto`.
            run: id of the run, for events.

        Raises `UsageError` if Ray is not installed or the address is not valid, and
        `RegistryError` if the cluster does not answer or has no room for a worker.
        """
        if workers == 0:
            raise UsageError("--ray needs worker processes. Leave --workers out, or raise it.")
        self._gpu = settings.device == "cuda"
        self._run, self._closed = run, threading.Event()
        self._changed = threading.Condition()
        self._held: dict[str, _Held] = {}
        self._mine = _connect(address, workers or local_workers)
        self._marker = settings.downloads / f"ray-{uuid4().hex}"
        try:
            self.workers = max(1, min(videos, MOST_WORKERS, self._room(address, workers)))
            self._setup = setup(self._marker)
            self._downloader = self._setup.rules.downloader(  # it makes the folder
                settings.downloads, open_buckets(settings)
            )
            self._marker.touch()
            self._all = [self._new_worker() for _ in range(self.workers)]
        except BaseException:
            self._disconnect()
            raise

    @property
    def ahead(self) -> int:
        """Videos that the cluster can hold at once."""
        return _VIDEOS * self.workers

    def fetch(self, location: str, name: str) -> Download:
        """As `Downloader.fetch`, on a machine of the cluster."""
        for _ in range(ATTEMPTS):
            worker = self._take()
            try:
                download: Download = self._ask(worker, "fetch", location, name)
            except _Lost:
                continue
            except BaseException:
                self._give_back(worker)
                raise
            self._held[name] = _Held(worker, download, location)
            return _NodeDownload(
                download.path,
                download.size,
                download.temporary,
                download.sha256,
                download.source,
                lambda: self._discard(name),
            )
        raise _lost_too_often()

    def changed_source(self, location: str, known: Source) -> Source | None:
        """As `Downloader.changed_source`; this machine asks."""
        return self._downloader.changed_source(location, known)

    def extract(self, path: Path, video_id: str) -> Extraction:
        """The faces of a video that was fetched; `path` is on the machine that fetched it."""
        started = time.monotonic()
        held = self._held[video_id]
        for _ in range(ATTEMPTS):
            try:
                answer: Extraction = self._ask(held.worker, "extract", held.download.path, video_id)
            except _Lost:
                again = self.fetch(held.location, video_id)  # `_held` has its worker now
                if again.sha256 != held.download.sha256:
                    raise MediaError("the file was replaced while it was processed.") from None
                held = self._held[video_id]
                continue
            events.emit(
                "video.read",
                run=self._run,
                video=video_id,
                frames=answer.media.frames_sampled,
                faces=len(answer.faces),
                seconds=time.monotonic() - started,
            )
            return answer
        raise _lost_too_often()

    def close(self) -> None:
        """Stop the workers, whatever they do; threads that wait for one get an error."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._downloader.close()
        self._stop_workers()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the workers and disconnect. No other thread may wait for one any more."""
        self.close()
        self._disconnect()

    def _room(self, address: str, workers: int | None) -> int:
        """How many workers the cluster has room for, at most those asked for."""
        import ray

        resource = "GPU" if self._gpu else "CPU"
        room = int(ray.cluster_resources().get(resource, 0))
        if room < 1:
            raise RegistryError(
                f"The Ray cluster {address} has no {resource}. "
                + (
                    "Start its machines with `ray start --num-gpus=N`, or use --device cpu."
                    if self._gpu
                    else "Start machines with `ray start --address=HOST:PORT`."
                )
            )
        return room if workers is None else min(room, workers)

    def _new_worker(self, lost_before: int = 0) -> _Worker:
        import ray

        actor = (
            ray.remote(NodeWorker)
            .options(num_cpus=1, num_gpus=int(self._gpu), max_concurrency=_THREADS)
            .remote(self._setup)
        )
        return _Worker(actor, actor.start.remote(), lost_before=lost_before)

    def _take(self) -> _Worker:
        """The worker with the fewest videos. Waits until one has started and can take another."""
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            self._check_open()
            with self._changed:
                for worker in [one for one in self._all if not one.name]:
                    self._look_at(worker)
                if ready := [one for one in self._all if one.name]:
                    until = time.monotonic() + _START_S
                    worker = min(ready, key=lambda one: one.videos)
                    if worker.videos < _VIDEOS:
                        worker.videos += 1
                        return worker
                self._changed.wait(_POLL_S)
        raise RegistryError(
            f"No worker of the Ray cluster has started within {_START_S:.0f} s. `ray status` shows "
            "whether its machines have room."
        )

    def _look_at(self, worker: _Worker) -> None:
        """Learn whether a worker has started.

        Raises the `RegistryError` that it reports, or one if workers in its place are lost again
        and again, as they are on a machine without face-registry.
        """
        import ray

        if not ray.wait([worker.started], timeout=0)[0]:
            return
        try:
            answer = ray.get(worker.started)
        except ray.exceptions.RayError as exc:
            if worker.lost_before + 1 >= ATTEMPTS:
                raise RegistryError(
                    f"Workers of the Ray cluster end while they start: {_reason(exc)}. Install "
                    f"face-registry {registry.__version__} with the extra `cluster` on all of its "
                    "machines, in the Python that runs `ray start`."
                ) from exc
            self._replace(worker)
            return
        if isinstance(answer, Failed):
            raise RegistryError(str(answer.error)) from answer.error
        worker.name = answer
        events.emit("worker.ready", run=self._run)

    def _ask(self, worker: _Worker, method: str, *arguments: object) -> Any:
        """The answer of a worker. Raises what it reports, and `_Lost` if it is lost."""
        import ray

        try:
            answer = getattr(worker.actor, method).remote(*arguments)
            while not ray.wait([answer], timeout=_POLL_S)[0]:
                self._check_open()
            value = ray.get(answer)
        except ray.exceptions.RayError as exc:
            self._check_open()
            events.emit("worker.lost", logging.WARNING, run=self._run, reason=type(exc).__name__)
            self._replace(worker)
            raise _Lost from exc
        if isinstance(value, Failed):
            raise value.error
        return value

    def _replace(self, worker: _Worker) -> None:
        """Start a worker in the place of one that is lost, once."""
        with self._changed:
            if worker in self._all:
                lost = 0 if worker.name else worker.lost_before + 1
                self._all[self._all.index(worker)] = self._new_worker(lost)

    def _give_back(self, worker: _Worker) -> None:
        with self._changed:
            worker.videos -= 1
            self._changed.notify()

    def _discard(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is None:
            return
        if held.download.temporary and not self._closed.is_set():
            held.worker.actor.discard.remote(held.download)
        self._give_back(held.worker)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise RegistryError("The run was stopped.")

    def _stop_workers(self) -> None:
        import ray

        with self._changed, suppress(ray.exceptions.RayError):
            ended = [one.actor.close.remote() for one in self._all if one.name]
            if ended:
                ray.wait(ended, num_returns=len(ended), timeout=_CONNECT_S)
            for worker in self._all:
                ray.kill(worker.actor)

    def _disconnect(self) -> None:
        import ray

        self._marker.unlink(missing_ok=True)
        if self._mine:
            ray.shutdown()


def _reason(error: Exception) -> str:
    """Why an actor ended: the first line, or the last one if that is the error of its start."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1 if "creation task" in lines[0] else 0].rstrip(".") if lines else "no reason"


def _lost_too_often() -> NotReadYet:
    return NotReadYet(
        f"the machines that processed the video were lost {ATTEMPTS} times. `ray status` shows the "
        "cluster."
    )


def _connect(address: str, workers: int) -> bool:
    """Connect this process to the cluster. Returns whether it was not connected before."""
    if find_spec("ray") is None:
        raise UsageError(
            "--ray needs Ray, which is not installed. Run `pip install 'face-registry[cluster]'`, "
            "or in the sources `pip install -r requirements/cluster.txt`."
        )
    if address != LOCAL:
        _check_reachable(address)
    import ray

    if ray.is_initialized():
        return False
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    common = {
        "log_to_driver": False, "configure_logging": False, "logging_level": logging.CRITICAL,
    }  # fmt: skip
    try:
        with keeping_handlers():
            if address == LOCAL:
                ray.init(
                    address="local", num_cpus=workers, include_dashboard=False,
                    object_store_memory=_LOCAL_STORE, **common,
                )  # fmt: skip
            else:
                ray.init(address=address, **common)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError, AssertionError) as exc:
        reason = str(exc).strip().partition("\n")[0].rstrip(".")
        raise RegistryError(
            f"The Ray cluster {address} cannot be used: {reason}. This machine must be part of "
            f"the cluster: `ray start --address={address} --num-cpus=0`. If the cluster asks for a "
            "token, set RAY_AUTH_MODE=token and copy ~/.ray/auth_token from its first machine."
        ) from exc
    return True


def _check_reachable(address: str) -> None:
    """Connect to the head once, because Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise UsageError(
            f"--ray {address} is not the address of a Ray cluster. Give HOST:PORT of its head, as "
            f"`ray start --head` printed it, or {LOCAL} for this machine."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc) or "it does not answer"
        raise RegistryError(
            f"The Ray cluster {address} cannot be reached: {reason}. Check the address, and that "
            "`ray start --head` runs there."
        ) from exc
