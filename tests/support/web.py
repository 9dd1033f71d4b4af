"""A real HTTP server on this machine that behaves as it is told, for tests of whatever fetches.

    web.on("/v.mp4", serve(body))
    web.on("/busy.mp4", flaky(2, serve(body)))
    fetch(web.url("/v.mp4"));  web.seen[0].headers["host"]

A behaviour is a function of one `Exchange`; they nest. Header names are recorded in lower case.
"""

from __future__ import annotations

import gzip
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Self

import pytest

VIDEO = "video/mp4"
_LONGEST_S = 30.0
"""No behaviour lasts longer, whatever the test forgets."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request."""

    path: str
    """With its query, as it came."""
    headers: Mapping[str, str]


class Exchange(BaseHTTPRequestHandler):
    """One request and the means to answer it, byte by byte."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        web = self.server.web
        seen = Seen(self.path, {name.lower(): value for name, value in self.headers.items()})
        with web.lock:
            web.seen.append(seen)
        self.close_connection = True
        with suppress(ConnectionError, ssl.SSLError):
            web.behaviour(self.path.partition("?")[0])(self)

    def raw(self, *parts: bytes) -> None:
        self.wfile.write(b"".join(parts))
        self.wfile.flush()

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status line, a Date unless one is given, and headers."""
        lines = [f"HTTP/1.1 {status} Told"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if "Date" not in headers:
            lines.append(f"Date: {formatdate(usegmt=True)}")
        self.raw("\r\n".join(lines).encode("utf-8"), b"\r\nConnection: close\r\n\r\n")

    def pause(self, seconds: float) -> bool:
        """Wait; False once the server is being closed."""
        return not self.server.web.stopping.wait(seconds)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


Behaviour = Callable[[Exchange], None]


class QuietServer(ThreadingHTTPServer):
    """A server that says nothing of clients that hang up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class RunningServer:
    """A server in a thread of its own, from its making until it is closed."""

    def __init__(self, server: QuietServer, tls: ssl.SSLContext | None) -> None:
        """With `tls`, it is reached by https."""
        self.lock = Lock()
        self._scheme = "https" if tls else "http"
        self._server = server
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        self.port = int(server.server_address[1])
        self._thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Server(QuietServer):
    request_queue_size = 64
    web: Web

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self.web.lock:
            self.web.connections += 1
        return connection, address


class _Server6(_Server):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class Web(RunningServer):
    """The server. `host="::"` listens on every address of this machine, of both families."""

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.stopping = Event()
        self._behaviours: dict[str, Behaviour] = {}
        server = (_Server6 if ":" in host else _Server)((host, 0), Exchange)
        server.web = self
        super().__init__(server, tls)

    def on(self, path: str, behaviour: Behaviour) -> str:
        """Answer requests for a path in this way; returns its URL."""
        self._behaviours[path] = behaviour
        return self.url(path)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def behaviour(self, path: str) -> Behaviour:
        return self._behaviours.get(path, status(404))

    def close(self) -> None:
        self.stopping.set()
        super().close()


@pytest.fixture(name="web")
def web_server() -> Iterator[Web]:
    """A server on 127.0.0.1 for one test."""
    with Web() as web:
        yield web


def serve(
    body: bytes,
    *,
    content_type: str = VIDEO,
    etag: str = "",
    modified: str = "",
    ranges: bool = True,
    headers: Mapping[str, str] | None = None,
    cut_after: int | None = None,
) -> Behaviour:
    """A file. With `etag` or `modified`, ranges are answered as RFC 9110 has it.

    `cut_after`: hang up after so many bytes of the body.
    """

    def behave(exchange: Exchange) -> None:
        found = {"Content-Type": content_type, **(headers or {})}
        if etag:
            found["ETag"] = etag
        if modified:
            found["Last-Modified"] = modified
        part, code = body, 200
        wanted = re.fullmatch(r"bytes=([0-9]+)-", exchange.headers.get("Range", ""))
        if wanted and ranges and exchange.headers.get("If-Range", etag) in {etag, modified}:
            start = int(wanted[1])
            if start >= len(body):
                exchange.head(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
                return
            part, code = body[start:], 206
            found["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        exchange.head(code, {"Content-Length": str(len(part)), **found})
        exchange.raw(part[:cut_after])

    return behave


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Behaviour:
    """A bare status."""

    def behave(exchange: Exchange) -> None:
        exchange.head(code, {"Content-Length": str(len(body)), **(headers or {})})
        exchange.raw(body)

    return behave


def redirect(to: str, code: int = 302) -> Behaviour:
    """To a URL, absolute or relative, sent as it is."""
    return status(code, {"Location": to})


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One behaviour for each request; the last one stays."""
    left = list(behaviours)
    lock = Lock()

    def behave(exchange: Exchange) -> None:
        with lock:
            behaviour = left.pop(0) if len(left) > 1 else left[0]
        behaviour(exchange)

    return behave


def flaky(
    times: int, then: Behaviour, code: int = 503, headers: Mapping[str, str] | None = None
) -> Behaviour:
    """A status so many times, then something else."""
    return in_turn(*[status(code, headers)] * times, then)


def chunked(body: bytes, *, size: int = 1000, whole: bool = True, etag: str = "") -> Behaviour:
    """A body of unknown length; without its end unless `whole`."""

    def behave(exchange: Exchange) -> None:
        found = {"Content-Type": VIDEO, "Transfer-Encoding": "chunked"}
        exchange.head(200, found | ({"ETag": etag} if etag else {}))
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            exchange.raw(f"{len(piece):x}\r\n".encode(), piece, b"\r\n")
        if whole:
            exchange.raw(b"0\r\n\r\n")

    return behave


def endless(head: bytes) -> Behaviour:
    """`head`, then zeros without end, in chunks."""

    def behave(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Type": VIDEO, "Transfer-Encoding": "chunked"})
        exchange.raw(f"{len(head):x}\r\n".encode(), head, b"\r\n")
        while exchange.pause(0):
            exchange.raw(b"10000\r\n", bytes(0x10000), b"\r\n")

    return behave


def drip(body: bytes, pause_s: float) -> Behaviour:
    """One byte of the body at a time."""

    def behave(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Type": VIDEO, "Content-Length": str(len(body))})
        for byte in body:
            exchange.raw(bytes([byte]))
            if not exchange.pause(pause_s):
                return

    return behave


def slow_headers(pause_s: float) -> Behaviour:
    """One byte of an endless header at a time."""

    def behave(exchange: Exchange) -> None:
        exchange.raw(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while exchange.pause(pause_s):
            exchange.raw(b"a")

    return behave


def hang() -> Behaviour:
    """Nothing at all."""

    def behave(exchange: Exchange) -> None:
        exchange.pause(_LONGEST_S)

    return behave


def gzip_bomb(size: int) -> Behaviour:
    """So many zeros, packed to a thousandth, whether gzip was accepted or not."""
    packed = gzip.compress(bytes(size))
    return serve(packed, headers={"Content-Encoding": "gzip"})


def raw(answer: bytes) -> Behaviour:
    """These bytes and nothing else, HTTP or not."""

    def behave(exchange: Exchange) -> None:
        exchange.raw(answer)

    return behave
