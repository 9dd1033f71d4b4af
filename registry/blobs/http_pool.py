"""HTTP connections to an object store, with time-outs and retries that end."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import urllib3
from urllib3.exceptions import ReadTimeoutError

from registry.system.certificates import tls_context

CONNECTIONS = 16
"""At once; a thread more than that waits for one."""
_PASSING = (429, 500, 502, 503, 504)
"""Answers after which S3 clients ask again: too many requests, and the server's own troubles."""


class _Retries(urllib3.Retry):
    """Retries of one request until a deadline, lest time-outs and waits add up to minutes."""

    deadline = math.inf
    """Seconds of `time.monotonic`; no attempt starts later."""

    def new(self, **kw: Any) -> _Retries:
        """The same deadline for the next attempt."""
        retries = super().new(**kw)
        retries.deadline = self.deadline
        return retries

    def is_exhausted(self) -> bool:
        """Whether attempts or time are used up. Silence is asked once more, however late it is."""
        silences = [isinstance(attempt.error, ReadTimeoutError) for attempt in self.history]
        if any(silences[-1:]):
            return sum(silences) > 1 or super().is_exhausted()
        late = time.monotonic() + self.get_backoff_time() >= self.deadline
        return late or super().is_exhausted()


class Pool(urllib3.PoolManager):
    """Connections to one server.

    An attempt may take a third of `timeout_s` to connect and `timeout_s` to the first byte of the
    answer; further attempts start within two thirds of `timeout_s`. One without an answer is made
    once more, for a firewall may have forgotten a connection that was idle. With the 30 s of the
    object store a silent server is given up after 60 s (80 s, if it was in other trouble before);
    one that refuses connections after about 1 s. Redirects are not followed: a signed request is
    for one host alone.
    """

    def __init__(self, *, timeout_s: float, tls: bool, ca_file: Path | None) -> None:
        """With `tls`, trusts the system's certificate authorities and Mozilla's.

        With `ca_file`, trusts the ones in it (PEM) instead. Raises `UsageError` if it holds none.
        """
        super().__init__(
            num_pools=1,
            maxsize=CONNECTIONS,
            block=True,
            timeout=urllib3.Timeout(connect=timeout_s / 3, read=timeout_s),
            ssl_context=tls_context(ca_file) if tls else None,
        )
        self._window_s = timeout_s * 2 / 3

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = False, **kw: Any
    ) -> urllib3.BaseHTTPResponse:
        """Ask, and ask again where that can help."""
        retries = _Retries(
            total=6,
            connect=3,
            read=2,
            status=5,
            other=0,  # a certificate that was refused once is refused again
            allowed_methods=None,  # every request the store makes may be repeated
            status_forcelist=_PASSING,
            backoff_factor=0.25,
            backoff_max=4.0,
            backoff_jitter=0.25,
            raise_on_status=False,  # the last answer says what was wrong
            respect_retry_after_header=False,  # it may say an hour
        )
        retries.deadline = time.monotonic() + self._window_s
        return super().urlopen(method, url, redirect=redirect, **{**kw, "retries": retries})
