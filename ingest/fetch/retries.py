"""The limits of a download, and how often it is attempted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from threading import Event

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_exponential, wait_random

from ingest.fetch.partial_file import PartialFile
from ingest.fetch.streams import TransientError
from registry.errors import NotReadYet, UsageError


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a download may take. Raises `UsageError` for a value that is not positive."""

    max_bytes: int = 2 * 1024**3
    total_s: float = 1800.0
    """Seconds for one video, with all attempts and the pauses between them."""
    page_s: float = 60.0
    """Seconds to find the video on a page, before it is downloaded."""
    connect_s: float = 10.0
    """Seconds to connect to one address."""
    read_s: float = 30.0
    """Seconds without a byte."""
    redirects: int = 5
    attempts: int = 4
    """Attempts in a row without progress; a resumed attempt that adds bytes is progress."""
    first_pause_s: float = 0.5
    """Seconds before the second attempt; doubles with each further one. As much again is added at
    random, at most."""
    longest_pause_s: float = 60.0
    """The longest pause in seconds, also where a server asks for more in Retry-After."""
    reserve_bytes: int = 1024**3
    """Disk space that stays free, for the registry itself."""

    def __post_init__(self) -> None:
        """Check the values."""
        for limit in fields(self):
            least = 0 if limit.name in {"redirects", "first_pause_s", "reserve_bytes"} else 1e-9
            if getattr(self, limit.name) < least:
                raise UsageError(f"{limit.name} must be {'positive' if least else '0 or more'}.")


def retry(attempt: Callable[[], None], part: PartialFile, limits: FetchLimits, stop: Event) -> None:
    """Repeat an attempt until it succeeds, makes no more progress, or the time is up.

    Only a `TransientError` is retried; the last one becomes a `NotReadYet`. Setting `stop` ends the
    pause between two attempts.
    """
    back_off = wait_exponential(
        multiplier=limits.first_pause_s, max=limits.longest_pause_s
    ) + wait_random(0, limits.first_pause_s)

    def pause(state: RetryCallState) -> float:
        exc = state.outcome.exception() if state.outcome else None
        asked = exc.retry_after_s if isinstance(exc, TransientError) else None
        return back_off(state) if asked is None else min(asked, limits.longest_pause_s)

    fruitless, kept_before = 0, 0

    def no_progress(_: RetryCallState) -> bool:
        nonlocal fruitless, kept_before
        kept = part.size if part.validator else 0
        fruitless = 1 if kept > kept_before else fruitless + 1
        kept_before = max(kept, kept_before)
        return fruitless >= limits.attempts

    too_late = stop_before_delay(limits.total_s)
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        # In this order: no_progress counts, so it must see every failure.
        stop=lambda state: no_progress(state) or too_late(state),
        wait=pause,
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    try:
        retrying(attempt)
    except TransientError as exc:
        count = retrying.statistics["attempt_number"]
        attempts = "1 attempt" if count == 1 else f"{count} attempts"
        raise NotReadYet(f"{exc} Given up after {attempts}.") from exc
