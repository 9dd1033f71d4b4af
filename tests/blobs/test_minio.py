"""What only a bucket can do wrong, asked of a real S3 server."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import SUSPENDED, VersioningConfig

from registry.blobs.minio_store import MinioStore
from registry.errors import (
    ObjectMissing,
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreUnreachable,
    UsageError,
)
from tests.blobs.test_contract import METHODS, listed
from tests.support import places
from tests.support.weed import S3Server, free_ports, start_weed

OpenStore = Callable[..., MinioStore]


def put_bare(server: S3Server, bucket: str, name: str, data: bytes, **metadata: str) -> None:
    given: dict[str, str | list[str] | tuple[str]] = {**metadata}
    server.client().put_object(bucket, name, io.BytesIO(data), len(data), metadata=given)


@pytest.fixture
def new_bucket(s3_server: S3Server) -> Iterator[str]:
    """The name of a bucket that is not there yet, removed afterwards."""
    name = places.bucket("new")
    yield name
    client = s3_server.client()
    if client.bucket_exists(name):
        for found in client.list_objects(name, recursive=True, include_version=True):
            client.remove_object(name, str(found.object_name), found.version_id)
        client.remove_bucket(name)


def test_a_missing_bucket_is_made(minio_store: OpenStore, new_bucket: str) -> None:
    store = minio_store(bucket=new_bucket, prefix="")
    store.put("a", b"x")
    assert minio_store(bucket=new_bucket, prefix="").get("a") == b"x"


def test_many_processes_may_make_the_bucket_at_once(
    minio_store: OpenStore, new_bucket: str
) -> None:
    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(lambda _: minio_store(bucket=new_bucket), range(8)))
    for store in stores:
        store.put("a", b"x")
        assert store.get("a") == b"x"


def test_a_bucket_removed_meanwhile_is_named(
    minio_store: OpenStore, s3_server: S3Server, new_bucket: str
) -> None:
    store = minio_store(bucket=new_bucket)
    s3_server.client().remove_bucket(new_bucket)
    for work in (lambda: store.get("a"), lambda: store.put("a", b"x"), lambda: listed(store)):
        with pytest.raises(StoreError, match=f"no bucket {new_bucket} ") as caught:
            work()
        assert type(caught.value) is StoreError


@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
def test_wrong_keys_are_refused_and_not_repeated(
    minio_store: OpenStore, s3_server: S3Server, wrong: str
) -> None:
    value = "Wr0ng-and-private"
    with pytest.raises(StoreDenied, match="MINIO_ACCESS_KEY and MINIO_SECRET_KEY") as caught:
        minio_store(**{wrong: value})
    for private in (value, s3_server.access_key, s3_server.secret_key):
        assert private not in str(caught.value)


def test_a_prefix_keeps_registries_apart(
    minio_store: OpenStore, s3_server: S3Server, bucket: str
) -> None:
    one, other = minio_store(prefix="team/one"), minio_store(prefix="team/one-more/")
    one.put("a/b", b"one")
    other.put("a/b", b"other")
    assert (one.get("a/b"), other.get("a/b")) == (b"one", b"other")
    assert listed(one) == listed(other) == ["a/b"]
    one.delete("a/b")
    assert listed(one) == []
    assert listed(other, "a/") == ["a/b"]
    assert s3_server.client().stat_object(bucket, "team/one-more/a/b").size == 5
    assert other.describe() == f"bucket {bucket}/team/one-more/ at http://{s3_server.endpoint}"


@pytest.mark.parametrize("prefix", ["/", "..", "a/../b", "a b", ".hidden", "a" * 513])
def test_a_prefix_must_be_a_key(minio_store: OpenStore, prefix: str) -> None:
    with pytest.raises(StoreError, match="is not an object key"):
        minio_store(prefix=prefix)


def test_what_others_put_in_the_bucket_is_read_and_listed_only_by_key(
    minio_store: OpenStore, s3_server: S3Server, bucket: str
) -> None:
    prefix = f"of-{uuid.uuid4().hex}"
    for name in ("plain", "with blank", ".hidden/a", "folder/"):
        put_bare(s3_server, bucket, f"{prefix}/{name}", b"")
    put_bare(s3_server, bucket, f"{prefix}/plain", b"without a digest")
    store = minio_store(prefix=prefix)
    assert listed(store) == ["plain"]
    assert store.get("plain") == b"without a digest"


def test_an_object_that_changed_on_the_server_is_not_returned(
    minio_store: OpenStore, s3_server: S3Server, bucket: str
) -> None:
    store = minio_store(prefix="changed")
    store.put("a", b"as it was")
    digest = s3_server.client().stat_object(bucket, "changed/a").metadata
    assert digest is not None
    put_bare(s3_server, bucket, "changed/a", b"as it is!", sha256=digest["x-amz-meta-sha256"])
    with pytest.raises(StoreCorrupt, match=r"Object a in bucket .*SHA-256"):
        store.get("a")


def test_a_listing_of_many_pages_is_whole_and_in_order(minio_store: OpenStore) -> None:
    store = minio_store()
    keys = [f"d/{i:03}{tail}" for i in range(370) for tail in ("-b", ".c", "/x")]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: store.put(key, b""), keys))
    assert listed(store) == keys


# Versions


@pytest.mark.parametrize("state", [ENABLED, SUSPENDED])
def test_a_delete_erases_every_version(
    minio_store: OpenStore, s3_server: S3Server, new_bucket: str, state: str
) -> None:
    client = s3_server.client()
    client.make_bucket(new_bucket)
    client.set_bucket_versioning(new_bucket, VersioningConfig(ENABLED))
    put_bare(s3_server, new_bucket, "p/a", b"from before")
    client.remove_object(new_bucket, "p/a")
    client.set_bucket_versioning(new_bucket, VersioningConfig(state))
    store = minio_store(bucket=new_bucket, prefix="p")
    for data in (b"first", b"second", b"third"):
        store.put("a", data)
        store.put("a-neighbour", data)
    assert store.get("a") == b"third"
    assert listed(store) == ["a", "a-neighbour"]
    store.delete("a")
    store.delete("a")
    assert not store.exists("a")
    versions = list(client.list_objects(new_bucket, recursive=True, include_version=True))
    assert {version.object_name for version in versions} == {"p/a-neighbour"}
    assert store.get("a-neighbour") == b"third"
    store.put("a", b"again")
    assert store.get("a") == b"again"


# The way to the server


def test_a_port_without_a_server_is_soon_given_up(minio_store: OpenStore) -> None:
    (port,) = free_ports(1)
    start = time.monotonic()
    with pytest.raises(
        StoreUnreachable, match=f"http://127.0.0.1:{port} .*refused.*MINIO_ENDPOINT"
    ):
        minio_store(endpoint=f"127.0.0.1:{port}")
    assert time.monotonic() - start < 5


def test_a_name_without_an_address_is_named(minio_store: OpenStore) -> None:
    with pytest.raises(
        StoreUnreachable, match=r"//objects\.invalid:9000 \(its name does not resolve"
    ):
        minio_store(endpoint="objects.invalid:9000")


@pytest.mark.slow
def test_a_server_that_stops_is_reported_and_found_again(
    minio_store: OpenStore, tmp_path: Path
) -> None:
    server = start_weed(tmp_path / "weed")
    store = minio_store(
        endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key
    )
    try:
        store.put("a", b"x")
        server.stop()
        works: list[Callable[[], object]] = [
            lambda: listed(store),
            *((lambda work=work: work(store, "a")) for work in METHODS.values()),
        ]
        with ThreadPoolExecutor(len(works)) as threads:
            for failure in [threads.submit(work) for work in works]:
                with pytest.raises(
                    StoreUnreachable, match=f"no answer from http://{server.endpoint}"
                ):
                    failure.result()
        server = start_weed(tmp_path / "weed", ports=server.ports)
        assert store.get("a") == b"x"
    finally:
        server.stop()


@pytest.mark.parametrize("form", ["http://{}", "http://{}/", "HTTP://{}"])
def test_a_scheme_in_the_endpoint_decides(
    minio_store: OpenStore, s3_server: S3Server, form: str
) -> None:
    host = s3_server.endpoint.rpartition("//")[2]
    store = minio_store(endpoint=form.format(host), secure=True)
    store.put("a", b"x")
    assert store.describe().endswith(f" at http://{host}")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"endpoint": ""}, "MINIO_ENDPOINT"),
        ({"endpoint": "http://"}, "MINIO_ENDPOINT"),
        ({"endpoint": "ftp://host"}, "MINIO_ENDPOINT"),
        ({"endpoint": "http://host:9000/bucket"}, "Write 'host:9000' there.*MINIO_BUCKET"),
        ({"endpoint": "host/bucket"}, "Write 'host' there.*MINIO_BUCKET"),
        ({"endpoint": "host?x=1"}, "MINIO_ENDPOINT"),
        ({"endpoint": "http://user:private@host"}, "MINIO_ENDPOINT"),
        ({"endpoint": "host:port"}, "MINIO_ENDPOINT"),
        ({"endpoint": "host:99999"}, "MINIO_ENDPOINT"),
        ({"endpoint": "[::1"}, "MINIO_ENDPOINT"),
        ({"endpoint": "my host"}, "MINIO_ENDPOINT"),
        ({"region": "not a region"}, "MINIO_REGION"),
        ({"bucket": "Upper_Case"}, "MINIO_BUCKET"),
        ({"bucket": "ab"}, "MINIO_BUCKET"),
        ({"bucket": ""}, "MINIO_BUCKET"),
        ({"access_key": ""}, "MINIO_ACCESS_KEY"),
        ({"secret_key": ""}, "MINIO_SECRET_KEY"),
        ({"access_key": "private\n"}, "MINIO_ACCESS_KEY"),
        ({"secret_key": "private\u00fc"}, "MINIO_SECRET_KEY"),
        ({"ca_file": Path("ca.pem")}, "ca.pem is for TLS"),
        ({"ca_file": Path("/nowhere/ca.pem"), "secure": True}, "/nowhere/ca.pem"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(given: dict[str, object], named: str) -> None:
    arguments: dict[str, object] = {
        "endpoint": "127.0.0.1:1",
        "access_key": "access",
        "secret_key": "secret",
        "bucket": "bucket",
        "secure": False,
    }
    with pytest.raises(UsageError, match=named) as caught:
        MinioStore(**(arguments | given))  # type: ignore[arg-type]
    assert "private" not in str(caught.value)


def test_missing_objects_are_told_from_missing_rights(minio_store: OpenStore) -> None:
    with pytest.raises(ObjectMissing, match="no object crops/a in bucket"):
        minio_store().get("crops/a")
