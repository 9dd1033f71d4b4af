"""One collection of the index on a Qdrant server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
from qdrant_client import QdrantClient, models

from registry.domain import Vectors
from registry.store.base import CollectionSpec, Filter, Hit, Payload, Point, Value
from registry.store.shaping import (
    batches,
    by_kind,
    can_match,
    canonical_id,
    canonical_ids,
    check_points,
    check_rows,
    cosine,
    json_size,
    settle_ties,
)

P = ParamSpec("P")
T = TypeVar("T")

_BATCH_POINTS = 256
_BATCH_BYTES = 8 * 2**20
"""A quarter of what a server takes in one request (32 MiB unless configured)."""
_VALUE_BYTES = 22
"""One float32 in JSON, at most: -1.2345678901234567e-08 and a comma less two."""
_BATCH_QUERIES = 64
"""Exact queries a request: 64 against 1,000,000 faces of 512-d are 33 billion products, seconds
within the time-out."""
_PAGE = 1000
_PAGE_VECTORS = 256


class Calls(Protocol):
    """Calls a method of the client, again where that helps; failures come as `StoreError`."""

    def __call__(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the method returns."""


class ServerCollection:
    """One collection; `name` is ours, `remote` the server's. Use `ServerStore.open` to make one.

    Every write returns when the server has applied it.
    """

    def __init__(
        self,
        spec: CollectionSpec,
        remote: str,
        client: QdrantClient,
        calls: Calls,
        *,
        exact: models.SearchParams | None,
        approximate: models.SearchParams | None,
        consistency: models.ReadConsistencyType | None = None,
    ) -> None:
        self._spec = spec
        self._remote = remote
        self._client = client
        self._call = calls
        self._exact = exact
        self._approximate = approximate
        self._consistency = consistency

    @property
    def name(self) -> str:
        """As in the spec it was opened with."""
        return self._spec.name

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points whole, up to 256 or some 8 MB in a request."""
        vector_bytes = _VALUE_BYTES * (self._spec.dimension or 0)
        sizes = [size + vector_bytes for size in check_points(points, self._spec)]
        runs = batches(points, sizes, most=_BATCH_POINTS, most_weight=_BATCH_BYTES)
        for run, _ in runs:
            entries = [
                models.PointStruct(
                    id=canonical_id(point.id),
                    vector=_values(point.vector),
                    payload=dict(point.payload),
                )
                for point in run
            ]
            self._call(self._client.upsert, self._remote, entries, wait=True)

    def query(
        self, vectors: Vectors, *, limit: int, where: Filter | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """The nearest points of each row, up to 64 rows in a request."""
        rows = check_rows(vectors, self._spec)
        if limit < 1 or not can_match(where):
            return [[] for _ in rows]
        condition, params = passing(where), self._exact if exact else self._approximate

        def ask(numbers: Sequence[int], most: int) -> list[list[Hit]]:
            found: list[list[Hit]] = []
            for start in range(0, len(numbers), _BATCH_QUERIES):
                requests = [
                    models.QueryRequest(
                        query=rows[number].tolist(),
                        filter=condition,
                        params=params,
                        limit=most,
                        with_payload=True,
                    )
                    for number in numbers[start : start + _BATCH_QUERIES]
                ]
                answers = self._call(
                    self._client.query_batch_points,
                    self._remote,
                    requests,
                    consistency=self._consistency,
                )
                found += [[_hit(scored) for scored in answer.points] for answer in answers]
            return found

        return settle_ties(ask, len(rows), limit)

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        """The points that exist among `ids`, in their order, each once."""
        wanted = canonical_ids(ids)
        found: dict[str, Point] = {}
        page = _PAGE_VECTORS if with_vectors else _PAGE
        for start in range(0, len(wanted), page):
            records = self._call(
                self._client.retrieve,
                self._remote,
                wanted[start : start + page],
                with_payload=True,
                with_vectors=with_vectors,
                consistency=self._consistency,
            )
            found |= {str(record.id): self._point(record, with_vectors) for record in records}
        return [found[each] for each in wanted if each in found]

    def scroll(self, where: Filter | None = None, *, with_vectors: bool = False) -> Iterator[Point]:
        """All points that pass the filter, in order of id, read as they are asked for."""
        if not can_match(where):
            return
        condition = passing(where)
        offset: models.ExtendedPointId | None = None
        while True:
            records, offset = self._call(
                self._client.scroll,
                self._remote,
                condition,
                limit=_PAGE_VECTORS if with_vectors else _PAGE,
                offset=offset,
                with_payload=True,
                with_vectors=with_vectors,
                consistency=self._consistency,
            )
            yield from (self._point(record, with_vectors) for record in records)
            if offset is None:
                return

    def set_payload(self, payload: Payload, where: Filter) -> None:
        """Set these top-level fields on every point that passes the filter."""
        json_size(payload)
        if payload and can_match(where):
            fields, condition = dict(payload), passing(where)
            self._call(self._client.set_payload, self._remote, fields, condition, wait=True)

    def delete(self, where: Filter) -> None:
        """Remove every point that passes the filter."""
        if can_match(where):
            chosen = models.FilterSelector(filter=passing(where))
            self._call(self._client.delete, self._remote, chosen, wait=True)

    def count(self, where: Filter | None = None) -> int:
        """How many points pass the filter."""
        if not can_match(where):
            return 0
        condition = passing(where)
        return self._call(self._client.count, self._remote, condition, exact=True).count

    def flush(self) -> None:
        """Nothing is left to send: each write returned when the server had applied and logged it.

        Qdrant has no request that syncs its log to the disk; it does so every few seconds.
        """

    def optimize(self) -> None:
        """Nothing to ask for: a server builds its graph index by itself."""

    def _point(self, record: models.Record, with_vectors: bool) -> Point:
        vector = None
        if with_vectors and self._spec.dimension is not None:
            vector = np.asarray(record.vector, dtype=np.float32)
        return Point(str(record.id), record.payload or {}, vector)


def passing(where: Filter | None) -> models.Filter:
    """The filter as a server's."""
    where = where or Filter()
    must = [models.Filter(should=_holds(field, values)) for field, values in where.must.items()]
    must_not = [
        condition for field, values in where.must_not.items() for condition in _holds(field, values)
    ]
    return models.Filter(must=must or None, must_not=must_not or None)


def _holds(field: str, values: Sequence[Value]) -> list[models.Condition]:
    """Conditions of which one holds where the field has one of the values."""
    texts, numbers = by_kind(values)
    matches: list[models.Match] = [models.MatchAny(any=texts)] if texts else []
    matches += [models.MatchAny(any=numbers)] if numbers else []
    return [models.FieldCondition(key=field, match=match) for match in matches]


def _values(vector: Vectors | None) -> models.VectorStruct:
    if vector is None:
        return {}
    values: list[float] = np.asarray(vector, dtype=np.float32).tolist()
    return values


def _hit(scored: models.ScoredPoint) -> Hit:
    return Hit(str(scored.id), cosine(scored.score), scored.payload or {})
