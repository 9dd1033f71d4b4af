"""The index in the process: Qdrant Edge, one shard in a folder for each collection."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import qdrant_edge as qe

from registry.errors import StoreCorrupt, StoreError, StoreFull
from registry.store.base import CollectionSpec, Filter, Payload, Point
from registry.store.collection import SEARCHED, EngineCollection, check_name, plain_vector
from registry.store.edge_seal import Seal, check_seal, seal, seal_file, unseal
from registry.store.edge_shard import (
    CONFIG,
    LOAD_BYTES,
    PROBE_S,
    REBUILD,
    add_indexes,
    bytes_on_disk,
    create,
    edge_filter,
    load,
    loading_marker,
    locked_error,
    missing_indexes,
    translated_errors,
)
from registry.system.locks import BaseFileLock, Timeout, file_lock
from registry.system.paths import free_bytes, remove, remove_tree, replace, sync
from registry.system.privacy import make_private_folder
from registry.system.process import refuse_fork
from registry.system.sparse import free_zeros

RESERVE_BYTES = 256 * 2**20
"""Free space that a write must leave. Edge writes through memory maps, and a page that does not fit
on the disk kills the process (SIGBUS), so free space is checked before each write. Edge 0.9.0
allocates sparse files in advance; measured: 98 MiB for a new shard (131 without vectors), 7 more
for each payload index, 32 with the first vectors. 256 covers these where files cannot be sparse,
and writes of other processes in between."""
SETTLED_BYTES = 64 * 2**20
"""Size of a shard on disk up to which it is loaded once more when it is closed, so that the next
opening changes no file. Measured: 18,000 faces of 128-d (48 MB) load in 0.03 s, 1,000,000 in 5.2
s of CPU."""


class EdgeStore:
    """Qdrant Edge in a folder that one process uses at a time; its threads may share it.

    The folder is locked from the first `open` or `drop` until `close`. Raises `RegistryLocked` if
    another process, or another EdgeStore, has locked it, and `StoreFull` if a write would leave
    less than `reserve_bytes` free. If an earlier load crashed, another process loads the shard
    first (see `edge_shard.load` for `probe_s`). Edge holds the interpreter's lock while it works,
    so threads are safe but not faster.
    """

    keeps_deleted = True
    """Edge marks points as deleted; their bytes stay in segments and log."""

    def __init__(
        self, path: Path, *, reserve_bytes: int = RESERVE_BYTES, probe_s: float = PROBE_S
    ) -> None:
        self._path = path
        self._reserve = reserve_bytes
        self._probe_s = probe_s
        self._lock = threading.RLock()
        self._held: BaseFileLock | None = None
        self._collections: dict[str, EdgeCollection] = {}
        self._closed = False

    def describe(self) -> str:
        """One line for messages."""
        return f"Qdrant Edge in {self._path}"

    def has(self, name: str) -> bool:
        """Whether a collection of this name exists."""
        return (self._path / check_name(name)).is_dir()

    def open(self, spec: CollectionSpec) -> EdgeCollection:
        """The collection, created if it does not exist.

        Raises `StoreCorrupt` if its folder does not load or holds another dimension.
        """
        folder = self._path / check_name(spec.name)
        with self._lock, translated_errors(folder):
            self._lock_folder()
            collection = self._collections.get(spec.name)
            if collection is not None:
                collection.reopen(spec)
                return collection
            if not folder.is_dir():
                _check_space(self._path, 0, self._reserve)
                self._create(spec, folder)
            _check_space(self._path, 0, min(self._reserve, LOAD_BYTES))
            shard, found = self._load(spec, folder)
            collection = EdgeCollection(
                spec, shard, folder, lock=self._lock, reserve_bytes=self._reserve, found=found
            )
            self._collections[spec.name] = collection
            collection.reopen(spec)
            return collection

    def drop(self, name: str) -> None:
        """Remove a collection's folder, even if it does not load.

        It is renamed first, so a crash leaves either the whole collection or none.
        """
        folder = self._path / check_name(name)
        with self._lock, translated_errors(folder):
            if not folder.is_dir():
                return
            self._lock_folder()
            collection = self._collections.pop(name, None)
            if collection is not None:
                collection.close()
            gone = folder.with_name(f".{name}.old")
            shutil.rmtree(gone, ignore_errors=True)  # left by an earlier call that failed
            replace(folder, gone)
            sync(self._path)
            for mark in (loading_marker(folder), seal_file(folder)):
                remove(mark)
            remove_tree(gone)

    def close(self) -> None:
        """Flush and close all shards, and unlock the folder."""
        with self._lock, ExitStack() as last_first:
            self._closed = True
            if self._held is not None:
                last_first.callback(self._held.release)
                self._held = None
            for collection in self._collections.values():
                last_first.callback(collection.close)
                last_first.callback(collection.flush)
            self._collections = {}

    def _lock_folder(self) -> None:
        """Lock the folder, and remove unfinished creations and removals of a crashed process."""
        if self._closed:
            raise StoreError(f"The index in {self._path} is closed. Open it again.")
        if self._held is not None:
            return
        make_private_folder(self._path)
        lock = file_lock(self._path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as exc:
            raise locked_error(self._path) from exc
        self._held = lock
        for pattern in (".*.new", ".*.old"):
            for leftover in self._path.glob(pattern):
                remove_tree(leftover)
        for pattern in (".*.sealing", ".*.probe"):
            for leftover in self._path.glob(pattern):
                remove(leftover)

    def _load(self, spec: CollectionSpec, folder: Path) -> tuple[qe.EdgeShard, Seal | None]:
        """The shard and its seal. Files are compared with the seal before loading."""
        if loading_marker(folder).exists():
            unseal(folder)  # a load that was interrupted may have changed files
        found = check_seal(folder)
        config = folder / CONFIG
        before = config.read_bytes() if found else b""
        if found and not found.settled:
            unseal(folder)  # loading changes files, and a kill before they are sealed is no damage
        shard = load(spec, folder, probe_s=self._probe_s)
        # Settings of an earlier version are replaced by those of this one.
        if found and (not found.settled or config.read_bytes() != before):
            found = seal(folder, settled=True, earlier=found)
        return shard, found

    def _create(self, spec: CollectionSpec, folder: Path) -> None:
        """Create the shard in a temporary folder and rename it, so that it exists whole or not."""
        fresh = folder.with_name(f".{spec.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        make_private_folder(fresh)
        create(spec, fresh)
        free_zeros(fresh)
        unseal(folder)  # left of a shard that was removed from outside
        replace(fresh, folder)
        sync(self._path)


class EdgeCollection(EngineCollection):
    """One shard; all shards of a store share `lock`. Created by `EdgeStore.open`."""

    BATCH_POINTS = 500
    """Measured: 10,000 upserts of 512-d took 1.04, 0.87, 0.94 and 0.99 s in batches of 100, 500,
    1,000 and 5,000."""
    BATCH_BYTES = 8 * 2**20
    """A quarter of a segment of the log (32 MiB)."""
    VALUE_BYTES = 0
    BATCH_QUERIES = 256
    SPARE_HITS = 16
    """A video of which there are copies has equally near faces in each. Measured: the nearest 2 or
    17 of 120,000 faces take the same time, and a second request takes as long as the first."""

    def __init__(
        self,
        spec: CollectionSpec,
        shard: qe.EdgeShard,
        folder: Path,
        *,
        lock: threading.RLock,
        reserve_bytes: int,
        found: Seal | None,
    ) -> None:
        super().__init__(spec)
        self._shard: qe.EdgeShard | None = shard
        self._folder = folder
        self._lock = lock
        self._reserve = reserve_bytes
        self._found = found
        self._sealed = found is not None
        self._flushed = False
        self._pid = os.getpid()

    def reopen(self, spec: CollectionSpec) -> None:
        """Add the indexes of the spec that are missing.

        Raises `StoreCorrupt` if the spec has another dimension.
        """
        if spec.dimension != self._spec.dimension:
            raise StoreCorrupt(
                f"{self._folder} holds vectors of {self._spec.dimension} values, not of "
                f"{spec.dimension}. {REBUILD}"
            )
        with self._reading() as shard:
            missing = missing_indexes(shard, spec.keywords)
        if missing:
            with self._writing() as shard:
                self._check_space(0)
                add_indexes(shard, missing)

    def flush(self) -> None:
        """Return when all earlier writes are on the disk."""
        with self._reading() as shard:
            shard.flush()
            self._flushed = True

    def optimize(self) -> None:
        """Build the graph index, merge segments, and flush.

        Edge writes a new copy of the shard before it removes the old one, and holds the
        interpreter's lock meanwhile, so no other thread of the process runs.
        """
        with self._writing() as shard:
            self._check_space(bytes_on_disk(self._folder))
            shard.optimize()
            shard.flush()

    def close(self) -> None:
        """Close the shard without flushing it, and seal it if it was flushed."""
        with self._lock, translated_errors(self._folder):
            if self._shard is not None:
                shard, self._shard = self._shard, None
                shard.close()
                if not self._sealed:
                    free_zeros(self._folder)
                if self._flushed and not self._sealed:
                    self._seal()

    def _write(self, points: Sequence[Point], size: int) -> None:
        entries = [qe.Point(p.id, plain_vector(p.vector), dict(p.payload)) for p in points]
        with self._writing() as shard:
            self._check_space(2 * size + len(points) * self._point_bytes())
            shard.update(qe.UpdateOperation.upsert_points(entries))

    def _nearest(
        self,
        vectors: Sequence[list[float]],
        limit: int,
        where: Filter | None,
        *,
        exact: bool,
        with_payload: bool | list[str],
    ) -> list[list[qe.ScoredPoint]]:
        condition, params = _read_filter(where), qe.SearchParams(exact=exact, hnsw_ef=SEARCHED)
        requests = [
            qe.QueryRequest(
                limit=limit,
                query=qe.Query.Nearest(vector),
                filter=condition,
                params=params,
                with_payload=with_payload,
            )
            for vector in vectors
        ]
        with self._reading() as shard:
            return shard.query_batch(qe.QueryBatchRequest(requests))

    def _retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[qe.Record]:
        with self._reading() as shard:
            return shard.retrieve([*ids], with_payload=True, with_vector=with_vectors)

    def _page(
        self, where: Filter | None, offset: Any, limit: int, *, with_vectors: bool
    ) -> tuple[list[qe.Record], Any]:
        request = qe.ScrollRequest(
            offset=offset,
            limit=limit,
            filter=_read_filter(where),
            with_payload=True,
            with_vector=with_vectors,
        )
        with self._reading() as shard:
            return shard.scroll(request)

    def _set(self, payload: Payload, size: int, where: Filter) -> None:
        condition = edge_filter(where)
        with self._writing() as shard:
            # Points in an optimised segment are rewritten, with their vectors.
            count = shard.count(qe.CountRequest(exact=True, filter=condition))
            self._check_space(count * (size + self._point_bytes()))
            shard.update(qe.UpdateOperation.set_payload_by_filter(condition, dict(payload)))

    def _delete(self, where: Filter) -> None:
        with self._writing() as shard:
            self._check_space(0)
            shard.update(qe.UpdateOperation.delete_points_by_filter(edge_filter(where)))

    def _count(self, where: Filter | None) -> int:
        with self._reading() as shard:
            return shard.count(qe.CountRequest(exact=True, filter=_read_filter(where)))

    @contextmanager
    def _reading(self) -> Iterator[qe.EdgeShard]:
        refuse_fork(self._pid, f"The index in {self._folder.parent}")
        with self._lock, translated_errors(self._folder):
            if self._shard is None:
                raise StoreError(f"{self._folder} is closed. Open the collection again.")
            yield self._shard

    @contextmanager
    def _writing(self) -> Iterator[qe.EdgeShard]:
        with self._reading() as shard:
            if self._sealed:
                unseal(self._folder)
            self._sealed = self._flushed = False
            yield shard

    def _seal(self) -> None:
        # All data is on the disk already, so nothing is lost if this fails.
        with suppress(StoreError), translated_errors(self._folder):
            settled = bytes_on_disk(self._folder) <= SETTLED_BYTES
            if settled:
                self._check_space(LOAD_BYTES)
                load(self._spec, self._folder).close()  # merges journals, which changes files
            seal(self._folder, settled=settled, earlier=self._found)

    def _check_space(self, needed: int) -> None:
        _check_space(self._folder, needed, self._reserve)

    def _point_bytes(self) -> int:
        """Disk space of a point without its payload: log, segment, ids, index entries.

        Measured: 5,000 points of 512-d with small payloads took 2.4 times the size of their
        vectors.
        """
        return 12 * (self._spec.dimension or 0) + 2048


def _read_filter(where: Filter | None) -> qe.Filter | None:
    """The filter in Edge's form; None without conditions.

    Edge checks an empty filter for every point: with it, reading 20,000 videos takes a third more.
    """
    return edge_filter(where) if where and (where.must or where.must_not) else None


def _check_space(path: Path, needed: int, reserve: int) -> None:
    """Raise `StoreFull` unless `path` has `needed` bytes free in addition to the reserve."""
    free = free_bytes(path)
    if free < needed + reserve:
        raise StoreFull(
            f"{path} has {free // 2**20:,} MiB free and the index needs "
            f"{-(-(needed + reserve) // 2**20):,}. Free some space on that disk, and try again."
        )
