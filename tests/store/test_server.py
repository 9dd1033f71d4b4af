"""What ServerStore promises beyond the contract: its requests, and what failures become."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tenacity.nap

from registry.errors import (
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreachable,
    UsageError,
)
from registry.store.base import CollectionSpec, Filter, Point
from registry.store.collection import SEARCHED
from registry.store.server import ServerStore
from tests.support.http_server import Answer, Request, error, result, serving
from tests.support.points import FACES, face, random_units, uid

KEY = "sesame-0123456789"


@contextmanager
def store_at(url: str, **options: Any) -> Iterator[ServerStore]:
    store = ServerStore(url, KEY, **options)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts without the pauses between them, as tenacity's documentation advises for tests."""
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=lambda seconds: None))


def collection_info(**changes: Any) -> dict[str, Any]:
    """What a server says of a collection."""
    vectors = {"size": 4, "distance": "Cosine"}
    return {
        "status": "green",
        "optimizer_status": "ok",
        "segments_count": 1,
        "config": {
            "params": {
                "vectors": changes.get("vectors", vectors),
                "replication_factor": changes.get("replicas", 1),
            },
            "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
            "optimizer_config": {
                "deleted_threshold": 0.2,
                "vacuum_min_vector_number": 1000,
                "default_segment_number": 0,
                "flush_interval_sec": 5,
            },
            "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
        },
        "payload_schema": changes.get("payload_schema", {}),
    }


def holding(vectors: dict[str, Any]) -> Callable[[int, Request], Answer]:
    """Answers like a server whose collections exist and have these vectors."""

    def answer(n: int, request: Request) -> Answer:
        if request.path.endswith("/exists"):
            return result({"exists": True})
        if request.method == "GET":
            return result(collection_info(vectors=vectors))
        return empty_server(n, request)

    return answer


def empty_server(_: int, request: Request) -> Answer:
    """Answers like a server whose collections are new and empty."""
    path = request.path.partition("?")[0]
    if path.endswith("/exists"):
        return result({"exists": False})
    if path.endswith("/points/query/batch"):
        return result([{"points": []} for _ in request.body["searches"]])
    if path.endswith("/points/scroll"):
        return result({"points": [], "next_page_offset": None})
    if path.endswith("/points/count"):
        return result({"count": 0})
    if request.method == "GET":
        return result(collection_info())
    if "/points" in path or path.endswith("/index"):
        return result({"operation_id": 1, "status": "completed"})
    return result(True)


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_not_tried_again(status: int) -> None:
    with (
        serving(lambda *_: error(status)) as server,
        store_at(server.url) as store,
        pytest.raises(StoreDenied, match="QDRANT_API_KEY") as caught,
    ):
        store.has("faces")
    assert len(server.requests) == 1
    assert server.url in str(caught.value)
    assert KEY not in str(caught.value)


PASSING = {
    "429": error(429),
    "429 with Retry-After": error(429, retry_after="0"),
    "502": Answer(502, b"<html>bad gateway</html>"),
    "503": error(503),
    "504": error(504),
    "a cut connection": Answer(cut=True),
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING.keys())
def test_a_server_that_is_busy_for_a_moment_is_asked_again(failure: Answer) -> None:
    with serving(lambda n, _: Answer() if n else failure) as server, store_at(server.url) as store:
        assert store.has("faces")
    assert len(server.requests) == 2


@pytest.mark.usefixtures("without_waits")
@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING.keys())
def test_a_server_that_stays_busy_is_given_up(failure: Answer) -> None:
    with (
        serving(lambda *_: failure) as server,
        store_at(server.url) as store,
        pytest.raises(StoreUnreachable, match=server.url),
    ):
        store.has("faces")
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    "failure",
    [
        error(500, "Service internal error: No space left on device: WAL buffer size exceeds"),
        error(503, "no space left"),
        Answer(507, b"Insufficient Storage"),
    ],
    ids=["Qdrant's", "a busy server's", "a proxy's"],
)
def test_a_full_disk_is_said_at_once(failure: Answer) -> None:
    with (
        serving(lambda *_: failure) as server,
        store_at(server.url) as store,
        pytest.raises(StoreFull, match="Free some"),
    ):
        store.drop("faces")
    assert len(server.requests) == 1


def test_a_server_that_hangs_is_left_in_time() -> None:
    with (
        serving(lambda *_: Answer(hang=True)) as server,
        store_at(server.url, timeout_s=1) as store,
    ):
        start = time.monotonic()
        with pytest.raises(StoreUnreachable, match="check QDRANT_URL"):
            store.has("faces")
        assert 1 <= time.monotonic() - start < 10
    assert len(server.requests) == 2


@pytest.mark.usefixtures("without_waits")
def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with store_at(f"http://user:hunter2@127.0.0.1:{port}/q?token=x") as store:
        with pytest.raises(StoreUnreachable) as caught:
            store.has("faces")
        assert store.describe() == f"Qdrant at http://127.0.0.1:{port}/q"
    message = str(caught.value)
    assert message.startswith(f"Qdrant at http://127.0.0.1:{port}/q gives no answer")
    assert message.endswith("Start it, or check QDRANT_URL.")
    assert not any(secret in message for secret in ("user", "hunter2", "token", KEY))


def test_a_page_that_is_not_qdrants_is_recognised() -> None:
    page = Answer(200, b"<html>Welcome</html>", {"content-type": "text/html"})
    with (
        serving(lambda *_: page) as server,
        store_at(server.url) as store,
        pytest.raises(StoreError, match=r"not as Qdrant does\. Check QDRANT_URL"),
    ):
        store.has("faces")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("failure", "kind", "says"),
    [
        (
            error(400, "Wrong input: bad \x1b[31m filter"),
            StoreError,
            r"400: Wrong input: bad \[31m",
        ),
        (error(400, "Vector dimension error: expected dim: 4, got 8"), StoreCorrupt, "reindex"),
        (error(404, "Not found: Collection `faces` doesn't exist!"), StoreCorrupt, "reindex"),
        (Answer(404, b"no such page"), StoreError, "404: no such page"),
        (Answer(500, b""), StoreError, "500: Internal Server Error"),
        (Answer(301, b"", {"location": "https://example.org"}), StoreError, "301"),
        (error(418), StoreError, "418: as the test says"),
    ],
)
def test_other_refusals_keep_the_servers_sentence(
    failure: Answer, kind: type[StoreError], says: str
) -> None:
    def answer(n: int, request: Request) -> Answer:
        return failure if request.path.endswith("/count") else empty_server(n, request)

    with serving(answer) as server, store_at(server.url) as store:
        faces = store.open(FACES)
        before = len(server.requests)
        with pytest.raises(StoreError, match=says) as caught:
            faces.count()
    assert caught.type is kind
    assert len(server.requests) == before + 1


USES: dict[str, Callable[[ServerStore], object]] = {
    "has": lambda store: store.has("faces"),
    "open": lambda store: store.open(FACES),
    "drop": lambda store: store.drop("faces"),
}


@pytest.mark.usefixtures("without_waits")
@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
@pytest.mark.parametrize(
    "failure",
    [
        *(Answer(status, b"{") for status in (204, 302, 400, 404, 409, 413, 422, 500, 599)),
        Answer(200, b""),
        Answer(200, b"[]"),
        Answer(200, b'{"result": 7}'),
        Answer(429, b"", {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        Answer(200, b"\xff\xfe", {"content-encoding": "gzip"}),
        Answer(cut=True),
    ],
    ids=str,
)
def test_no_foreign_exception_gets_out(
    use: Callable[[ServerStore], object], failure: Answer
) -> None:
    with serving(lambda *_: failure) as server, store_at(server.url) as store:
        try:
            use(store)
        except StoreError as ours:
            assert server.url in str(ours)
        else:
            assert use is USES["drop"]  # which reads no more than a status
            assert failure.status == 200


@pytest.mark.parametrize(
    "url", ["", "localhost:6333", "qdrant", "ftp://host", "http://", "http://u:hunter2@h:port"]
)
def test_what_is_no_url_is_refused_before_any_request(url: str) -> None:
    with pytest.raises(UsageError, match="QDRANT_URL is not the URL") as caught:
        ServerStore(url, KEY)
    assert "hunter2" not in str(caught.value)


def test_a_key_that_travels_in_the_open_is_mentioned() -> None:
    for url, exposed in [
        ("http://10.0.0.7:6333", True),
        ("https://10.0.0.7:6333", False),
        ("http://[::1]:6333", False),
    ]:
        with store_at(url, prefix="mine-") as store:
            assert ("unencrypted" in store.describe()) is exposed
            assert store.describe().startswith(f"Qdrant at {url}, collections mine-*")


# --- requests -----------------------------------------------------------------------------------


def test_credentials_travel_in_headers() -> None:
    with (
        serving(lambda *_: Answer()) as server,
        store_at(server.url.replace("//", "//user:p%40ss@")) as store,
    ):
        assert store.has("faces")
    (request,) = server.requests
    assert request.headers["api-key"] == KEY
    assert request.headers["authorization"] == "Basic dXNlcjpwQHNz"  # user:p@ss
    assert request.path == "/collections/faces/exists"


def test_a_collection_is_created_with_what_was_asked_for_and_its_indexes() -> None:
    options = {
        "shard_number": 6,
        "replication_factor": 2,
        "on_disk": True,
        "quantization": "scalar",
    }
    with serving(empty_server) as server, store_at(server.url, prefix="p-", **options) as store:
        store.open(CollectionSpec("faces", 4, ("video_id", "a[].b")))
    create = next(
        r for r in server.requests if (r.method, r.path) == ("PUT", "/collections/p-faces")
    )
    assert create.body == {
        "vectors": {"size": 4, "distance": "Cosine", "on_disk": True},
        "shard_number": 6,
        "replication_factor": 2,
        "write_consistency_factor": 2,
        "on_disk_payload": True,
        "quantization_config": {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}},
    }
    indexes = [r for r in server.requests if r.path == "/collections/p-faces/index?wait=true"]
    assert [r.body for r in indexes] == [
        {"field_name": "a[].b", "field_schema": "keyword"},
        {"field_name": "video_id", "field_schema": "keyword"},
    ]


@pytest.mark.parametrize(("replicas", "asked"), [(1, ""), (2, "majority"), (3, "majority")])
def test_what_a_majority_of_replicas_wrote_is_read_from_a_majority(
    replicas: int, asked: str
) -> None:
    def answer(n: int, request: Request) -> Answer:
        path, points = request.path.partition("?")[0], request.method == "POST"
        if request.method == "GET" and not path.endswith("/exists"):
            return result(collection_info(replicas=replicas))
        return result([]) if points and path.endswith("/points") else empty_server(n, request)

    with serving(answer) as server, store_at(server.url) as store:
        faces = store.open(FACES)
        faces.query(random_units(1, 4, seed=0), limit=1)
        assert faces.get([uid(1)]) == list(faces.scroll()) == []
    reads = [r.path for r in server.requests if r.method == "POST"]
    assert len(reads) == 3
    assert {path.partition("consistency=")[2] for path in reads} == {asked}


def test_an_index_that_exists_is_not_made_again() -> None:
    schema = {"video_id": {"data_type": "keyword", "points": 0}}

    def answer(n: int, request: Request) -> Answer:
        if request.path == "/collections/faces":
            return result(collection_info(payload_schema=schema))
        return Answer() if request.path.endswith("/exists") else empty_server(n, request)

    with serving(answer) as server, store_at(server.url) as store:
        store.open(FACES)
    assert [r.body["field_name"] for r in server.requests if r.body] == ["identity_id"]


def test_a_collection_that_another_process_created_first_is_taken() -> None:
    def answer(n: int, request: Request) -> Answer:
        if request.method == "PUT" and request.path == "/collections/faces":
            return error(409, "Wrong input: Collection `faces` already exists!")
        return empty_server(n, request)

    with serving(answer) as server, store_at(server.url) as store:
        assert store.open(FACES).name == "faces"


@pytest.mark.parametrize(
    "vectors",
    [
        {"size": 5, "distance": "Cosine"},
        {"size": 4, "distance": "Euclid"},
        {"image": {"size": 4, "distance": "Cosine"}},
        {},
    ],
)
def test_a_collection_with_other_vectors_is_refused(vectors: dict[str, Any]) -> None:
    with (
        serving(holding(vectors)) as server,
        store_at(server.url) as store,
        pytest.raises(StoreCorrupt, match=r"Collection faces of .* reindex"),
    ):
        store.open(FACES)
    assert not [r for r in server.requests if r.method != "GET"]


def test_writes_come_in_requests_of_bounded_size_and_wait() -> None:
    with serving(holding({})) as server, store_at(server.url) as store:
        many = store.open(CollectionSpec("many", None))
        many.upsert([Point(uid(n), {"n": n}) for n in range(600)])
        large = store.open(CollectionSpec("large", None))
        large.upsert([Point(uid(n), {"text": "x" * 3_000_000}) for n in range(5)])
    sent = [r for r in server.requests if r.path.startswith("/collections/many/points")]
    assert [len(r.body["points"]) for r in sent] == [256, 256, 88]
    assert [p["payload"]["n"] for r in sent for p in r.body["points"]] == list(range(600))
    assert {r.path for r in sent} == {"/collections/many/points?wait=true"}
    sent = [r for r in server.requests if r.path.startswith("/collections/large/points")]
    assert [len(r.body["points"]) for r in sent] == [2, 2, 1]


def test_vectors_stay_within_a_request_too() -> None:
    rows = random_units(300, 4096, seed=0)
    wide_vectors = {"size": 4096, "distance": "Cosine"}
    with serving(holding(wide_vectors)) as server, store_at(server.url) as store:
        wide = store.open(CollectionSpec("wide", 4096))
        wide.upsert([Point(uid(n), {}, row) for n, row in enumerate(rows)])
    sent = [r for r in server.requests if "/points" in r.path]
    assert sum(len(r.body["points"]) for r in sent) == 300
    assert all(int(r.headers["content-length"]) < 8.5e6 for r in sent)
    received = np.array([p["vector"] for r in sent for p in r.body["points"]], np.float32)
    np.testing.assert_array_equal(received, rows)


def test_changes_name_their_filter_and_wait() -> None:
    where = Filter(must={"video_id": ["a"]})
    condition = {"must": [{"key": "video_id", "match": {"any": ["a"]}}]}
    with serving(empty_server) as server, store_at(server.url) as store:
        faces = store.open(FACES)
        faces.set_payload({"metrics": {"x": 1}}, where)
        faces.delete(where)
    payload, delete = server.requests[-2:]
    assert payload.path == "/collections/faces/points/payload?wait=true"
    assert payload.body == {"payload": {"metrics": {"x": 1}}, "filter": condition}
    assert delete.path == "/collections/faces/points/delete?wait=true"
    assert delete.body == {"filter": condition}


@pytest.mark.parametrize("quantization", ["none", "scalar"])
def test_exact_queries_read_true_vectors_and_others_ask_the_graph(quantization: Any) -> None:
    probes = random_units(130, 4, seed=0)
    with serving(empty_server) as server, store_at(server.url, quantization=quantization) as store:
        faces = store.open(FACES)
        assert faces.query(probes, limit=3) == [[]] * 130
        faces.query(probes[:1], limit=3, exact=False)
    *exact, other = [r.body["searches"] for r in server.requests if r.path.endswith("/batch")]
    assert [len(searches) for searches in exact] == [64, 64, 2]
    assert exact[0][0]["params"] == {"exact": True, "quantization": {"ignore": True}}
    rescored = {"quantization": {"rescore": True, "oversampling": 2.0}}
    graph = {"exact": False, "hnsw_ef": SEARCHED}
    assert other[0]["params"] == graph | (rescored if quantization == "scalar" else {})


@pytest.mark.usefixtures("without_waits")
@pytest.mark.parametrize("status", ["wait_timeout", "acknowledged"])
@pytest.mark.parametrize("times", [1, 99])
def test_a_write_that_is_only_listed_is_not_taken_for_done(status: str, times: int) -> None:
    """Qdrant answers so with 200, since 1.17, when it is too busy to apply a write in time."""
    listed: list[Request] = []

    def answer(n: int, request: Request) -> Answer:
        if request.path.endswith("/points?wait=true") and len(listed) < times:
            listed.append(request)
            return result({"operation_id": 1, "status": status})
        return empty_server(n, request)

    with serving(answer) as server, store_at(server.url) as store:
        faces = store.open(FACES)
        if times == 1:
            faces.upsert([face(1, video_id="a")])
        else:
            with pytest.raises(StoreUnreachable, match=f"not applied a write in time .{status}"):
                faces.upsert([face(1, video_id="a")])
    assert len([r for r in server.requests if "/points" in r.path]) == (2 if times == 1 else 5)


def test_a_write_whose_answer_was_lost_is_sent_again_alike() -> None:
    lost: list[Request] = []

    def answer(n: int, request: Request) -> Answer:
        if request.path.endswith("/points?wait=true") and not lost:
            lost.append(request)
            return Answer(cut=True)
        return empty_server(n, request)

    with serving(answer) as server, store_at(server.url) as store:
        store.open(FACES).upsert([face(1, video_id="a")])
    first, second = [r for r in server.requests if "/points" in r.path]
    assert first.body == second.body
