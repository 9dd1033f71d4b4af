"""The index in the process: Qdrant Edge, one shard in a folder for each collection."""

from __future__ import annotations

import shutil
import threading
from contextlib import ExitStack
from pathlib import Path

import filelock
import qdrant_edge as qe

from registry.errors import StoreError
from registry.store.base import CollectionSpec
from registry.store.edge_collection import EdgeCollection, make_room
from registry.store.edge_engine import (
    LOAD_BYTES,
    PROBE_S,
    create,
    engine,
    load,
    loading_mark,
    locked,
)
from registry.store.edge_seal import check_seal, seal_mark, unseal
from registry.store.shaping import check_name
from registry.system.files import sync

RESERVE_BYTES = 256 * 2**20
"""Free space that a write must leave. Edge writes through memory maps, and a page for which the
disk has no room kills the process (SIGBUS), so the room is looked for first. The files that Edge
0.9.0 lays out ahead are sparse; measured: 98 MiB for a new shard (131 without vectors), 7 more for
each payload index, 32 with the first vectors. 256 holds these where files cannot be sparse, and
what other processes write between the look and the write."""


class EdgeStore:
    """Qdrant Edge in a folder that one process uses at a time; its threads may share it.

    The folder is locked from the first `open` or `drop` until `close`. Raises `RegistryLocked` if
    another process, or another EdgeStore, has it; `StoreFull` where a write would leave less than
    `reserve_bytes` free. After a loading that never ended, another process tries first, for
    `probe_s` seconds. Edge holds the interpreter's lock while it works: threads are safe here, and
    gain no speed.
    """

    keeps_deleted = True
    """Edge marks points as deleted and keeps their bytes in segments and log."""

    def __init__(
        self, path: Path, *, reserve_bytes: int = RESERVE_BYTES, probe_s: float = PROBE_S
    ) -> None:
        self._path = path
        self._reserve = reserve_bytes
        self._probe_s = probe_s
        self._lock = threading.RLock()
        self._held: filelock.BaseFileLock | None = None
        self._collections: dict[str, EdgeCollection] = {}
        self._closed = False

    def describe(self) -> str:
        """One line for people."""
        return f"Qdrant Edge in {self._path}"

    def has(self, name: str) -> bool:
        """Whether a collection of this name exists."""
        return (self._path / check_name(name)).is_dir()

    def open(self, spec: CollectionSpec) -> EdgeCollection:
        """The collection, created if it does not exist.

        Raises `StoreCorrupt` if its folder does not load or holds another dimension.
        """
        folder = self._path / check_name(spec.name)
        with self._lock, engine(folder):
            self._take()
            collection = self._collections.get(spec.name)
            if collection is not None:
                collection.adopt(spec)
                return collection
            if not folder.is_dir():
                make_room(self._path, 0, self._reserve)
                self._create(spec, folder)
            make_room(self._path, 0, min(self._reserve, LOAD_BYTES))
            shard, sealed = self._load(spec, folder)
            collection = EdgeCollection(
                spec, shard, folder, lock=self._lock, reserve_bytes=self._reserve, sealed=sealed
            )
            self._collections[spec.name] = collection
            collection.adopt(spec)
            return collection

    def drop(self, name: str) -> None:
        """Remove a collection's folder, whether or not it loads.

        It is renamed first: a crash leaves the whole collection or none.
        """
        folder = self._path / check_name(name)
        with self._lock, engine(folder):
            if not folder.is_dir():
                return
            self._take()
            collection = self._collections.pop(name, None)
            if collection is not None:
                collection.close()
            gone = folder.with_name(f".{name}.old")
            shutil.rmtree(gone, ignore_errors=True)  # one that an earlier call could not remove
            folder.rename(gone)
            sync(self._path)
            for mark in (loading_mark(folder), seal_mark(folder)):
                mark.unlink(missing_ok=True)
            shutil.rmtree(gone)

    def close(self) -> None:
        """Flush everything, close the shards and let others have the folder."""
        with self._lock, ExitStack() as last_first:
            self._closed = True
            if self._held is not None:
                last_first.callback(self._held.release)
                self._held = None
            for collection in self._collections.values():
                last_first.callback(collection.close)
                last_first.callback(collection.flush)
            self._collections = {}

    def _take(self) -> None:
        """Lock the folder, and remove what a crash left of a creation or a removal."""
        if self._closed:
            raise StoreError(f"the index in {self._path} is closed")
        if self._held is not None:
            return
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = filelock.FileLock(self._path / ".lock", mode=0o600, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as exc:
            raise locked(self._path) from exc
        self._held = lock
        for pattern in (".*.new", ".*.old"):
            for leftover in self._path.glob(pattern):
                shutil.rmtree(leftover)

    def _load(self, spec: CollectionSpec, folder: Path) -> tuple[qe.EdgeShard, bool]:
        """The shard, and whether it is sealed: files are compared before they are loaded."""
        if loading_mark(folder).exists():
            unseal(folder)  # a loading that was cut off may have changed files
        sealed = check_seal(folder)
        return load(spec, folder, probe_s=self._probe_s), sealed

    def _create(self, spec: CollectionSpec, folder: Path) -> None:
        """Make the shard beside its place and move it there whole, so that no half of one stays."""
        fresh = folder.with_name(f".{spec.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        create(spec, fresh)
        unseal(folder)  # what is left of one that somebody else removed
        fresh.rename(folder)
        sync(self._path)
