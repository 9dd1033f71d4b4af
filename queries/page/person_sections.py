"""The sections of the people of a page: facts, moments, distribution, course, videos."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from queries.counted_videos import CountedVideo
from queries.metric_weights import weights_of
from queries.page import marks
from queries.page.contents import Moment, Person, Sighting
from queries.page.links import link_to_second
from queries.page.naming import Names
from queries.page.periods import Periods
from queries.page.pictures import COVER, MOMENT, data_url, moments_each
from queries.page.video_strips import VideoStrips
from queries.page.wording import Measured
from queries.report import Report
from queries.timelines import CLOSE_UP
from registry.core.registry import Registry
from registry.terminal import count

_COMPANIONS = 3
"""People that the facts of a section name."""


class PersonSections:
    """Makes the sections. The strips of all videos have to be made before."""

    def __init__(
        self,
        registry: Registry,
        found: Report,
        names: Names,
        strips: VideoStrips,
        periods: Periods,
        weight: str,
    ) -> None:
        """`weight` is what `--weight` asked for, or ""."""
        self._registry, self._found, self._names = registry, found, names
        self._strips, self._periods, self._weight = strips, periods, weight
        metric = found.metrics[0]
        values = [video.metrics.get(metric, math.nan) for video in names.videos]
        self._values = np.array(values, np.float64)
        self.axis = marks.axis_of_values(values)
        """Of the values of the metric, which all sections share."""
        self._places = np.array([self.axis.place(value) for value in values], np.float64)
        self._rows = {video.video_id: row for row, video in enumerate(names.videos)}

    def section(
        self,
        identity: str,
        videos: Sequence[CountedVideo],
        numbers: Sequence[tuple[str, Measured]],
    ) -> Person:
        """The section of a person.

        Args:
            identity: id.
            videos: in which the person counts.
            numbers: for each value of `by` and metric.
        """
        seen = [(video, video.people[identity][0]) for video in videos]
        sightings = tuple(
            Sighting(
                video=self._names.keys[video.video_id],
                values=tuple(video.metrics.get(name, math.nan) for name in self._found.metrics),
                first_s=appearance.first_s,
                seconds=appearance.screen_time_s,
                link=link_to_second(self._names.link(video.video_id), appearance.first_s),
            )
            for video, appearance in seen
        )
        opening = sum(appearance.first_s < marks.OPENING_S for _, appearance in seen)
        return Person(
            key=self._names.people[identity],
            identity=identity,
            label=self._names.label(identity),
            named=bool(self._names.redaction.name(self._found.people[identity].name)),
            videos=len(videos),
            seconds=sum(appearance.screen_time_s for _, appearance in seen),
            opening=opening / len(seen) if seen else math.nan,
            facts=self._facts(identity, videos, opening),
            moments=self._moments(identity),
            sightings=sightings,
            distribution=self._distribution(videos),
            course=self._course(videos),
            numbers=tuple(numbers),
        )

    def untested_difference(self, videos: Sequence[CountedVideo]) -> float:
        """The mean of these videos less that of all others, or with `log` their ratio minus one.

        It is what the table would test if there were enough videos; NaN without two means.
        """
        own, known = self._mask(videos), np.isfinite(self._values)
        mean, others = self._mean(own & known), self._mean(~own & known)
        if self._found.log:
            return mean / others - 1 if others else math.nan
        return mean - others

    def _facts(
        self, identity: str, videos: Sequence[CountedVideo], opening: int
    ) -> tuple[str, ...]:
        """Sentences about where and how a person is on screen."""
        together = Counter(other for video in videos for other in video.people if other != identity)
        texts = [f"On screen in the first 3 s of {opening} of {count(len(videos), 'video')}"]
        sizes: Counter[str] = Counter()
        for video in videos:
            person = self._strips.on_screen[video.video_id].get(identity)
            sizes.update(person.sizes_s if person else {})
        total = sum(sizes.values())
        if sizes[CLOSE_UP]:
            texts.append(f"a close-up for {100 * sizes[CLOSE_UP] / total:.0f} % of the time")
        for other, videos_with in together.most_common(_COMPANIONS):
            texts.append(f"{videos_with} with {self._names.label(other)}")
        return tuple(texts)

    def _moments(self, identity: str) -> tuple[Moment, ...]:
        cover = self._found.people[identity].cover_face
        limit = moments_each(len(self._names.people))
        return tuple(
            Moment(
                picture=data_url(self._registry, face, MOMENT),
                time_s=face.time_s,
                video=self._names.keys[face.video_id],
                title=self._names.title(face.video_id),
                link=link_to_second(self._names.link(face.video_id), face.time_s),
            )
            for face in self._strips.faces.of(identity, limit, first=cover)
        )

    def covers(self) -> dict[str, str]:
        """The cover of each person by key; nobody has one if faces are not shown."""
        covers = {}
        for identity, key in self._names.people.items():
            first = self._found.people[identity].cover_face
            for face in self._strips.faces.of(identity, 1, first=first):
                covers[key] = data_url(self._registry, face, COVER)
        return covers

    def _distribution(self, videos: Sequence[CountedVideo]) -> tuple[marks.Dots, ...]:
        """The values of the metric in the videos with the person, and in all others."""
        own, known = self._mask(videos), np.isfinite(self._places)
        groups = []
        for mask, text, mine in ((own, "with", True), (~own, "without", False)):
            there = known & mask
            mean = self._mean(there)
            groups.append(
                marks.dots(
                    self._places[there].tolist(),
                    self.axis.place(mean) if math.isfinite(mean) else None,
                    f"{text} ({int(there.sum()):,})",
                    own=mine,
                )
            )
        return tuple(groups)

    def _course(self, videos: Sequence[CountedVideo]) -> marks.Course | None:
        """The metric over time, of the person's videos beside all."""
        if len(self._periods.labels) < 2:
            return None
        known = np.isfinite(self._values)
        own = self._mask(videos) & known
        return marks.course(
            self._periods.labels,
            [self._mean(own & there) for there in self._in_periods],
            self._every,
            [int((own & there).sum()) for there in self._in_periods],
        )

    @cached_property
    def _in_periods(self) -> list[np.ndarray]:
        place = np.array(self._periods.of_video)
        return [place == number for number in range(len(self._periods.labels))]

    @cached_property
    def _every(self) -> list[float]:
        known = np.isfinite(self._values)
        return [self._mean(known & there) for there in self._in_periods]

    def _mask(self, videos: Sequence[CountedVideo]) -> np.ndarray:
        mask = np.zeros(len(self._rows), np.bool_)
        mask[[self._rows[video.video_id] for video in videos]] = True
        return mask

    def _mean(self, where: np.ndarray) -> float:
        """The mean of the metric over some videos, weighted as the table is; NaN: there is none."""
        from queries.statistics.means import geometric_mean, weighted_mean

        values, amounts = self._values[where], self._amounts[where]
        there = amounts > 0
        if not there.any():
            return math.nan
        mean = geometric_mean if self._found.log else weighted_mean
        return float(mean(values[there], amounts[there]))

    @cached_property
    def _amounts(self) -> np.ndarray:
        if not self._found.weights[0]:
            return np.ones(len(self._names.videos))
        found = weights_of(self._names.videos, self._found.metrics[0], self._weight)
        return np.nan_to_num(np.array(found, np.float64))
