"""The stores that one contract is held against, and points to put into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient

from registry.store.base import Store
from registry.store.edge import EdgeStore
from registry.store.memory import MemoryStore, PointTable
from registry.store.server import ServerStore
from tests.support import places
from tests.support.kept_shards import shards_made_each_time
from tests.support.qdrant_served import serve_qdrant

Opener = Callable[[], Store]


@pytest.fixture(autouse=True)
def _shards_are_made_each_time() -> Iterator[None]:
    with shards_made_each_time():
        yield


@pytest.fixture(params=["edge", "arrays", "memory", "served", "server"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens a store over what the last one left; the last one is closed first."""
    opened: list[Store] = []
    make, clean = _maker(request.param, tmp_path)

    def open_anew() -> Store:
        if opened:
            opened[-1].close()
        opened.append(make())
        return opened[-1]

    yield open_anew
    for store in opened:
        store.close()
    clean()


@pytest.fixture
def store(reopen: Opener) -> Store:
    return reopen()


@pytest.fixture
def in_memory(request: pytest.FixtureRequest) -> bool:
    """Whether the store is qdrant-client's own engine, which threads must not share."""
    return bool(request.node.callspec.params["reopen"] == "memory")


def _maker(kind: str, tmp_path: Path) -> tuple[Opener, Callable[[], None]]:
    if kind == "edge":
        return (lambda: EdgeStore(tmp_path / "index", reserve_bytes=0)), lambda: None
    if kind == "arrays":
        tables: dict[str, PointTable] = {}
        return (lambda: MemoryStore(tables)), lambda: None
    if kind == "memory":
        client = QdrantClient(":memory:")
        return (lambda: ServerStore("", None, prefix="t-", client=client)), client.close
    if kind == "served":
        over_http = ExitStack()
        served = over_http.enter_context(serve_qdrant())
        # It serves threads in no order, and a busy machine may let one wait for all others.
        return (lambda: ServerStore(served.url, None, prefix="t-", timeout_s=120)), over_http.close
    if "QDRANT_URL" not in places.QDRANT:
        pytest.skip("a Qdrant server: run `make test-server` with QDRANT_URL set")
    prefix, ca_file = f"{places.RUN}-{uuid4().hex[:8]}-", places.QDRANT.get("QDRANT_CA_FILE")
    return (
        lambda: ServerStore(
            places.QDRANT["QDRANT_URL"],
            places.QDRANT.get("QDRANT_API_KEY"),
            prefix=prefix,
            ca_file=Path(ca_file) if ca_file else None,
        )
    ), lambda: None
