"""How long videos are kept: a number of days since they were last read.

It is an object of the registry and no setting, so that it holds for everyone who opens the registry
and goes along with backups and migrations. Nothing is removed by itself: `doctor` names what is
older, and `videos remove --older-than` removes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from registry.blobs.base import BlobStore
from registry.core.registry import Registry
from registry.core.runs import began, whose
from registry.errors import ObjectMissing, StoreCorrupt
from registry.system import checked_json as checked

KEY = "retention.json"


@dataclass(frozen=True, slots=True)
class Old:
    """A video that was last read before some day."""

    video: str
    """Its id."""
    url: str
    last_read: str
    """ISO 8601, UTC; empty where its run does not tell, which counts as old."""
    faces: int


def days(blobs: BlobStore) -> int | None:
    """The retention period; None if there is none. Raises `StoreCorrupt`."""
    try:
        found = checked.decode(blobs.get(KEY))["days"]
    except ObjectMissing:
        return None
    except (ValueError, KeyError) as exc:
        raise StoreCorrupt(
            f"{KEY} is damaged ({exc}); set the period again: `face-registry retention --days N`"
        ) from exc
    return int(found)


def set_days(registry: Registry, period: int | None) -> None:
    """Set the retention period, at least one day; None ends it."""
    registry.check()
    if period is None:
        registry.blobs.delete(KEY)
        return
    at = datetime.now(UTC).isoformat(timespec="seconds")
    registry.blobs.put(KEY, checked.encode({"days": period, "by": whose(), "at": at}))


def older_than(registry: Registry, period: int, *, now: datetime | None = None) -> Iterator[Old]:
    """Videos that were last read more than so many days ago, in order of id."""
    before = (now or datetime.now(UTC)) - timedelta(days=period)
    for video in registry.index.videos():
        read = began(video.run)
        if read is None or read < before:
            when = read.isoformat() if read else ""
            yield Old(video.video_id, video.url, when, video.faces)
