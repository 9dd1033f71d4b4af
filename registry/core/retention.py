"""The retention period: for how many days videos are kept after they were last read.

It is an object of the registry and not a setting, so that it applies to everyone who opens the
registry and is part of backups and migrations. Nothing is removed automatically: `doctor` lists
older videos, and `videos remove --older-than` removes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.core.registry import Registry
from registry.core.runs import began
from registry.errors import ObjectMissing, StoreCorrupt
from registry.system import checked_json as checked
from registry.system.process import user_at_host
from registry.urls import Url

LONGEST_PERIOD = 36_500
"""Days: a hundred years."""


@dataclass(frozen=True, slots=True)
class OldVideo:
    """A video that was last read before a given day."""

    video: str
    """Id of the video."""
    url: Url
    last_read: str
    """ISO 8601, UTC; empty if the id of its run has no time, which counts as old."""
    faces: int


def days(blobs: BlobStore) -> int | None:
    """Return the retention period; None if none is set. Raises `StoreCorrupt`."""
    try:
        period = checked.decode(blobs.get(keys.RETENTION))["days"]
    except ObjectMissing:
        return None
    except (ValueError, KeyError) as exc:
        raise StoreCorrupt(
            f"{keys.RETENTION} is damaged ({exc}). Run `face-registry retention --days N` to set "
            "the period again."
        ) from exc
    return int(period)


def set_days(registry: Registry, period: int | None) -> None:
    """Set the retention period, at least one day; None removes it."""
    with registry.writing():
        if period is None:
            registry.blobs.delete(keys.RETENTION)
            return
        at = datetime.now(UTC).isoformat(timespec="seconds")
        body = {"days": period, "by": user_at_host(), "at": at}
        registry.blobs.put(keys.RETENTION, checked.encode(body))


def older_than(
    registry: Registry, period: int, *, now: datetime | None = None
) -> Iterator[OldVideo]:
    """Yield the videos that were last read more than `period` days ago, in order of id."""
    before = (now or datetime.now(UTC)) - timedelta(days=period)
    for video in registry.index.videos():
        last_read = began(video.run)
        if last_read is None or last_read < before:
            when = last_read.isoformat() if last_read else ""
            yield OldVideo(video.video_id, video.url, when, video.faces)
