"""A pool of workers that is stopped while one of them is still importing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from pebble import ProcessPool

from registry.system.worker_context import WorkerContext
from tests.support.processes import kill

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


_WORK = """
import os, sys
from multiprocessing import forkserver
from registry.system import worker_context
from registry.system.worker_context import WorkerContext, prepare_workers

def say():
    print("imported" if "colorsys" in sys.modules else "spawned", flush=True)

if __name__ == "__main__":
    prepare_workers("colorsys")
    worker = WorkerContext().Process(target=say)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers from a server")
@pytest.mark.parametrize(("name", "said"), [("", "imported"), ("long" * 40, "spawned")])
def test_workers_are_forks_of_a_server_where_it_can_start(
    tmp_path: Path, name: str, said: str
) -> None:
    """A socket of the server lies in TMPDIR, and its path may have 107 bytes."""
    script = tmp_path / "work.py"
    script.write_text(_WORK)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        temporary = Path(folder, name)
        temporary.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(script)], env={**os.environ, "TMPDIR": str(temporary)},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (said, "")


_BUSY = """
import os, sys, time
from registry.system.worker_context import WorkerContext, exit_with_pool, prepare_workers

def work():
    exit_with_pool()
    print(os.getpid(), os.getppid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    if sys.argv[1] == "forked":
        prepare_workers("colorsys")
    worker = WorkerContext().Process(target=work)
    worker.start()
    worker.join()
"""


@pytest.mark.parametrize(
    "how",
    [
        "spawned",
        pytest.param(
            "forked",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers"),
        ),
    ],
)
def test_a_busy_worker_and_its_server_end_with_the_process_of_their_pool(
    tmp_path: Path, how: str
) -> None:
    script = tmp_path / "work.py"
    script.write_text(_BUSY)
    command = [sys.executable, str(script), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        worker, starter = map(int, process.stdout.readline().split())
        started = [psutil.Process(worker)]
        if how == "forked":
            assert starter != process.pid
            started.append(psutil.Process(starter))
        kill(process.pid)
    assert not psutil.wait_procs(started, timeout=_WAIT_S)[1]
