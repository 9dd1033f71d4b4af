"""The only request handler that yt-dlp is given: it sends requests with our HTTP client."""

from __future__ import annotations

import io
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from urllib.request import Request as UrllibRequest

from yt_dlp.networking import Request, RequestHandler, Response
from yt_dlp.networking.common import Features
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError

from ingest.fetch import connections
from ingest.fetch.connections import HttpClient
from ingest.fetch.streams import Deadline
from registry.errors import RegistryError
from registry.urls import HttpUrl, parse, redacted

_MAX_REDIRECTS = 10
"""More than for files: some sites redirect to ask for consent or a language first."""
_MAX_BYTES = 32 * 1024 * 1024
"""Of one response, unpacked: ten times the largest script of the large sites."""
_OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "te", "cookie"}
)
"""Headers that the HTTP client or this handler sets."""


class CheckedRH(RequestHandler):  # type: ignore[misc]
    """Sends requests of yt-dlp; no proxy of its own, no impersonation, only http and https.

    yt-dlp wants the name to end with RH.
    """

    _SUPPORTED_URL_SCHEMES = ("http", "https")
    _SUPPORTED_PROXY_SCHEMES = ()
    _SUPPORTED_FEATURES = (Features.ALL_PROXY, Features.NO_PROXY)

    def __init__(self, client: HttpClient, seconds: float, **options: Any) -> None:
        """`seconds` that one request may take; `options` are those of every handler of yt-dlp."""
        super().__init__(**options)
        self._client, self._seconds = client, seconds
        self.errors: list[RegistryError] = []
        """Errors of requests that were refused or failed."""

    def _check_extensions(self, extensions: dict[str, Any]) -> None:
        super()._check_extensions(extensions)
        extensions.clear()  # nothing beyond a plain request is supported

    def _send(self, request: Request) -> Response:
        try:
            return self._follow_redirects(request)
        except RegistryError as exc:
            self.errors.append(exc)
            raise TransportError(str(exc), cause=exc) from exc

    def _follow_redirects(self, request: Request) -> Response:
        jar = self._get_cookiejar(request)
        url, method = parse(request.url), request.method
        body = request.data if isinstance(request.data, bytes) else b"".join(request.data or ())
        headers = {
            name: value
            for name, value in self._get_headers(request).items()
            if name.lower() not in _OWN_HEADERS
        }
        start = url
        for _ in range(_MAX_REDIRECTS + 1):
            redirected = url.origin != start.origin
            if redirected:
                headers = {k: v for k, v in headers.items() if k.lower() != "authorization"}
            cookies = self._cookies(jar, url, redirected=redirected)
            sent = headers | ({"Cookie": cookies} if cookies else {})
            content = body if body or method == "POST" else None
            response, target = self._send_one(
                connections.Request(url, sent, method=method, body=content, redirected=redirected),
                jar,
            )
            if target is None:
                if response.status >= 400:
                    raise HTTPError(response)
                return response
            if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                method, body = "GET", b""
            url = target
        raise HTTPError(response, redirect_loop=True)

    def _cookies(self, jar: Any, url: HttpUrl, *, redirected: bool) -> str:
        """The header Cookie for a URL; after a redirect to another origin, without the user's."""
        user = self._client.host_headers
        return "; ".join(
            f"{cookie.name}={cookie.value}" if cookie.value is not None else cookie.name
            for cookie in jar.get_cookies_for_url(str(url))
            if not (redirected and user.holds(cookie))
        )

    def _send_one(self, request: connections.Request, jar: Any) -> tuple[Response, HttpUrl | None]:
        """The response, and where it redirects to."""
        url = str(request.url)
        deadline = Deadline(redacted(url), self._seconds)
        with closing(self._client.send(request, deadline)) as response:
            body = _read_body(response)
            # The standard library's cookie jar calls `info` to get the headers.
            jar.extract_cookies(SimpleNamespace(info=lambda: response.headers), UrllibRequest(url))
            target = response.redirect_target() if response.is_redirect else None
            return Response(io.BytesIO(body), url, response.headers, response.status), target


def _read_body(response: connections.Response) -> bytes:
    body = bytearray()
    for chunk in response.chunks():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise RequestError(
                f"{response.label}: the response has more than {_MAX_BYTES >> 20} MiB."
            )
    return bytes(body)
