"""Calls to a Qdrant server: its address, retries, and translation of errors."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import httpx
from pydantic import ValidationError
from qdrant_client import models
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)
from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
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

_log = logging.getLogger(__name__)

DEFAULT_PORT = 6333
"""Qdrant's default; qdrant-client adds it to a URL without a port."""
_BUSY = (429, 502, 503, 504)
_ATTEMPTS = 5
_BACK_OFF = wait_exponential(multiplier=0.2) + wait_random(0, 0.2)
"""Seconds: 0.2, 0.4, 0.8 and 1.6, each with up to 0.2 added at random: 3 to 4 s in all."""
_LONGEST_RETRY_AFTER_S = 10.0
"""The longest wait that a Retry-After header can ask for."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server, with its credentials apart so that no message shows them."""

    url: str
    """scheme://host:port/path, without credentials and query."""
    host: str
    login: tuple[str, str] | None
    """User and password from the URL, for a proxy with HTTP basic authentication."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parse the URL of a server. Raises `UsageError` if it is not one."""
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError:
            host, port, parts = None, 0, urlsplit("")
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError(
                "QDRANT_URL is not the URL of a server. Write it like "
                f"http://localhost:{DEFAULT_PORT} or https://host:port."
            )
        bracketed = f"[{host}]" if ":" in host else host
        login = None
        if parts.username is not None:
            login = (unquote(parts.username), unquote(parts.password or ""))
        return cls(f"{parts.scheme}://{bracketed}:{port}{parts.path.rstrip('/')}", host, login)


def call(request: Callable[[], T], *, where: str, timeout_s: float) -> T:
    """Return the answer to a request; retry while the server is unreachable or busy.

    Every request here can be repeated: writes carry their ids, deletions their filter. There are
    five attempts at most, and none starts after 1.5 times `timeout_s`. `where` names the server
    in messages. Raises `StoreError` or one of its subclasses.
    """

    def attempt() -> T:
        answer = request()
        if isinstance(answer, models.UpdateResult):
            _check_applied(answer)
        return answer

    retrying = Retrying(
        retry=retry_if_exception(_is_transient),
        stop=stop_after_attempt(_ATTEMPTS) | stop_after_delay(1.5 * timeout_s),
        wait=_wait,
        before_sleep=before_sleep_log(_log, logging.DEBUG),
        reraise=True,
    )
    try:
        return retrying(attempt)
    except (ApiException, QdrantException) as exc:
        raise _store_error(exc, where) from exc
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise _not_qdrant(where) from exc


def _is_transient(exc: BaseException) -> bool:
    if isinstance(exc, (ResourceExhaustedResponse, _NotApplied)):
        return True
    if isinstance(exc, ResponseHandlingException):
        return isinstance(exc.source, httpx.TransportError) and not _tls_error(exc.source)
    return isinstance(exc, UnexpectedResponse) and exc.status_code in _BUSY and not _is_full(exc)


def _wait(state: RetryCallState) -> float:
    """Seconds until the next attempt: what the server asks for, or exponential back-off."""
    exc = state.outcome.exception() if state.outcome else None
    if isinstance(exc, ResourceExhaustedResponse):
        return min(float(exc.retry_after_s), _LONGEST_RETRY_AFTER_S)
    return _BACK_OFF(state)


class _NotApplied(ApiException):
    """A write that the server has accepted but not applied, although it was asked to wait."""


def _check_applied(answer: models.UpdateResult) -> None:
    """Raise `_NotApplied` for a write that is accepted but not applied.

    Since Qdrant 1.17 a server under load can answer 200 with `wait_timeout`. Reads then still
    return the old state, so a face could miss its own neighbours.
    """
    if answer.status != models.UpdateStatus.COMPLETED:
        raise _NotApplied(str(answer.status))


def _store_error(exc: Exception, where: str) -> StoreError:
    if isinstance(exc, _NotApplied):
        return StoreUnreachable(
            f"{where} has not applied a write in time ({exc}). Try again later."
        )
    if isinstance(exc, UnexpectedResponse):
        return _status_error(exc, where)
    if isinstance(exc, ResourceExhaustedResponse):
        return StoreUnreachable(f"{where} is overloaded (429). Try again later.")
    if isinstance(exc, ResponseHandlingException):
        if isinstance(exc.source, ValidationError):
            return _not_qdrant(where)
        if untrusted := _tls_error(exc.source):
            return StoreUnreachable(
                f"{where} has no trusted certificate ({untrusted}). Name the certificate of "
                "its authority in QDRANT_CA_FILE, or check QDRANT_URL."
            )
        reason = " ".join(str(exc.source).split())[:200] or type(exc.source).__name__
        return StoreUnreachable(
            f"{where} gives no answer ({reason}). Start it, or check QDRANT_URL."
        )
    return StoreError(f"{where} answered with an error: {exc}.")


def _tls_error(exc: BaseException | None) -> str:
    """The TLS error behind this exception, or ""; a retry would fail in the same way."""
    while exc is not None:
        if isinstance(exc, ssl.SSLError):
            return str(getattr(exc, "verify_message", "") or exc.reason or exc)
        exc = exc.__cause__ or exc.__context__
    return ""


def _not_qdrant(where: str) -> StoreError:
    return StoreError(f"{where} answers, but not as Qdrant does. Check QDRANT_URL.")


def _status_error(exc: UnexpectedResponse, where: str) -> StoreError:
    status, message = exc.status_code, _server_message(exc)
    if status in (401, 403):
        return StoreDenied(f"{where} refused the credentials ({status}). Check QDRANT_API_KEY.")
    if _is_full(exc):
        return StoreFull(f"{where} has no space left ({status}: {message}). Free some on its disk.")
    if status in _BUSY:
        return StoreUnreachable(f"{where} is not ready ({status}: {message}). Try again later.")
    missing = status == 404 and "doesn't exist" in message
    if missing or (status == 400 and "dimension" in message.lower()):
        return StoreCorrupt(
            f"{where} does not hold what was written there ({message}). "
            "Run `face-registry reindex`."
        )
    return StoreError(f"{where} refused a request ({status}: {message}).")


def _is_full(exc: UnexpectedResponse) -> bool:
    """Whether the disk is full: Qdrant answers 500 with "No space left on device", proxies 507."""
    return exc.status_code == 507 or b"no space left" in exc.content.lower()


def _server_message(exc: UnexpectedResponse) -> str:
    """The server's error message on one line, 200 characters at most."""
    text = exc.content.decode(errors="replace")
    try:
        answer = json.loads(text)
        text = str(answer["status"]["error"])
    except (ValueError, TypeError, KeyError):
        text = text or exc.reason_phrase
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
