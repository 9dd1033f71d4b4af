"""A real HTTP server that answers as a test says, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: Any
    """JSON, or None."""


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b'{"result":{"exists":true},"status":"ok","time":0.0}'
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    """No byte comes until the test ends."""
    cut: bool = False
    """The connection closes before the status line."""


def error(status: int, sentence: str = "as the test says", **headers: str) -> Answer:
    """A failure in Qdrant's form."""
    body = json.dumps({"status": {"error": sentence}, "time": 0.0}).encode()
    return Answer(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


def result(value: Any) -> Answer:
    """A success in Qdrant's form."""
    return Answer(200, json.dumps({"result": value, "status": "ok", "time": 0.0}).encode())


@dataclass
class Server:
    url: str
    requests: list[Request]


@contextmanager
def serving(answer: Callable[[int, Request], Answer]) -> Iterator[Server]:
    """`answer(n, request)` decides on request n, from 0."""
    requests: list[Request] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): text for name, text in self.headers.items()}
            body = json.loads(raw) if raw else None
            requests.append(Request(self.command, self.path, headers, body))
            given = answer(len(requests) - 1, requests[-1])
            if given.hang:
                over.wait(60)
            if given.hang or given.cut:
                self.close_connection = True
                return
            self.send_response(given.status)
            for name, text in given.headers.items():
                self.send_header(name, text)
            self.send_header("content-length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
