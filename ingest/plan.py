"""The plan of an ingest: what it would do with a table. Fetches and writes nothing."""

from __future__ import annotations

from ingest import run_events
from ingest.job_selection import JobSelection
from ingest.progress import SilentReporter
from ingest.recorder import Recorder
from ingest.summary import Planned, PlannedVideo, Summary
from ingest.tables.table import Table
from registry.core.listed_videos import load_listed_videos
from registry.core.registry import Registry
from registry.urls import Url


def plan(
    registry: Registry,
    table: Table,
    summary: Summary,
    *,
    retry_failed: bool = False,
    blank_clears: bool = False,
    reread_changed: bool = False,
) -> Summary:
    """Fill in `summary.planned` and the counts that an ingest of this table would have.

    No file is fetched, so a video with the content of another one counts as new here.
    """
    summary.rows = table.total
    summary.duplicates = table.total - len(table.rows) - len(table.failures)
    for unusable in table.failures:
        run_events.failed(summary, unusable.row, Url(unusable.url), str(unusable))
    summary.notes += table.notes
    summary.warnings += table.warnings
    summary.planned = planned = Planned(table)
    if registry.is_empty:
        planned.new = [PlannedVideo(row.row, row.url) for row in table.rows]
        return summary
    recorder = Recorder(
        registry, summary, table.metrics, SilentReporter(), blank_clears, dry=True
    )  # fmt: skip
    selection = JobSelection(
        registry, recorder, retry_failed=retry_failed, reread_changed=reread_changed,
        everything=False,
    )  # fmt: skip
    for job in selection.jobs(table.rows):
        recorder.listed.add(job.video_id)
        if job.unless_same and "://" in job.row.location.exposed():
            planned.compared += 1
            continue
        videos = planned.again if job.known else planned.new
        videos.append(PlannedVideo(job.row.row, job.row.url))
    if planned.new:
        summary.notes.append(
            "A plan reads no video. A new one with the same file as a video on record becomes "
            "another name of that video."
        )
    gone = load_listed_videos(registry.blobs) - recorder.listed
    known = (registry.index.known(video_id) for video_id in sorted(gone))
    planned.gone = [video.url for video in known if video is not None]
    summary.gone = len(planned.gone)
    summary.failures.sort(key=lambda failure: failure.row)
    return summary
