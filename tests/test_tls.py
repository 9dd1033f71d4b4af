"""Servers behind TLS with a certificate authority of one's own, and keys that go unencrypted."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme

from registry.core.backends import open_store
from registry.errors import StoreUnreachable, UsageError
from registry.settings import load_settings
from registry.store.server import ServerStore
from tests.test_main_job import call

KEY = "sesame-0123456789"
EXISTS = b'{"result":{"exists":false},"status":"ok","time":0.0}'


@contextmanager
def served_over_tls(issued: trustme.LeafCert, answer: bytes) -> Iterator[int]:
    """A server on 127.0.0.1 that gives one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a client that does not trust it

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def port(authority: trustme.CA) -> Iterator[int]:
    with served_over_tls(authority.issue_cert("127.0.0.1"), EXISTS) as number:
        yield number


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(port: int, ca_file: Path) -> None:
    store = ServerStore(f"https://127.0.0.1:{port}", KEY, ca_file=ca_file)
    assert not store.has("faces")
    assert store.exposed == ""
    store.close()


def test_an_authority_that_nobody_named_is_not_and_is_not_asked_again(port: int) -> None:
    store = ServerStore(f"https://127.0.0.1:{port}", KEY)
    with pytest.raises(
        StoreUnreachable,
        match=r"127.0.0.1:\d+ has no trusted certificate .*local issuer.*QDRANT_CA_FILE",
    ):
        store.has("faces")
    store.close()


def test_a_certificate_for_another_host_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    with served_over_tls(authority.issue_cert("example.org"), EXISTS) as port:
        store = ServerStore(f"https://127.0.0.1:{port}", KEY, ca_file=ca_file)
        with pytest.raises(StoreUnreachable, match=r"no trusted certificate .*not valid for"):
            store.has("faces")
        store.close()


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for named in (tmp_path / "empty.pem", tmp_path / "absent.pem"):
        with pytest.raises(UsageError, match=f"{named} contains no certificates in PEM"):
            ServerStore("https://127.0.0.1:6333", KEY, ca_file=named)


def test_a_certificate_without_tls_is_a_mistake(ca_file: Path) -> None:
    with pytest.raises(UsageError, match=r"is for TLS, and http:\S+ does not use it"):
        ServerStore("http://127.0.0.1:6333", KEY, ca_file=ca_file)


@pytest.mark.parametrize("named", [True, False])
def test_both_servers_take_their_authority_from_the_environment(
    port: int, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.setenv("MINIO_ENDPOINT", f"127.0.0.1:{port}")
    for name in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"):
        monkeypatch.setenv(name, KEY)
    if named:
        monkeypatch.setenv("MINIO_CA_FILE", str(ca_file))
    said = str(call(tmp_path, "status").exception)
    # It is trusted then, and found to be no S3 server.
    assert ("did not answer like an S3 server" in said) is named, said
    assert ("MINIO_CA_FILE" in said) is not named
    assert KEY not in said


def test_the_index_takes_its_authority_from_the_environment(
    port: int, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_URL", f"https://127.0.0.1:{port}")
    monkeypatch.setenv("QDRANT_CA_FILE", str(ca_file))
    store = open_store(load_settings())
    assert not store.has("faces")
    store.close()


def test_a_key_that_travels_in_the_open_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", KEY)
    for url, warned in (("http://192.0.2.7:6333", True), ("http://127.0.0.1:6333", False)):
        monkeypatch.setenv("QDRANT_URL", url)
        result = call(tmp_path / "home", "status")  # nothing is stored, so no server is asked
        assert (f"warning: The API key is sent unencrypted to {url}" in result.stderr) is warned
        assert KEY not in result.output
