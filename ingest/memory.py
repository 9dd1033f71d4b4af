"""A limit on the memory of a worker process, which a video that is a bomb runs into.

A thread of the worker watches the process's own peak and ends it. Limits of the system's do not
serve: RLIMIT_AS counts what runtimes reserve and never use, macOS enforces neither it nor
RLIMIT_DATA, and under RLIMIT_DATA libav takes an allocation that fails for a damaged frame: of a
video of 20 frames that needs 1.5 GB, 800 MB let through one, "19 of 20 frames are damaged".
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread

OVER_MEMORY = 86
"""Exit code of a worker that ends itself; none that Python, a shell or a signal gives."""
_LOOK_S = 0.02
"""Between two looks: memory is written at 5 GB/s or so, which is 100 MB past the limit."""


class MemoryGuard:
    """Ends this process when it takes more memory than is allowed beyond what it had at first."""

    def __init__(self) -> None:
        try:  # kept open: a confined process opens nothing
            self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._status = -1
        self._base = self._peak()

    @contextmanager
    def watching(self, max_bytes: int) -> Iterator[None]:
        """While in here, end the process with `OVER_MEMORY` at more than `max_bytes` more."""
        done, lock = Event(), Lock()

        def look() -> None:
            while not done.wait(_LOOK_S):
                with lock:
                    if not done.is_set():
                        self._check(max_bytes)

        thread = Thread(target=look, name="memory", daemon=True)
        thread.start()
        try:
            yield
            self._check(max_bytes)  # a peak between two looks counts for the video that made it
        finally:
            with lock:  # never while the worker hands over its answer
                done.set()
            thread.join()

    def _check(self, max_bytes: int) -> None:
        if self._peak() - self._base > max_bytes:
            os._exit(OVER_MEMORY)

    def _peak(self) -> int:
        """The most memory that this process has held at once so far: bytes, resident."""
        with suppress(OSError):
            # Unlike ru_maxrss, Linux starts this one anew with each program that is started.
            for line in os.pread(self._status, 8192, 0).splitlines():
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
