"""The connection to an S3 server: its address, time-outs, and retries that end."""

from __future__ import annotations

import math
import ssl
import time
from pathlib import Path
from typing import Any

import urllib3
from minio import Minio
from urllib3.exceptions import LocationParseError, ReadTimeoutError
from urllib3.util import parse_url

from registry.errors import UsageError
from registry.system.certificates import tls_context

_CONNECTIONS = 16
"""At the same time; further threads wait for one."""
_TRANSIENT = (429, 500, 502, 503, 504)
"""HTTP statuses after which S3 clients retry: too many requests, and errors of the server."""


class S3Connection:
    """A `minio` client for one server, with connections of its own; threads may share it."""

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        *,
        secure: bool = True,
        region: str | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Nothing is sent yet.

        `endpoint` is `host` or `host:port`, or either after `http://` or `https://`, which then
        takes precedence over `secure`. `ca_file` has the certificates (PEM) of the authorities to
        trust instead of the usual ones. `timeout_s` limits one attempt; a request with all its
        retries may take three times that. Raises `UsageError` for invalid arguments.
        """
        secure, host = _parsed(endpoint, secure=secure)
        if ca_file is not None and not secure:
            raise UsageError(
                f"{ca_file} is for TLS, and {endpoint} does not use it. Write https:// in "
                "MINIO_ENDPOINT, or remove MINIO_CA_FILE."
            )
        self.url = f"{'https' if secure else 'http'}://{host}"
        """Scheme, host and port."""
        self.tls = tls_context(ca_file)
        """Used if the scheme is https."""
        self.pool = Pool(timeout_s=timeout_s, tls=self.tls if secure else None)
        try:
            self.client = Minio(
                host, access_key, secret_key, secure=secure, region=region, http_client=self.pool
            )
        except ValueError as exc:
            raise UsageError(
                f"MINIO_ENDPOINT or MINIO_REGION is not valid ({exc}). Correct it."
            ) from exc

    def close(self) -> None:
        """Close the connections."""
        self.pool.clear()


class _Retries(urllib3.Retry):
    """Retries of one request until a deadline, so that time-outs and waits do not add up."""

    deadline = math.inf
    """Seconds of `time.monotonic`; no attempt starts later."""

    def new(self, **kw: Any) -> _Retries:
        """The same deadline for the next attempt."""
        retries = super().new(**kw)
        retries.deadline = self.deadline
        return retries

    def is_exhausted(self) -> bool:
        """Whether attempts or time are used up. A read time-out is retried once, even if late."""
        timeouts = [isinstance(attempt.error, ReadTimeoutError) for attempt in self.history]
        if any(timeouts[-1:]):
            return sum(timeouts) > 1 or super().is_exhausted()
        late = time.monotonic() + self.get_backoff_time() >= self.deadline
        return late or super().is_exhausted()


class Pool(urllib3.PoolManager):
    """HTTP connections to one server.

    An attempt may take a third of `timeout_s` to connect and `timeout_s` until the first byte of
    the answer; retries start within two thirds of `timeout_s`. A request without an answer is
    repeated once, since a firewall may have dropped an idle connection. With `timeout_s` of 30, a
    silent server is given up after 60 s (80 s if there were other errors before), and one that
    refuses connections after about 1 s. Redirects are not followed: a signed request is valid for
    one host only.
    """

    def __init__(self, *, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(
            num_pools=1,
            maxsize=_CONNECTIONS,
            block=True,
            timeout=urllib3.Timeout(connect=timeout_s / 3, read=timeout_s),
            ssl_context=tls,
        )
        self._window_s = timeout_s * 2 / 3

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = False, **kw: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send a request, and retry where that can help."""
        retries = _Retries(
            total=6,
            connect=3,
            read=2,
            status=5,
            other=0,  # a certificate that was refused is refused again
            allowed_methods=None,  # all requests of the store can be repeated
            status_forcelist=_TRANSIENT,
            backoff_factor=0.25,
            backoff_max=4.0,
            backoff_jitter=0.25,
            raise_on_status=False,  # the last answer has the reason
            respect_retry_after_header=False,  # it may ask for an hour
        )
        retries.deadline = time.monotonic() + self._window_s
        return super().urlopen(method, url, redirect=redirect, **{**kw, "retries": retries})


def _parsed(endpoint: str, *, secure: bool) -> tuple[bool, str]:
    """Whether to use TLS, and `host` or `host:port`. Raises `UsageError`."""
    # Without the value: where it is wrong in this way, it may contain a password.
    wrong = "MINIO_ENDPOINT is not valid. Write host:port, http://host:port or https://host:port."
    try:
        url = parse_url(endpoint)
    except LocationParseError as exc:
        raise UsageError(wrong) from exc
    if url.scheme not in (None, "http", "https") or not url.netloc or "@" in endpoint:
        raise UsageError(wrong)
    if url.path not in (None, "", "/") or url.query or url.fragment:
        raise UsageError(
            f"MINIO_ENDPOINT {endpoint!r} has more than a host. Write {url.netloc!r} there, and "
            "the bucket in MINIO_BUCKET."
        )
    return (url.scheme == "https" if url.scheme else secure), url.netloc
