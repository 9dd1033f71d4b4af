"""One collection of the embedded index: a Qdrant Edge shard."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import qdrant_edge as qe

from registry.domain import Vectors
from registry.errors import StoreCorrupt, StoreError, StoreFull
from registry.store.base import CollectionSpec, Filter, Hit, Payload, Point
from registry.store.edge_engine import (
    LOAD_BYTES,
    REBUILD,
    add_indexes,
    bytes_on_disk,
    engine,
    load,
    missing_indexes,
    passing,
)
from registry.store.edge_seal import seal, unseal
from registry.store.shaping import (
    batches,
    can_match,
    canonical_id,
    canonical_ids,
    check_points,
    check_rows,
    cosine,
    json_size,
    settle_ties,
)

_BATCH_POINTS = 500
"""10,000 upserts of 512-d took 1.04, 0.87, 0.94 and 0.99 s by 100, 500, 1,000 and 5,000."""
_BATCH_BYTES = 8 * 2**20
"""A quarter of a segment of the log, which is 32 MiB."""
_BATCH_QUERIES = 256
_PAGE = 1000
_PAGE_VECTORS = 256
_MIB = 2**20


def make_room(path: Path, needed: int, reserve: int) -> None:
    """Raise `StoreFull` unless the disk of `path` has `needed` bytes free beside the reserve."""
    free = shutil.disk_usage(path).free
    if free < needed + reserve:
        raise StoreFull(
            f"{path} has {free // _MIB:,} MiB free and the index needs "
            f"{-(-(needed + reserve) // _MIB):,}; make room on that disk and try again"
        )


class EdgeCollection:
    """One shard; `lock` is shared by all shards of a store. Use `EdgeStore.open` to make one."""

    def __init__(
        self,
        spec: CollectionSpec,
        shard: qe.EdgeShard,
        folder: Path,
        *,
        lock: threading.RLock,
        reserve_bytes: int,
        sealed: bool,
    ) -> None:
        self._spec = spec
        self._shard: qe.EdgeShard | None = shard
        self._folder = folder
        self._lock = lock
        self._reserve = reserve_bytes
        self._sealed = sealed
        self._flushed = False

    @property
    def name(self) -> str:
        """As in the spec it was opened with."""
        return self._spec.name

    def adopt(self, spec: CollectionSpec) -> None:
        """Serve this opening: add the indexes it misses.

        Raises `StoreCorrupt` if it has another dimension.
        """
        if spec.dimension != self._spec.dimension:
            raise StoreCorrupt(
                f"{self._folder} holds vectors of {self._spec.dimension} values, not of "
                f"{spec.dimension}; {REBUILD}"
            )
        with self._use() as shard:
            missing = missing_indexes(shard, spec.keywords)
        if missing:
            with self._change() as shard:
                self._make_room(0)
                add_indexes(shard, missing)

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points whole, up to 500 in a request."""
        sizes = check_points(points, self._spec)
        runs = batches(points, sizes, most=_BATCH_POINTS, most_weight=_BATCH_BYTES)
        for run, size in runs:
            entries = [
                qe.Point(canonical_id(point.id), _values(point.vector), dict(point.payload))
                for point in run
            ]
            with self._change() as shard:
                self._make_room(2 * size + len(run) * self._point_bytes())
                shard.update(qe.UpdateOperation.upsert_points(entries))

    def query(
        self, vectors: Vectors, *, limit: int, where: Filter | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """The nearest points of each row, up to 256 rows in a request."""
        rows = check_rows(vectors, self._spec)
        if limit < 1 or not can_match(where):
            return [[] for _ in rows]
        condition, params = passing(where), qe.SearchParams(exact=exact)

        def ask(numbers: Sequence[int], most: int) -> list[list[Hit]]:
            found: list[list[Hit]] = []
            for start in range(0, len(numbers), _BATCH_QUERIES):
                requests = [
                    qe.QueryRequest(
                        limit=most,
                        query=qe.Query.Nearest(rows[number].tolist()),
                        filter=condition,
                        params=params,
                        with_payload=True,
                    )
                    for number in numbers[start : start + _BATCH_QUERIES]
                ]
                with self._use() as shard:
                    answers = shard.query_batch(qe.QueryBatchRequest(requests))
                found += [[_hit(scored) for scored in answer] for answer in answers]
            return found

        return settle_ties(ask, len(rows), limit)

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        """The points that exist among `ids`, in their order, each once."""
        wanted = canonical_ids(ids)
        found: dict[str, Point] = {}
        for start in range(0, len(wanted), _PAGE):
            chunk: list[qe.PointId] = [*wanted[start : start + _PAGE]]
            with self._use() as shard:
                records = shard.retrieve(chunk, with_payload=True, with_vector=with_vectors)
            found |= {str(record.id): self._point(record, with_vectors) for record in records}
        return [found[each] for each in wanted if each in found]

    def scroll(self, where: Filter | None = None, *, with_vectors: bool = False) -> Iterator[Point]:
        """All points that pass the filter, in order of id, read as they are asked for."""
        if not can_match(where):
            return
        condition = passing(where)
        offset: qe.PointId | None = None
        while True:
            request = qe.ScrollRequest(
                offset=offset,
                limit=_PAGE_VECTORS if with_vectors else _PAGE,
                filter=condition,
                with_payload=True,
                with_vector=with_vectors,
            )
            with self._use() as shard:
                records, offset = shard.scroll(request)
            yield from (self._point(record, with_vectors) for record in records)
            if offset is None:
                return

    def set_payload(self, payload: Payload, where: Filter) -> None:
        """Set these top-level fields on every point that passes the filter."""
        size = json_size(payload)
        if not payload or not can_match(where):
            return
        condition = passing(where)
        with self._change() as shard:
            # A point of an optimised segment is written anew, vector and all.
            count = shard.count(qe.CountRequest(exact=True, filter=condition))
            self._make_room(count * (size + self._point_bytes()))
            shard.update(qe.UpdateOperation.set_payload_by_filter(condition, dict(payload)))

    def delete(self, where: Filter) -> None:
        """Remove every point that passes the filter.

        Its bytes stay in the files until the collection is dropped.
        """
        if can_match(where):
            with self._change() as shard:
                self._make_room(0)
                shard.update(qe.UpdateOperation.delete_points_by_filter(passing(where)))

    def count(self, where: Filter | None = None) -> int:
        """How many points pass the filter."""
        if not can_match(where):
            return 0
        with self._use() as shard:
            return shard.count(qe.CountRequest(exact=True, filter=passing(where)))

    def flush(self) -> None:
        """Return when everything written before is on the disk."""
        with self._use() as shard:
            shard.flush()
            self._flushed = True

    def optimize(self) -> None:
        """Build the graph index, merge segments, and flush.

        Writes the shard a second time before it lets go of the first. Edge holds the
        interpreter's lock meanwhile: no other thread of the process runs.
        """
        with self._change() as shard:
            self._make_room(bytes_on_disk(self._folder))
            shard.optimize()
            shard.flush()

    def close(self) -> None:
        """Let go of the shard without flushing it. One that was flushed is sealed."""
        with self._lock, engine(self._folder):
            if self._shard is not None:
                shard, self._shard = self._shard, None
                shard.close()
                if self._flushed and not self._sealed:
                    self._seal()

    @contextmanager
    def _use(self) -> Iterator[qe.EdgeShard]:
        with self._lock, engine(self._folder):
            if self._shard is None:
                raise StoreError(f"{self._folder} is closed; open the collection again")
            yield self._shard

    @contextmanager
    def _change(self) -> Iterator[qe.EdgeShard]:
        with self._use() as shard:
            if self._sealed:
                unseal(self._folder)
            self._sealed = self._flushed = False
            yield shard

    def _seal(self) -> None:
        # What was written is on the disk already, so that nothing is lost without a seal.
        with suppress(StoreError), engine(self._folder):
            self._make_room(LOAD_BYTES)
            load(self._spec, self._folder).close()  # takes in journals, which changes files
            seal(self._folder)

    def _make_room(self, needed: int) -> None:
        make_room(self._folder, needed, self._reserve)

    def _point_bytes(self) -> int:
        """What a point takes on the disk beside its payload: log, segment, ids, index entries.

        5,000 points of 512-d with small payloads took 2.4 times the bytes of their vectors.
        """
        return 12 * (self._spec.dimension or 0) + 2048

    def _point(self, record: qe.Record, with_vectors: bool) -> Point:
        vector = None
        if with_vectors and self._spec.dimension is not None:
            vector = np.asarray(record.vector, dtype=np.float32)
        return Point(str(record.id), record.payload or {}, vector)


def _values(vector: Vectors | None) -> qe.Vector:
    if vector is None:
        return {}
    values: list[float] = np.asarray(vector, dtype=np.float32).tolist()
    return values


def _hit(scored: qe.ScoredPoint) -> Hit:
    return Hit(str(scored.id), cosine(scored.score), scored.payload or {})
