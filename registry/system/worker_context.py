"""How the worker processes of a pool are started, so that Ctrl-C may come while they start.

A process that ends with its command, as `face-registry ingest` does, can prepare for them first: on
Linux, a server process then imports what workers need, while the command gets ready, and each
worker is a fork of it, which takes milliseconds instead of most of a second. Elsewhere, and in
programs that import this package, workers are spawned: each one imports for itself, with the
environment variables of that moment. (On macOS, system libraries do not survive a fork.)
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from multiprocessing import parent_process, resource_tracker
from multiprocessing.context import BaseContext, SpawnProcess
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import RLock
from threading import Thread
from typing import Any

from registry.system.console import children_ignore_interrupts

if sys.platform == "linux":
    from multiprocessing import forkserver
    from multiprocessing.context import ForkServerProcess

SERVER_ENDED = 255
"""The exit code of a worker whose server has ended, as `multiprocessing.popen_forkserver` gives it.

The worker itself may still run: the server can no longer tell.
"""

_prepared = False


def prepare_workers(module: str) -> None:
    """Start to import, for the workers of this process, a module and what it imports.

    Once for a process, before it has threads. Later changes of environment variables do not reach
    the workers. The module must not start threads that a fork would miss. Where the server cannot
    start, workers are spawned.
    """
    global _prepared  # noqa: PLW0603  a process has one server
    if sys.platform == "linux":
        # Started first: the function that starts it lets Ctrl-C through again at its end.
        resource_tracker.ensure_running()
        forkserver.set_forkserver_preload([module])
        with suppress(OSError), children_ignore_interrupts():  # such as a long name of TMPDIR
            forkserver.ensure_running()
            _prepared = True


def exit_with_pool() -> None:
    """End this worker when the process that started its pool ends or takes the worker for ended.

    Otherwise it would first finish what it does. A thread waits for the pipe to that process to be
    closed. Does nothing in a process that multiprocessing did not start.
    """
    parent = parent_process()
    if parent:

        def wait() -> None:
            parent.join()
            os._exit(1)

        Thread(target=wait, name="pool", daemon=True).start()


class _Worker(BaseProcess):
    """A process that Ctrl-C does not reach from its first moment on."""

    def start(self) -> None:
        with children_ignore_interrupts():
            super().start()


class _SpawnedWorker(_Worker, SpawnProcess):
    """A worker that imports for itself."""


if sys.platform == "linux":

    class _ForkedWorker(_Worker, ForkServerProcess):
        """A fork of the server."""


class WorkerContext(BaseContext):
    """The context of multiprocessing for one pool of `pebble`.

    Its workers must call `ignore_interrupts`, and should call `exit_with_pool`.

    On POSIX, a new process opens the locks of its pool by name, after it has imported what the pool
    runs. But a pool that stops first drops its locks, which removes their names, and then ends its
    workers one after another: a worker that was still importing would print a traceback with
    `FileNotFoundError`. So this context keeps the locks for as long as it exists. The pool refers
    to it, so that is until the workers have ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._locks: list[RLock] = []
        self._name = "forkserver" if _prepared else "spawn"
        self.Process: Any = _SpawnedWorker
        if sys.platform == "linux" and _prepared:
            self.Process = _ForkedWorker

    def RLock(self) -> RLock:
        """Return a new lock, which lives as long as this context."""
        lock = super().RLock()
        self._locks.append(lock)
        return lock
