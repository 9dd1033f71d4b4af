"""The interface to the index: what the registry asks of Qdrant, embedded or on a server.

An index can always be rebuilt from the objects, so it has to be durable only after `flush`; where
the two differ, the objects are right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from registry.domain import Vectors

Payload = Mapping[str, Any]
"""JSON values by field name."""


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """How a collection is created."""

    name: str
    dimension: int | None
    """D of its vectors (cosine distance); None for points with payloads only."""
    keywords: tuple[str, ...] = ()
    """Payload fields for filters, each indexed as keyword; `a[].b` is a field of array elements."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Points whose `must` fields each hold one of their values and whose `must_not` fields do not.

    A field is a payload path (`video_id`, `appearances[].identity_id`) and must be listed in the
    collection's `keywords`. Values are text; others raise `TypeError`. An array holds a value if
    one of its elements does. A `must` field without values matches no point; `Filter()` matches
    all.
    """

    must: Mapping[str, Sequence[str]] = field(default_factory=dict)
    must_not: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """One entry of a collection."""

    id: str
    """UUID in its usual text form."""
    payload: Payload
    vector: Vectors | None = None
    """float32 (D,), L2-normalised; None in a collection without vectors, or when not asked for."""


class Hit(NamedTuple):
    """One neighbour of a query vector."""

    id: str
    score: float
    """Cosine similarity, -1 to 1."""
    payload: Payload


class Collection(Protocol):
    """Points of one kind. Every method may raise a `StoreError`.

    Arguments that do not fit the collection (a vector of another length or not finite, a payload
    that is not JSON, an id that is not a UUID) raise `ValueError` or `TypeError` before anything is
    written.
    """

    @property
    def name(self) -> str:
        """As in the spec it was opened with."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, replacing those of the same id; in one request if they fit.

        If two points have one id, the later one is kept.
        """

    def query(
        self,
        vectors: Vectors,
        *,
        limit: int,
        where: Filter | None = None,
        exact: bool = True,
        fields: Sequence[str] | None = None,
    ) -> list[list[Hit]]:
        """The `limit` nearest points of each row of `vectors` (n, D), best first.

        Hits of equal score are ordered by id, also at the cut-off, so that a rebuilt index gives
        the same answers. `exact` compares with every point; otherwise the graph index may be used.
        Payloads of hits have these top-level `fields`, where a point has them; None: all. Of a
        hundred hits, reading whole payloads takes longer than finding them.
        """

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        """The existing points among `ids`, in their order, each once."""

    def scroll(self, where: Filter | None = None, *, with_vectors: bool = False) -> Iterator[Point]:
        """All points that match the filter, in order of id, read page by page."""

    def payloads(self, where: Filter | None = None) -> Iterator[Payload]:
        """The payloads of what `scroll` returns; without ids, which take a third of its time."""

    def set_payload(self, payload: Payload, where: Filter) -> None:
        """Set these top-level fields on every matching point; other fields stay.

        Qdrant removes a field that is set to None, and qdrant-client's own engine keeps it: read it
        with `payload.get`.
        """

    def delete(self, where: Filter) -> None:
        """Remove every matching point."""

    def count(self, where: Filter | None = None) -> int:
        """The exact number of matching points."""

    def flush(self) -> None:
        """Return when all earlier writes are durable."""

    def optimize(self) -> None:
        """Build the graph index and merge segments, unless the engine does so by itself."""


class Store(Protocol):
    """A set of collections. Every method may raise a `StoreError`."""

    keeps_deleted: bool
    """Whether the bytes of a deleted point stay in files until its collection is dropped."""

    def describe(self) -> str:
        """One line for messages: kind and place, without secrets."""

    def has(self, name: str) -> bool:
        """Whether a collection of this name exists."""

    def open(self, spec: CollectionSpec) -> Collection:
        """The collection, created (with its payload indexes) if it does not exist.

        A name has letters, digits, `_` and `-`. Raises `StoreCorrupt` if it exists with another
        dimension.
        """

    def drop(self, name: str) -> None:
        """Remove a collection with its points; no error if it does not exist."""

    def close(self) -> None:
        """Flush and release the files or connections. May be called twice."""
