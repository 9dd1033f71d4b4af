"""Bringing the index up to the records: after a crash, and from nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from registry.decisions import View
from registry.domain import Video
from registry.index import Index
from registry.intents import REINDEX, Intents
from registry.records import RecordStore


def settle(intents: Intents, index: Index, records: RecordStore, view: View) -> None:
    """Finish what a crash left standing between record and index."""
    pending = intents.pending()
    if REINDEX in pending:
        rebuild(index, records, view)
    else:
        for video_id in pending:
            video = records.get(video_id)
            if video is None:
                index.remove(video_id, view)
            else:
                index.put(video, view)
        if pending:
            index.flush()
    for what in pending:
        intents.settle(what)


def rebuild(
    index: Index,
    records: RecordStore,
    view: View,
    progress: Callable[[Video], None] = lambda video: None,
) -> int:
    """Write the index anew from the records. Returns how many videos there are."""

    def reported() -> Iterator[Video]:
        for video in records.all():
            yield video
            progress(video)

    return index.rebuild(reported(), view)


def showing(index: Index, records: RecordStore, identity_ids: set[str]) -> Iterator[Video]:
    """The records of the videos that show one of these identities, one at a time."""
    for video_id in [p["video_id"] for p in index.videos(sorted(identity_ids))]:
        video = records.get(video_id)
        if video is not None:
            yield video
