"""The seam to the index: what the registry asks of Qdrant, embedded or served.

An index can always be rebuilt from the objects, so an implementation owes durability only after
`flush`, and never has to be right about anything that the objects say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from registry.domain import Vectors

Payload = Mapping[str, Any]
"""JSON values by field name."""

Value = str | int
"""What a filter compares with: text, or a whole number. Not True or False, which Edge 0.9 takes for
1 and 0: they raise `ValueError`."""


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """What a collection is created with."""

    name: str
    dimension: int | None
    """D of its vectors (cosine distance), or None: points carry payloads only."""
    keywords: tuple[str, ...] = ()
    """Payload fields that are filtered on, each indexed as keyword; `a[].b` reaches into arrays."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Points for which every `must` field holds one of its values and no `must_not` field does.

    A field is a payload path (`video_id`, `appearances[].identity_id`) and must be listed in the
    collection's `keywords`. An array holds a value if one of its elements does. A `must` field
    without values lets no point pass, `Filter()` lets all pass. Only text is looked up in an index:
    a server in strict mode refuses numbers.
    """

    must: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    must_not: Mapping[str, Sequence[Value]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """One entry of a collection."""

    id: str
    """UUID in its usual text form."""
    payload: Payload
    vector: Vectors | None = None
    """float32 (D,), L2-normalised; None in a collection without vectors, or when not asked for."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbour of a query vector."""

    id: str
    score: float
    """Cosine similarity, -1 to 1."""
    payload: Payload


class Collection(Protocol):
    """Points of one kind. Every method may raise a `StoreError`.

    What does not fit the collection (a vector of another length or not finite, a payload that is
    no JSON, an id that is no UUID) raises `ValueError` or `TypeError` before anything is written.
    """

    @property
    def name(self) -> str:
        """As in the spec it was opened with."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points whole, replacing those of the same id; in one request where it fits.

        Of two points with one id the later stays.
        """

    def query(
        self, vectors: Vectors, *, limit: int, where: Filter | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """The `limit` nearest points of each row of `vectors` (n, D), best first.

        Hits of equal score come in order of id, also where `limit` cuts them off, so that a
        rebuilt index gives the same answers. `exact` compares with every point; otherwise the
        graph index may answer.
        """

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        """The points that exist among `ids`, in their order, each once."""

    def scroll(self, where: Filter | None = None, *, with_vectors: bool = False) -> Iterator[Point]:
        """All points that pass the filter, in order of id, read a page at a time."""

    def set_payload(self, payload: Payload, where: Filter) -> None:
        """Set these top-level fields on every point that passes the filter; leave the others.

        Qdrant removes a field that is set to None, qdrant-client's own engine keeps it: read it
        with `get`.
        """

    def delete(self, where: Filter) -> None:
        """Remove every point that passes the filter."""

    def count(self, where: Filter | None = None) -> int:
        """How many points pass the filter, exactly."""

    def flush(self) -> None:
        """Return when everything written before is durable."""

    def optimize(self) -> None:
        """Build the graph index and merge segments, where the engine does not do so by itself."""


class Store(Protocol):
    """A set of collections. Every method may raise a `StoreError`."""

    keeps_deleted: bool
    """Whether the bytes of a deleted point stay in files until its collection is dropped."""

    def describe(self) -> str:
        """One line for people: what it is and where, without secrets."""

    def has(self, name: str) -> bool:
        """Whether a collection of this name exists."""

    def open(self, spec: CollectionSpec) -> Collection:
        """The collection, created (with its payload indexes) if it does not exist.

        A name has letters, digits, `_` and `-`. Raises `StoreCorrupt` if it exists with another
        dimension.
        """

    def drop(self, name: str) -> None:
        """Remove a collection and everything in it; nothing happens if there is none."""

    def close(self) -> None:
        """Flush and let go; closing twice is fine."""
