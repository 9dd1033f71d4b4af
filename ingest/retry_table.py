"""The recorded videos that a retry processes again, as the table of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ingest.fetch.share_links import download_address
from ingest.summary import Failure
from ingest.tables.table import Table, VideoRow
from registry.core.points import IndexedVideo
from registry.core.registry import Registry
from registry.domain import Status
from registry.errors import UsageError
from registry.system.local_paths import path_of_file_url
from registry.urls import Url

_DENIED = re.compile(r"answered 40[13]\b")


def retry_table(registry: Registry, videos: Sequence[str]) -> Table:
    """The table of these videos, or of all that can be retried; row numbers are 0.

    Raises `UnknownError` for a video that is not on record, `UsageError` for one that is complete.
    """
    marked = frozenset(registry.rereads.marked())

    def can_retry(video: IndexedVideo) -> bool:
        return video.status != Status.DONE or video.video_id in marked

    chosen = [registry.video(key) for key in videos]
    for video in chosen:
        if not can_retry(video):
            raise UsageError(
                f"{video.url} is complete. Only videos that failed, are partial or were found "
                "damaged can be read again."
            )
    if not videos:
        chosen = [video for video in registry.index.videos() if can_retry(video)]
    rows = {video.url: _row(video) for video in chosen}
    return Table(tuple(rows.values()), (), (), len(rows))


def _row(video: IndexedVideo) -> VideoRow:
    url = video.url.exposed()
    is_file = url.startswith("file:")
    location = path_of_file_url(url) if is_file else download_address(url)
    return VideoRow(0, video.url, Url(location), {})


def with_hint(failure: Failure) -> Failure:
    """The failure, with a hint if credentials missing from the record may be the cause."""
    if not _DENIED.search(failure.reason):
        return failure
    hint = (
        " The registry keeps no user names, passwords and signatures. If the URL had them, ingest "
        "its row again with --retry-failed."
    )
    return replace(failure, reason=failure.reason + hint)
