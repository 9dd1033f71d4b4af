"""The events that a run logs for its rows, and the failures in its summary."""

from __future__ import annotations

import logging
from typing import Unpack

from ingest.summary import Failure, Summary
from ingest.tables.table import VideoRow
from registry import events, ids
from registry.domain import Video
from registry.urls import Url


def warning(summary: Summary, message: str) -> None:
    """Log a message that the user should see; the run continues."""
    events.emit("warning", logging.WARNING, run=summary.run, message=message)


def failed(
    summary: Summary,
    row: int,
    url: Url,
    reason: str,
    video: str = "",
    *,
    not_read_yet: bool = False,
) -> None:
    """Log that a row failed, and add it to the summary; `video` is the id of its video, if any."""
    summary.failures.append(Failure(row, str(url), reason, not_read_yet))
    fields = events.Fields(run=summary.run, video=video, row=row, url=url, reason=reason)
    events.emit("video.failed", logging.WARNING, **fields)


def fetched(summary: Summary, row: VideoRow, seconds: float) -> None:
    """Log that a video was fetched."""
    _emit("video.fetched", logging.INFO, summary, row, seconds=seconds)


def recorded(
    summary: Summary, row: VideoRow, video: Video, identities: int, new: int, seconds: float
) -> None:
    """Log that a video was recorded; `new` of its `identities` began with its faces."""
    _emit(
        "video.recorded",
        logging.INFO,
        summary,
        row,
        outcome=str(video.status),
        reason=video.reason,
        faces=len(video.faces),
        identities=identities,
        new=new,
        seconds=seconds,
    )


def updated(summary: Summary, row: VideoRow) -> None:
    """Log that the metrics of a recorded video changed."""
    _emit("video.updated", logging.INFO, summary, row)


def unchanged(summary: Summary, row: VideoRow) -> None:
    """Log that the record of a video agrees with its row."""
    _emit("video.unchanged", logging.DEBUG, summary, row)


def _emit(
    event: str, level: int, summary: Summary, row: VideoRow, /, **fields: Unpack[events.Fields]
) -> None:
    merged = events.Fields(run=summary.run, video=ids.video_id(row.url), row=row.row, url=row.url)
    merged.update(fields)
    events.emit(event, level, **merged)
