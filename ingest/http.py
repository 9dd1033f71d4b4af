"""One request over one connection to a checked address: no proxy, no redirect, no second try.

The connection goes to the very address that the policy judged, while TLS (SNI and certificate) and
the Host header keep the name. `Line` lets another thread cut it, so that neither a slow drip of
bytes nor a hanging header outlives a time limit.
"""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from threading import Lock, Timer
from time import monotonic
from types import TracebackType
from typing import Self

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from ingest.addresses import AddressPolicy
from registry.errors import FetchError, RegistryError
from registry.urls import HttpUrl, printable, redacted

_CHUNK = 256 * 1024
"""Bytes read at once: 500 MB/s over loopback; 64 KiB gave 350."""
_PASSING_LOOKUPS = frozenset({socket.EAI_AGAIN})


class TryAgain(FetchError):
    """A failure that may pass."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        """`after_s`: how long the server asks to wait, in seconds."""
        super().__init__(message)
        self.after_s = after_s


class Line:
    """What one fetch is connected through; `cut` ends it from any thread."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url
        self._ends = monotonic() + seconds
        self._sock: socket.socket | None = None
        self._failure: RegistryError | None = None
        self._lock = Lock()
        self._late = FetchError(f"{url}: the download took longer than {seconds:g} s.")
        self._timer = Timer(seconds, self.cut, [self._late])
        self._timer.daemon = True
        self._timer.start()

    def left(self) -> float:
        """Seconds until the time limit; never less than a millisecond."""
        return max(0.001, self._ends - monotonic())

    def hold(self, sock: socket.socket | None) -> None:
        """Put the connection in use in place of the last one; None: there is none."""
        with self._lock:
            self._sock = sock

    def cut(self, failure: RegistryError) -> None:
        """End the connection in use and refuse further ones; `failure` is what is raised."""
        with self._lock:
            self._failure = self._failure or failure
            if self._sock is not None:
                with suppress(OSError):
                    # The plain socket's own method: TLS would first want to say goodbye.
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise what the line was cut for, if it was."""
        if self._failure is not None:
            raise self._failure
        if monotonic() >= self._ends:  # The clock's thread may be a moment behind.
            raise self._late

    def close(self) -> None:
        """Stop the clock."""
        self._timer.cancel()


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and of whom."""

    url: HttpUrl
    headers: Mapping[str, str]
    credentials: str = ""
    """`user:password` for the Authorization header, or nothing."""
    method: str = "GET"
    body: bytes | None = None
    called: str = ""
    """In messages, instead of its URL."""


class Answer:
    """Status and headers that have come, and the body that is to come. Close it."""

    def __init__(self, url: str, line: Line, connection: HTTPConnection) -> None:
        self.url = url
        self._line = line
        self._connection = connection
        self._response: BaseHTTPResponse = connection.getresponse()
        self.status = self._response.status
        self.headers: Mapping[str, str] = self._response.headers

    @property
    def cookies(self) -> list[str]:
        """What the server wants to be remembered, a header each."""
        return self._response.headers.getlist("Set-Cookie")

    @property
    def told(self) -> str:
        """The status in words: `404 Not Found`."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, not decoded. Raises `FetchError`, `TryAgain` if it may pass."""
        while True:
            try:
                chunk = self._response.read1(_CHUNK)
            except (OSError, HTTPException, HTTPError) as exc:
                self._line.check()
                raise failure(self.url, exc) from exc
            self._line.check()
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        """Hang up."""
        self._line.hold(None)
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self.close()


@dataclass(frozen=True, slots=True)
class Transport:
    """How to reach servers."""

    policy: AddressPolicy
    tls: ssl.SSLContext
    connect_s: float
    """Seconds for each address, TLS handshake not counted (which has as much again)."""
    read_s: float
    """Seconds without a byte."""

    def get(self, request: Request, line: Line) -> Answer:
        """Send a request and await status and headers.

        Raises `FetchError`, or `TryAgain` if the failure may pass.
        """
        shown = request.called or redacted(str(request.url))
        connection = self._connect(request.url, shown, line)
        try:
            line.hold(connection.sock)
            line.check()
            connection.timeout = self.read_s
            headers = {
                "Host": request.url.authority,
                "User-Agent": "face-registry",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "Connection": "close",
                **request.headers,
            }
            if request.credentials:
                token = base64.b64encode(request.credentials.encode()).decode("ascii")
                headers["Authorization"] = f"Basic {token}"
            connection.request(
                request.method,
                request.url.target,
                body=request.body,
                headers=headers,
                preload_content=False,
                decode_content=False,
            )
            return Answer(shown, line, connection)
        except (OSError, HTTPException, HTTPError) as exc:
            connection.close()
            line.check()
            raise failure(shown, exc) from exc
        except BaseException:
            connection.close()
            raise

    def _connect(self, url: HttpUrl, shown: str, line: Line) -> HTTPConnection:
        try:
            addresses = self.policy.addresses(url.host, url.port)
        except OSError as exc:
            what = f"{shown}: the host {printable(url.host)} cannot be found"
            if isinstance(exc, socket.gaierror) and exc.errno not in _PASSING_LOOKUPS:
                raise FetchError(f"{what}; check the URL.") from exc
            raise TryAgain(f"{what} at the moment.") from exc
        problem: Exception | None = None
        for address in addresses:
            line.check()
            connection = self._connection(url, address, min(self.connect_s, line.left()))
            try:
                connection.connect()
            except (OSError, HTTPError) as exc:
                connection.close()
                problem = exc
            else:
                return connection
        line.check()
        assert problem is not None
        raise failure(shown, problem) from problem

    def _connection(self, url: HttpUrl, address: str, timeout: float) -> HTTPConnection:
        if url.scheme == "http":
            return HTTPConnection(address, url.port, timeout=timeout)
        return HTTPSConnection(
            address, url.port, timeout=timeout, ssl_context=self.tls, server_hostname=url.host
        )


def failure(url: str, exc: Exception) -> FetchError:
    """What a foreign exception means for a download."""
    causes = list(_causes(exc))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FetchError(
                f"{url}: the server's certificate is refused: {cause.verify_message}."
            )
        if isinstance(cause, TimeoutError):
            return TryAgain(f"{url}: the server did not answer in time.")
        if isinstance(cause, ssl.SSLError) and not isinstance(
            cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
        ):
            return FetchError(f"{url}: the server does not speak TLS as this machine does.")
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.strerror]
    if system:
        return TryAgain(f"{url}: the connection failed ({system[-1].strerror}).")
    if isinstance(exc, HTTPException) and not isinstance(exc, OSError):
        return FetchError(f"{url}: the server does not speak HTTP ({type(exc).__name__}).")
    return TryAgain(f"{url}: the connection broke before everything had come.")


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
