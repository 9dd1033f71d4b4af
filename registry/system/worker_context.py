"""How the worker processes of a pool are started, so that Ctrl-C may come while they start."""

from __future__ import annotations

from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.synchronize import RLock

from registry.system.console import children_ignore_interrupts


class _WorkerProcess(SpawnProcess):
    """A process that Ctrl-C does not reach from its first moment on."""

    def start(self) -> None:
        with children_ignore_interrupts():
            super().start()


class WorkerContext(SpawnContext):
    """The context of multiprocessing for one pool of `pebble`.

    Its workers must call `ignore_interrupts`.

    On POSIX, a new process opens the locks of its pool by name, after it has imported what the pool
    runs. But a pool that stops first drops its locks, which removes their names, and then ends its
    workers one after another: a worker that was still importing would print a traceback with
    `FileNotFoundError`. So this context keeps the locks for as long as it exists. The pool refers
    to it, so that is until the workers have ended.
    """

    Process = _WorkerProcess

    def __init__(self) -> None:
        super().__init__()
        self._locks: list[RLock] = []

    def RLock(self) -> RLock:
        """Return a new lock, which lives as long as this context."""
        lock = super().RLock()
        self._locks.append(lock)
        return lock
