"""Who may talk to the server: sessions, hosts, origins, sizes, and the headers of every answer.

The guard is the outermost layer. A request that it refuses reaches no page.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import threading
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Headers of every answer. Pages and pictures are biometric data, so no cache keeps them. Other
sites get no referrer; with `no-referrer`, browsers would leave the Origin of our own forms out."""
FORM_BYTES = 1 << 20
"""Largest body of a request, unless its path is among the `uploads`."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(:[0-9]{1,5})?")
_STATIC, _LOGIN = "/static/", "/login"
"""What needs no session: the paths that begin with the first, and the second."""


class Sessions:
    """One-time tokens, and the sessions that they opened. Neither is kept as text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: set[bytes] = set()
        self._sessions: set[bytes] = set()

    def new_token(self) -> str:
        """A token that opens one session."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens.add(_digest(token))
        return token

    def redeem(self, token: str) -> str | None:
        """A new session for a token, which is used up; None if it is not valid any more."""
        with self._lock:
            if _digest(token) not in self._tokens:
                return None
            self._tokens.remove(_digest(token))
        return self.new_session()

    def new_session(self) -> str:
        """The secret of a new session."""
        session = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions.add(_digest(session))
        return session

    def is_valid(self, session: str) -> bool:
        """Whether this is the secret of an open session."""
        with self._lock:
            return _digest(session) in self._sessions

    def end(self, session: str) -> None:
        """Close a session."""
        with self._lock:
            self._sessions.discard(_digest(session))


def _digest(secret: str) -> bytes:
    """What is compared: a look-up by digest tells nothing about how much of a secret is right."""
    return hashlib.sha256(secret.encode()).digest()


class Hosts:
    """Which names a request may call this server by.

    A page of another site can make its own name resolve to this machine (DNS rebinding), and then
    names itself in the Host header. So names are a short list. An address is always allowed: no
    attacker's name is an address.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """`names` are host names without ports, in any case."""
        self._names = {name.lower().rstrip(".") for name in names}

    def allow(self, host_header: str) -> bool:
        """Whether the header Host is a name or an address of this server."""
        match = _HOST.fullmatch(host_header)
        if match is None:
            return False
        host = match["address"] or match["name"].lower().rstrip(".")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in self._names
        return True


class Guard:
    """The outermost layer of the application (ASGI)."""

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        hosts: Hosts,
        *,
        cookie: str,
        secure: bool,
        uploads: dict[str, int],
        password: bool,
    ) -> None:
        """What is let through to `app`.

        Args:
            app: the application.
            sessions: who is signed in.
            hosts: how the server may be called.
            cookie: name of the session's cookie. Cookies do not tell ports apart, so each server
                of a machine needs a name of its own.
            secure: whether the server speaks TLS only.
            uploads: largest body in bytes, by path, where it is not `FORM_BYTES`.
            password: whether one can sign in with a password.
        """
        self._app, self._sessions, self._hosts = app, sessions, hosts
        self.cookie, self._secure, self._uploads = cookie, secure, uploads
        self._password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here: not accepting one closes it
        sender = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, sender)
            return
        limit = self._uploads.get(scope["path"], FORM_BYTES)
        await self._app(scope, _limited(receive, limit), sender)

    def session_of(self, connection: HTTPConnection) -> str:
        """The secret of the session of a request; empty if it has none."""
        return connection.cookies.get(self.cookie, "")

    def signed_in(self, response: Response, session: str) -> Response:
        """The response, which makes the browser send the session from now on."""
        response.set_cookie(
            self.cookie, session, httponly=True, samesite="strict", secure=self._secure, path="/"
        )
        return response

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that is not let through; None for others."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        if not self._hosts.allow(headers.get("host", "")):
            return _refused(path, 421, "This server does not go by the name in the Host header.")
        if method not in _SAFE and not _same_origin(headers, self._secure):
            return _refused(path, 403, "The request was sent by another site.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._uploads.get(path, FORM_BYTES):
            return _refused(path, 413, "The request is too large.")
        connection = HTTPConnection(scope)
        signed_in = self._sessions.is_valid(self.session_of(connection))
        token = connection.query_params.get("token", "")
        if path == "/" and token and method == "GET":
            return self._redeem(token, signed_in=signed_in)
        if signed_in or path.startswith(_STATIC) or path == _LOGIN:
            return None
        if self._password and method == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse(_LOGIN, 303)
        return _refused(path, 401, _NO_SESSION)

    def _redeem(self, token: str, *, signed_in: bool) -> Response:
        session = None if signed_in else self._sessions.redeem(token)
        if session is None and not signed_in:
            return _refused("/", 401, f"This address was used before. {_NO_SESSION}")
        response = RedirectResponse("/", 303)
        return response if session is None else self.signed_in(response, session)


_NO_SESSION = (
    "Open the address that `face-registry serve` printed when it started. It works once: in a "
    "browser that is signed in, the page Sessions makes an address for another one."
)


def _refused(path: str, status: int, text: str) -> Response:
    if path.startswith("/api/"):
        return JSONResponse({"error": text}, status)
    return PlainTextResponse(f"{text}\n", status)


def _same_origin(headers: Headers, secure: bool) -> bool:
    """Whether a request that changes something comes from a page of this server, or no browser.

    Browsers send Origin with every such request, and Sec-Fetch-Site, which pages cannot forge.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    scheme = "https" if secure else "http"
    return origin is None or origin.lower() == f"{scheme}://{headers['host'].lower()}"


class TooLarge(Exception):
    """A body was longer than announced, or than is allowed."""


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises `TooLarge` once a body has more than `limit` bytes."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise TooLarge
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return with_headers
