"""A pool of workers that is stopped while one of them is still importing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pebble import ProcessPool

from registry.system.worker_context import WorkerContext

_WAIT_S = 30.0
_END_S = 2.0
"""pebble gives a worker 3 s to end."""


def _wait_until(happened: Callable[[], bool], seconds: float = _WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.01)


class _Folder:
    """A folder that all workers but the first can unpickle only once it has the file `stopping`.

    It is pickled once for each worker, before the locks of the pool.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.workers = path, 0

    def __reduce__(self) -> tuple[Any, ...]:
        self.workers += 1
        return (_unpickle, (self.path, self.workers == 1))


def _unpickle(path: Path, at_once: bool) -> Path:
    if not at_once:
        (path / "importing").touch()
        _wait_until((path / "stopping").exists)
    return path


def _start(folder: Path) -> None:
    """Initialise a worker; the first one ends only when the second has started or failed to."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        (folder / str(os.getpid())).touch()
        signal.sigwait({signal.SIGTERM})
        (folder / "stopping").touch()
        _wait_until(lambda: len(_started(folder)) == 2, _END_S)
        os._exit(0)


def _started(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.isdigit()]


@pytest.mark.skipif(sys.platform == "win32", reason="locks have no names on Windows")
def test_a_worker_that_is_still_importing_when_its_pool_stops_finds_the_locks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    context: Any = WorkerContext()
    pool = ProcessPool(
        max_workers=2, initializer=_start, initargs=(_Folder(tmp_path),), context=context
    )
    pool.schedule(time.sleep, args=(0,))
    _wait_until(lambda: (tmp_path / "importing").exists() and len(_started(tmp_path)) == 1)
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()
    assert capfd.readouterr().err == ""
    assert len(_started(tmp_path)) == 2
