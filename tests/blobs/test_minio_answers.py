"""Answers that a good S3 server does not give to order, given by a real HTTP server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.blobs.minio_store import MinioStore
from registry.errors import (
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreachable,
)
from tests.support.scripted import UNVERSIONED, Answer, error, serve, serve_raw

HTML = {"Content-Type": "text/html"}
SECRET = "a-secret-that-is-never-told"


def opened(endpoint: str, **more: object) -> MinioStore:
    given: dict[str, object] = {"secure": False, "region": "us-east-1", "timeout_s": 6.0}
    return MinioStore(endpoint, "access", SECRET, "bucket", **(given | more))  # type: ignore[arg-type]


def put(store: MinioStore) -> None:
    store.put("a", b"face")


def get(store: MinioStore) -> object:
    return store.get("a")


# What passes is asked for again


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_passing_trouble_is_asked_again(status: int) -> None:
    # A client that kept to Retry-After would sit here for an hour.
    trouble = Answer(status, b"later", {**HTML, "Retry-After": "3600"})
    with serve(trouble, trouble, Answer(body=b"face")) as script:
        assert opened(script.endpoint).get("a") == b"face"
        assert script.asked[2:] == ["GET /bucket/a"] * 3


def test_an_object_is_sent_again_whole() -> None:
    with serve(error(503, "SlowDown"), error(503, "SlowDown"), Answer()) as script:
        opened(script.endpoint).put("a", b"face")
        assert script.asked[2:] == ["PUT /bucket/a"] * 3
        assert script.bodies[2:] == [b"face"] * 3


def test_a_large_object_is_sent_in_one_request() -> None:
    data = bytes(range(256)) * 40_000
    with serve(Answer()) as script:
        opened(script.endpoint).put("a", data)
        assert script.asked[2:] == ["PUT /bucket/a"]
        assert script.bodies[2] == data


@pytest.mark.parametrize("work", [put, get])
def test_a_server_in_lasting_trouble_is_given_up(work: Callable[[MinioStore], object]) -> None:
    with serve(error(503, "SlowDown", "reduce your request rate")) as script:
        store = opened(script.endpoint, timeout_s=1.5)
        with pytest.raises(StoreUnreachable, match=r"too busy .*503 SlowDown: reduce"):
            work(store)
        assert 1 <= len(script.asked[2:]) <= 6


def test_a_silent_server_is_given_up_in_time() -> None:
    with serve(Answer(silence_s=3)) as script:
        store = opened(script.endpoint, timeout_s=0.6)
        start = time.monotonic()
        with pytest.raises(StoreUnreachable, match=r"took too long.*MINIO_ENDPOINT"):
            get(store)
        assert time.monotonic() - start < 3
        assert script.asked[2:] == ["GET /bucket/a"] * 2


@pytest.mark.parametrize("work", [put, get])
def test_silence_once_does_no_harm(work: Callable[[MinioStore], object]) -> None:
    with serve(Answer(silence_s=3), Answer(body=b"face")) as script:
        work(opened(script.endpoint, timeout_s=1.0))
        assert len(script.asked[2:]) == 2


def test_an_object_cut_short_once_is_fetched_again() -> None:
    with serve(Answer(body=b"fa", missing=2), Answer(body=b"face")) as script:
        assert opened(script.endpoint).get("a") == b"face"


# What does not pass is told as what it is


@pytest.mark.parametrize(
    ("answer", "expected", "named"),
    [
        (error(507, "XMinioStorageFull", "Storage backend is full"), StoreFull, "Storage backend"),
        (Answer(507, b"full", HTML), StoreFull, "no space left for object a in bucket bucket .507"),
        (error(400, "XMinioAdminBucketQuotaExceeded"), StoreFull, "QuotaExceeded"),
        (error(403, "QuotaExceeded"), StoreFull, "QuotaExceeded"),
        (error(400, "BadDigest"), StoreCorrupt, "did not reach .*BadDigest"),
        (error(400, "XAmzContentSHA256Mismatch"), StoreCorrupt, "did not reach"),
        (error(403, "AccessDenied"), StoreDenied, "object a .*MINIO_SECRET_KEY"),
        (Answer(403, b"no", HTML), StoreDenied, "object a .*MINIO_SECRET_KEY"),
        (error(403, "RequestTimeTooSkewed"), StoreDenied, "clock"),
        (error(404, "NoSuchBucket"), StoreError, "no bucket bucket .*MINIO_BUCKET"),
        (error(400, "XMinioParentIsObject"), StoreError, "400 XMinioParentIsObject"),
        (error(301, "PermanentRedirect"), StoreError, "301 PermanentRedirect"),
        (Answer(404, b"no such page", HTML), StoreError, "not answer like an S3 server"),
        (
            Answer(400, b"<Error><Cod", {"Content-Type": "application/xml"}),
            StoreError,
            "not answer like an S3 server",
        ),
        (Answer(400, b"", {"Content-Type": "application/xml"}), StoreError, "400"),
        (Answer(418), StoreError, "418"),
    ],
)
@pytest.mark.parametrize("work", [put, get])
def test_what_an_answer_means(
    work: Callable[[MinioStore], object],
    answer: Answer,
    expected: type[StoreError],
    named: str,
) -> None:
    with serve(answer) as script:
        store = opened(script.endpoint)
        with pytest.raises(StoreError, match=named) as caught:
            work(store)
        assert type(caught.value) is expected
        assert SECRET not in str(caught.value)
        assert script.endpoint in str(caught.value)
        assert len(script.asked) == 3, "asked again in vain"


def test_an_object_cut_short_twice_is_corrupt() -> None:
    with serve(Answer(body=b"fa", missing=2)) as script:
        with pytest.raises(StoreCorrupt, match=r"object a .*shorter"):
            opened(script.endpoint).get("a")
        assert script.asked[2:] == ["GET /bucket/a"] * 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<!doctype html><title>Console</title>", HTML),
        Answer(200, b""),
        Answer(200, b"\xff\xfe"),
        Answer(404, b"<html>", HTML),
    ],
)
def test_a_server_that_is_no_s3_is_named(answer: Answer) -> None:
    with serve_raw(answer) as script, pytest.raises(StoreError, match="MINIO_ENDPOINT") as caught:
        opened(script.endpoint, region=None)
    assert script.endpoint in str(caught.value)


def test_a_server_that_does_not_speak_http_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(3):
                with listener.accept()[0] as connection:
                    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")

        threading.Thread(target=greet, daemon=True).start()
        port = listener.getsockname()[1]
        with pytest.raises(StoreUnreachable, match=f"127.0.0.1:{port} .the connection broke"):
            opened(f"127.0.0.1:{port}")


def test_a_redirect_is_not_followed_to_another_host() -> None:
    with serve_raw(Answer(body=b"stolen")) as other:
        away = Answer(307, b"", {"Location": f"http://{other.endpoint}/bucket/a"})
        with serve(away) as script:
            store = opened(script.endpoint)
            for work in (put, get):
                with pytest.raises(StoreError, match="307"):
                    work(store)
        assert other.asked == []


# Opening


def test_a_server_that_knows_no_versions_is_taken_as_it_is() -> None:
    with serve_raw(Answer(), error(501, "NotImplemented"), Answer(204)) as script:
        store = opened(script.endpoint)
        store.delete("a")
        assert script.asked[2:] == ["DELETE /bucket/a"]


def test_keys_that_may_not_ask_for_versions_are_refused() -> None:
    with (
        serve_raw(Answer(), error(403, "AccessDenied")) as script,
        pytest.raises(StoreDenied, match="Allow s3:GetBucketVersioning too: without it, nothing"),
    ):
        opened(script.endpoint)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that it signed itself, in one PEM file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificate for a test of TLS")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
        check=True, capture_output=True,
    )  # fmt: skip
    with path.open("a") as both:
        both.write(path.with_suffix(".crt").read_text())
    return path


def test_a_private_authority_is_trusted_where_it_is_given(certificate: Path) -> None:
    with serve(Answer(body=b"face"), certificate=certificate) as script:
        store = opened(script.endpoint, secure=True, ca_file=certificate.with_suffix(".crt"))
        assert store.get("a") == b"face"
        assert store.describe() == f"bucket bucket at https://{script.endpoint}"
        store.close()


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(certificate: Path) -> None:
    with serve(certificate=certificate) as script:
        start = time.monotonic()
        with pytest.raises(StoreUnreachable, match=r"no trusted certificate .*self-signed"):
            opened(f"https://{script.endpoint}")
        assert time.monotonic() - start < 2, "asked again in vain"
    assert script.asked == []


def test_tls_to_a_server_without_it_names_the_setting() -> None:
    with (
        serve_raw(UNVERSIONED) as script,
        pytest.raises(StoreUnreachable, match="MINIO_SECURE=false"),
    ):
        opened(script.endpoint, secure=True)
