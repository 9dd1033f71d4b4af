"""A run: rows to videos on record. Reading runs ahead, side by side; one writer commits in order.

Videos are committed in the order of the table whatever finishes first, so the same table gives the
same identities with any number of workers.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event

from ingest.download import Downloader
from ingest.extract import Extraction
from ingest.progress import Reporter
from ingest.sources import Table, VideoRow
from ingest.summary import Failure, Summary
from ingest.workers import Extractor
from registry import ids, people, urls
from registry.domain import Media, Status, Video
from registry.errors import MediaError, RegistryError, VideoError
from registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with."""

    registry: Registry
    downloader: Downloader
    extractor: Extractor
    ahead: int
    """Videos fetched or read at once."""


def default_workers() -> int:
    """One worker for each processor, eight at most: beyond that the downloads are the limit."""
    return max(1, min(8, os.cpu_count() or 1))


def new_run() -> str:
    """An id for a run: when it began, and four random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


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
    summary = Summary(run=new_run(), rows=table.total)
    summary.duplicates = table.total - len(table.rows) - len(table.failures)
    summary.failures += [Failure(f.row, urls.redacted(f.url), str(f)) for f in table.failures]
    for warning in table.warnings:
        summary.warnings.append(warning)
        reporter.warn(warning)
    reporter.begin(len(table.rows))
    planned = _Plan(parts.registry, summary, frozenset(metrics), retry_failed, reporter)
    rows = iter(table.rows) if read_again else planned.todo(table.rows)
    for row, outcome in _read_ahead(parts, rows, stop):
        text = _commit(parts.registry, row, outcome, summary)
        summary.seconds = time.monotonic() - started
        reporter.advance(summary, urls.redacted(row.url), text)
    summary.stopped = stop.is_set()
    summary.failures.sort(key=lambda failure: failure.row)
    if not summary.stopped:
        _look_for_duplicates(parts.registry, summary, consolidate)
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

    def todo(self, rows: Sequence[VideoRow]) -> Iterator[VideoRow]:
        for row in rows:
            known = self.registry.index.video(ids.video_id(row.url))
            if known is None or (known["status"] == Status.FAILED and self.retry_failed):
                yield row
                continue
            text = self._settle(row, known["metrics"])
            if known["status"] == Status.FAILED:
                text = f"failed before: {known['reason']} (--retry-failed tries again)"
                self.summary.failures.append(Failure(row.row, urls.redacted(row.url), text))
            elif text == "unchanged":
                self.summary.unchanged += 1
            else:
                self.summary.updated += 1
            self.reporter.advance(self.summary, urls.redacted(row.url), text)

    def _settle(self, row: VideoRow, known: dict[str, float]) -> str:
        merged = {name: value for name, value in known.items() if name not in self.metrics}
        merged |= row.metrics
        if merged == known:
            return "unchanged"
        self.registry.update_metrics(ids.video_id(row.url), merged)
        changed = sorted(n for n in merged.keys() | known.keys() if merged.get(n) != known.get(n))
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
    video = ids.video_id(row.url)
    try:
        download = parts.downloader.fetch(row.location, video)
        try:
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


def _commit(registry: Registry, row: VideoRow, outcome: _Outcome, summary: Summary) -> str:
    video_id = ids.video_id(row.url)
    if isinstance(outcome, VideoError):
        # The row and the URL stand beside the reason wherever it is shown.
        reason = str(outcome).removeprefix(f"{urls.redacted(row.location)}: ")
        summary.failures.append(Failure(row.row, urls.redacted(row.url), reason))
        known = registry.index.video(video_id)
        if known is not None and known["status"] != Status.FAILED:
            return f"failed: {reason} (what is on record stays)"
        video = Video(
            video_id=video_id,
            url=row.url,
            metrics=row.metrics,
            status=Status.FAILED,
            reason=reason,
            media=Media(),
            run=summary.run,
        )
        registry.commit(video)
        return f"failed: {reason}"
    video = registry.commit(
        Video(
            video_id=video_id,
            url=row.url,
            metrics=row.metrics,
            status=Status.PARTIAL if outcome.reason else Status.DONE,
            reason=outcome.reason,
            media=outcome.media,
            faces=outcome.faces,
            run=summary.run,
        )
    )
    summary.ingested += 1
    summary.frames += video.media.frames_sampled
    summary.faces += len(video.faces)
    summary.blocked += len(outcome.faces) - len(video.faces)
    founded = {ids.identity_id(face.face_id) for face in video.faces}
    present = {face.identity_id for face in video.faces}
    new = len(founded & present)
    summary.new_identities += new
    summary.total_identities = registry.index.count_identities()
    people = "identity" if len(present) == 1 else "identities"
    text = f"{len(video.faces)} faces, {len(present)} {people} ({new} new)"
    return f"{text}; partial: {outcome.reason}" if outcome.reason else text


def _look_for_duplicates(registry: Registry, summary: Summary, consolidate: bool) -> None:
    if consolidate:
        decision = people.consolidate(registry)
        summary.joined_identities = len(decision.merges) if decision else 0
    summary.likely_duplicates = people.likely_duplicates(registry)


def _count_identities(registry: Registry, summary: Summary) -> None:
    identities = list(registry.index.identities())
    summary.total_identities = len(identities)
    summary.single_video_identities = sum(i.videos == 1 for i in identities)
