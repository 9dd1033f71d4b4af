"""Servers that tests are given, and places of this run on them, which are removed at its end.

`make test-server` names them: FACE_REGISTRY_TEST_QDRANT_URL and _QDRANT_API_KEY,
FACE_REGISTRY_TEST_MINIO_ENDPOINT, _MINIO_ACCESS_KEY, _MINIO_SECRET_KEY, _MINIO_SECURE,
_MINIO_REGION and the two _CA_FILE.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from uuid import uuid4

import urllib3

from registry.system.certificates import tls_context

GIVEN = "FACE_REGISTRY_TEST_"
RUN = f"frt-{uuid4().hex[:10]}"
"""Begins the name of everything that this run puts on a server."""
# Read on import, for the tests themselves see no settings from outside.
QDRANT = {
    name: os.environ[f"{GIVEN}{name}"]
    for name in ("QDRANT_URL", "QDRANT_API_KEY", "QDRANT_CA_FILE")
    if os.environ.get(f"{GIVEN}{name}")
}
MINIO = {
    name: os.environ[f"{GIVEN}{name}"]
    for name in (
        "MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_SECURE", "MINIO_REGION",
        "MINIO_CA_FILE",
    )
    if os.environ.get(f"{GIVEN}{name}")
}  # fmt: skip


def bucket(what: str) -> str:
    """A name for a bucket that no other test uses."""
    return f"{RUN}-{what}-{uuid4().hex[:8]}"


def environment(home: Path) -> dict[str, str]:
    """The settings that send the registry of a home to the servers given; none: it is embedded."""
    name = f"{RUN}-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    found: dict[str, str] = {}
    if "QDRANT_URL" in QDRANT:
        found |= {**QDRANT, "QDRANT_PREFIX": f"{name}-"}
    if "MINIO_ENDPOINT" in MINIO:
        found |= {**MINIO, "MINIO_BUCKET": name}
    return found


def leave_clean() -> None:
    """Remove what this run put on the servers given."""
    if "QDRANT_URL" in QDRANT:
        from qdrant_client import QdrantClient

        key = QDRANT.get("QDRANT_API_KEY")
        client = QdrantClient(
            url=QDRANT["QDRANT_URL"],
            headers={"api-key": key} if key else None,
            check_compatibility=False,
            verify=tls_context(_path("QDRANT_CA_FILE", QDRANT)),
        )
        for collection in client.get_collections().collections:
            if collection.name.startswith(RUN):
                client.delete_collection(collection.name)
        client.close()
    if "MINIO_ENDPOINT" in MINIO:
        _empty_buckets()


def _path(name: str, given: dict[str, str]) -> Path | None:
    return Path(given[name]) if name in given else None


def s3_url() -> str:
    """The S3 server given, with its scheme, which goes before MINIO_SECURE."""
    endpoint = MINIO["MINIO_ENDPOINT"]
    plain = MINIO.get("MINIO_SECURE", "true").lower() in ("0", "false", "no", "off")
    return endpoint if "://" in endpoint else f"{'http' if plain else 'https'}://{endpoint}"


def _empty_buckets() -> None:
    from minio import Minio
    from minio.deleteobjects import DeleteObject

    scheme, _, host = s3_url().partition("://")
    region = MINIO.get("MINIO_REGION")
    pool = urllib3.PoolManager(ssl_context=tls_context(_path("MINIO_CA_FILE", MINIO)))
    keys = MINIO["MINIO_ACCESS_KEY"], MINIO["MINIO_SECRET_KEY"]
    client = Minio(host, *keys, secure=scheme == "https", region=region, http_client=pool)
    for found in client.list_buckets():
        if not found.name.startswith(RUN):
            continue
        for include_version in (True, False):  # a server may know no versions
            objects = client.list_objects(
                found.name, recursive=True, include_version=include_version
            )
            gone = [
                DeleteObject(str(one.object_name), one.version_id if include_version else None)
                for one in objects
            ]
            assert list(client.remove_objects(found.name, gone)) == []
        client.remove_bucket(found.name)
