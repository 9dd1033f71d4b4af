"""What people and videos are called on a page: keys, labels, titles and links."""

from __future__ import annotations

import math
from collections.abc import Sequence

from queries.counted_videos import CountedVideo
from queries.page.links import title
from queries.page.redaction import Redaction
from queries.report import Report
from registry.core.registry import Registry
from registry.terminal import short


class Names:
    """The names of everybody and everything on one page."""

    def __init__(
        self, registry: Registry, found: Report, people: Sequence[str], redaction: Redaction
    ) -> None:
        """Name the `people` who have a section on the page (ids), and the selected videos."""
        self._registry, self.redaction = registry, redaction
        metric = found.metrics[0]
        self.videos = sorted(found.selected, key=lambda video: _by_value(video, metric))
        """The selected videos, those with the highest value of the metric first."""
        self.people = {identity: f"p{number}" for number, identity in enumerate(people, 1)}
        """Keys by identity."""
        self.labels = {
            identity: redaction.name(one.name) or short(identity)
            for identity, one in found.people.items()
        }
        """Names, or beginnings of ids, of everybody who may have a row, by identity."""
        self.keys = {one.video_id: f"v{number}" for number, one in enumerate(self.videos, 1)}
        """Keys of videos by id."""
        self._titles = {
            one.video_id: title(one.url, one.attributes, redaction, number)
            for number, one in enumerate(self.videos, 1)
        }
        self._links = {one.video_id: redaction.link(one.url) for one in self.videos}

    def label(self, identity: str) -> str:
        """What a person is called."""
        return self.labels.get(identity, short(identity))

    def labels_by_key(self) -> dict[str, str]:
        """Labels by key, or by identity of those who have no section."""
        return {
            self.people.get(identity, identity): label for identity, label in self.labels.items()
        }

    def title(self, video_id: str) -> str:
        """What a selected video is called."""
        return self._titles[video_id]

    def titles_by_key(self) -> dict[str, str]:
        """Titles of the selected videos by key."""
        return {key: self._titles[video_id] for video_id, key in self.keys.items()}

    def link(self, video_id: str) -> str:
        """The link to a selected video; empty if it has none."""
        return self._links[video_id]

    def all_links(self) -> tuple[tuple[str, str], ...]:
        """Title and address of each link to a video, also of those of questions."""
        return tuple((self._titles[video], link) for video, link in self._links.items() if link)

    def of_any_video(self, video_id: str) -> tuple[str, str]:
        """Title and link of a video that may not be a selected one."""
        counted = self._registry.view.counted_video(video_id)
        if counted not in self._titles:
            video = self._registry.index.video(video_id)
            if video is None:
                return "a video", ""
            number = len(self._titles) + 1
            self._titles[counted] = title(video.url, video.attributes, self.redaction, number)
            self._links[counted] = self.redaction.link(video.url)
        return self._titles[counted], self._links[counted]


def _by_value(video: CountedVideo, metric: str) -> tuple[float, str]:
    """The place of a video in the order: the highest value first, no value last."""
    value = video.metrics.get(metric, math.nan)
    return (-value if math.isfinite(value) else math.inf), video.video_id
