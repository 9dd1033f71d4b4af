"""Records the rows of a run: new videos, further rows of videos on record, and failures.

Rows of one run that are one video (another name, the same content) are combined as the metric specs
define it, in the order of the table, whichever is recorded first. So for each further row, the
values of this run are removed and computed again from all rows of the video so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ingest import run_events
from ingest.extract import Extraction
from ingest.progress import Reporter
from ingest.row_changes import RowChanges, attributes_of, cleared, row_changes
from ingest.summary import Summary, Update
from ingest.tables.placements import combine, how_to_combine
from ingest.tables.questions import plain
from ingest.tables.specs import MetricSpec
from ingest.tables.table import VideoRow
from registry import ids
from registry.core.metric_history import before_run, read_by, with_values
from registry.core.points import IndexedVideo
from registry.core.registry import Registry
from registry.core.video_changes import absorb, discard_crops, revise
from registry.domain import Content, Source, Status, Video
from registry.errors import UsageError
from registry.urls import Url, name_video, printable


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Content and source of the file of a video that was read."""

    content: Content
    source: Source


@dataclass(slots=True)
class Recorder:
    """Records the videos of one run. Only the thread that commits uses it."""

    registry: Registry
    summary: Summary
    specs: Sequence[MetricSpec]
    reporter: Reporter
    blank_clears: bool = False
    dry: bool = False
    """Whether to write nothing, and only count and report changes."""
    listed: set[str] = field(default_factory=set)
    """Ids of the videos of the table."""
    _rows: dict[str, list[VideoRow]] = field(default_factory=dict)
    _before: dict[str, IndexedVideo] = field(default_factory=dict)
    """Videos with several rows, as they were before this run."""
    _warned: set[str] = field(default_factory=set)

    @property
    def metrics(self) -> list[str]:
        """The metric columns of the table."""
        return [spec.name for spec in self.specs]

    def known(self, row: VideoRow) -> IndexedVideo | None:
        """The video of a row: found by its URL, another name, or the name of an earlier version."""
        index = self.registry.index
        known = index.known(ids.video_id(row.url))
        if known is None:
            earlier = (index.known(ids.video_id(name)) for name in _name(row)[1])
            known = next((video for video in earlier if video), None)
        return known

    def update(self, row: VideoRow, known: IndexedVideo, *, gone: str = "") -> str:
        """Update a video on record with a row, and describe the changes in words.

        Args:
            row: a row whose URL is one of the video's names, or whose file has its content.
            known: the video.
            gone: id of the record of the row's URL, which this video absorbs.
        """
        video_id = known.video_id
        first = video_id not in self._rows
        combined = self._combined(row, video_id)
        name = ids.video_id(row.url)
        new_name = name != video_id and name not in known.aliases
        before = known if first else self._before_run(known)
        if first:
            self._before[video_id] = known
        changes = self._changes(combined, before)
        stale = not first and bool(self._changes(combined, known))
        if not self.dry and (new_name or gone or changes or stale):
            self._revise(combined, video_id, row.url if new_name else None, gone)
        if not first:
            self.summary.duplicates += 1
        self._count(row, before, changes, new_name=new_name and first, again=not first)
        return changes.describe(before.metrics) if first else "combined with its other rows"

    def ingest(
        self, row: VideoRow, known: IndexedVideo | None, extraction: Extraction, facts: FileFacts
    ) -> Video:
        """Record a video that was read."""
        video_id = known.video_id if known else ids.video_id(row.url)
        combined = self._combined(row, video_id)
        video = self._with_row(self._base_record(row, video_id), combined)
        video = replace(
            video,
            status=Status.PARTIAL if extraction.reason else Status.DONE,
            reason=extraction.reason,
            media=extraction.media,
            faces=extraction.faces,
            content=facts.content,
            source=facts.source,
        )
        return self.registry.commit(video)

    def fail(self, row: VideoRow, known: IndexedVideo | None, reason: str) -> Video:
        """Record a video that cannot be read and was never read."""
        video_id = known.video_id if known else ids.video_id(row.url)
        combined = self._combined(row, video_id)
        video = self._with_row(self._base_record(row, video_id), combined)
        return self.registry.commit(replace(video, status=Status.FAILED, reason=reason))

    def _base_record(self, row: VideoRow, video_id: str) -> Video:
        """The record without the values of this run, or a new one."""
        run = self.summary.run
        known = self.registry.records.get(video_id)
        if known is None:
            return Video(video_id, row.url, {}, Status.FAILED, run=run)
        return before_run(read_by(known, run), run)

    def _with_row(self, video: Video, row: VideoRow) -> Video:
        gone = cleared(row, self.metrics) if self.blank_clears else ()
        video = with_values(video, self.summary.run, row.metrics, row.weights, gone)
        dropped = dict.fromkeys((*video.dropped, *_name(row)[0]))
        attributes = {**video.attributes, **attributes_of(row)}
        return replace(video, attributes=attributes, dropped=tuple(dropped))

    def _revise(self, row: VideoRow, video_id: str, name: Url | None, gone: str) -> None:
        video = self.registry.records.get(video_id)
        assert video is not None
        video = self._with_row(before_run(video, self.summary.run), row)
        names = [*video.names, *([name] if name else [])]
        if gone and (other := self.registry.records.get(gone)):
            names += [other.url, *other.names]
            video = self._with_record(video, other, row)
        names = [name for name in dict.fromkeys(names) if name != video.url]
        video = replace(video, names=tuple(names))
        if gone:
            absorb(self.registry, gone, video)
        else:
            revise(self.registry, video)
            if name:
                discard_crops(self.registry, ids.video_id(name))

    def _with_record(self, video: Video, other: Video, row: VideoRow) -> Video:
        """A video with the values that only the record of another one, of the same content, has."""
        values = {}
        for name, value in other.metrics.items():
            if name not in video.metrics:
                values[name] = value
            elif name not in row.metrics and video.metrics[name] != value:
                self.warn(
                    f"{other.url} had {printable(name)} {plain(value)} on record and is the same "
                    f"file as {video.url}, whose value {plain(video.metrics[name])} is used. To "
                    "combine the rows of a video, ingest their table again."
                )
        video = with_values(video, self.summary.run, values, other.weights)
        return replace(video, attributes={**other.attributes, **video.attributes})

    def _combined(self, row: VideoRow, video_id: str) -> VideoRow:
        self.listed.add(video_id)
        rows = self._rows.setdefault(video_id, [])
        rows.append(row)
        if len(rows) == 1:
            return row
        rows.sort(key=lambda row: row.row)
        combined = combine(rows, self.specs)
        for metric, sentence in combined.conflicts:
            self.warn(sentence)
            self.warn(how_to_combine(metric))
        return combined.video

    def warn(self, message: str) -> None:
        """Warn the user; each message is shown once."""
        if message not in self._warned:
            self._warned.add(message)
            self.summary.warnings.append(message)
            run_events.warning(self.summary, message)
            self.reporter.warn(message)

    def _before_run(self, known: IndexedVideo) -> IndexedVideo:
        if known.video_id in self._before:
            return self._before[known.video_id]
        return replace(known, metrics={}, weights={}, attributes={})

    def _changes(self, row: VideoRow, known: IndexedVideo) -> RowChanges:
        return row_changes(
            row,
            self.metrics,
            known=known.metrics,
            known_attributes=known.attributes,
            known_weights=known.weights,
            blank_clears=self.blank_clears,
        )

    def _count(
        self,
        row: VideoRow,
        before: IndexedVideo,
        changes: RowChanges,
        *,
        new_name: bool,
        again: bool,
    ) -> None:
        """Count a video on record once, by what all of its rows change."""
        summary, video_id = self.summary, before.video_id
        if again:
            if video_id not in self._before:
                return  # this run read it: it is counted as ingested
            summary.forget_update(video_id)
        if before.status is Status.FAILED:
            return  # it is counted as failed
        if changes or new_name:
            summary.updated += 1
            run_events.updated(summary, row)
        else:
            summary.unchanged += 1
            run_events.unchanged(summary, row)
        summary.updates[video_id] = Update(row.row, row.url, changes, bool(changes or new_name))


def _name(row: VideoRow) -> tuple[tuple[str, ...], tuple[Url, ...]]:
    """The parameters dropped from the URL of a row, and its names in earlier versions."""
    for link in (row.location, row.url):
        try:
            name = name_video(link.exposed())
        except UsageError:
            continue  # the path of a file
        if name.url == row.url:
            return name.dropped, name.earlier
    return (), ()
