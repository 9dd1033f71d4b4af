"""The videos of a page: who is on screen when. Each record is read once."""

from __future__ import annotations

import math
from collections.abc import Set

from queries.counted_videos import CountedVideo
from queries.page import marks
from queries.page.contents import VideoStrip
from queries.page.naming import Names
from queries.page.pictures import FoundFaces
from queries.report import Report
from queries.timelines import PersonOnScreen, timeline
from registry.core.decisions import fold, relabelled
from registry.core.registry import Registry
from registry.domain import Status
from registry.errors import StoreCorrupt

MOST_LANES = 12
"""People in the strip of a video; the others are counted."""


class VideoStrips:
    """Makes the strips, and keeps what the sections of people need of the records."""

    def __init__(self, registry: Registry, found: Report, names: Names, as_of: int | None) -> None:
        self._registry, self._found, self._names = registry, found, names
        self._view = registry.view
        if as_of is not None:
            self._view = fold(registry.decisions.entries(), as_of=as_of)
        self.faces = FoundFaces()
        """The faces of the people of the page; nobody's if faces are not shown."""
        self.on_screen: dict[str, dict[str, PersonOnScreen]] = {}
        """By video and identity."""

    def strip(self, video: CountedVideo, day: str) -> VideoStrip:
        """Read the record of a video: who is on screen when. `day` is ISO 8601, or ""."""
        seen = self._timeline(video)
        duration = video.duration_s or max(
            (one.end_s for person in seen for one in person.intervals), default=0.0
        )
        lanes = tuple(
            marks.lane(
                self._names.people.get(person.identity_id, person.identity_id),
                [(one.start_s, one.end_s) for one in person.intervals],
                duration,
            )
            for person in seen[:MOST_LANES]
            if duration > 0
        )
        return VideoStrip(
            key=self._names.keys[video.video_id],
            title=self._names.title(video.video_id),
            link=self._names.link(video.video_id),
            day=day,
            duration_s=duration,
            values=tuple(video.metrics.get(name, math.nan) for name in self._found.metrics),
            lanes=lanes,
            others=max(0, len(seen) - MOST_LANES),
            third=marks.place_of_opening(duration),
            partial=video.status is Status.PARTIAL,
        )

    def _timeline(self, video: CountedVideo) -> list[PersonOnScreen]:
        record = self._registry.records.get(video.video_id)
        if record is None:
            raise StoreCorrupt(
                f"The record of video {video.video_id} is missing. `face-registry doctor` shows "
                "what is damaged."
            )
        record = relabelled(record, self._view.identity_of)
        if not self._names.redaction.faces:
            self.faces.add(record, self._names.people)
        known: Set[str] = self._found.people.keys()
        seen = timeline(
            (face for face in record.faces if face.identity_id in known),
            duration_s=record.media.duration_s,
            frame_height=record.media.height,
        )
        self.on_screen[video.video_id] = {person.identity_id: person for person in seen}
        return seen
