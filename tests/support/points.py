"""Points for tests of stores."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np

from registry.domain import Vectors
from registry.store.base import Collection, CollectionSpec, Filter, Point

FACES = CollectionSpec("faces", 4, ("video_id", "identity_id"))
VIDEOS = CollectionSpec("videos", None, ("video_id", "appearances[].identity_id", "n"))


def uid(number: int) -> str:
    """The UUID of a number; they sort alike."""
    return str(UUID(int=number))


def unit(*values: float) -> Vectors:
    """float32 (len(values),), L2-normalised."""
    vector = np.asarray(values, dtype=np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def random_units(n: int, dimension: int, seed: int) -> Vectors:
    """float32 (n, dimension), each row L2-normalised."""
    rows = np.random.default_rng(seed).normal(size=(n, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def face(number: int, *values: float, **payload: Any) -> Point:
    return Point(uid(number), payload, unit(*(values or (1, 0, 0, 0))))


def video(number: int, **payload: Any) -> Point:
    return Point(uid(number), payload)


def numbers(collection: Collection, where: Filter | None = None) -> list[int]:
    """Which points pass the filter, in the order they come."""
    return [UUID(point.id).int for point in collection.scroll(where)]


def vector_of(point: Point) -> Vectors:
    """float32 (D,): the vector of a point that came with one."""
    assert point.vector is not None
    return point.vector
