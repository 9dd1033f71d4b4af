"""A proxy before a real HTTP server, that loses, delays, refuses and spoils as it is told."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AWAY_FOR = 2
"""Requests that `Net.BACK` loses before the server is back: fewer than the clients' tries."""
_HANGS_S = 20.0
"""No request hangs longer, whatever the test forgets."""
_STOPPED = ("connection", "keep-alive", "transfer-encoding", "content-length", "server", "date")
"""Headers that are for one hop alone, or that the proxy writes itself."""


class Net(StrEnum):
    """What happens to a request or to its answer."""

    REFUSED = "connections refused"
    RESET = "reset before the server hears it"
    HANG = "no answer within the time-out"
    BUSY = "answered 429"
    UNREADY = "answered 503"
    FULL = "answered 507"
    UNHEARD = "done, but the answer is lost"
    CUT = "reset within the answer"
    SHORT = "answer ends early"
    ALTERED = "answer altered"
    BACK = f"away for {AWAY_FOR} requests, then back"


STATUS = {Net.BUSY: 429, Net.UNREADY: 503, Net.FULL: 507}
ONLY_LASTING = (Net.REFUSED,)
ONLY_ONCE = (Net.BACK,)


@dataclass
class Proxy:
    """Passes every request on to 127.0.0.1:`to`, until its time comes."""

    to: int
    fault: Net | None = None
    at: int = -1
    """0-based number of the request since `arm`."""
    lasting: bool = False
    """Whether the fault goes on until `heal`."""
    seen: list[str] = field(default_factory=list)
    """Method and path of the requests since `arm`."""
    struck: int = 0
    """How often the fault did something."""
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _healed: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None
    _leaving: threading.Thread | None = None

    def arm(self, fault: Net | None = None, at: int = -1, *, lasting: bool = False) -> None:
        """Count from 0 again, and strike at request `at`."""
        with self._lock:
            self.fault, self.at, self.lasting = fault, at, lasting
            self.seen, self.struck = [], 0
        self._healed.clear()

    def heal(self) -> None:
        """Pass everything on again."""
        with self._lock:
            self.fault = None
            leaving, self._leaving = self._leaving, None
        self._healed.set()
        if leaving is not None:
            leaving.join()
        if self._server is None:
            self.listen()

    def due(self, request: str) -> Net | None:
        """Count a request. Returns what happens to it."""
        with self._lock:
            number = len(self.seen)
            self.seen.append(request)
            last = number if self.lasting else self.at + (AWAY_FOR - 1) * (self.fault is Net.BACK)
            if self.fault is None or not self.at <= number <= last:
                return None
            self.struck += 1
            return self.fault

    def listen(self) -> None:
        """Take connections, on the same port as before."""
        handler = type("Handler", (_Passing,), {"proxy": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    def leave(self) -> None:
        """`deafen`, by another thread: a request is answered by the loop that this ends."""
        with self._lock:
            if self._leaving is None:
                self._leaving = threading.Thread(target=self.deafen)
                self._leaving.start()

    def deafen(self) -> None:
        """Let no connection in any more."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            assert self._thread is not None
            self._thread.join()

    def wait(self) -> None:
        """Until `heal`."""
        self._healed.wait(_HANGS_S)


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy before the server on a port of this machine."""
    proxy = Proxy(port)
    proxy.listen()
    try:
        yield proxy
    finally:
        proxy.heal()
        proxy.deafen()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        pass  # a client that gave up, or was made to


class _Passing(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.proxy.due(f"{self.command} {self.path}")
        if fault is Net.REFUSED:
            self.proxy.leave()
        if fault in (Net.REFUSED, Net.RESET, Net.BACK):
            return self._reset()
        if fault is Net.HANG:
            self.proxy.wait()
            return self._reset()
        if fault in STATUS:
            return self._say(STATUS[fault], [], b"as the test says")
        status, headers, answer = self._pass_on(body)
        if fault is Net.UNHEARD:
            return self._reset()
        if fault is Net.ALTERED and answer:
            middle = len(answer) // 2
            answer = answer[:middle] + bytes([answer[middle] ^ 0x80]) + answer[middle + 1 :]
        if fault in (Net.CUT, Net.SHORT):
            self._say(status, headers, answer[: len(answer) // 2], announced=len(answer) or 1)
            return self._reset() if fault is Net.CUT else self._end()
        self._say(status, headers, answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def log_message(self, *_: object) -> None:
        pass

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        server = http.client.HTTPConnection("127.0.0.1", self.proxy.to, timeout=_HANGS_S)
        with closing(server):
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "keep-alive"):
                    server.putheader(name, value)
            server.endheaders(body or None)
            answer = server.getresponse()
            headers = [(n, v) for n, v in answer.getheaders() if n.lower() not in _STOPPED]
            length = answer.getheader("content-length")
            if self.command == "HEAD" and length is not None:
                headers.append(("content-length", length))
            return answer.status, headers, answer.read()

    def _say(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        announced: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            length = len(body) if announced is None else announced
            self.send_header("content-length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        """RST: what was not read yet is lost."""
        linger = struct.pack("ii", 1, 0)
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._end()

    def _end(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.rfile.close()  # it keeps the connection open
            self.connection.close()
