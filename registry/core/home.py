"""The home folder: created for its owner alone, and locked by the one process that uses it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from registry.errors import RegistryLocked, StoreDenied
from registry.system.locks import Timeout, file_lock
from registry.system.paths import remove
from registry.system.privacy import make_private_folder
from registry.system.process import is_alive, refuse_fork


def prepare_home(home: Path) -> None:
    """Create the home folder, with access for its owner only, since it holds biometric data."""
    with _accessing(home):
        make_private_folder(home, existing=True)


def check_home(home: Path) -> None:
    """Raise `StoreDenied` if the home folder does not exist and cannot, as a file is in its way."""
    with _accessing(home):
        found = next(path for path in (home, *home.parents) if path.exists())
        if not found.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(found))


@contextmanager
def _accessing(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        at = f" at {exc.filename}" if exc.filename and Path(exc.filename) != home else ""
        raise StoreDenied(
            f"The home folder {home} cannot be used ({exc.strerror}{at}). "
            "Choose another one with --home or FACE_REGISTRY_HOME."
        ) from exc


class HomeLock:
    """The lock on a home folder. The system releases it when the process ends."""

    def __init__(self, home: Path) -> None:
        self._home, self._pid, self._openings = home, os.getpid(), 1
        # Not thread-local: threads of an ingest check the lock that the main thread took.
        self._lock = file_lock(home / "lock")
        self._holder = home / _HOLDER

    def acquire(self, *, wait: bool = False, say: Callable[[str], None] = lambda _: None) -> None:
        """Take the lock. Raises `RegistryLocked`, naming the process that holds it.

        With `wait`, waits until the lock is free instead, and says once for which process.
        """
        with _accessing(self._home):
            try:
                self._lock.acquire(timeout=0)
            except Timeout as exc:
                in_use = f"The registry at {self._home} is in use by {holder_of(self._home)}."
                if not wait:
                    raise RegistryLocked(
                        f"{in_use} Wait until it has finished. If it is a notebook or another "
                        "Python session, close the registry there (`registry.close()`)."
                    ) from exc
                say(f"waiting: {in_use}")
                self._lock.acquire(timeout=-1)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):  # on a full disk the lock holds all the same
            self._holder.write_text(
                json.dumps({"pid": os.getpid(), "since": since}), encoding="utf-8"
            )

    def share(self) -> None:
        """Count one opening more of the registry that holds this lock."""
        self._openings += 1

    def leave(self) -> bool:
        """Count one opening less. Returns whether none is left, in a fork never.

        A fork has no threads of the engine, so closing the index there would wait for ever.
        """
        self._openings -= 1
        return self._openings <= 0 and self._pid == os.getpid()

    @property
    def is_held(self) -> bool:
        """Whether this process, and not one that it is a fork of, holds the lock."""
        return self._lock.is_locked and self._pid == os.getpid()

    def check(self) -> None:
        """Return if this process holds the lock. Raises `RegistryLocked` if it does not."""
        refuse_fork(self._pid, f"The registry at {self._home}")
        if not self._lock.is_locked:
            raise RegistryLocked(
                f"This process no longer holds the lock on {self._home}, since the registry was "
                "closed. Open it again."
            )

    def release(self) -> None:
        """Release the lock; releasing it twice is fine. A fork leaves it to its parent."""
        if self.is_held:
            with suppress(OSError):
                remove(self._holder)
            self._lock.release()


_HOLDER = "lock.json"


def holder_of(home: Path) -> str:
    """The process that took the lock on a home folder last: `process 12 since 2026-…`."""
    holder = _read_holder(home)
    return f"process {holder[0]} since {holder[1]}" if holder else "another process"


def in_use_since(home: Path) -> str | None:
    """When the process that has the lock took it: ISO 8601, UTC. None if it has ended."""
    holder = _read_holder(home)
    return holder[1] if holder and is_alive(holder[0]) else None


def _read_holder(home: Path) -> tuple[int, str] | None:
    try:
        holder = json.loads((home / _HOLDER).read_text(encoding="utf-8"))
        return int(holder["pid"]), str(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
