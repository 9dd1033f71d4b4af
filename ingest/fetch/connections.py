"""One HTTP request over one connection: no redirects or retries.

httpcore speaks HTTP/1.1 over a stream of `ingest.fetch.streams`. It limits the header section of a
response to 100 KiB.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPMessage
from urllib.parse import urljoin

import httpcore

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.content_coding import codings, unpack
from ingest.fetch.host_headers import DEFAULT_USER_AGENT, HostHeaders, merged_cookies
from ingest.fetch.proxies import Proxy, ProxyRules
from ingest.fetch.streams import (
    HTTP_ERRORS,
    Connector,
    Deadline,
    connection_error,
    exchange,
    refusal,
    status_text,
)
from registry.errors import FetchError, UsageError
from registry.urls import HttpUrl, parse, redacted

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


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
    redirected: bool = False
    """Whether another origin redirected to the URL: then the headers and cookies that the user
    gives for its host are not sent."""


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
        return status_text(self.status)

    @property
    def codings(self) -> tuple[str, ...]:
        """How the server compressed the body, in the order of doing so; often not at all."""
        return codings(", ".join(self.headers.get_all("Content-Encoding", [])))

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
        """The body as it arrives, unpacked if the server compressed it.

        Raises `FetchError`, `TransientError` if a retry may help.
        """
        return unpack(self._packed_chunks(), self.codings, self.label)

    def _packed_chunks(self) -> Iterator[bytes]:
        try:
            yield from self._response.iter_stream()
        except HTTP_ERRORS as exc:
            raise connection_error(self.label, exc) from exc

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True, slots=True)
class HttpClient:
    """Sends requests; keeps no connection and no state, so threads can share it."""

    policy: AddressPolicy
    tls: Callable[[], ssl.SSLContext]
    connect_s: float
    """Seconds to connect to one address; each TLS handshake may take as long again."""
    read_s: float
    """Seconds without a byte."""
    proxies: ProxyRules = field(default_factory=ProxyRules)
    host_headers: HostHeaders = field(default_factory=HostHeaders)

    def send(self, request: Request, deadline: Deadline) -> Response:
        """Send a request and wait for status and headers.

        Raises `FetchError`, `NotReadYet`, `TransientError` if a retry may help.
        """
        url, label = request.url, _label(request)
        connector = Connector(self.policy, self.tls, self.connect_s, self.read_s)
        proxy = self.proxies.proxy_for(url)
        if proxy is None:
            stream = connector.open_direct(url, label, deadline, self.proxies.hint(url))
        else:
            stream = connector.open_through(proxy, url, label, deadline)
        forwarding = proxy if url.scheme == "http" else None
        # A proxy that forwards is asked for the whole URL (RFC 9112, 3.2.2).
        to = proxy.url if proxy and forwarding else url
        target = str(url) if forwarding else url.target
        address = httpcore.URL(scheme=to.scheme, host=to.host, port=to.port, target=target)
        headers = [(name.encode(), value.encode("latin-1", "replace"))
                   for name, value in self._headers(request).values()]  # fmt: skip
        timeouts = {"read": self.read_s, "write": self.read_s}
        connection = httpcore.HTTP11Connection(address.origin, stream)
        answer = exchange(
            connection,
            httpcore.Request(
                request.method,
                address,
                headers=[*headers, *(forwarding.headers if forwarding else [])],
                content=request.body,
                extensions={"timeout": timeouts},
            ),
            label,
            forwarding,
        )
        response = Response(request, connection, answer)
        if forwarding:
            _check_forwarded(response, forwarding)
        return response

    def _headers(self, request: Request) -> dict[str, tuple[str, str]]:
        """Names and values of the headers by lower-case name."""
        own = {
            "Host": request.url.authority,
            "User-Agent": self.host_headers.user_agent or DEFAULT_USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        given = {} if request.redirected else self.host_headers.headers_for(request.url)
        sent = {
            name.lower(): (name, value)
            for headers in (own, request.headers, given)
            for name, value in headers.items()
        }
        cookies = [
            value
            for headers in (given, request.headers)
            for name, value in headers.items()
            if name.lower() == "cookie"
        ]
        if len(cookies) > 1:
            sent["cookie"] = ("Cookie", merged_cookies(*cookies))
        if request.credentials:
            token = base64.b64encode(request.credentials.encode()).decode("ascii")
            sent["authorization"] = ("Authorization", f"Basic {token}")
        if request.body is not None:
            sent["content-length"] = ("Content-Length", str(len(request.body)))
        return sent


def _check_forwarded(response: Response, proxy: Proxy) -> None:
    """Raise the error of an answer that a forwarding proxy gives in place of the server.

    Told by status 407, and by the headers of Squid (X-Squid-Error) and RFC 9209 (Proxy-Status).
    """
    headers = response.headers
    own = "X-Squid-Error" in headers or "error=" in headers.get("Proxy-Status", "")
    failed = response.status >= HTTPStatus.BAD_REQUEST
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED or (own and failed):
        response.close()
        schemes = ", ".join(headers.get_all("Proxy-Authenticate", []))
        raise refusal(response.label, proxy, response.status, schemes)


def _label(request: Request) -> str:
    return request.label or redacted(str(request.url))
