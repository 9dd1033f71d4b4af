"""Which rows of a table have to be read: new videos, failed and marked ones, replaced files."""

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
    """Its place among the jobs of the run."""
    known: IndexedVideo | None = None
    """What is on record."""
    unless_same: Source | None = None
    """What was known of the file when it was read: read it only if it was replaced since."""

    @property
    def video_id(self) -> str:
        """The id of the video on record, or of the one to record."""
        return self.known.video_id if self.known else ids.video_id(self.row.url)


@dataclass(slots=True)
class Choice:
    """Records the rows whose videos need not be read, and passes the others on."""

    registry: Registry
    recorder: Recorder
    retry_failed: bool
    reread_changed: bool
    everything: bool
    """Whether every row is read, whatever is on record."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why contents could not be read, by SHA-256."""
    _marked: frozenset[str] = frozenset()
    _done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Read the marks."""
        self._marked = frozenset(self.registry.rereads.marked())

    def jobs(self, rows: Sequence[VideoRow]) -> Iterator[Job]:
        """The rows to read, in their order."""
        for order, row in enumerate(rows):
            known = self.recorder.known(row)
            if known is None or self.everything or known.video_id in self._marked:
                yield Job(row, order, known)
            elif known.status is Status.FAILED:
                if self.retry_failed:
                    yield Job(row, order, known)
                else:
                    self._say_failed(row, known)
            elif job := self._changed(row, order, known):
                yield job
            else:
                text = self.recorder.update(row, known)
                self.recorder.reporter.advance(self.recorder.summary, str(row.url), text)

    def read(self, video_id: str) -> None:
        """A video was read and recorded."""
        self._done.add(video_id)
        self.unmark(video_id)

    def was_read(self, video_id: str) -> bool:
        """Whether this run has read and recorded the video."""
        return video_id in self._done

    def unmark(self, video_id: str) -> None:
        """A video need not be read again."""
        if video_id in self._marked:
            with self.registry.writing():
                self.registry.rereads.unmark(video_id)

    def seen_again(self, known: IndexedVideo, source: Source) -> None:
        """The file of a video has the same content and another time or validator."""
        video = None if self.recorder.dry else self.registry.records.get(known.video_id)
        if video is not None and video.source != source:
            revise(self.registry, replace(video, source=source))

    def _say_failed(self, row: VideoRow, known: IndexedVideo) -> None:
        recorder = self.recorder
        recorder.update(row, known)
        text = f"failed before: {known.reason} (--retry-failed reads it again)"
        run_events.failed(recorder.summary, row.row, row.url, text, known.video_id)
        recorder.reporter.advance(recorder.summary, str(row.url), text)

    def _changed(self, row: VideoRow, order: int, known: IndexedVideo) -> Job | None:
        """The job of a row whose file was, or may have been, replaced since it was read."""
        if "://" in row.location.exposed():
            if self.reread_changed and row.url == known.url and known.source:
                return Job(row, order, known, known.source)
            return None
        if not is_replaced(row, known, self.seen_again):
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
    row: VideoRow, known: IndexedVideo, on_same: Callable[[IndexedVideo, Source], None]
) -> bool:
    """Whether a local file has another content than when it was read.

    A file of the same size is read only if its time differs; if its content is the same then,
    `on_same` is called. A file that is not there was not replaced.
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
    on_same(known, now)
    return False


def describe_replaced(row: VideoRow, known: IndexedVideo) -> str:
    """The sentence that says so."""
    read = began(known.run)
    when = f" on {read:%Y-%m-%d}" if read else ""
    return (
        f"Row {row.row}: {row.url} has changed since it was read{when}; --reread-changed reads it "
        "again."
    )
