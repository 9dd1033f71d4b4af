"""A real HTTP proxy on this machine: CONNECT, absolute-form, credentials, refusals.

with Proxy(routes={"videos.test": web.port}) as proxy:
    fetch("https://videos.test/v.mp4", proxy=proxy.url())
    proxy.seen[0].target
"""

from __future__ import annotations

import base64
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.support.web import QuietServer, RunningServer


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the proxy."""

    method: str
    target: str
    """As it came: `host:port` of CONNECT, a whole URL of the others."""
    headers: Mapping[str, str]
    """By lower-case name."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How the proxy answers in place of the server."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        proxy = self.server.proxy
        headers = {name.lower(): value for name, value in self.headers.items()}
        with proxy.lock:
            proxy.seen.append(Asked(self.command, self.path, headers))
            number = len(proxy.seen) - 1
        self.close_connection = True
        refusal = proxy.refusal(number)
        if refusal:
            return self._refuse(refusal)
        token = base64.b64encode(proxy.credentials.encode()).decode()
        if proxy.credentials and headers.get("proxy-authorization") != f"Basic {token}":
            return self._refuse(Refusal(407, {"Proxy-Authenticate": 'Basic realm="office"'}))
        address = f"//{self.path}" if self.command == "CONNECT" else self.path
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or 80
        try:
            server = socket.create_connection(("127.0.0.1", proxy.routes.get(host, port)), 5)
        except OSError:
            return self._refuse(Refusal(502))
        with server, suppress(OSError):
            if self.command == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self.wfile.flush()
            else:
                server.sendall(self._in_origin_form(parts.path, parts.query))
            _relay(self.connection, server)

    do_GET = do_POST = do_CONNECT = _serve

    def _in_origin_form(self, path: str, query: str) -> bytes:
        lines = [f"{self.command} {path}{'?' if query else ''}{query} HTTP/1.1"]
        lines += [f"{n}: {v}" for n, v in self.headers.items() if not n.lower().startswith("proxy")]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _refuse(self, refusal: Refusal) -> None:
        lines = [f"HTTP/1.1 {refusal.status} Told", "Content-Length: 0"]
        lines += [f"{name}: {value}" for name, value in refusal.headers.items()]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Copy bytes both ways until one side hangs up."""
    while True:
        waiting = isinstance(client, ssl.SSLSocket) and client.pending()
        ready = [client] if waiting else select.select([client, server], [], [], 30)[0]
        if not ready:
            return
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (server if source is client else client).sendall(data)


class _Server(QuietServer):
    proxy: Proxy


class Proxy(RunningServer):
    """The proxy. It connects to 127.0.0.1 only, whatever host it is asked for."""

    def __init__(
        self,
        *,
        routes: Mapping[str, int] | None = None,
        credentials: str = "",
        tls: ssl.SSLContext | None = None,
        refusal: Callable[[int], Refusal | None] = lambda number: None,
    ) -> None:
        """Start.

        Args:
            routes: ports by host, which only the proxy can look up; other hosts have the port that
                the URL names.
            credentials: `user:password` that it asks for.
            tls: with it, the proxy itself is reached by https.
            refusal: how request n, from 0, is answered in place of the server; None: as it should.
        """
        self.routes, self.credentials, self.refusal = routes or {}, credentials, refusal
        self.seen: list[Asked] = []
        server = _Server(("127.0.0.1", 0), _Handler)
        server.proxy = self
        super().__init__(server, tls)

    def url(self, credentials: str = "") -> str:
        at = f"{credentials}@" if credentials else ""
        return f"{self._scheme}://{at}127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Method and target of each request."""
        return [(one.method, one.target) for one in self.seen]
