"""A run: rows to videos on record. Reading runs ahead, side by side; one writer commits in order.

Videos are committed in the order of the table whatever finishes first, so the same table gives the
same identities with any number of workers.
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

from ingest import telling
from ingest.download import Downloader
from ingest.extract import Extraction
from ingest.progress import Reporter
from ingest.sources import Table, VideoRow
from ingest.summary import Summary
from ingest.workers import Extractor
from registry import ids, urls
from registry.core.index import as_kept
from registry.core.registry import Registry
from registry.core.runs import new_run
from registry.domain import Media, Status, Video
from registry.errors import MediaError, RegistryError, VideoError
from registry.faces.appearances import appearances
from registry.footage.duplicates import duplicate_videos
from registry.people import joining


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with."""

    registry: Registry
    downloader: Downloader
    extractor: Extractor
    ahead: int
    """Videos fetched or read at once."""
    summary: Summary = field(default_factory=lambda: Summary(run=new_run()))
    """Where the run counts, so that whoever started it knows how far it came."""


def default_workers(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """One worker for each processor, eight at most: beyond that the downloads are the limit.

    Processors that this process may use, and in a container, as many as it is given the time of
    (`quota`, Linux's cpu.max): workers beyond that only take memory.
    """
    here = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        share, period = map(int, quota.read_text().split())
        here = min(here, -(-share // period))
    return max(1, min(8, here))


def run(
    parts: Parts,
    table: Table,
    *,
    metrics: Sequence[str],
    retry_failed: bool,
    consolidate: bool,
    reporter: Reporter,
    stop: Event,
    read_again: bool = False,
) -> Summary:
    """Bring every row of a table on record.

    Args:
        metrics: the metric columns of the table; a video's other metrics stay as they are.
        retry_failed: whether videos that failed before are tried again.
        consolidate: whether identities that are one person are joined at the end.
        stop: set from outside to end the run after the video that is being committed.
        read_again: read every video of the table, whatever is on record.

    Returns:
        The counts. Errors that concern one row or video are in `failures`; any other error ends the
        run, and what was committed stays.
    """
    started = time.monotonic()
    summary = parts.summary
    summary.rows = table.total
    summary.duplicates = table.total - len(table.rows) - len(table.failures)
    for unusable in table.failures:
        telling.failed(summary, unusable.row, unusable.url, str(unusable))
    for warning in table.warnings:
        summary.warnings.append(warning)
        telling.warning(summary, warning)
        reporter.warn(warning)
    reporter.begin(len(table.rows))
    before = _established(parts.registry)
    again = frozenset(parts.registry.rereads.marked())
    planned = _Plan(parts.registry, summary, frozenset(metrics), retry_failed, reporter, again)
    rows = iter(table.rows) if read_again else planned.todo(table.rows)
    for row, outcome in _read_ahead(parts, rows, stop):
        text = _commit(planned, row, outcome)
        summary.seconds = time.monotonic() - started
        reporter.advance(summary, urls.redacted(row.url), text)
    summary.stopped = stop.is_set()
    summary.failures.sort(key=lambda failure: failure.row)
    summary.new_identities = len(_established(parts.registry) - before)
    if not summary.stopped:
        _look_for_duplicates(parts.registry, summary, consolidate)
        _look_for_copies(parts.registry, summary, reporter)
    _count_identities(parts.registry, summary)
    if summary.ingested or summary.joined_identities:
        parts.registry.index.optimize()
    summary.seconds = time.monotonic() - started
    return summary


@dataclass(slots=True)
class _Plan:
    """Settles the rows whose videos need no reading, and passes the others on."""

    registry: Registry
    summary: Summary
    metrics: frozenset[str]
    retry_failed: bool
    reporter: Reporter
    again: frozenset[str]
    """Ids of videos on record that are to be read again."""

    def todo(self, rows: Sequence[VideoRow]) -> Iterator[VideoRow]:
        for row in rows:
            known = self.registry.index.video(ids.video_id(row.url))
            failed = known is not None and known["status"] == Status.FAILED
            if known is None or (failed and self.retry_failed) or known["video_id"] in self.again:
                yield row
                continue
            text = self._settle(row, known["metrics"])
            if failed:
                text = f"failed before: {known['reason']} (--retry-failed tries again)"
                telling.failed(self.summary, row.row, row.url, text, known["video_id"])
            elif text == "unchanged":
                self.summary.unchanged += 1
                telling.unchanged(self.summary, row)
            else:
                self.summary.updated += 1
                telling.updated(self.summary, row)
            self.reporter.advance(self.summary, urls.redacted(row.url), text)

    def lift(self, video_id: str) -> None:
        """A video that was to be read again has been."""
        if video_id in self.again:
            self.registry.rereads.lift(video_id)

    def merged(self, row: VideoRow, known: Mapping[str, float]) -> dict[str, float]:
        """The metrics of the row, and those on record that the table has no column for."""
        return {n: value for n, value in known.items() if n not in self.metrics} | {**row.metrics}

    def _settle(self, row: VideoRow, known: dict[str, float]) -> str:
        merged = self.merged(row, known)
        new, old = as_kept(merged), as_kept(known)
        if new == old:
            return "unchanged"
        self.registry.update_metrics(ids.video_id(row.url), merged)
        changed = sorted(n for n in new.keys() | old.keys() if new.get(n) != old.get(n))
        return f"updated {', '.join(changed)}"


_Outcome = Extraction | VideoError
_LOOK_S = 0.2
"""How often a run that waits for a video looks whether it is to stop."""


def _read_ahead(
    parts: Parts, rows: Iterator[VideoRow], stop: Event
) -> Iterator[tuple[VideoRow, _Outcome]]:
    """Outcomes in the order of the rows, `ahead` of them under way at once."""
    window: deque[tuple[VideoRow, Future[_Outcome]]] = deque()
    complete = False
    with ThreadPoolExecutor(parts.ahead, thread_name_prefix="read") as threads:
        try:
            for row in rows:
                window.append((row, threads.submit(_read, parts, row)))
                while len(window) >= parts.ahead or (window and window[0][1].done()):
                    if not _done(window[0][1], stop):
                        return
                    first, future = window.popleft()
                    yield first, future.result()
            while window and _done(window[0][1], stop):
                first, future = window.popleft()
                yield first, future.result()
            complete = not window
        finally:
            for _, future in window:
                future.cancel()
            if not complete:
                # What is still being read is let go: nothing of it is on record yet.
                parts.downloader.close()
                parts.extractor.close()


def _done(future: Future[_Outcome], stop: Event) -> bool:
    """Wait for an outcome; False if the run is to stop first."""
    while not stop.is_set():
        if wait([future], timeout=_LOOK_S).done:
            return not stop.is_set()
    return False


def _read(parts: Parts, row: VideoRow) -> _Outcome:
    video, started = ids.video_id(row.url), time.monotonic()
    try:
        download = parts.downloader.fetch(row.location, video)
        telling.fetched(parts.summary, row, time.monotonic() - started)
        try:
            parts.registry.check()  # it stores crops
            return parts.extractor.extract(download.path, video)
        finally:
            download.discard()
    except VideoError as exc:
        return exc
    except RegistryError:
        raise
    except MemoryError:
        return MediaError("there was not enough memory to read it")
    except Exception as exc:
        # A defect that one video brings to light costs that video, not the run.
        return MediaError(f"reading it failed in an unforeseen way ({type(exc).__name__}: {exc})")


def _commit(planned: _Plan, row: VideoRow, outcome: _Outcome) -> str:
    video_id, started = ids.video_id(row.url), time.monotonic()
    registry, summary = planned.registry, planned.summary
    known = registry.index.video(video_id)
    metrics = planned.merged(row, known["metrics"] if known else {})
    if isinstance(outcome, VideoError):
        # The row and the URL stand beside the reason wherever it is shown.
        reason = str(outcome).removeprefix(f"{urls.redacted(row.location)}: ")
        if known and known["status"] != Status.FAILED:
            reason = f"{reason}; what is on record of it stays"
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
            planned.lift(video_id)
        telling.failed(summary, row.row, row.url, reason, video_id)
        return f"failed: {reason}"
    video = registry.commit(
        Video(
            video_id=video_id,
            url=row.url,
            metrics=metrics,
            status=Status.PARTIAL if outcome.reason else Status.DONE,
            reason=outcome.reason,
            media=outcome.media,
            faces=outcome.faces,
            run=summary.run,
        )
    )
    planned.lift(video_id)
    summary.ingested += 1
    summary.frames += video.media.frames_sampled
    summary.faces += len(video.faces)
    summary.blocked += len(outcome.faces) - len(video.faces)
    founded = {ids.identity_id(face.face_id) for face in video.faces}
    present = {a.identity_id for a in appearances(video.faces) if a.established}
    new = len(founded & present)
    summary.total_identities = registry.index.count_identities()
    telling.recorded(summary, row, video, len(present), new, time.monotonic() - started)
    people = "identity" if len(present) == 1 else "identities"
    text = f"{len(video.faces)} faces, {len(present)} {people} ({new} new)"
    return f"{text}; partial: {outcome.reason}" if outcome.reason else text


def _look_for_duplicates(registry: Registry, summary: Summary, consolidate: bool) -> None:
    if consolidate:
        before = registry.index.count_identities()
        joining.consolidate(registry)
        summary.joined_identities = before - registry.index.count_identities()
    summary.likely_duplicates = joining.likely_duplicates(registry)


def _look_for_copies(registry: Registry, summary: Summary, reporter: Reporter) -> None:
    """Warn of videos of this run that are likely the same footage as others: they count twice."""
    read = {p["video_id"] for p in registry.index.videos() if p["run"] == summary.run}
    pairs = duplicate_videos(registry, among=read) if read else []
    copies = read.intersection(s.video_id for pair in pairs for s in (pair.first, pair.second))
    if copies:
        text = (
            f"{len(copies)} of the videos read are likely the same footage as other videos, and "
            "are counted separately: `face-registry videos duplicates` lists them."
        )
        summary.warnings.append(text)
        telling.warning(summary, text)
        reporter.warn(text)


def _count_identities(registry: Registry, summary: Summary) -> None:
    identities = list(registry.index.identities(provisional=False))
    summary.total_identities = len(identities)
    summary.single_video_identities = sum(i.videos == 1 for i in identities)
    summary.provisional_identities = registry.index.count_identities(provisional=True)


def _established(registry: Registry) -> set[str]:
    return {i.identity_id for i in registry.index.identities(provisional=False)}
