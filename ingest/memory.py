"""A limit on the memory of a process that reads a video or a page.

A thread watches the peak memory of its own process and ends the process over the limit. Limits of
the operating system are not suitable: RLIMIT_AS counts address space that runtimes reserve and
never use, macOS enforces neither it nor RLIMIT_DATA, and under RLIMIT_DATA libav reports a failed
allocation as a damaged frame (docs/BENCHMARKS.md, "Memory of a decoder").
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from registry.system.process import PeakMemory

OVER_MEMORY = 86
"""Exit code of a process over its limit; Python, shells and signals use others."""
_POLL_S = 0.02
"""Between two checks. Programs fill memory at about 5 GB/s, so 100 MB may pass the limit."""


class MemoryGuard:
    """Ends this process when it takes too much memory beyond what it holds now."""

    def __init__(self) -> None:
        self._peak = PeakMemory()
        self._base = self._peak.bytes()

    @contextmanager
    def watching(self, max_bytes: int) -> Iterator[None]:
        """Within this context, end the process with `OVER_MEMORY` at more than `max_bytes` more."""
        done, lock = Event(), Lock()

        def watch() -> None:
            while not done.wait(_POLL_S):
                with lock:
                    if not done.is_set():
                        self._check(max_bytes)

        thread = Thread(target=watch, name="memory", daemon=True)
        thread.start()
        try:
            yield
            self._check(max_bytes)  # a peak between two checks counts for the video that caused it
        finally:
            with lock:  # never end the process while it hands over its result
                done.set()
            thread.join()

    def _check(self, max_bytes: int) -> None:
        if self._peak.bytes() - self._base > max_bytes:
            os._exit(OVER_MEMORY)
