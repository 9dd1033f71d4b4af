"""The index in memory, without files: for reading a registry that another process has open.

NumPy compares a query with every vector. One query of 50,000 vectors of 128 values takes about
20 ms, and filters look at every point. That is enough for the lookups of one command.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from registry.domain import Vectors
from registry.errors import StoreCorrupt, StoreError
from registry.store.base import CollectionSpec, Filter, Hit, Payload, Point
from registry.store.collection import EngineCollection, check_name, selected, texts

_ROWS = 8192
"""Vectors that are compared at a time, so that their copies in float64 stay small (32 MiB at
512 values)."""


@dataclass(slots=True)
class PointTable:
    """The points of one collection. They are computed when they are first needed."""

    dimension: int | None
    """D of the vectors; None without vectors."""
    source: Callable[[], Iterable[Point]] = tuple
    """Gives the points at first: valid ones, each id once."""
    _points: dict[str, Point] | None = None
    _order: list[Point] | None = None
    _matrix: Vectors | None = None

    @property
    def points(self) -> dict[str, Point]:
        """The points by id. Call `changed` after a change to them."""
        if self._points is None:
            self._points = {point.id: point for point in self.source()}
        return self._points

    def in_order(self) -> list[Point]:
        """The points in order of id."""
        if self._order is None:
            self._order = [point for _, point in sorted(self.points.items())]
        return self._order

    def matrix(self) -> Vectors:
        """The vectors of `in_order`, L2-normalised, float32 (n, D)."""
        if self._matrix is None:
            rows = [point.vector for point in self.in_order() if point.vector is not None]
            stacked = np.array(rows, dtype=np.float32).reshape(len(rows), self.dimension or 0)
            self._matrix = _normalised(stacked)
        return self._matrix

    def changed(self) -> None:
        """Compute order and matrix again when they are next needed."""
        self._order = self._matrix = None


class MemoryStore:
    """A `Store` that keeps its collections in memory. Threads may share it."""

    keeps_deleted = False

    def __init__(self, tables: dict[str, PointTable] | None = None) -> None:
        """`tables` are the collections by name; a store over the same ones has the same points."""
        self._tables = {} if tables is None else tables
        self._lock = threading.RLock()
        self._closed = False

    def describe(self) -> str:
        """One line for messages."""
        return "memory of this process"

    def has(self, name: str) -> bool:
        """Whether a collection of this name exists."""
        return check_name(name) in self._tables

    def open(self, spec: CollectionSpec) -> MemoryCollection:
        """The collection, created if it does not exist."""
        check_name(spec.name)
        with self._reading():
            table = self._tables.setdefault(spec.name, PointTable(spec.dimension))
            if table.dimension != spec.dimension:
                raise StoreCorrupt(
                    f"{spec.name} in the {self.describe()} holds vectors of {table.dimension} "
                    f"values, not of {spec.dimension}. Run `face-registry reindex`."
                )
            return MemoryCollection(spec, table, self._reading)

    def drop(self, name: str) -> None:
        """Remove a collection."""
        self._tables.pop(check_name(name), None)

    def close(self) -> None:
        """Refuse further use."""
        self._closed = True

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise StoreError(f"The index in the {self.describe()} is closed. Open it again.")
            yield


class MemoryCollection(EngineCollection):
    """One table. Created by `MemoryStore.open`."""

    BATCH_POINTS = 10_000
    BATCH_BYTES = 2**30
    VALUE_BYTES = 0
    BATCH_QUERIES = 256
    SPARE_HITS = 16

    def __init__(
        self,
        spec: CollectionSpec,
        table: PointTable,
        reading: Callable[[], Any],
    ) -> None:
        """`reading` gives the context in which the table may be used."""
        super().__init__(spec)
        self._table = table
        self._reading = reading

    def flush(self) -> None:
        """Do nothing: memory is as durable as it gets."""

    def optimize(self) -> None:
        """Do nothing: there is no graph."""

    def _write(self, points: Sequence[Point], size: int) -> None:
        with self._changing() as stored:
            for point in points:
                vector = point.vector
                kept = None if vector is None else np.array(vector, dtype=np.float32)
                stored[point.id] = Point(point.id, _copied(point.payload), kept)

    def _nearest(
        self,
        vectors: Sequence[list[float]],
        limit: int,
        where: Filter | None,
        *,
        exact: bool,
        with_payload: bool | list[str],
    ) -> list[list[Hit]]:
        queries = _normalised(np.array(vectors, dtype=np.float32)).astype(np.float64)
        with self._reading():
            points, matrix = self._table.in_order(), self._table.matrix()
            fields = None if with_payload is True else with_payload or ()
            matches = _condition(where)
            rows = np.array([i for i, one in enumerate(points) if matches(one.payload)], dtype=int)
            scores = np.empty((len(rows), len(queries)), dtype=np.float32)
            for start in range(0, len(rows), _ROWS):
                some = rows[start : start + _ROWS]
                # In float64 the rounded score of equal vectors is equal wherever they are.
                scores[start : start + _ROWS] = matrix[some].astype(np.float64) @ queries.T
            return [
                [
                    Hit(
                        points[rows[i]].id,
                        float(column[i]),
                        selected(points[rows[i]].payload, fields),
                    )
                    for i in best
                ]
                for column in scores.T
                for best in [_highest(column, limit)]
            ]

    def _retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[Point]:
        with self._reading():
            points = self._table.points
            return [points[each] for each in ids if each in points]

    def _page(
        self, where: Filter | None, offset: Any, limit: int, *, with_vectors: bool
    ) -> tuple[list[Point], Any]:
        with self._reading():
            points, matches = self._table.in_order(), _condition(where)
            places = (i for i in range(offset or 0, len(points)) if matches(points[i].payload))
            found = list(islice(places, limit + 1))
            following = found[limit] if len(found) > limit else None
            return [points[i] for i in found[:limit]], following

    def _set(self, payload: Payload, size: int, where: Filter) -> None:
        new = _copied(payload)
        with self._changing() as stored:
            for point in self._matching(where):
                stored[point.id] = replace(point, payload={**point.payload, **new})

    def _delete(self, where: Filter) -> None:
        with self._changing() as stored:
            for point in self._matching(where):
                del stored[point.id]

    def _count(self, where: Filter | None) -> int:
        with self._reading():
            return len(self._matching(where))

    def _matching(self, where: Filter | None) -> list[Point]:
        matches = _condition(where)
        return [point for point in self._table.points.values() if matches(point.payload)]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Point]]:
        with self._reading():
            try:
                yield self._table.points
            finally:
                self._table.changed()


def _copied(payload: Payload) -> dict[str, Any]:
    """The payload as it would be read back from a server."""
    copied: dict[str, Any] = json.loads(json.dumps(dict(payload)))
    return copied


def _normalised(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def _highest(scores: Vectors, limit: int) -> list[int]:
    """The places of the `limit` highest scores, highest first."""
    places = np.arange(len(scores))
    if limit < len(scores):
        places = np.argpartition(-scores, limit - 1)[:limit]
    return [int(i) for i in places[np.argsort(-scores[places], kind="stable")]]


def _condition(where: Filter | None) -> Callable[[Payload], bool]:
    """Whether a payload matches a filter."""
    if where is None:
        return lambda _: True
    must = [(name, set(texts(values))) for name, values in where.must.items()]
    must_not = [(name, set(texts(values))) for name, values in where.must_not.items()]

    def matches(payload: Payload) -> bool:
        return all(_holds(payload, *one) for one in must) and not any(
            _holds(payload, *one) for one in must_not
        )

    return matches


def _holds(payload: Payload, path: str, wanted: set[str]) -> bool:
    """Whether a field of the payload, or an element of it, is one of these texts."""
    found: list[Any] = [payload]
    for name in path.split("."):
        inside = [one[name.removesuffix("[]")] for one in found if _has(one, name)]
        found = [one for value in inside for one in (value if isinstance(value, list) else [value])]
    return any(isinstance(one, str) and one in wanted for one in found)


def _has(value: Any, name: str) -> bool:
    return isinstance(value, Mapping) and name.removesuffix("[]") in value
