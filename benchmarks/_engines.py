"""Vector engines side by side: the time of a query, and how often it finds the nearest face."""

from __future__ import annotations

import importlib.util
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient

from registry.domain import Vectors
from registry.store.base import CollectionSpec, Point, Store
from registry.store.collection import SEARCHED
from registry.store.edge import EdgeStore
from registry.store.edge_shard import GRAPH_FROM
from registry.store.memory import MemoryStore
from registry.store.server import ServerStore

AT = 0.85
"""Cosine of the rule. Queries without a neighbour at it do not count in the recall."""
_SLOW = 20_000
"""Vectors up to which qdrant-client's local engine is measured: it takes 5 ms for each thousand."""
_HNSW_M = 16
"""Edges of a node, as in Qdrant."""

Search = Callable[[Vectors], str | None]
"""The id of the nearest of all vectors to one (D,) vector."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One row of the table."""

    name: str
    build_s: float
    p50_ms: float
    p99_ms: float
    recall: float
    """Share of the queries with a neighbour at `AT` whose nearest one is found first."""


def compare(vectors: Vectors, queries: Vectors, folder: Path) -> Iterator[Engine | str]:
    """Measure every engine that is here; a sentence for each that is not.

    Args:
        vectors: float32 (n, D), L2-normalised.
        queries: float32 (m, D), L2-normalised.
        folder: an empty one, for files.
    """
    names = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))) for number in range(len(vectors))]
    best = [(int(np.argmax(row)), float(row.max())) for row in queries @ vectors.T]
    wanted = [names[place] if cosine >= AT else None for place, cosine in best]
    with ExitStack() as open_stores:

        def stored(store: Store, *, optimize: bool = False) -> Any:
            open_stores.callback(store.close)
            collection = store.open(CollectionSpec(f"bench-{uuid.uuid4().hex}", vectors.shape[1]))
            open_stores.callback(store.drop, collection.name)
            for start in range(0, len(names), 5000):
                some = zip(names[start : start + 5000], vectors[start : start + 5000], strict=True)
                collection.upsert([Point(name, {}, row) for name, row in some])
            if optimize:
                collection.optimize()
            return collection

        def asking(collection: Any, *, exact: bool) -> Search:
            return lambda row: collection.query(row[None], limit=1, exact=exact)[0][0].id

        started = time.perf_counter()
        edge = stored(EdgeStore(folder / "edge", reserve_bytes=0))
        yield _measured(
            "Qdrant Edge, exact, as written", started, asking(edge, exact=True), queries, wanted
        )
        started = time.perf_counter()
        edge.optimize()
        yield _measured(
            f"Qdrant Edge, optimised, graph from {GRAPH_FROM:,}",
            started,
            asking(edge, exact=False),
            queries,
            wanted,
        )
        started = time.perf_counter()
        yield _measured(
            "Qdrant Edge, exact, optimised", started, asking(edge, exact=True), queries, wanted
        )
        started = time.perf_counter()
        memory = stored(MemoryStore())
        yield _measured(
            "memory store (NumPy)", started, asking(memory, exact=True), queries, wanted
        )
        if len(vectors) > _SLOW:
            yield f"qdrant-client local: not measured beyond {_SLOW:,} vectors, it takes too long."
        else:
            started = time.perf_counter()
            local = stored(ServerStore("", None, client=QdrantClient(":memory:")))
            yield _measured(
                "qdrant-client local", started, asking(local, exact=True), queries, wanted
            )
        url = os.environ.get("QDRANT_URL")
        if url:
            started = time.perf_counter()
            served = stored(ServerStore(url, os.environ.get("QDRANT_API_KEY")), optimize=True)
            for exact in (True, False):
                name = f"Qdrant server, {'exact' if exact else 'graph'}"
                yield _measured(name, started, asking(served, exact=exact), queries, wanted)
        else:
            yield "Qdrant server: skipped, QDRANT_URL is not set."
    if importlib.util.find_spec("faiss") is None:
        yield "faiss: skipped, it is not installed (pip install faiss-cpu)."
        return
    import faiss

    dimension = vectors.shape[1]
    for name, index in (
        ("faiss, flat", faiss.IndexFlatIP(dimension)),
        ("faiss, HNSW", faiss.IndexHNSWFlat(dimension, _HNSW_M, faiss.METRIC_INNER_PRODUCT)),
    ):
        started = time.perf_counter()
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = SEARCHED
        index.add(vectors)

        def search(row: Vectors, index: Any = index) -> str:
            return names[int(index.search(row[None], 1)[1][0, 0])]

        yield _measured(name, started, search, queries, wanted)


def _measured(
    name: str, started: float, search: Search, queries: Vectors, wanted: list[str | None]
) -> Engine:
    build_s = time.perf_counter() - started
    times, found = [], []
    search(queries[0])
    for row in queries:
        before = time.perf_counter()
        found.append(search(row))
        times.append((time.perf_counter() - before) * 1000)
    pairs = [(a, b) for a, b in zip(found, wanted, strict=True) if b is not None]
    recall = sum(a == b for a, b in pairs) / len(pairs) if pairs else float("nan")
    p50, p99 = np.percentile(times, [50, 99]).tolist()
    return Engine(name, build_s, p50, p99, recall)
