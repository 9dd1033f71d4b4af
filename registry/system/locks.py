"""Locks between processes, in files. The system releases a lock when its process ends."""

from __future__ import annotations

from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

__all__ = ["BaseFileLock", "Timeout", "file_lock"]


def file_lock(path: Path) -> BaseFileLock:
    """Return a lock on the file `path`, not yet taken; its file is for its owner alone.

    It belongs to the process and not to the thread that takes it: threads of an ingest check the
    lock that the main thread took. Raises `Timeout` from `acquire(timeout=0)` if it is taken.
    """
    return FileLock(path, mode=0o600, thread_local=False)
