"""Connections to servers, direct or through a proxy, whose reads end with a deadline.

httpcore's network backend connects to the very address that the policy checked, while TLS (SNI and
certificate) keeps the host name. httpcore's connection pool and its proxy classes are not used:
they look hosts up themselves, keep connections open, and change a TLS context that other threads
are using. A tunnel through a proxy is one CONNECT request (RFC 9110, 9.3.6) on httpcore's HTTP/1.1
connection, and TLS inside of it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic

import httpcore

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.proxies import Proxy
from registry.errors import FetchError, NotReadYet, RegistryError, VideoError
from registry.urls import HttpUrl, printable

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that a retry may get past (RFC 9110, RFC 6585, RFC 8470)."""
HTTP_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
_POLL_S = 0.2
"""How often a read that waits for the server checks its deadline."""
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


class Stream(httpcore.NetworkStream):
    """A connection whose reads end with a deadline, however slowly the server sends."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        """`stream` is closed with this one."""
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Up to `max_bytes` bytes; raises the deadline's error once it has passed."""
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
        """Send all bytes."""
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """The same connection with TLS, also inside the TLS of a proxy."""
        return Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)


@dataclass(frozen=True, slots=True)
class Connector:
    """Opens connections; keeps none, so threads can share it."""

    policy: AddressPolicy
    tls: Callable[[], ssl.SSLContext]
    """Called when it is needed: creating a context takes 30 ms, and http needs none."""
    connect_s: float
    """Seconds to connect to one address; each TLS handshake may take as long again."""
    read_s: float
    """Seconds without a byte from a proxy that is to connect."""

    def open_direct(
        self, url: HttpUrl, label: str, deadline: Deadline, hint: str = ""
    ) -> httpcore.NetworkStream:
        """Connect to the server of a URL, with TLS for https.

        `label` names the request in messages, and `hint` ends those of a connection that fails.
        Raises `FetchError`, `NotReadYet`, `TransientError` if a retry may help.
        """
        hint = f" {hint}" if hint else ""
        try:
            addresses = self.policy.checked_addresses(url.host, url.port)
        except OSError as exc:
            what = f"{label}: the host {printable(url.host)} cannot be found"
            if _is_final(exc):
                # An unknown name, or no network: systems do not tell them apart.
                raise NotReadYet(f"{what}; check the URL and the network.{hint}") from exc
            raise TransientError(f"{what} at the moment.{hint}") from exc
        try:
            return self._connect(url, addresses, deadline)
        except HTTP_ERRORS as exc:
            deadline.check()
            error = connection_error(label, exc)
            if isinstance(error, TransientError):
                error = TransientError(f"{error}{hint}")
            raise error from exc

    def open_through(
        self, proxy: Proxy, url: HttpUrl, label: str, deadline: Deadline
    ) -> httpcore.NetworkStream:
        """Connect to a proxy; for an https URL, through it to the server, with TLS.

        The proxy looks the host up. Raises `FetchError` if the policy refuses the URL as it is
        written, `NotReadYet` if the proxy refuses, `TransientError` if a retry may help.
        """
        self.policy.check_unresolved(url.host, url.port)
        try:
            addresses = self.policy.proxy_addresses(proxy.url.host, proxy.url.port)
        except OSError as exc:
            what = f"{label}: the proxy {proxy} cannot be found"
            if _is_final(exc):
                raise NotReadYet(f"{what}; check its name and the network.") from exc
            raise TransientError(f"{what} at the moment.") from exc
        try:
            stream = self._connect(proxy.url, addresses, deadline)
        except HTTP_ERRORS as exc:
            deadline.check()
            raise connection_error(label, exc, proxy) from exc
        return stream if url.scheme == "http" else self._tunnel(stream, proxy, url, label, deadline)

    def _connect(self, url: HttpUrl, addresses: Sequence[str], deadline: Deadline) -> Stream:
        """Connect to the first address that answers. Raises what httpcore raised of the last."""
        error: Exception | None = None
        for address in addresses:
            deadline.check()
            timeout = min(self.connect_s, deadline.remaining())
            try:
                stream = _BACKEND.connect_tcp(address, url.port, timeout)
                if url.scheme == "https":
                    stream = stream.start_tls(self.tls(), url.host, timeout)
                return Stream(stream, deadline)
            except HTTP_ERRORS as exc:
                error = exc
        assert error is not None
        raise error

    def _tunnel(
        self, stream: Stream, proxy: Proxy, url: HttpUrl, label: str, deadline: Deadline
    ) -> httpcore.NetworkStream:
        target = f"{url.written_host}:{url.port}".encode()
        to = httpcore.URL(
            scheme=proxy.url.scheme, host=proxy.url.host, port=proxy.url.port, target=target
        )
        connection = httpcore.HTTP11Connection(to.origin, stream)
        timeouts = {"read": self.read_s, "write": self.read_s}
        headers = [(b"Host", target), *proxy.headers]
        request = httpcore.Request("CONNECT", to, headers=headers, extensions={"timeout": timeouts})
        response = exchange(connection, request, label, proxy)
        if not 200 <= response.status < 300:
            connection.close()
            schemes = [v for k, v in response.headers if k.lower() == b"proxy-authenticate"]
            raise refusal(label, proxy, response.status, b", ".join(schemes).decode("latin-1"))
        timeout = min(self.connect_s, deadline.remaining())
        inner: httpcore.NetworkStream = response.extensions["network_stream"]
        try:
            return inner.start_tls(self.tls(), url.host, timeout)
        except HTTP_ERRORS as exc:
            deadline.check()
            if refused := certificate_error(exc):
                raise NotReadYet(
                    f"{label}: the certificate that came through the proxy {proxy} is refused: "
                    f"{refused.verify_message}. If the proxy reads encrypted connections, name the "
                    "file with its certificate authority in SSL_CERT_FILE."
                ) from exc
            raise connection_error(label, exc) from exc


def exchange(
    connection: httpcore.HTTP11Connection,
    request: httpcore.Request,
    label: str,
    proxy: Proxy | None = None,
) -> httpcore.Response:
    """Send a request and wait for status and headers; the connection is closed on an error.

    `proxy` is the one that answers. Raises `FetchError`, `NotReadYet`, `TransientError`.
    """
    try:
        return connection.handle_request(request)
    except httpcore.LocalProtocolError:
        # Its message, and that of its cause, hold the header, which may be a secret.
        raise FetchError(f"{label}: a header of the request is not valid.") from None
    except HTTP_ERRORS as exc:
        # Without a cause, the server closed the connection before it sent anything.
        if isinstance(exc, httpcore.RemoteProtocolError) and exc.__cause__:
            detail = printable(str(exc), 100)
            if proxy:
                what = f"{label}: the proxy {proxy} does not speak HTTP ({detail})."
                raise NotReadYet(f"{what} Check its address.") from exc
            raise FetchError(f"{label}: the server does not speak HTTP ({detail}).") from exc
        raise connection_error(label, exc, proxy) from exc


def refusal(label: str, proxy: Proxy, status: int, schemes: str = "") -> VideoError:
    """What an answer of a proxy means that is its own, and not that of the server.

    `schemes` is the value of its header Proxy-Authenticate.
    """
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        kinds = schemes.replace(",", " ").split()
        if kinds and "basic" not in schemes.lower():
            return NotReadYet(
                f"{label}: the proxy {proxy} asks for a login of the kind "
                f"{printable(kinds[0], 40)}. Only user name and password (Basic) are supported."
            )
        if proxy.headers:
            return NotReadYet(
                f"{label}: the proxy {proxy} refuses the user name or the password in its URL."
            )
        return NotReadYet(
            f"{label}: the proxy {proxy} asks for a user name and a password. Write them into its "
            "URL: http://USER:PASSWORD@HOST:PORT."
        )
    answered = f"{label}: the proxy {proxy} answered {status_text(status)}."
    if status in TRANSIENT_STATUSES:
        return TransientError(answered)
    return NotReadYet(f"{answered} It may not allow this host.")


def status_text(status: int) -> str:
    """A status in words: `404 Not Found`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def connection_error(label: str, exc: Exception, proxy: Proxy | None = None) -> VideoError:
    """What an error of httpcore means for a download; `proxy` is the one that failed."""
    who, to = (f"the proxy {proxy}", f" to the proxy {proxy}") if proxy else ("the server", "")
    final = NotReadYet if proxy else FetchError
    if refused := certificate_error(exc):
        whose = f"the certificate of {who}" if proxy else f"{who}'s certificate"
        return final(f"{label}: {whose} is refused: {refused.verify_message}.")
    causes = list(_causes(exc))
    for cause in causes:
        if isinstance(cause, TimeoutError):
            return TransientError(f"{label}: {who} did not answer in time.")
        if isinstance(cause, ssl.SSLError) and not isinstance(
            cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
        ):
            return final(
                f"{label}: {who} does not speak TLS, or no version that this machine accepts "
                f"({cause.reason})."
            )
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.strerror]
    if system:
        return TransientError(f"{label}: the connection{to} failed ({system[-1].strerror}).")
    return TransientError(f"{label}: the connection{to} was closed before the end of the response.")


def certificate_error(exc: Exception) -> ssl.SSLCertVerificationError | None:
    """The refused certificate that is the cause of an error, if it is one."""
    refused = (c for c in _causes(exc) if isinstance(c, ssl.SSLCertVerificationError))
    return next(refused, None)


def _is_final(exc: OSError) -> bool:
    """Whether a failed lookup of a name says that there is no such name."""
    return isinstance(exc, socket.gaierror) and exc.errno != socket.EAI_AGAIN


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
