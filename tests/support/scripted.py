"""A real HTTP server that says what a test tells it to, where an S3 server would be."""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What to say to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    """Bytes of the body that are announced and not sent."""
    silence_s: float = 0.0
    """Wait so long before a word is said."""


def error(status: int, code: str, message: str = "as the test wants it") -> Answer:
    """An error as S3 servers write it."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


BUCKET = Answer()
UNVERSIONED = Answer(
    200, b"<VersioningConfiguration/>", headers={"Content-Type": "application/xml"}
)


@dataclass
class Script:
    """A server's answers in the order in which they are given; the last one again and again."""

    answers: deque[Answer]
    endpoint: str = ""
    asked: list[str] = field(default_factory=list)
    """Method and path of every request so far."""
    bodies: list[bytes] = field(default_factory=list)


@contextmanager
def serve(*answers: Answer, certificate: Path | None = None) -> Iterator[Script]:
    """Run a server; what opening a store asks for is answered first, as by a good S3 server."""
    script = Script(deque([BUCKET, UNVERSIONED, *answers]))
    with _running(script, certificate):
        yield script


@contextmanager
def serve_raw(*answers: Answer) -> Iterator[Script]:
    """Run a server that gives these answers from the first request on."""
    script = Script(deque(answers))
    with _running(script, None):
        yield script


@contextmanager
def _running(script: Script, certificate: Path | None) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            script.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            script.asked.append(f"{self.command} {self.path}")
            answers = script.answers
            answer = answers.popleft() if len(answers) > 1 else answers[0]
            time.sleep(answer.silence_s)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) + answer.missing))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            self.close_connection = bool(answer.missing)

        do_GET = do_PUT = do_HEAD = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that gives up is part of the script

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    script.endpoint = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
