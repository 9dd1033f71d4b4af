"""Selects the rows whose videos are read: new, failed and marked ones, and replaced files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ingest import run_events
from ingest.fetch.downloads import file_sha256, local_source
from ingest.recorder import Recorder
from ingest.tables.table import VideoRow
from registry import ids
from registry.core.points import IndexedVideo
from registry.core.registry import Registry
from registry.core.runs import began
from registry.core.video_changes import revise
from registry.domain import Source, Status
from registry.errors import FetchError


@dataclass(frozen=True, slots=True)
class Job:
    """A row whose video is to be read."""

    row: VideoRow
    order: int
    """Its position among the jobs of the run."""
    known: IndexedVideo | None = None
    """The video on record; None if it is new."""
    unless_same: Source | None = None
    """The state of the file when it was read; the job reads the file only if it was replaced."""

    @property
    def video_id(self) -> str:
        """The id of the video on record, or of the one to record."""
        return self.known.video_id if self.known else ids.video_id(self.row.url)


@dataclass(slots=True)
class JobSelection:
    """Turns rows into jobs, and records the rows whose videos need not be read."""

    registry: Registry
    recorder: Recorder
    retry_failed: bool
    reread_changed: bool
    everything: bool
    """Whether every row is read, whatever is on record."""
    failures: dict[str, str] = field(default_factory=dict)
    """Reasons why contents could not be read, by SHA-256."""
    done: set[str] = field(default_factory=set)
    """Ids of the videos that this run has read and recorded."""
    _marked: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Load the marks."""
        self._marked = frozenset(self.registry.rereads.marked())

    def jobs(self, rows: Sequence[VideoRow]) -> Iterator[Job]:
        """The jobs, in the order of the rows."""
        for order, row in enumerate(rows):
            known = self.recorder.known(row)
            if known is None or self.everything or known.video_id in self._marked:
                yield Job(row, order, known)
            elif known.status is Status.FAILED:
                if self.retry_failed:
                    yield Job(row, order, known)
                else:
                    self._report_failed_before(row, known)
            elif job := self._job_if_replaced(row, order, known):
                yield job
            else:
                text = self.recorder.update(row, known)
                self.recorder.reporter.advance(self.recorder.summary, str(row.url), text)

    def mark_done(self, video_id: str) -> None:
        """Note that a video was read and recorded."""
        self.done.add(video_id)
        self.mark(video_id, read_again=False)

    def mark(self, video_id: str, *, read_again: bool) -> None:
        """Mark a video, so that the next run reads it again, or remove its mark."""
        if read_again != (video_id in self._marked):
            rereads = self.registry.rereads
            with self.registry.writing():
                rereads.mark(video_id) if read_again else rereads.unmark(video_id)

    def update_source(self, known: IndexedVideo, source: Source) -> None:
        """Record that an unchanged file has another time or validator."""
        video = None if self.recorder.dry else self.registry.records.get(known.video_id)
        if video is not None and video.source != source:
            revise(self.registry, replace(video, source=source))

    def _report_failed_before(self, row: VideoRow, known: IndexedVideo) -> None:
        recorder = self.recorder
        recorder.update(row, known)
        text = f"failed before: {known.reason} (--retry-failed reads it again)"
        run_events.failed(recorder.summary, row.row, row.url, text, known.video_id)
        recorder.reporter.advance(recorder.summary, str(row.url), text)

    def _job_if_replaced(self, row: VideoRow, order: int, known: IndexedVideo) -> Job | None:
        """A job if the file of the row was, or may have been, replaced since it was read."""
        if "://" in row.location.exposed():
            if self.reread_changed and row.url == known.url and known.source:
                return Job(row, order, known, known.source)
            return None
        if not is_replaced(row, known, self.update_source):
            return None
        if not self.reread_changed:
            self.recorder.summary.changed_files += 1
            self.recorder.warn(describe_replaced(row, known))
            return None
        if row.url == known.url:
            return Job(row, order, known, known.source)
        video = None if self.recorder.dry else self.registry.records.get(known.video_id)
        if video is not None:
            names = tuple(name for name in video.names if name != row.url)
            revise(self.registry, replace(video, names=names))
        return Job(row, order)


def is_replaced(
    row: VideoRow, known: IndexedVideo, on_unchanged: Callable[[IndexedVideo, Source], None]
) -> bool:
    """Whether the content of a local file has changed since it was read.

    A file of the same size is read only if its time differs; if its content is the same,
    `on_unchanged` is called. A missing file does not count as replaced.
    """
    path = Path(row.location.exposed())
    try:
        now = local_source(path.stat())
        if row.url != known.url:
            return bool(known.size) and now.size != known.size
        if known.source is None or now == known.source:
            return False
        if now.size != known.source.size or file_sha256(path) != known.content:
            return True
    except (OSError, ValueError, FetchError):
        return False
    on_unchanged(known, now)
    return False


def describe_replaced(row: VideoRow, known: IndexedVideo) -> str:
    """A sentence that reports a replaced file."""
    read_at = began(known.run)
    when = f" on {read_at:%Y-%m-%d}" if read_at else ""
    return (
        f"Row {row.row}: {row.url} has changed since it was read{when}. Use --reread-changed to "
        "read it again."
    )
