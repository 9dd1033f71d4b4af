"""The part of a collection that is the same for both engines: checks, batches, pages, ties."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import numpy as np

from registry.domain import Vectors
from registry.store.base import CollectionSpec, Filter, Hit, Payload, Point

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SEARCHED = 2048
"""Nodes of the graph that a query visits (`hnsw_ef`; the default is 100). Among 1,000,000 faces, 18
a video, the graph led 350 queries with a neighbour at 0.85 to the video of the nearest one in 342
cases with 512 nodes, 347 with 1,024 and 350 with 2,048, in 10 ms of CPU in Qdrant Edge
(docs/BENCHMARKS.md, "Growth")."""
_WIDENING = 8
"""Factor of the next limit when a tie extends beyond the answer. Ties are rare (the same picture
twice); the factor bounds the number of requests: five for 32,768 equal points."""
_BATCH_HITS = 100_000
"""Hits in a request that goes through ties, each about 200 bytes without its payload."""
_PAGE = 1000
"""Points in a request that reads payloads."""
_PAGE_VECTORS = 256
"""Points in a request that reads vectors too."""


class EngineCollection(ABC):
    """A `Collection` over one engine.

    An engine defines the limits and the abstract methods, each of which is one request. Their
    arguments are checked and within the limits. They return the engine's own objects, which have
    `id`, `payload`, and `vector` or `score` in both engines.
    """

    BATCH_POINTS: ClassVar[int]
    """Largest number of points in a write."""
    BATCH_BYTES: ClassVar[int]
    """Largest number of bytes in a write, unless a single point has more."""
    VALUE_BYTES: ClassVar[int]
    """Bytes to count for each value of a vector, in addition to the payload as JSON."""
    BATCH_QUERIES: ClassVar[int]
    """Largest number of vectors in a query."""
    SPARE_HITS: ClassVar[int]
    """Hits to request in addition to those that are wanted, to see ties: at least 1."""

    def __init__(self, spec: CollectionSpec) -> None:
        self._spec = spec

    @property
    def name(self) -> str:
        """As in the spec it was opened with."""
        return self._spec.name

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points whole, up to `BATCH_POINTS` in a request."""
        vector_bytes = self.VALUE_BYTES * (self._spec.dimension or 0)
        sizes = [size + vector_bytes for size in check_points(points, self._spec)]
        batched = batches(points, sizes, most=self.BATCH_POINTS, most_weight=self.BATCH_BYTES)
        for batch, size in batched:
            self._write([Point(canonical_id(p.id), p.payload, p.vector) for p in batch], size)

    def query(
        self,
        vectors: Vectors,
        *,
        limit: int,
        where: Filter | None = None,
        exact: bool = True,
        fields: Sequence[str] | None = None,
    ) -> list[list[Hit]]:
        """The nearest points of each row, up to `BATCH_QUERIES` rows in a request.

        Equal rows are asked for once: a video of a still picture has thousands.
        """
        rows = check_rows(vectors, self._spec)
        if limit < 1 or not len(rows) or not can_match(where):
            return [[] for _ in rows]
        number_of: dict[bytes, int] = {}
        asked = [number_of.setdefault(row.tobytes(), len(number_of)) for row in rows]
        different = [np.frombuffer(row, np.float32) for row in number_of]
        wanted = True if fields is None else [*fields]

        def ask(numbers: Sequence[int], most: int) -> list[list[Hit]]:
            hits: list[list[Hit]] = []
            size = max(1, min(self.BATCH_QUERIES, _BATCH_HITS // most))
            for start in range(0, len(numbers), size):
                batch = [different[n].tolist() for n in numbers[start : start + size]]
                # If few of the hits are needed, payloads are fetched when it is clear of which.
                wide = most > 2 * limit
                payload = False if wide else wanted
                answers = self._nearest(batch, most, where, exact=exact, with_payload=payload)
                hits += [_leading(answer, limit) for answer in answers]
            return hits

        settled = settle_ties(ask, len(different), limit, self.SPARE_HITS)
        bare = {hit.id for hits in settled for hit in hits if not hit.payload}
        payloads = {point.id: selected(point.payload, fields) for point in self.get([*bare])}
        settled = [[_with_payload(hit, payloads) for hit in hits] for hits in settled]
        return [settled[number] for number in asked]

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        """The existing points among `ids`, in their order, each once."""
        wanted = canonical_ids(ids)
        points: dict[str, Point] = {}
        page = _PAGE_VECTORS if with_vectors else _PAGE
        for start in range(0, len(wanted), page):
            records = self._retrieve(wanted[start : start + page], with_vectors=with_vectors)
            points |= {str(record.id): self._point(record, with_vectors) for record in records}
        return [points[each] for each in wanted if each in points]

    def scroll(self, where: Filter | None = None, *, with_vectors: bool = False) -> Iterator[Point]:
        """All points that match the filter, in order of id, read page by page."""
        records = self._records(where, with_vectors=with_vectors)
        return (self._point(record, with_vectors) for record in records)

    def payloads(self, where: Filter | None = None) -> Iterator[Payload]:
        """The payloads of all points that match the filter, in order of id."""
        return (record.payload or {} for record in self._records(where, with_vectors=False))

    def _records(self, where: Filter | None, *, with_vectors: bool) -> Iterator[Any]:
        if not can_match(where):
            return
        page = _PAGE_VECTORS if with_vectors else _PAGE
        offset: Any = None
        while True:
            records, offset = self._page(where, offset, page, with_vectors=with_vectors)
            yield from records
            if offset is None:
                return

    def set_payload(self, payload: Payload, where: Filter) -> None:
        """Set these top-level fields on every matching point."""
        size = json_size(payload)
        if payload and can_match(where):
            self._set(payload, size, where)

    def delete(self, where: Filter) -> None:
        """Remove every matching point."""
        if can_match(where):
            self._delete(where)

    def count(self, where: Filter | None = None) -> int:
        """The number of matching points."""
        return self._count(where) if can_match(where) else 0

    @abstractmethod
    def _write(self, points: Sequence[Point], size: int) -> None:
        """Write points that count for `size` bytes together."""

    @abstractmethod
    def _nearest(
        self,
        vectors: Sequence[list[float]],
        limit: int,
        where: Filter | None,
        *,
        exact: bool,
        with_payload: bool | list[str],
    ) -> Sequence[Sequence[Any]]:
        """The neighbours of each vector, best first, with all or these fields of payloads."""

    @abstractmethod
    def _retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> Iterable[Any]:
        """The existing points."""

    @abstractmethod
    def _page(
        self, where: Filter | None, offset: Any, limit: int, *, with_vectors: bool
    ) -> tuple[Iterable[Any], Any]:
        """Points in order of id from `offset` (None: the start), and the next offset."""

    @abstractmethod
    def _set(self, payload: Payload, size: int, where: Filter) -> None:
        """Set fields, which have `size` bytes as JSON."""

    @abstractmethod
    def _delete(self, where: Filter) -> None:
        """Remove points."""

    @abstractmethod
    def _count(self, where: Filter | None) -> int:
        """Count points."""

    def _point(self, record: Any, with_vectors: bool) -> Point:
        vector = None
        if with_vectors and self._spec.dimension is not None:
            vector = np.asarray(record.vector, dtype=np.float32)
        return Point(str(record.id), record.payload or {}, vector)


def _leading(answer: Sequence[Any], limit: int) -> list[Hit]:
    """The best `limit` of an engine's hits, and those that have the score of the last of them."""
    if len(answer) > limit:
        least, following = cosine(answer[limit - 1].score), range(limit, len(answer))
        ends = (place for place in following if cosine(answer[place].score) < least)
        answer = answer[: next(ends, len(answer))]
    return [Hit(str(scored.id), cosine(scored.score), scored.payload or {}) for scored in answer]


def selected(payload: Payload, fields: Sequence[str] | None) -> Payload:
    """The payload with these of its fields; None: all."""
    return payload if fields is None else {f: payload[f] for f in fields if f in payload}


def _with_payload(hit: Hit, payloads: Mapping[str, Payload]) -> Hit:
    return hit._replace(payload=payloads[hit.id]) if hit.id in payloads else hit


def check_name(name: str) -> str:
    """The name, if it is valid for a collection and a folder. Raises `ValueError`."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} cannot name a collection: use letters, digits, '_', '-'")
    return name


def canonical_id(given: str) -> str:
    """The UUID in its usual text form. Raises `ValueError`."""
    return str(UUID(given))


def canonical_ids(ids: Iterable[str]) -> list[str]:
    """Each UUID once, in order. Raises `ValueError`."""
    return list(dict.fromkeys(map(canonical_id, ids)))


def check_rows(vectors: Vectors, spec: CollectionSpec) -> Vectors:
    """The vectors as float32 (n, D). Raises `ValueError` if they do not fit the collection."""
    if spec.dimension is None:
        raise ValueError(f"{spec.name} holds no vectors")
    rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != spec.dimension:
        raise ValueError(f"{spec.name} takes vectors (n, {spec.dimension}), not {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{spec.name} takes finite vectors only")
    return rows


def check_points(points: Sequence[Point], spec: CollectionSpec) -> list[int]:
    """The size of each point's payload as JSON, in bytes.

    Raises `ValueError` or `TypeError` if a point does not fit the collection.
    """
    if spec.dimension is None:
        if any(point.vector is not None for point in points):
            raise ValueError(f"{spec.name} holds no vectors")
    else:
        rows = [point.vector for point in points if point.vector is not None]
        if len(rows) != len(points):
            raise ValueError(f"{spec.name} needs a vector with each point")
        if any(np.shape(row) != (spec.dimension,) for row in rows):
            raise ValueError(f"{spec.name} takes vectors ({spec.dimension},)")
        if rows:
            check_rows(np.stack(rows), spec)
    canonical_ids(point.id for point in points)
    return [json_size(point.payload) for point in points]


def json_size(payload: Payload) -> int:
    """The size of the payload as JSON, in bytes. Raises `ValueError` or `TypeError`."""
    return len(json.dumps(dict(payload), ensure_ascii=False, allow_nan=False).encode())


def batches(
    items: Sequence[T], weights: Sequence[int], *, most: int, most_weight: int
) -> Iterator[tuple[Sequence[T], int]]:
    """Slices of at most `most` items and `most_weight` in total, each with its weight.

    An item that exceeds `most_weight` is a slice of its own.
    """
    start, weight = 0, 0
    for end, more in enumerate(weights):
        if end > start and (end - start == most or weight + more > most_weight):
            yield items[start:end], weight
            start, weight = end, 0
        weight += more
    if start < len(items):
        yield items[start:], weight


def can_match(where: Filter | None) -> bool:
    """Whether any point can match: not if a `must` field has no values."""
    return where is None or all(where.must.values())


def texts(values: Iterable[str]) -> list[str]:
    """The values of a filter as `str`, also those of text enums. Raises `TypeError`."""
    if not all(isinstance(value, str) for value in values):
        raise TypeError("a filter compares with text, not with numbers, True or False")
    return [str(value) for value in values]


def plain_vector(vector: Vectors | None) -> Any:
    """A point's vector in the form of both engines: a list of numbers, or {} without a vector."""
    return {} if vector is None else np.asarray(vector, dtype=np.float32).tolist()


def cosine(score: float) -> float:
    """An engine's score, clipped to -1 to 1: rounding can exceed them by 1e-7."""
    return min(1.0, max(-1.0, float(score)))


def settle_ties(
    ask: Callable[[Sequence[int], int], Sequence[list[Hit]]], rows: int, limit: int, spare: int
) -> list[list[Hit]]:
    """The `limit` best hits of each row, best first, hits of equal score in order of id.

    An engine orders equal scores by the position of points in its files, which differs after a
    rebuild. So more hits than `limit` are requested, and again more for those rows whose last hit
    has the same score as the one at the limit.

    Args:
        ask: `ask(rows, n)` returns the n best hits of each of these rows, best first. It may leave
            out those with a lower score than the one at `limit`.
        rows: how many there are.
        limit: how many hits of each are wanted, 1 or more.
        spare: how many more to request at first, 1 or more. If fewer hits than that share the last
            place, one request settles the order.
    """
    settled: list[list[Hit]] = [[] for _ in range(rows)]
    undecided: Sequence[int] = range(rows)
    wanted = limit + spare
    while undecided:
        still = []
        for row, hits in zip(undecided, ask(undecided, wanted), strict=True):
            if len(hits) >= wanted and hits[-1].score == hits[limit - 1].score:
                still.append(row)
            else:
                settled[row] = sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]
        undecided, wanted = still, wanted * _WIDENING
    return settled
