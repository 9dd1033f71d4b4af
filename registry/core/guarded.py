"""The guard on a registry's objects: anyone may read them, only a change may write them.

Everything that uses `Registry.blobs` gets a `GuardedStore`. Reading passes through. Writing is
possible only inside a change, `with registry.writing():`, and only while this process has the right
to write: the lock on the home folder, or the lease where everything is on servers.

The right is checked when a change begins. While the change goes on, a write checks it again once
the last check is `RECHECK_S` old. A long change thus reads the lease every few seconds instead of
once for each object, and it stops soon after another process has taken the lease over. A step that
must not be taken after that, such as the erasure of one video, is a change of its own inside the
larger one. A change belongs to the thread that began it; other threads begin their own.

Four things write without the guard:

- The lease, since it is how a process gets the right to write.
- The worker processes of an ingest. Each opens the object store itself and writes only the crops of
  the video that it reads. The main process begins a change before it hands a video to a worker. If
  the lease is lost while the worker reads, the video is not committed; its crops belong to no
  record, and the next ingest of that video writes the same crops again.
- A restore into a folder, which fills a new folder and then exchanges it for the old one.
- The index. Each change writes an intent to the objects before it changes the index, so the guard
  stops the change as a whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from registry.blobs.base import BlobInfo, BlobStore
from registry.errors import RegistryLocked

RECHECK_S = 2.0
"""Seconds. Far less than a lease is valid for (`registry.core.lease.TTL_S`), and long enough that
reading it costs little even where one request takes 50 ms."""


class WriteRight(Protocol):
    """What gives a process the right to write: a lock or a lease."""

    def check(self) -> None:
        """Return if this process may write now. Raises `RegistryLocked` if it may not."""


class Lock(WriteRight, Protocol):
    """A right that is held from the opening of a registry until it is closed."""

    def leave(self) -> bool:
        """Count one opening less of the registry. Returns whether none is left."""

    def release(self) -> None:
        """Give the right up. Releasing it twice is fine."""


class ReadOnly:
    """The `Lock` of a registry that cannot be changed: `check` always raises `RegistryLocked`."""

    def __init__(self, reason: str) -> None:
        """`reason` is the message: why it cannot be changed, and what to do."""
        self._reason = reason

    def check(self) -> None:
        """Raise `RegistryLocked`."""
        raise RegistryLocked(self._reason)

    def leave(self) -> bool:
        """Whether no other opening is left: each snapshot is opened once."""
        return True

    def release(self) -> None:
        """Do nothing."""


class GuardedStore:
    """A `BlobStore` that writes only inside a change, and only while this process may."""

    def __init__(self, store: BlobStore, *rights: WriteRight, recheck_s: float = RECHECK_S) -> None:
        """All of `rights` are checked. Without any, the caller ensures that nobody else writes."""
        self._store, self._rights, self._recheck_s = store, rights, recheck_s
        self._changes = threading.local()
        self._checked_at = -float("inf")

    @property
    def unguarded(self) -> BlobStore:
        """The store itself, for code that replaces it as a whole."""
        return self._store

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Allow this thread to write for as long as the block runs. Changes may be nested.

        Raises `RegistryLocked`, also from a write inside the block, if this process has lost the
        right to write.
        """
        self._check()
        depth = self._depth
        self._changes.depth = depth + 1
        try:
            yield
        finally:
            self._changes.depth = depth

    @property
    def _depth(self) -> int:
        depth: int = getattr(self._changes, "depth", 0)
        return depth

    def _check(self) -> None:
        now = time.monotonic()
        for right in self._rights:
            right.check()
        self._checked_at = now

    def _check_write(self, key: str) -> None:
        if not self._depth:
            raise RuntimeError(
                f"{key} was written outside a change. Write inside `with registry.writing():`."
            )
        if time.monotonic() - self._checked_at >= self._recheck_s:
            self._check()

    # --- writing --------------------------------------------------------------------------------

    def put(self, key: str, data: bytes) -> None:
        """As `BlobStore.put`. Raises `RegistryLocked`, or `RuntimeError` outside a change."""
        self._check_write(key)
        self._store.put(key, data)

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        """As `BlobStore.put_many`. Raises `RegistryLocked`, or `RuntimeError` outside a change."""
        for key in objects:
            self._check_write(key)
        self._store.put_many(objects)

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        """As `BlobStore.put_if`. Raises `RegistryLocked`, or `RuntimeError` outside a change."""
        self._check_write(key)
        return self._store.put_if(key, data, expected)

    def delete(self, key: str) -> None:
        """As `BlobStore.delete`. Raises `RegistryLocked`, or `RuntimeError` outside a change."""
        self._check_write(key)
        self._store.delete(key)

    # --- reading --------------------------------------------------------------------------------

    def describe(self) -> str:
        """As `BlobStore.describe`."""
        return self._store.describe()

    def get(self, key: str) -> bytes:
        """As `BlobStore.get`."""
        return self._store.get(key)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """As `BlobStore.get_tagged`."""
        return self._store.get_tagged(key)

    def exists(self, key: str) -> bool:
        """As `BlobStore.exists`."""
        return self._store.exists(key)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """As `BlobStore.list`."""
        return self._store.list(prefix)

    def close(self) -> None:
        """As `BlobStore.close`."""
        self._store.close()
