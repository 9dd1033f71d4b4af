from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.blobs.base import BlobStore
from registry.blobs.folder import FolderStore
from registry.blobs.minio_store import MinioStore
from registry.system.folder_by_path import FolderByPath
from tests.support import places
from tests.support.weed import S3Server, s3_server

__all__ = ["s3_server"]


@pytest.fixture(scope="session")
def bucket(s3_server: S3Server) -> str:
    """A bucket for this run."""
    name = places.bucket("blobs")
    s3_server.client().make_bucket(name)
    return name


@pytest.fixture
def minio_store(s3_server: S3Server, bucket: str) -> Callable[..., MinioStore]:
    """Open a store in the bucket: with the given arguments, else below a prefix of its own."""

    def make(**given: object) -> MinioStore:
        arguments: dict[str, object] = {
            "endpoint": s3_server.endpoint,
            "access_key": s3_server.access_key,
            "secret_key": s3_server.secret_key,
            "bucket": bucket,
            "secure": False,
            "prefix": f"of-{uuid.uuid4().hex}",
            "timeout_s": 120.0,  # a server beside many tests may be slow
        }
        return MinioStore(**(arguments | given))  # type: ignore[arg-type]

    return make


@pytest.fixture(params=["folder", "folder by path", "bucket"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], BlobStore]]:
    """Open an empty object store, of each kind in turn."""
    stores: list[BlobStore] = []

    def make() -> BlobStore:
        if request.param == "folder":
            stores.append(FolderStore(tmp_path / uuid.uuid4().hex))
        elif request.param == "folder by path":
            stores.append(FolderStore(tmp_path / uuid.uuid4().hex, opener=FolderByPath))
        else:
            stores.append(request.getfixturevalue("minio_store")())
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(new_store: Callable[[], BlobStore]) -> BlobStore:
    """One empty object store, of each kind in turn."""
    return new_store()
