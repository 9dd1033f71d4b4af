"""Videos on record that can be read again, as the table of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from ingest.summary import Failure
from ingest.tables.remote import download_address
from ingest.tables.table import Table, VideoRow
from registry.domain import Status
from registry.errors import UsageError
from registry.registry import Registry
from registry.store.base import Payload
from registry.urls import redacted

_DENIED = re.compile(r"answered 40[13]\b")


def again(registry: Registry, videos: Sequence[str]) -> Table:
    """These videos, or all that failed, are partial or were marked; rows are numbered 0.

    Raises `UnknownError` for one that is not on record, `UsageError` for one that is whole.
    """
    marked = frozenset(registry.rereads.marked())

    def due(video: Payload) -> bool:
        return video["status"] != Status.DONE or video["video_id"] in marked

    found = [registry.video(key) for key in videos]
    for payload in found:
        if not due(payload):
            raise UsageError(
                f"{redacted(payload['url'])} was read whole; only videos that failed, are partial "
                "or were found damaged are read again"
            )
    if not videos:
        found = [one for one in registry.index.videos() if due(one)]
    rows = {payload["url"]: _row(payload) for payload in found}
    return Table(tuple(rows.values()), (), (), len(rows))


def _row(payload: Payload) -> VideoRow:
    url = payload["url"]
    path = unquote(urlsplit(url).path, errors="surrogateescape")
    location = path if url.startswith("file:") else download_address(url)
    return VideoRow(0, url, location, payload["metrics"])


def explained(failure: Failure) -> Failure:
    """A failure with what the record lacks, where that may be why."""
    if not _DENIED.search(failure.reason):
        return failure
    hint = (
        " The registry keeps no user names and passwords: if the URL had them, ingest its row "
        "again with --retry-failed."
    )
    return replace(failure, reason=failure.reason + hint)
