"""Calls to a Qdrant server: where it is, which failures are tried again, and what the rest mean."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import httpx
import stamina
from pydantic import ValidationError
from qdrant_client import models
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from registry.errors import (
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreachable,
    UsageError,
)

T = TypeVar("T")

# Whoever sets up logging hears of retries; else each would print a bare line to stderr.
logging.getLogger("stamina").addHandler(logging.NullHandler())

DEFAULT_PORT = 6333
"""Qdrant's own; qdrant-client adds it where a URL names none."""
_BUSY = (429, 502, 503, 504)
_TRIES = 5
_FIRST_WAIT_S = 0.2  # then 0.4, 0.8, 1.6 and up to as much again at random: 3 to 6 s in all
_MOST_WAIT_S = 10.0  # what a Retry-After header can ask for


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, taken apart so that its credentials show nowhere."""

    url: str
    """scheme://host:port/path, without credentials and query."""
    host: str
    login: tuple[str, str] | None
    """User and password of a URL that carried them, for a proxy that asks (HTTP basic)."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises `UsageError` for what is no URL of a server."""
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError:
            host, port, parts = None, 0, urlsplit("")
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError(
                "QDRANT_URL is no URL of a server; it must read like "
                f"http://localhost:{DEFAULT_PORT} or https://host:port"
            )
        bracketed = f"[{host}]" if ":" in host else host
        login = None
        if parts.username is not None:
            login = (unquote(parts.username), unquote(parts.password or ""))
        return cls(f"{parts.scheme}://{bracketed}:{port}{parts.path.rstrip('/')}", host, login)


def call(request: Callable[[], T], *, where: str, timeout_s: float) -> T:
    """The request's answer, tried again while the server is away or busy.

    Every request here can be repeated: writes carry their ids, deletions their filter. Five tries
    at most, and no new one once 1.5 times `timeout_s` has passed. `where` names the server.
    """
    try:
        for attempt in stamina.retry_context(
            on=_again,
            attempts=_TRIES,
            timeout=1.5 * timeout_s,
            wait_initial=_FIRST_WAIT_S,
            wait_jitter=_FIRST_WAIT_S,
        ):
            with attempt:
                answer = request()
                if isinstance(answer, models.UpdateResult):
                    _check_applied(answer)
                return answer
    except (ApiException, QdrantException) as exc:
        raise _ours(exc, where) from exc
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise _not_qdrant(where) from exc
    raise AssertionError("stamina makes at least one attempt")


class _NotApplied(ApiException):
    """A write that a server has put on its list, and has not done though it was asked to wait."""


def _check_applied(answer: models.UpdateResult) -> None:
    """Since 1.17 a server under load can answer 200 and `wait_timeout` to a write.

    What is read then is as it was before, so a face could miss its own neighbours.
    """
    if answer.status != models.UpdateStatus.COMPLETED:
        raise _NotApplied(str(answer.status))


def _again(exc: Exception) -> bool | float:
    """Whether to try again; a number is how many seconds the server asks to wait."""
    if isinstance(exc, ResourceExhaustedResponse):
        return min(float(exc.retry_after_s), _MOST_WAIT_S)
    if isinstance(exc, ResponseHandlingException):
        return isinstance(exc.source, httpx.TransportError) and not _tls(exc.source)
    if isinstance(exc, _NotApplied):
        return True
    return isinstance(exc, UnexpectedResponse) and exc.status_code in _BUSY and not _is_full(exc)


def _ours(exc: Exception, where: str) -> StoreError:
    if isinstance(exc, _NotApplied):
        return StoreUnreachable(
            f"{where} has not applied a write in time ({exc}); try again in a while"
        )
    if isinstance(exc, UnexpectedResponse):
        return _answered(exc, where)
    if isinstance(exc, ResourceExhaustedResponse):
        return StoreUnreachable(f"{where} is overloaded (429); try again in a while")
    if isinstance(exc, ResponseHandlingException):
        if isinstance(exc.source, ValidationError):
            return _not_qdrant(where)
        if untrusted := _tls(exc.source):
            return StoreUnreachable(
                f"{where} offers no TLS connection to trust ({untrusted}); name the certificate of "
                "its authority in QDRANT_CA_FILE, or check QDRANT_URL"
            )
        reason = " ".join(str(exc.source).split())[:200] or type(exc.source).__name__
        return StoreUnreachable(
            f"{where} gives no answer ({reason}); start it, or check QDRANT_URL"
        )
    return StoreError(f"{where} answered with an error: {exc}")


def _tls(exc: BaseException | None) -> str:
    """What TLS objected, if that is behind this exception; asked again, it objects again."""
    while exc is not None:
        if isinstance(exc, ssl.SSLError):
            return str(getattr(exc, "verify_message", "") or exc.reason or exc)
        exc = exc.__cause__ or exc.__context__
    return ""


def _not_qdrant(where: str) -> StoreError:
    return StoreError(f"{where} answers, but not as Qdrant does; check QDRANT_URL")


def _answered(exc: UnexpectedResponse, where: str) -> StoreError:
    status, said = exc.status_code, _said(exc)
    if status in (401, 403):
        return StoreDenied(f"{where} refused the credentials ({status}); check QDRANT_API_KEY")
    if _is_full(exc):
        return StoreFull(f"{where} has no space left ({status}: {said}); make room on its disk")
    if status in _BUSY:
        return StoreUnreachable(f"{where} is not ready ({status}: {said}); try again in a while")
    missing = status == 404 and "doesn't exist" in said
    if missing or (status == 400 and "dimension" in said.lower()):
        return StoreCorrupt(
            f"{where} does not hold what was written there ({said}); run `face-registry reindex`"
        )
    return StoreError(f"{where} refused a request ({status}: {said})")


def _is_full(exc: UnexpectedResponse) -> bool:
    """Qdrant says "No space left on device: ..." with 500, proxies before it say 507."""
    return exc.status_code == 507 or b"no space left" in exc.content.lower()


def _said(exc: UnexpectedResponse) -> str:
    """The server's own sentence, cut; an HTML page of a proxy loses its lines."""
    text = exc.content.decode(errors="replace")
    try:
        answer = json.loads(text)
        text = str(answer["status"]["error"])
    except (ValueError, TypeError, KeyError):
        text = text or exc.reason_phrase
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
