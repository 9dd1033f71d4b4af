"""A run: from the rows of a table to recorded videos.

Videos are fetched and processed in parallel. One thread commits them in the order of the table,
whatever finishes first, so the same table gives the same identities with any number of workers.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from ingest import run_events
from ingest.extract import Extraction
from ingest.fetch.downloads import Downloader
from ingest.progress import Reporter
from ingest.summary import Summary
from ingest.tables.table import Table, VideoRow
from ingest.workers import Extractor
from registry import ids
from registry.core.points import as_kept
from registry.core.registry import Registry
from registry.core.runs import new_run
from registry.domain import Media, Status, Video
from registry.errors import MediaError, RegistryError, VideoError
from registry.faces.appearances import appearances
from registry.people import joining
from registry.urls import Url


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run works with."""

    registry: Registry
    downloader: Downloader
    extractor: Extractor
    ahead: int
    """Videos that are fetched or processed at once."""
    summary: Summary = field(default_factory=lambda: Summary(run=new_run()))
    """The run counts in it, so that the caller has the counts of a run that an error ended."""


def default_workers(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """One worker for each processor that this process may use, eight at most.

    More than eight wait for downloads. In a container, `quota` (the file cpu.max of Linux) limits
    the processors further: more workers than that would only take memory.
    """
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        share, period = map(int, quota.read_text().split())
        processors = min(processors, -(-share // period))
    return max(1, min(8, processors))


def run(
    context: RunContext,
    table: Table,
    *,
    metrics: Sequence[str],
    retry_failed: bool,
    consolidate: bool,
    reporter: Reporter,
    stop: Event,
    read_again: bool = False,
) -> Summary:
    """Record every row of a table.

    Args:
        context: what the run works with.
        table: the rows.
        metrics: the metric columns of the table; a video keeps its other metrics.
        retry_failed: whether to process videos that failed before.
        consolidate: whether to join identities that are one person at the end.
        reporter: receives the progress.
        stop: set it to end the run after the video that is being committed.
        read_again: process every video of the table, whatever is on record.

    Returns:
        The counts. Errors of one row or video are in `failures`; any other error ends the run, and
        committed videos stay.
    """
    started = time.monotonic()
    summary, registry = context.summary, context.registry
    summary.rows = table.total
    summary.duplicates = table.total - len(table.rows) - len(table.failures)
    for unusable in table.failures:
        run_events.failed(summary, unusable.row, Url(unusable.url), str(unusable))
    summary.notes += table.notes
    for warning in table.warnings:
        summary.warnings.append(warning)
        run_events.warning(summary, warning)
        reporter.warn(warning)
    reporter.begin(len(table.rows))
    before = _established(registry)
    marked = frozenset(registry.rereads.marked())
    planner = _Planner(registry, summary, frozenset(metrics), retry_failed, reporter, marked)
    rows = iter(table.rows) if read_again else planner.rows_to_read(table.rows)
    for row, result in _read_ahead(context, rows, stop):
        text = _commit(planner, row, result)
        summary.seconds = time.monotonic() - started
        reporter.advance(summary, str(row.url), text)
    summary.stopped = stop.is_set()
    summary.failures.sort(key=lambda failure: failure.row)
    summary.new_identities = len(_established(registry) - before)
    if not summary.stopped:
        _find_duplicates(registry, summary, consolidate)
    _count_identities(registry, summary)
    if summary.ingested or summary.joined_identities:
        registry.index.optimize()
    summary.seconds = time.monotonic() - started
    return summary


@dataclass(slots=True)
class _Planner:
    """Finishes the rows whose videos are on record already, and passes the others on."""

    registry: Registry
    summary: Summary
    metrics: frozenset[str]
    retry_failed: bool
    reporter: Reporter
    marked: frozenset[str]
    """Ids of recorded videos that are marked to be read again."""

    def rows_to_read(self, rows: Sequence[VideoRow]) -> Iterator[VideoRow]:
        for row in rows:
            known = self.registry.index.video(ids.video_id(row.url))
            failed = known is not None and known.status == Status.FAILED
            if known is None or (failed and self.retry_failed) or known.video_id in self.marked:
                yield row
                continue
            text = self._update_metrics(row, known.metrics)
            if failed:
                text = f"failed before: {known.reason} (--retry-failed reads it again)"
                run_events.failed(self.summary, row.row, row.url, text, known.video_id)
            elif text == "unchanged":
                self.summary.unchanged += 1
                run_events.unchanged(self.summary, row)
            else:
                self.summary.updated += 1
                run_events.updated(self.summary, row)
            self.reporter.advance(self.summary, str(row.url), text)

    def unmark(self, video_id: str) -> None:
        """The video was read again."""
        if video_id in self.marked:
            with self.registry.writing():
                self.registry.rereads.lift(video_id)

    def merged_metrics(self, row: VideoRow, known: Mapping[str, float]) -> dict[str, float]:
        """The metrics of the row, and the recorded ones that the table has no column for."""
        return {n: value for n, value in known.items() if n not in self.metrics} | {**row.metrics}

    def _update_metrics(self, row: VideoRow, known: Mapping[str, float]) -> str:
        merged = self.merged_metrics(row, known)
        new, old = as_kept(merged), as_kept(known)
        if new == old:
            return "unchanged"
        self.registry.update_metrics(ids.video_id(row.url), merged)
        changed = sorted(n for n in new.keys() | old.keys() if new.get(n) != old.get(n))
        return f"updated {', '.join(changed)}"


_Result = Extraction | VideoError
_POLL_S = 0.2
"""How often a run that waits for a video checks whether it should stop."""


def _read_ahead(
    context: RunContext, rows: Iterator[VideoRow], stop: Event
) -> Iterator[tuple[VideoRow, _Result]]:
    """Results in the order of the rows, with `ahead` videos in progress at once."""
    pending: deque[tuple[VideoRow, Future[_Result]]] = deque()
    complete = False
    with ThreadPoolExecutor(context.ahead, thread_name_prefix="read") as threads:
        try:
            for row in rows:
                pending.append((row, threads.submit(_fetch_and_extract, context, row)))
                while len(pending) >= context.ahead or (pending and pending[0][1].done()):
                    if not _wait_for(pending[0][1], stop):
                        return
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending and _wait_for(pending[0][1], stop):
                first, future = pending.popleft()
                yield first, future.result()
            complete = not pending
        finally:
            for _, future in pending:
                future.cancel()
            if not complete:
                # Abandon the videos in progress: nothing of them is recorded yet.
                context.downloader.close()
                context.extractor.close()


def _wait_for(future: Future[_Result], stop: Event) -> bool:
    """Wait for a result; False if the run is stopped first."""
    while not stop.is_set():
        if wait([future], timeout=_POLL_S).done:
            return not stop.is_set()
    return False


def _fetch_and_extract(context: RunContext, row: VideoRow) -> _Result:
    video, started = ids.video_id(row.url), time.monotonic()
    try:
        download = context.downloader.fetch(row.location.exposed(), video)
        run_events.fetched(context.summary, row, time.monotonic() - started)
        try:
            with context.registry.writing():  # the extractor stores crops
                return context.extractor.extract(download.path, video)
        finally:
            download.discard()
    except VideoError as exc:
        return exc
    except RegistryError:
        raise
    except MemoryError:
        return MediaError("there was not enough memory to process the video.")
    except Exception as exc:
        # A bug that one video triggers costs that video, not the run.
        error = f"{type(exc).__name__}: {exc}"
        return MediaError(f"processing the video failed with an unexpected error ({error}).")


def _commit(planner: _Planner, row: VideoRow, result: _Result) -> str:
    """Record the result; returns it in words."""
    video_id, started = ids.video_id(row.url), time.monotonic()
    registry, summary = planner.registry, planner.summary
    known = registry.index.video(video_id)
    metrics = planner.merged_metrics(row, known.metrics if known else {})
    if isinstance(result, VideoError):
        # Wherever the reason is shown, so are row and URL.
        reason = str(result).removeprefix(f"{row.location}: ")
        if known and known.status != Status.FAILED:
            reason = f"{reason.removesuffix('.')}. The record of the video stays as it is."
        else:
            failed = Video(
                video_id=video_id,
                url=row.url,
                metrics=metrics,
                status=Status.FAILED,
                reason=reason,
                media=Media(),
                run=summary.run,
            )
            registry.commit(failed)
            planner.unmark(video_id)
        run_events.failed(summary, row.row, row.url, reason, video_id)
        return f"failed: {reason}"
    video = registry.commit(
        Video(
            video_id=video_id,
            url=row.url,
            metrics=metrics,
            status=Status.PARTIAL if result.reason else Status.DONE,
            reason=result.reason,
            media=result.media,
            faces=result.faces,
            run=summary.run,
        )
    )
    planner.unmark(video_id)
    summary.ingested += 1
    summary.frames += video.media.frames_sampled
    summary.faces += len(video.faces)
    summary.blocked += len(result.faces) - len(video.faces)
    founded = {ids.identity_id(face.face_id) for face in video.faces}
    present = {a.identity_id for a in appearances(video.faces) if a.established}
    new = len(founded & present)
    summary.total_identities = registry.index.count_identities()
    run_events.recorded(summary, row, video, len(present), new, time.monotonic() - started)
    people = "identity" if len(present) == 1 else "identities"
    text = f"{len(video.faces)} faces, {len(present)} {people} ({new} new)"
    return f"{text}; partial: {result.reason}" if result.reason else text


def _find_duplicates(registry: Registry, summary: Summary, consolidate: bool) -> None:
    if consolidate:
        before = registry.index.count_identities()
        joining.consolidate(registry)
        summary.joined_identities = before - registry.index.count_identities()
    summary.likely_duplicates = joining.count_duplicates(registry)


def _count_identities(registry: Registry, summary: Summary) -> None:
    identities = list(registry.index.identities(provisional=False))
    summary.total_identities = len(identities)
    summary.single_video_identities = sum(i.videos == 1 for i in identities)
    summary.provisional_identities = registry.index.count_identities(provisional=True)


def _established(registry: Registry) -> set[str]:
    return {i.identity_id for i in registry.index.identities(provisional=False)}
