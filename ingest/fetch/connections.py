"""One HTTP request over one connection to a checked address: no proxy, redirects or retries.

httpcore speaks HTTP/1.1 and TLS. Its network backend connects to the very address that the policy
checked, while TLS (SNI and certificate) and the Host header keep the host name. httpcore's
connection pool is not used: it would keep connections open, and change a TLS context that other
threads are using. httpcore limits the header section of a response to 100 KiB.
"""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPMessage
from time import monotonic
from urllib.parse import urljoin

import httpcore

from ingest.fetch.addresses import AddressPolicy
from registry.errors import FetchError, NotReadYet, RegistryError, UsageError
from registry.urls import HttpUrl, parse, printable, redacted

_POLL_S = 0.2
"""How often a read that waits for the server checks its deadline."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HTTP_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
_BACKEND = httpcore.SyncBackend()


class TransientError(FetchError):
    """A failure that may not happen again on the next attempt."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """`retry_after_s`: how long the server asks to wait, in seconds."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Deadline:
    """The time limit of one fetch, over all its connections; `cancel` ends it early."""

    def __init__(self, label: str, seconds: float) -> None:
        """`label` names the fetch in messages; the time starts now."""
        self.label = label
        self._seconds = seconds
        self._end = monotonic() + seconds
        self._error: RegistryError | None = None

    def remaining(self) -> float:
        """Seconds left, at least a millisecond."""
        return max(0.001, self._end - monotonic())

    def cancel(self, error: RegistryError) -> None:
        """End the fetch from any thread; `error` is what it raises."""
        self._error = error

    def check(self) -> None:
        """Raise the error of `cancel`, or `FetchError` if the time is up."""
        if self._error is not None:
            raise self._error
        if monotonic() >= self._end:
            raise FetchError(f"{self.label}: the download took longer than {self._seconds:g} s.")


class _Stream(httpcore.NetworkStream):
    """A connection whose reads end with a deadline, however slowly the server sends."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        assert timeout is not None
        end = monotonic() + timeout
        while True:
            self._deadline.check()
            try:
                return self._stream.read(max_bytes, min(_POLL_S, timeout))
            except httpcore.ReadTimeout:
                if monotonic() >= end:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request."""

    url: HttpUrl
    headers: Mapping[str, str]
    credentials: str = ""
    """`user:password` for the Authorization header, or ""."""
    method: str = "GET"
    body: bytes | None = None
    label: str = ""
    """Names the request in messages; "": its URL, without secrets."""


class Response:
    """Status and headers of a response, and its body, which is read as it arrives. Close it."""

    def __init__(
        self, request: Request, connection: httpcore.HTTP11Connection, response: httpcore.Response
    ) -> None:
        self.label = _label(request)
        """Names the request in messages."""
        self.status = response.status
        self.headers = HTTPMessage()
        for name, value in response.headers:
            self.headers[name.decode("ascii")] = value.decode("latin-1")
        self._url, self._connection, self._response = request.url, connection, response

    @property
    def status_text(self) -> str:
        """The status in words: `404 Not Found`."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def is_redirect(self) -> bool:
        """Whether the response refers to another URL."""
        return self.status in _REDIRECTS

    def redirect_target(self) -> HttpUrl:
        """Where a redirect leads. Raises `FetchError` if it is not an http or https URL."""
        location = self.headers.get("Location", "")
        if not location:
            raise FetchError(
                f"{self.label}: the server answered {self.status_text} without a target."
            )
        with suppress(UnicodeError):
            # Headers are read as Latin-1; servers that send more than ASCII send UTF-8.
            location = location.encode("latin-1").decode("utf-8")
        try:
            return parse(urljoin(str(self._url), location))
        except (UsageError, ValueError) as exc:
            raise FetchError(
                f"{self.label} redirects to '{redacted(location)}', which cannot be fetched."
            ) from exc

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, not decompressed.

        Raises `FetchError`, `TransientError` if a retry may help.
        """
        try:
            yield from self._response.iter_stream()
        except _HTTP_ERRORS as exc:
            raise _fetch_error(self.label, exc) from exc

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True, slots=True)
class HttpClient:
    """Sends requests; keeps no connection and no state, so threads can share it."""

    policy: AddressPolicy
    tls: ssl.SSLContext
    connect_s: float
    """Seconds to connect to one address; the TLS handshake may take as long again."""
    read_s: float
    """Seconds without a byte."""

    def send(self, request: Request, deadline: Deadline) -> Response:
        """Send a request and wait for status and headers.

        Raises `FetchError`, `NotReadYet`, `TransientError` if a retry may help.
        """
        target = request.url
        url = httpcore.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.target
        )
        label, timeouts = _label(request), {"read": self.read_s, "write": self.read_s}
        stream = _Stream(self._connect(target, label, deadline), deadline)
        connection = httpcore.HTTP11Connection(url.origin, stream)  # closes itself on an error
        try:
            response = connection.handle_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=_headers(request),
                    content=request.body,
                    extensions={"timeout": timeouts},
                )
            )
        except httpcore.LocalProtocolError as exc:
            raise FetchError(f"{label}: a header of the request is not valid.") from exc
        except _HTTP_ERRORS as exc:
            # Without a cause, the server closed the connection before it sent anything.
            if isinstance(exc, httpcore.RemoteProtocolError) and exc.__cause__:
                detail = printable(str(exc), 100)
                raise FetchError(f"{label}: the server does not speak HTTP ({detail}).") from exc
            raise _fetch_error(label, exc) from exc
        return Response(request, connection, response)

    def _connect(self, url: HttpUrl, label: str, deadline: Deadline) -> httpcore.NetworkStream:
        try:
            addresses = self.policy.checked_addresses(url.host, url.port)
        except OSError as exc:
            what = f"{label}: the host {printable(url.host)} cannot be found"
            if isinstance(exc, socket.gaierror) and exc.errno != socket.EAI_AGAIN:
                # An unknown name, or no network: systems do not tell them apart.
                raise NotReadYet(f"{what}; check the URL and the network.") from exc
            raise TransientError(f"{what} at the moment.") from exc
        error: Exception | None = None
        for address in addresses:
            deadline.check()
            timeout = min(self.connect_s, deadline.remaining())
            try:
                stream = _BACKEND.connect_tcp(address, url.port, timeout)
                if url.scheme == "https":
                    stream = stream.start_tls(self.tls, url.host, timeout)
                return stream
            except _HTTP_ERRORS as exc:
                error = exc
        deadline.check()
        assert error is not None
        raise _fetch_error(label, error) from error


def _label(request: Request) -> str:
    return request.label or redacted(str(request.url))


def _headers(request: Request) -> list[tuple[bytes, bytes]]:
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
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


def _fetch_error(label: str, exc: Exception) -> FetchError:
    """What an error of httpcore means for a download."""
    causes = list(_causes(exc))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FetchError(
                f"{label}: the server's certificate is refused: {cause.verify_message}."
            )
        if isinstance(cause, TimeoutError):
            return TransientError(f"{label}: the server did not answer in time.")
        if isinstance(cause, ssl.SSLError) and not isinstance(
            cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
        ):
            return FetchError(
                f"{label}: the server does not speak TLS, or no version that this machine accepts "
                f"({cause.reason})."
            )
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.strerror]
    if system:
        return TransientError(f"{label}: the connection failed ({system[-1].strerror}).")
    return TransientError(f"{label}: the connection was closed before the end of the response.")


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
