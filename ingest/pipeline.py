"""A run: from the rows of a table to recorded videos.

Videos are fetched and processed in parallel. One thread commits them in the order of the table,
whatever finishes first, so the same table gives the same identities with any number of workers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Protocol

from ingest import run_events
from ingest.extract import Extraction
from ingest.fetch.downloads import Fetcher
from ingest.job_selection import Job, JobSelection
from ingest.progress import Reporter
from ingest.recorder import FileFacts, Recorder
from ingest.summary import READ_AGAIN, NothingRead, Summary
from ingest.tables.table import Table
from ingest.workers import Extractor
from registry import ids
from registry.core import clock
from registry.core.listed_videos import load_listed_videos, save_listed_videos
from registry.core.registry import Registry
from registry.core.runs import new_run
from registry.domain import Content, Status
from registry.errors import MediaError, NotReadYet, RegistryError, VideoError
from registry.faces.appearances import appearances
from registry.footage.duplicates import CopySearch
from registry.people import joining
from registry.people.evidence import gather_evidence
from registry.system.process import usable_processors
from registry.urls import Url


class Turn(Protocol):
    """The right to use the registry in this process, where other threads use it, too."""

    def acquire(self) -> None:
        """Wait for the turn of this run."""

    def release(self) -> None:
        """Let the others in."""


@contextmanager
def _turn_of_others(turn: Turn | None) -> Iterator[None]:
    """Let others use the registry while the block runs."""
    if turn is None:
        yield
        return
    turn.release()
    try:
        yield
    finally:
        turn.acquire()


@dataclass(frozen=True, slots=True)
class RunContext:
    """The registry, the downloader and the extractor of a run, and its counts."""

    registry: Registry
    downloader: Fetcher
    extractor: Extractor
    ahead: int
    """Videos that are fetched or processed at once, without those that wait for their turn."""
    summary: Summary = field(default_factory=lambda: Summary(run=new_run()))
    """Counts of the run; the caller has them even if an error ends the run."""
    max_waiting: int = 256 << 20
    """Bytes of results that may wait for their turn to be recorded. While a long video at the head
    of the table is processed, the workers go on with those after it."""
    turn: Turn | None = None
    """Held by the caller. The run releases it while it waits for a video. None: no other thread
    uses the registry."""


def default_workers(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """One worker for each processor that this process may use, eight at most.

    More than eight wait for downloads. In a container, `quota` (the file cpu.max of Linux) limits
    the processors further: more workers than that would only take memory.
    """
    processors = usable_processors()
    with suppress(OSError, ValueError):
        share, period = map(int, quota.read_text().split())
        processors = min(processors, -(-share // period))
    return max(1, min(8, processors))


def run(
    context: RunContext,
    table: Table,
    *,
    retry_failed: bool,
    consolidate: bool,
    reporter: Reporter,
    stop: Event,
    read_again: bool = False,
    blank_clears: bool = False,
    reread_changed: bool = False,
) -> Summary:
    """Record every row of a table.

    Args:
        context: registry, downloader, extractor and counts.
        table: the rows; a video keeps the metrics that the table has no column for.
        retry_failed: whether to process videos that failed before.
        consolidate: whether to join identities that are one person at the end.
        reporter: receives the progress.
        stop: set it to end the run after the video that is being committed.
        read_again: process every video of the table, whatever is on record.
        blank_clears: whether a blank cell removes the value that a metric has on record.
        reread_changed: whether to process videos again whose files were replaced.

    Returns:
        The counts. Errors of one row or video are in `failures`; any other error ends the run, and
        committed videos stay.

    Raises:
        NothingRead: the run did nothing, because servers, the network or this machine failed.
    """
    started = time.monotonic()
    summary, registry = context.summary, context.registry
    summary.rows = table.total
    summary.duplicates = table.total - len(table.rows) - len(table.failures)
    for unusable in table.failures:
        run_events.failed(summary, unusable.row, Url(unusable.url), str(unusable))
    summary.notes += table.notes
    for warning in filter(None, (*table.warnings, clock.doubts(registry.blobs))):
        summary.warnings.append(warning)
        run_events.warning(summary, warning)
        reporter.warn(warning)
    reporter.begin(len(table.rows))
    before = _established(registry)
    recorder = Recorder(registry, summary, table.metrics, reporter, blank_clears)
    selection = JobSelection(
        registry, recorder, retry_failed=retry_failed, reread_changed=reread_changed,
        everything=read_again,
    )  # fmt: skip
    tried, copies = 0, CopySearch(registry)
    for job, outcome in _read_ahead(context, selection.jobs(table.rows), stop, copies.step):
        tried += 1
        committing = time.monotonic()
        text = _commit(selection, job, outcome)
        if job.video_id in selection.done:
            copies.add(job.video_id)
        summary.profile.add({"commit": time.monotonic() - committing, "fetch": outcome.fetch_s})
        if isinstance(outcome.result, Extraction):
            summary.profile.add(outcome.result.seconds)
        summary.seconds = time.monotonic() - started
        reporter.advance(summary, str(job.row.url), text)
        with _turn_of_others(context.turn):
            pass
    summary.stopped = stop.is_set()
    summary.failures.sort(key=lambda failure: failure.row)
    summary.new_identities = len(_established(registry) - before)
    if not summary.stopped:
        if not read_again:
            _count_gone(registry, summary, recorder.listed)
        _find_duplicates(registry, summary, selection.done, consolidate)
        _warn_of_copies(recorder, copies.finish() & selection.done)
    _count_identities(registry, summary)
    registry.settle()
    if summary.ingested or summary.joined_identities:
        registry.index.optimize()
    summary.seconds = summary.profile.elapsed_s = time.monotonic() - started
    not_read_yet = sum(failure.not_read_yet for failure in summary.failures)
    if 0 < tried == not_read_yet and not (summary.stopped or summary.updated or summary.unchanged):
        raise NothingRead(summary)
    return summary


@dataclass(frozen=True, slots=True)
class _SameFile:
    """Another video, on record or in the table, has the content: the file is not decoded."""


@dataclass(frozen=True, slots=True)
class _Unchanged:
    """The file has not changed since it was read."""

    problem: str = ""
    """Why this could not be checked; the record stays as it is."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of a job."""

    result: Extraction | VideoError | _SameFile | _Unchanged
    file: FileFacts | None = None
    """None if it was not fetched."""
    fetch_s: float = 0.0
    """Seconds that fetching took."""


class _Claims:
    """Assigns each content to the first job, in the order of the table, that has it."""

    def __init__(self) -> None:
        self._orders: dict[str, int] = {}
        self._lock = Lock()

    def claim(self, sha256: str, order: int) -> bool:
        """Claim a content. Returns False if an earlier job has claimed it."""
        with self._lock:
            first = self._orders.setdefault(sha256, order)
            if order < first:
                self._orders[sha256] = order
            return order <= first


_POLL_S = 0.2
"""How often a run that waits for a video checks whether it should stop."""

_FACE_BYTES = 320
"""What a face takes in memory besides its vector (`registry.faces.face_table`)."""


def _read_ahead(
    context: RunContext, jobs: Iterator[Job], stop: Event, meanwhile: Callable[[], bool]
) -> Iterator[tuple[Job, _Outcome]]:
    """Results in the order of the jobs, with `ahead` videos in progress at once.

    Results whose turn has not come wait in memory: at most `max_waiting` bytes, and what is in
    progress when they reach it. While no result is there, `meanwhile` is called until it returns
    False.
    """
    pending: deque[tuple[Job, Future[_Outcome]]] = deque()
    running: set[Future[_Outcome]] = set()
    claims, complete, waiting = _Claims(), False, 0
    with ThreadPoolExecutor(context.ahead, thread_name_prefix="read") as threads:
        try:
            for job in jobs:
                running.add(future := threads.submit(_fetch_and_extract, context, claims, job))
                pending.append((job, future))
                while True:
                    if stop.is_set():
                        return
                    done = {future for future in running if future.done()}
                    running -= done
                    waiting += sum(map(_size, done))
                    if pending and pending[0][1] not in running:
                        first, future = pending.popleft()
                        waiting -= _size(future)
                        yield first, future.result()
                    elif len(running) < context.ahead and waiting < context.max_waiting:
                        break
                    elif not _wait_for(running, stop, context.turn, meanwhile):
                        return
            while pending and _wait_for([pending[0][1]], stop, context.turn, meanwhile):
                if all(future.done() for _, future in pending):
                    context.extractor.close()  # idle workers hold most of the memory of a run
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


def _size(future: Future[_Outcome]) -> int:
    """About how many bytes of memory the result of a job takes."""
    result = None if future.exception() else future.result().result
    faces = result.faces if isinstance(result, Extraction) else ()
    return len(faces) * (faces[0].embedding.nbytes + _FACE_BYTES) if faces else 0


def _wait_for(
    futures: Collection[Future[_Outcome]],
    stop: Event,
    turn: Turn | None,
    meanwhile: Callable[[], bool],
) -> bool:
    """Wait until one of the futures is done; False if the run is stopped first."""
    while not (stop.is_set() or any(future.done() for future in futures)) and meanwhile():
        with _turn_of_others(turn):
            pass
    with _turn_of_others(turn):
        while not stop.is_set():
            if wait(futures, timeout=_POLL_S, return_when=FIRST_COMPLETED).done:
                return not stop.is_set()
        return False


def _fetch_and_extract(context: RunContext, claims: _Claims, job: Job) -> _Outcome:
    row, started = job.row, time.monotonic()
    file: FileFacts | None = None
    try:
        if job.unless_same and not _has_changed(context, job):
            return _Outcome(_Unchanged())
        download = context.downloader.fetch(row.location.exposed(), job.video_id)
        fetch_s = time.monotonic() - started
        run_events.fetched(context.summary, row, fetch_s)
        try:
            file = FileFacts(Content(download.sha256, download.size), download.source)
            if job.known and job.unless_same and job.known.content == download.sha256:
                return _Outcome(_Unchanged(), file)
            other = context.registry.index.of_content(download.sha256)
            is_other = other is not None and other.video_id != job.video_id
            if is_other or not claims.claim(download.sha256, job.order):
                return _Outcome(_SameFile(), file)
            with context.registry.writing():  # the extractor stores crops
                found = context.extractor.extract(download.path, job.video_id)
                return _Outcome(found, file, fetch_s)
        finally:
            download.discard()
    except VideoError as exc:
        if job.unless_same and file is None:
            return _Outcome(_Unchanged(str(exc)))
        return _Outcome(exc, file)
    except RegistryError:
        raise
    except MemoryError:
        return _Outcome(MediaError("there was not enough memory to process the video."), file)
    except Exception as exc:
        # A bug that one video triggers costs that video, not the run.
        error = f"{type(exc).__name__}: {exc}"
        reason = f"processing the video failed with an unexpected error ({error})."
        return _Outcome(MediaError(reason), file)


def _has_changed(context: RunContext, job: Job) -> bool:
    """Whether the server reports that a file was replaced; local files were compared before."""
    location = job.row.location.exposed()
    if job.unless_same is None or "://" not in location:
        return True
    return context.downloader.changed_source(location, job.unless_same) is not None


def _commit(selection: JobSelection, job: Job, outcome: _Outcome) -> str:
    """Record the result of a job, and describe it in words."""
    row, started = job.row, time.monotonic()
    recorder, registry = selection.recorder, selection.registry
    summary, index = recorder.summary, registry.index
    known = index.known(job.video_id)
    result, file = outcome.result, outcome.file
    other = index.of_content(file.content.sha256) if file else None
    if isinstance(result, _Unchanged) and known:
        if result.problem:
            recorder.warn(f"Row {row.row} {row.url} was not compared: {result.problem}")
        if file:
            selection.update_source(known, file.source)
        return recorder.update(row, known)
    if other and (other.video_id != job.video_id or other.video_id in selection.done):
        text = recorder.update(row, other, gone=known.video_id if known else "")
        if row.url == other.url:
            return text
        alias = f"is the same file as {other.url}: recorded as another name of it"
        summary.same_files.append(f"row {row.row} {row.url} {alias}")
        selection.mark(job.video_id, read_again=False)
        return f"{alias}; {text}"
    if isinstance(result, (_SameFile, _Unchanged)):
        # The row that claimed this content failed.
        result = MediaError(
            selection.failures.get(file.content.sha256 if file else "", _CLAIMANT_FAILED)
        )
    if isinstance(result, VideoError):
        # The reason is always shown together with row and URL.
        reason = str(result).removeprefix(f"{row.location}: ")
        if file:
            selection.failures.setdefault(file.content.sha256, reason)
        not_read_yet = isinstance(result, NotReadYet)
        if known and known.status != Status.FAILED:
            recorder.listed.add(known.video_id)
            reason = f"{reason.removesuffix('.')}. The record of the video stays as it is."
        else:
            recorder.fail(row, known, reason)
            selection.mark(job.video_id, read_again=not_read_yet)
            if not_read_yet:
                reason = f"{reason.removesuffix('.')}.{READ_AGAIN}"
        run_events.failed(
            summary, row.row, row.url, reason, job.video_id, not_read_yet=not_read_yet
        )
        return f"failed: {reason}"
    assert file is not None
    video = recorder.ingest(row, known, result, file)
    selection.mark_done(video.video_id)
    summary.ingested += 1
    summary.frames += video.media.frames_sampled
    summary.faces += len(video.faces)
    summary.blocked += len(result.faces) - len(video.faces)
    present = {a.identity_id for a in appearances(video.faces) if a.established}
    founded = (ids.identity_id(face.face_id) for face in video.faces)
    new = len({who for who in founded if who in present})
    summary.total_identities = index.count_identities()
    run_events.recorded(summary, row, video, len(present), new, time.monotonic() - started)
    people = "identity" if len(present) == 1 else "identities"
    faces = "face" if len(video.faces) == 1 else "faces"
    text = f"{len(video.faces)} {faces}, {len(present)} {people} ({new} new)"
    return f"{text}; partial: {result.reason}" if result.reason else text


_CLAIMANT_FAILED = "another row has the same file, and it could not be read."


def _count_gone(registry: Registry, summary: Summary, listed: set[str]) -> None:
    """Count the videos of the last table that are not listed now, and save the new list."""
    with registry.writing():
        gone = load_listed_videos(registry.blobs) - listed
        summary.gone = sum(registry.index.known(video_id) is not None for video_id in gone)
        save_listed_videos(registry.blobs, listed)


def _find_duplicates(
    registry: Registry, summary: Summary, read: set[str], consolidate: bool
) -> None:
    evidence, groups = joining.look_for_duplicates(registry)
    if consolidate and groups:
        before = registry.index.count_identities()
        joining.join(registry, groups)
        summary.joined_identities = before - registry.index.count_identities()
        evidence = gather_evidence(registry)
        groups = joining.duplicate_groups(registry, evidence)
    summary.likely_duplicates = joining.count_joining_in(registry, groups)
    summary.repeating = len(evidence.repeating_videos & read)


def _warn_of_copies(recorder: Recorder, copies: Collection[str]) -> None:
    """Warn of videos of this run that are likely the same footage as others: they count twice."""
    if copies:
        recorder.warn(
            f"{len(copies)} of the videos read are likely the same footage as other videos, and "
            "are counted separately. `face-registry videos duplicates` lists them."
        )


def _count_identities(registry: Registry, summary: Summary) -> None:
    identities = list(registry.index.identities(provisional=False))
    summary.total_identities = len(identities)
    summary.single_video_identities = sum(i.videos == 1 for i in identities)
    summary.provisional_identities = registry.index.count_identities(provisional=True)


def _established(registry: Registry) -> set[str]:
    return {i.identity_id for i in registry.index.identities(provisional=False)}
