"""The one way out that yt-dlp is given: our own transport, with every address judged."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPMessage
from typing import Any
from urllib.parse import urljoin
from urllib.request import Request as UrllibRequest

from yt_dlp.networking import Request, RequestHandler, Response
from yt_dlp.networking.common import Features
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError

from ingest.http import Answer, Line, Transport
from ingest.http import Request as Ask
from registry.errors import RegistryError
from registry.urls import HttpUrl, parse, redacted

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
"""Sites that ask for consent or a language send one round more often than file servers do."""
_MOST_BYTES = 32 * 1024 * 1024
"""Of one answer, packed and unpacked: ten times the largest script of the large sites."""
_OURS = frozenset({"accept-encoding", "connection", "content-length", "host", "te", "cookie"})
"""Headers that the transport writes itself."""


class CheckedRH(RequestHandler):  # type: ignore[misc]
    """Sends requests of yt-dlp; no proxy, no impersonation, no other scheme."""

    _SUPPORTED_URL_SCHEMES = ("http", "https")
    _SUPPORTED_PROXY_SCHEMES = ()
    _SUPPORTED_FEATURES = (Features.ALL_PROXY, Features.NO_PROXY)

    def __init__(self, transport: Transport, seconds: float, **given: Any) -> None:
        """`seconds` that one request may take; `given` is what yt-dlp gives every handler."""
        super().__init__(**given)
        self._transport, self._seconds = transport, seconds
        self.problems: list[str] = []
        """What was refused or failed on the way, in sentences."""

    def _check_extensions(self, extensions: dict[str, Any]) -> None:
        super()._check_extensions(extensions)
        extensions.clear()  # what is asked for beyond a plain request is not done

    def _send(self, request: Request) -> Response:
        try:
            return self._followed(request)
        except RegistryError as exc:
            self.problems.append(str(exc))
            raise TransportError(str(exc), cause=exc) from exc

    def _followed(self, request: Request) -> Response:
        jar = self._get_cookiejar(request)
        url, method = parse(request.url), request.method
        body = request.data if isinstance(request.data, bytes) else b"".join(request.data or ())
        headers = {k: v for k, v in self._get_headers(request).items() if k.lower() not in _OURS}
        start = url
        for _ in range(_MOST_REDIRECTS + 1):
            if url.origin != start.origin:
                headers = {k: v for k, v in headers.items() if k.lower() != "authorization"}
            cookie = jar.get_cookie_header(str(url))
            sent = headers | ({"Cookie": cookie} if cookie else {})
            response = self._one(url, Ask(url, sent, method=method, body=body or None))
            jar.extract_cookies(_Said(response.headers), UrllibRequest(str(url)))
            to = response.headers.get("Location")
            if response.status not in _REDIRECTS or not to:
                if response.status >= 400:
                    raise HTTPError(response)
                return response
            if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                method, body = "GET", b""
            url = parse(urljoin(str(url), to))
        raise HTTPError(response, redirect_loop=True)

    def _one(self, url: HttpUrl, ask: Ask) -> Response:
        line = Line(redacted(str(url)), self._seconds)
        try:
            with self._transport.get(ask, line) as answer:
                body = _unpacked(_body(answer), answer.headers)
                headers = {k: v for k, v in answer.headers.items() if k.lower() != "set-cookie"}
                response = Response(io.BytesIO(body), str(url), headers, answer.status)
                for cookie in answer.cookies:
                    response.headers["Set-Cookie"] = cookie
                return response
        finally:
            line.close()


class _Said:
    """Headers as the standard library's cookie jar asks for them."""

    def __init__(self, headers: Message) -> None:
        self._headers = HTTPMessage()
        for value in headers.get_all("Set-Cookie") or ():
            self._headers.add_header("Set-Cookie", value)

    def info(self) -> HTTPMessage:
        return self._headers


def _body(answer: Answer) -> bytes:
    whole = bytearray()
    for chunk in answer.chunks():
        whole += chunk
        if len(whole) > _MOST_BYTES:
            raise RequestError(f"{answer.url}: more than {_MOST_BYTES >> 20} MiB.")
    return bytes(whole)


def _unpacked(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Some servers pack what nobody asked them to pack; no more than the limit comes out."""
    if headers.get("Content-Encoding", "").strip().lower() not in {"gzip", "deflate", "x-gzip"}:
        return body
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, _MOST_BYTES)
    except zlib.error as exc:
        raise RequestError(f"packed wrongly ({exc})", cause=exc) from exc
