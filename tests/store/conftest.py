"""The stores that one contract is held against, and points to put into them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient

from registry.store.base import Store
from registry.store.edge import EdgeStore
from registry.store.server import ServerStore

# Read while tests are collected: no test sees QDRANT_* or FACE_REGISTRY_* later on.
SERVER_URL = os.environ.get("FACE_REGISTRY_TEST_QDRANT_URL")
SERVER_KEY = os.environ.get("FACE_REGISTRY_TEST_QDRANT_API_KEY")

Opener = Callable[[], Store]


@pytest.fixture(params=["edge", "memory", "server"])
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
    if kind == "memory":
        client = QdrantClient(":memory:")
        return (lambda: ServerStore("", None, prefix="t-", client=client)), client.close
    if SERVER_URL is None:
        pytest.skip("a Qdrant server: FACE_REGISTRY_TEST_QDRANT_URL is not set")
    url, prefix = SERVER_URL, f"test-{uuid4().hex[:12]}-"

    def clean() -> None:
        headers = {"api-key": SERVER_KEY} if SERVER_KEY else None
        client = QdrantClient(url=url, headers=headers, check_compatibility=False)
        for collection in client.get_collections().collections:
            if collection.name.startswith(prefix):
                client.delete_collection(collection.name)
        client.close()

    return (lambda: ServerStore(url, SERVER_KEY, prefix=prefix)), clean
