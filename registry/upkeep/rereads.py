"""Videos that are to be read again, though they are on record: what a repair found damaged.

A mark is an empty object, `rereads/<video>`. The next ingest of a table with the video's URL reads
it, whatever its status, and lifts the mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry.blobs.base import BlobStore
from registry.domain import Media, Status, Video

_PREFIX = "rereads/"
LOST = "its record was damaged and given up; ingesting its URL reads it again"


class Rereads:
    """The marks of one registry. Only its one writer may change them."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def marked(self) -> list[str]:
        """Ids of the videos to be read again, in order."""
        return [info.key.removeprefix(_PREFIX) for info in self._blobs.list(_PREFIX)]

    def mark(self, video_id: str) -> None:
        """Have a video read again; marking it twice is fine."""
        self._blobs.put(_PREFIX + video_id, b"")

    def lift(self, video_id: str) -> None:
        """It was read, or is gone; nothing happens if there is no mark."""
        self._blobs.delete(_PREFIX + video_id)


def lost(payload: Mapping[str, Any]) -> Video:
    """What is left of a video whose record is damaged: what the index says of it as a whole."""
    return Video(
        video_id=payload["video_id"],
        url=payload["url"],
        metrics=dict(payload["metrics"]),
        status=Status.FAILED,
        reason=LOST,
        media=Media(),
        run=payload["run"],
    )
