"""What a run logs of its rows, and the failures that its summary lists."""

from __future__ import annotations

import logging
from typing import Unpack

from ingest.summary import Failure, Summary
from ingest.tables.table import VideoRow
from registry import events, ids
from registry.domain import Video
from registry.urls import Url


def warning(summary: Summary, message: str) -> None:
    """Something that a person should know, and the run goes on."""
    events.emit("warning", logging.WARNING, run=summary.run, message=message)


def failed(summary: Summary, row: int, url: Url, reason: str, video: str = "") -> None:
    """A row cannot be used: the summary lists it. `video` is its id, where it has one."""
    summary.failures.append(Failure(row, str(url), reason))
    said = events.Fields(run=summary.run, video=video, row=row, url=url, reason=reason)
    events.emit("video.failed", logging.WARNING, **said)


def fetched(summary: Summary, row: VideoRow, seconds: float) -> None:
    """The bytes of a video are here."""
    _tell("video.fetched", logging.INFO, summary, row, seconds=seconds)


def recorded(
    summary: Summary, row: VideoRow, video: Video, seen: int, new: int, seconds: float
) -> None:
    """A video is on record; it shows `seen` identities, of which it founded `new`."""
    _tell(
        "video.recorded",
        logging.INFO,
        summary,
        row,
        outcome=str(video.status),
        reason=video.reason,
        faces=len(video.faces),
        identities=seen,
        new=new,
        seconds=seconds,
    )


def updated(summary: Summary, row: VideoRow) -> None:
    """A video on record has other metrics now."""
    _tell("video.updated", logging.INFO, summary, row)


def unchanged(summary: Summary, row: VideoRow) -> None:
    """A video is on record as the table has it."""
    _tell("video.unchanged", logging.DEBUG, summary, row)


def _tell(
    event: str, level: int, summary: Summary, of: VideoRow, /, **fields: Unpack[events.Fields]
) -> None:
    said = events.Fields(run=summary.run, video=ids.video_id(of.url), row=of.row, url=of.url)
    said.update(fields)
    events.emit(event, level, **said)
