"""Whether the clock of this computer can be believed, as far as the history of runs tells.

Ages go by the clock: a clock that is years ahead makes every video look old, and one that is years
behind records runs that look old to everybody else. Nothing else in a registry tells the time, so
what can be noticed is a contradiction: a run that began in the future, or a gap between two runs,
or since the last one, that is longer than anybody leaves a registry alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.core.runs import began
from registry.errors import UsageError

AHEAD = timedelta(days=1)
"""A run may be so far in the future: clocks of several computers differ, by hours where a time zone
was set instead of the clock."""

LONG_GAP = timedelta(days=400)
"""A yearly run and a month: a longer pause is possible, but rarer than a clock that was wrong."""

OPTION = "--clock-is-right"


def doubts(blobs: BlobStore, *, now: datetime | None = None) -> str:
    """What speaks against the clock, as sentences; empty if nothing does.

    Args:
        blobs: of the registry.
        now: by default the time of the clock.
    """
    now = now or datetime.now(UTC)
    known = [began(keys.name_in(info.key)) for info in blobs.list(keys.RUNS)]
    times = sorted(time for time in known if time is not None)
    if not times:
        return ""
    if times[0] > now + AHEAD:
        return (
            f"The clock of this computer says {_day(now)}, and the first run of this registry "
            f"began on {_day(times[0])}. Set the clock."
        )
    if times[-1] > now + AHEAD:
        return (
            f"The clock of this computer says {_day(now)}, and a run of this registry began on "
            f"{_day(times[-1])}. One of the two is wrong: check the clock, and the runs with "
            "`face-registry status --runs`."
        )
    for earlier, later in pairwise([*times, now]):
        if later - earlier > LONG_GAP:
            said = (
                f"The clock of this computer says {_day(now)}"
                if later is now
                else f"A run of this registry began on {_day(later)}"
            )
            return (
                f"{said}, {(later - earlier).days:,} days after the run before it, of "
                f"{_day(earlier)}. If nobody used the registry for so long, all is well; if not, a "
                "clock was wrong then or is wrong now."
            )
    return ""


def check_clock(blobs: BlobStore, *, confirmed: bool, now: datetime | None = None) -> None:
    """Raise `UsageError` before a removal by age if there are `doubts` and nobody confirmed."""
    found = "" if confirmed else doubts(blobs, now=now)
    if found:
        raise UsageError(
            f"{found} Ages of videos go by the clock, and what is removed is lost. If the clock is "
            f"right, repeat the command with {OPTION}."
        )


def _day(time: datetime) -> str:
    return time.date().isoformat()
