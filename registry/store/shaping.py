"""What the requests of every engine have in common: checks, batches, kinds of value, ties.

Wrong arguments (a vector of another length, a payload that is no JSON) raise `ValueError` or
`TypeError` before anything is written: they are mistakes of the caller, not of the store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

import numpy as np

from registry.domain import Vectors
from registry.store.base import CollectionSpec, Filter, Hit, Payload, Point, Value

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_WIDENING = 8
"""How much more to ask for when a tie reaches past the end of an answer. Ties are rare (the same
picture twice), so the factor only bounds the number of rounds: five for 32,768 equal points."""


def check_name(name: str) -> str:
    """The name itself, if it can be a collection and a folder. Raises `ValueError`."""
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
    """The vectors as float32 (n, D), if they fit the collection. Raises `ValueError`."""
    if spec.dimension is None:
        raise ValueError(f"{spec.name} holds no vectors")
    rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != spec.dimension:
        raise ValueError(f"{spec.name} takes vectors (n, {spec.dimension}), not {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{spec.name} takes finite vectors only")
    return rows


def check_points(points: Sequence[Point], spec: CollectionSpec) -> list[int]:
    """Bytes of each point's payload as JSON, if all points fit the collection.

    Raises `ValueError` or `TypeError`.
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
    """Bytes of the payload as JSON. Raises `ValueError` or `TypeError` if it is none."""
    return len(json.dumps(dict(payload), ensure_ascii=False, allow_nan=False).encode())


def batches(
    items: Sequence[T], weights: Sequence[int], *, most: int, most_weight: int
) -> Iterator[tuple[Sequence[T], int]]:
    """Runs of at most `most` items that weigh at most `most_weight` together, with their weight.

    An item that weighs more by itself comes alone.
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
    """Whether any point could pass: a `must` field without values leaves none."""
    return where is None or all(where.must.values())


def by_kind(values: Sequence[Value]) -> tuple[list[str], list[int]]:
    """The values as texts and as numbers, which the engines match apart. Raises `ValueError`."""
    if any(isinstance(value, bool) for value in values):
        raise ValueError("a filter compares with text and whole numbers, not with True or False")
    texts = [str(value) for value in values if isinstance(value, str)]
    return texts, [value for value in values if not isinstance(value, str)]


def cosine(score: float) -> float:
    """An engine's score within -1 to 1, which rounding may leave by 1e-7."""
    return min(1.0, max(-1.0, float(score)))


def settle_ties(
    ask: Callable[[Sequence[int], int], Sequence[list[Hit]]], rows: int, limit: int
) -> list[list[Hit]]:
    """The `limit` best hits of each row, best first, hits of equal score in order of id.

    `ask(rows, n)` gives the n best hits of each of these rows. An engine breaks ties as its files
    happen to lie, so asking for `limit` alone would let a rebuilt index answer otherwise: one hit
    more is asked for, and many more where the tie goes on beyond it.
    """
    settled: list[list[Hit]] = [[] for _ in range(rows)]
    undecided: Sequence[int] = range(rows)
    wanted = limit + 1
    while undecided:
        still = []
        for row, hits in zip(undecided, ask(undecided, wanted), strict=True):
            if len(hits) >= wanted and hits[-1].score == hits[limit - 1].score:
                still.append(row)
            else:
                settled[row] = sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]
        undecided, wanted = still, wanted * _WIDENING
    return settled
