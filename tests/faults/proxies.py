"""Object store and index wrapped, so that a fault strikes at a chosen operation.

The parts below are the shipped ones; only what lies between them and the registry is added.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from registry.blobs.base import BlobInfo, BlobStore
from registry.domain import Vectors
from registry.errors import StoreFull, StoreUnreachable
from registry.store.base import Collection, CollectionSpec, Filter, Hit, Payload, Point, Store
from tests.support.processes import kill

T = TypeVar("T")


class Fault(StrEnum):
    """What strikes."""

    KILL_BEFORE = "killed before an operation"
    KILL_AFTER = "killed after an operation"
    REFUSED = "one operation refused"
    FULL = "no space from an operation on"
    GONE = "no answer from an operation on"
    LOST = "done, but the answer is lost"


@dataclass(slots=True)
class Trigger:
    """Counts the operations of all parts, and lets the fault strike at one of them."""

    fault: Fault | None = None
    at: int = -1
    """0-based number of the operation; -1: never."""
    done: int = 0
    names: list[str] = field(default_factory=list)

    def run(self, name: str, operation: Callable[[], T], *, writes: bool = False) -> T:
        """One operation of a part."""
        number, self.done = self.done, self.done + 1
        self.names.append(name)
        here = number == self.at
        gone = self.fault is Fault.GONE and 0 <= self.at <= number
        full = self.fault is Fault.FULL and 0 <= self.at <= number and writes
        if here and self.fault is Fault.KILL_BEFORE:
            kill(os.getpid())
        if gone or (here and self.fault is Fault.REFUSED):
            raise StoreUnreachable(f"injected: no answer to {name}")
        if full:
            raise StoreFull(f"injected: no space for {name}")
        try:
            result = operation()
        finally:
            if here and self.fault is Fault.KILL_AFTER:  # also if there is no such object
                kill(os.getpid())
        if here and self.fault is Fault.LOST:
            raise StoreUnreachable(f"injected: the answer to {name} was lost")
        return result


class FaultyBlobs:
    """A `BlobStore` over another."""

    def __init__(self, inner: BlobStore, trigger: Trigger) -> None:
        self._inner, self._trigger = inner, trigger

    def describe(self) -> str:
        return self._inner.describe()

    def put(self, key: str, data: bytes) -> None:
        self._trigger.run(f"put {key}", lambda: self._inner.put(key, data), writes=True)

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        for key, data in objects.items():  # one by one, so that each is a point to fail at
            self.put(key, data)

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        return self._trigger.run(
            f"put_if {key}", lambda: self._inner.put_if(key, data, expected), writes=True
        )

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        return self._trigger.run(f"get {key}", lambda: self._inner.get_tagged(key))

    def get(self, key: str) -> bytes:
        return self._trigger.run(f"get {key}", lambda: self._inner.get(key))

    def exists(self, key: str) -> bool:
        return self._trigger.run(f"exists {key}", lambda: self._inner.exists(key))

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        return iter(self._trigger.run(f"list {prefix}", lambda: [*self._inner.list(prefix)]))

    def delete(self, key: str) -> None:
        self._trigger.run(f"delete {key}", lambda: self._inner.delete(key))

    def close(self) -> None:
        self._inner.close()


class FaultyCollection:
    """A `Collection` over another."""

    def __init__(self, inner: Collection, trigger: Trigger) -> None:
        self._inner, self._trigger = inner, trigger

    @property
    def name(self) -> str:
        return self._inner.name

    def _run(self, name: str, operation: Callable[[], T], *, writes: bool = False) -> T:
        return self._trigger.run(f"{name} {self._inner.name}", operation, writes=writes)

    def upsert(self, points: Sequence[Point]) -> None:
        self._run("upsert", lambda: self._inner.upsert(points), writes=True)

    def query(
        self,
        vectors: Vectors,
        *,
        limit: int,
        where: Filter | None = None,
        exact: bool = True,
        fields: Sequence[str] | None = None,
    ) -> list[list[Hit]]:
        query = self._inner.query
        return self._run(
            "query", lambda: query(vectors, limit=limit, where=where, exact=exact, fields=fields)
        )

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        return self._run("get", lambda: self._inner.get(ids, with_vectors=with_vectors))

    def scroll(self, where: Filter | None = None, *, with_vectors: bool = False) -> Iterator[Point]:
        found = self._run("scroll", lambda: [*self._inner.scroll(where, with_vectors=with_vectors)])
        return iter(found)

    def payloads(self, where: Filter | None = None) -> Iterator[Payload]:
        return iter(self._run("scroll", lambda: [*self._inner.payloads(where)]))

    def set_payload(self, payload: Payload, where: Filter) -> None:
        self._run("set_payload", lambda: self._inner.set_payload(payload, where), writes=True)

    def delete(self, where: Filter) -> None:
        self._run("delete", lambda: self._inner.delete(where), writes=True)

    def count(self, where: Filter | None = None) -> int:
        return self._run("count", lambda: self._inner.count(where))

    def flush(self) -> None:
        self._run("flush", self._inner.flush)

    def optimize(self) -> None:
        self._run("optimize", self._inner.optimize, writes=True)


class FaultyStore:
    """A `Store` over another."""

    def __init__(self, inner: Store, trigger: Trigger) -> None:
        self._inner, self._trigger = inner, trigger
        self.keeps_deleted = inner.keeps_deleted

    def describe(self) -> str:
        return self._inner.describe()

    def has(self, name: str) -> bool:
        return self._trigger.run(f"has {name}", lambda: self._inner.has(name))

    def open(self, spec: CollectionSpec) -> Collection:
        opened = self._trigger.run(f"open {spec.name}", lambda: self._inner.open(spec), writes=True)
        return FaultyCollection(opened, self._trigger)

    def drop(self, name: str) -> None:
        self._trigger.run(f"drop {name}", lambda: self._inner.drop(name))

    def close(self) -> None:
        self._inner.close()
