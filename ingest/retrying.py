"""Videos on record that can be read again, as the table of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from ingest.sources import Table, VideoRow
from ingest.summary import Failure
from registry.core.points import IndexedVideo
from registry.core.registry import Registry
from registry.domain import Status
from registry.errors import UsageError
from registry.urls import redacted

_DENIED = re.compile(r"answered 40[13]\b")


def again(registry: Registry, videos: Sequence[str]) -> Table:
    """These videos, or all that failed, are partial or were marked; rows are numbered 0.

    Raises `UnknownError` for one that is not on record, `UsageError` for one that is whole.
    """
    marked = frozenset(registry.rereads.marked())

    def due(video: IndexedVideo) -> bool:
        return video.status != Status.DONE or video.video_id in marked

    chosen = [registry.video(key) for key in videos]
    for video in chosen:
        if not due(video):
            raise UsageError(
                f"{redacted(video.url)} was read whole; only videos that failed, are partial "
                "or were found damaged are read again"
            )
    if not videos:
        chosen = [video for video in registry.index.videos() if due(video)]
    rows = {video.url: _row(video) for video in chosen}
    return Table(tuple(rows.values()), (), (), len(rows))


def _row(video: IndexedVideo) -> VideoRow:
    url = video.url
    path = unquote(urlsplit(url).path, errors="surrogateescape")
    return VideoRow(0, url, path if url.startswith("file:") else url, video.metrics)


def explained(failure: Failure) -> Failure:
    """A failure with what the record lacks, where that may be why."""
    if not _DENIED.search(failure.reason):
        return failure
    hint = (
        " The registry keeps no user names and passwords: if the URL had them, ingest its row "
        "again with --retry-failed."
    )
    return replace(failure, reason=failure.reason + hint)
