"""The registry that the pages show: who may use it when, and what is computed once for several.

Pages read side by side; a change has the registry to itself. An ingest takes its turn for each
video that it commits, and lets pages in while it waits for the next one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar, cast

from queries.answers import LookupAnswer
from queries.lookup import lookup
from registry.blobs.base import BlobStore
from registry.core.registry import Registry
from registry.core.snapshot import snapshot_of

T = TypeVar("T")


class Turns:
    """A lock that many readers or one writer hold, in the order in which they came."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._queue: deque[object] = deque()
        self._readers = 0
        self._writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the lock together with other readers."""
        with self._free:
            self._wait(lambda: not self._writing)
            self._readers += 1
        try:
            yield
        finally:
            with self._free:
                self._readers -= 1
                self._free.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock alone."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        """Wait for the lock and take it alone."""
        with self._free:
            self._wait(lambda: not self._writing and not self._readers)
            self._writing = True

    def release(self) -> None:
        """Let the next ones in."""
        with self._free:
            self._writing = False
            self._free.notify_all()

    def _wait(self, is_free: Callable[[], bool]) -> None:
        ticket = object()
        self._queue.append(ticket)
        try:
            self._free.wait_for(lambda: self._queue[0] is ticket and is_free())
        finally:
            self._queue.remove(ticket)
            self._free.notify_all()


class Workspace:
    """One open registry and what its pages share."""

    def __init__(self, registry: Registry, reopen: Callable[[], Registry] | None = None) -> None:
        """Takes an open registry over, which `close` closes.

        `reopen` opens it again, if this one is a snapshot because another process uses it.
        """
        self._registry, self._reopen = registry, reopen
        self.turns = Turns()
        self._detecting = threading.Lock()
        self._computing = threading.Lock()
        self._computed: dict[str, tuple[int, object]] = {}
        self.revision = 0
        """Grows with each change."""
        self._load()

    @property
    def blobs(self) -> BlobStore:
        """The objects, to read some without waiting for a turn: each is written in one step."""
        return self._registry.blobs

    @contextmanager
    def reading(self) -> Iterator[Registry]:
        """The registry, for a page that changes nothing."""
        with self.turns.reading():
            yield self._registry

    @contextmanager
    def changing(self) -> Iterator[Registry]:
        """The registry, for one change."""
        with self.turns.writing():
            try:
                yield self._registry
            finally:
                self.changed()

    @property
    def taken_at(self) -> datetime | None:
        """When the snapshot was taken that is shown; None: it is the registry itself."""
        snapshot = snapshot_of(self._registry)
        return None if snapshot is None else snapshot.taken_at

    def refresh(self) -> None:
        """Open the registry again, if a snapshot is shown."""
        if self.taken_at is None or self._reopen is None:
            return
        with self.turns.writing():
            fresh = self._reopen()
            self._registry.close()
            self._registry = fresh
            self.changed()

    def close(self) -> None:
        """Close the registry, after the last page was answered."""
        with self.turns.writing():
            self._registry.close()

    def changed(self) -> None:
        """Forget what was computed. Called by whoever changed the registry, during its turn."""
        self.revision += 1
        self._load()

    def once(self, name: str, compute: Callable[[Registry], T]) -> T:
        """What `compute` returns for the registry as it is now, computed once until it changes."""
        with self._computing:
            known = self._computed.get(name)
            if known is None or known[0] != self.revision:
                with self.reading() as registry:
                    known = self.revision, compute(registry)
                self._computed[name] = known
            return cast(T, known[1])

    def acquire(self) -> None:
        """Begin a turn of an ingest; see `ingest.pipeline.Turn`."""
        self.turns.acquire()

    def release(self) -> None:
        """End a turn of an ingest, and let the pages in."""
        self.changed()
        self.turns.release()

    @contextmanager
    def ingesting(self) -> Iterator[Registry]:
        """The registry, for an ingest that ends and begins turns by itself."""
        self.acquire()
        try:
            yield self._registry
        finally:
            self.release()

    def look_up(self, photo: bytes) -> LookupAnswer:
        """Who is in a photo. The detector serves one caller at a time."""
        with self._detecting, self.reading() as registry:
            return lookup(registry, photo)

    def _load(self) -> None:
        """Read what a registry reads on first use, so that readers find it."""
        if not self._registry.is_empty:
            _ = self._registry.index, self._registry.view
