"""How long a download is tried, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from threading import Event

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_exponential, wait_random

from ingest.http import TryAgain
from ingest.partial import Partial
from registry.errors import FetchError, UsageError


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a download may take. Raises `UsageError` for what is not positive."""

    max_bytes: int = 2 * 1024**3
    total_s: float = 1800.0
    """Seconds for one video, all tries and pauses together."""
    page_s: float = 60.0
    """Seconds to find the video on a page, before it is downloaded."""
    connect_s: float = 10.0
    """Seconds to reach one address."""
    read_s: float = 30.0
    """Seconds without a byte."""
    redirects: int = 5
    attempts: int = 4
    """Tries in a row that bring nothing new; what a resumed try adds is new."""
    first_pause_s: float = 0.5
    """Seconds before the second try; doubles with each; up to as much again is added at random."""
    longest_pause_s: float = 60.0
    """Seconds; also of what a server asks for in Retry-After."""
    reserve_bytes: int = 1024**3
    """Disk space that stays free, for the registry itself."""

    def __post_init__(self) -> None:
        """Check."""
        for limit in fields(self):
            least = 0 if limit.name in {"redirects", "first_pause_s", "reserve_bytes"} else 1e-9
            if getattr(self, limit.name) < least:
                raise UsageError(f"{limit.name} must be {'positive' if least else '0 or more'}.")


def persist(attempt: Callable[[], None], part: Partial, limits: FetchLimits, stop: Event) -> None:
    """Try until everything has come, nothing new comes any more, or the time is up.

    A failure that may pass is a `TryAgain`; the last one becomes a `FetchError`. Setting `stop`
    ends the pause between two tries.
    """
    back_off = wait_exponential(
        multiplier=limits.first_pause_s, max=limits.longest_pause_s
    ) + wait_random(0, limits.first_pause_s)

    def pause(state: RetryCallState) -> float:
        exc = state.outcome.exception() if state.outcome else None
        asked = exc.after_s if isinstance(exc, TryAgain) else None
        return back_off(state) if asked is None else min(asked, limits.longest_pause_s)

    fruitless, reached = 0, 0

    def give_up(_: RetryCallState) -> bool:
        nonlocal fruitless, reached
        kept = part.size if part.validator else 0
        fruitless, reached = (1, kept) if kept > reached else (fruitless + 1, reached)
        return fruitless >= limits.attempts

    too_late = stop_before_delay(limits.total_s)
    tries = Retrying(
        retry=retry_if_exception_type(TryAgain),
        # In this order: give_up counts, and must see every failure.
        stop=lambda state: give_up(state) or too_late(state),
        wait=pause,
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    try:
        tries(attempt)
    except TryAgain as exc:
        count = tries.statistics["attempt_number"]
        raise FetchError(
            f"{exc} Given up after {count} {'try' if count == 1 else 'tries'}."
        ) from exc
