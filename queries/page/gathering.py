"""From a registry to the contents of a page. Each record is read once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

import registry as package
from queries.counted_videos import CountedVideo, videos_by_person
from queries.metric_weights import weights_of
from queries.page import basis, marks
from queries.page.asking import Asked
from queries.page.contents import Moment, Page, Person, Row, Sighting, VideoStrip
from queries.page.links import link_to_second, title
from queries.page.open_questions import Questions, open_questions
from queries.page.pair_rows import PairRows, pair_rows
from queries.page.periods import days, periods, spelled
from queries.page.pictures import COVER, MOMENT, FoundFaces, data_url, moments_each
from queries.page.redaction import Redaction
from queries.page.wording import VERDICTS, Measured, answer
from queries.report import IDENTITY_RANGE, Report, make_report
from queries.statistics import COLUMNS
from queries.timelines import CLOSE_UP, PersonOnScreen, timeline
from registry.core.decisions import View, fold, relabelled
from registry.core.registry import Registry
from registry.domain import Status
from registry.errors import StoreCorrupt
from registry.terminal import count, short

MOST_LANES = 12
"""People in the strip of a video; the others are counted."""
_OPENING_S = 3.0
_COMPANIONS = 3


def gather_page(registry: Registry, asked: Asked) -> Page:
    """The contents of the page that answers a question.

    Raises:
        EmptyRegistry: nothing has been ingested.
        StoreCorrupt: a record or a crop that is needed is damaged or missing.
        UnknownError: there is no decision of this number.
        UsageError: the question cannot be answered.
    """
    found = make_report(
        registry,
        asked.metrics,
        asked.selection,
        sort=asked.sort or "shrunk",
        top=None,
        min_videos=asked.min_videos,
        by=asked.by,
        weight=asked.weight,
        log=asked.log,
        adjust=asked.adjust,
        identity_range=asked.identity_range,
        as_of=asked.as_of,
        provisional=asked.provisional,
    )
    return _Gathering(registry, asked, found).page()


class _Gathering:
    """The work on one page."""

    def __init__(self, registry: Registry, asked: Asked, found: Report) -> None:
        self.registry, self.asked, self.found = registry, asked, found
        self.videos = sorted(found.selected, key=self._by_value)
        everything = list(registry.index.videos())
        self.redaction = Redaction(
            asked.redact,
            [one.name for one in registry.index.identities()],
            [one.url for one in everything],
        )
        rows = _in_order(found, asked)
        self.rows = rows
        people = dict.fromkeys(row["identity"] for row in rows)
        self.keys = {identity: f"p{number}" for number, identity in enumerate(people, 1)}
        self.labels = {
            identity: self.redaction.name(one.name) or short(identity)
            for identity, one in found.people.items()
        }
        self.video_keys = {one.video_id: f"v{n}" for n, one in enumerate(self.videos, 1)}
        self.titles = {
            one.video_id: title(one.url, one.attributes, self.redaction, number)
            for number, one in enumerate(self.videos, 1)
        }
        self.links = {one.video_id: self.redaction.link(one.url) for one in self.videos}
        self.days = days(self.videos, asked.selection.dated_by)
        self.periods = periods(self.days)
        self.faces = FoundFaces()
        self.on_screen: dict[str, dict[str, PersonOnScreen]] = {}
        self.values = {
            name: np.array([one.metrics.get(name, math.nan) for one in self.videos], np.float64)
            for name in found.metrics
        }
        first = self.values[found.metrics[0]].tolist()
        self.axis = marks.axis_of_values(first)
        self.places = np.array([self.axis.place(value) for value in first], np.float64)
        self.rows_of_videos = {one.video_id: row for row, one in enumerate(self.videos)}

    def page(self) -> Page:
        asked, found, redaction = self.asked, self.found, self.redaction
        measured = [self._measured(row) for row in self.rows]
        axis = marks.axis_of_differences(
            [(one[0].difference, one[0].low, one[0].high) for one in measured], ratios=asked.log
        )
        strips = tuple(
            self._strip(video, day) for video, day in zip(self.videos, self.days, strict=True)
        )
        metric = found.metrics[0]
        numbers: dict[str, list[tuple[str, Measured]]] = {}
        for row, own in zip(self.rows, measured, strict=True):
            group = self._group(row)
            numbers.setdefault(row["identity"], []).extend((group, one) for one in own)
        own_videos = videos_by_person(self.videos)
        each = moments_each(len(self.keys))
        people = {
            identity: self._person(identity, own_videos.get(identity, []), numbers[identity], each)
            for identity in self.keys
        }
        rows = tuple(
            Row(
                person=people[row["identity"]],
                group=self._group(row),
                first=own[0],
                more=tuple(own[1:]),
                forest=marks.forest(
                    axis, own[0].difference, own[0].low, own[0].high, own[0].verdict,
                    own[0].spoken(),
                ),
            )
            for row, own in zip(self.rows, measured, strict=True)
        )  # fmt: skip
        questions = self._questions()
        pairs = self._pairs()
        failed = basis.failed_videos(self.registry, redaction)
        return Page(
            metric=redaction.text(metric),
            log=asked.log,
            by=redaction.text(found.by),
            adjusted=bool(asked.adjust),
            identity_range=asked.identity_range,
            sorted_by=asked.sort,
            made=datetime.now(UTC).date().isoformat(),
            version=package.__version__,
            asked=(
                *self._about(),
                *basis.asked_texts(
                    found, asked.selection, redaction, adjust=asked.adjust,
                    min_videos=asked.min_videos, top=asked.top, as_of=asked.as_of,
                ),
            ),
            answer=answer(
                [(row.person.label, row.group, row.first) for row in rows], found.videos
            ),
            metrics=tuple(map(redaction.text, found.metrics)),
            rows=rows,
            total=len(found.table),
            axis=axis,
            values=self.axis,
            people=tuple(people.values()),
            videos=strips,
            titles={key: self.titles[video] for video, key in self.video_keys.items()},
            labels={
                self.keys.get(identity, identity): label for identity, label in self.labels.items()
            },
            pairs=pairs.rows,
            pairs_axis=pairs.axis,
            pairs_note=pairs.note,
            questions=questions.shown,
            questions_total=questions.total,
            facts=basis.facts(
                self.registry, found, questions, redaction, asked.as_of, len(failed)
            ),
            failed=failed,
            links=tuple(
                (self.titles[video], link) for video, link in self.links.items() if link
            ),
            covers=self._covers(),
            registry_id=self.registry.contract.registry_id,
            model_digest=self.registry.contract.model.digest,
            decisions=len(self.registry.decisions.entries()),
        )  # fmt: skip

    # --- the table --------------------------------------------------------------------------------

    def _group(self, row: Mapping[str, Any]) -> str:
        by = self.found.by
        return self.redaction.text(row[f"by_{by}"] or "none") if by else ""

    def _measured(self, row: Mapping[str, Any]) -> list[Measured]:
        """The numbers of a row, for each metric."""
        taken = set(COLUMNS) | {"median"}
        if self.asked.identity_range:
            taken |= set(IDENTITY_RANGE)
        return [
            Measured(
                **{
                    name: row[f"{name}_{metric}"]
                    for name in taken - {"person", "n", "verdict", "inseparable_from"}
                },
                metric=self.redaction.text(metric),
                weight=self.redaction.text(weight),
                n=_whole(row[f"n_{metric}"]),
                verdict=_text(row[f"verdict_{metric}"]) or "too few",
                inseparable_from=", ".join(
                    self.labels.get(other, short(other))
                    for other in _text(row[f"inseparable_from_{metric}"]).split(", ")
                    if other
                ),
                log=self.found.log,
            )
            for metric, weight in zip(self.found.metrics, self.found.weights, strict=True)
        ]

    def _about(self) -> tuple[str, ...]:
        """What every page says it is about: metric, videos, days, people."""
        found, redaction = self.found, self.redaction
        metric = redaction.text(found.metrics[0])
        weighted = f", weighted by {redaction.text(found.weights[0])}" if found.weights[0] else ""
        known = sorted(day for day in self.days if day)
        span = f", {spelled(known[0])} to {spelled(known[-1])}" if known else ""
        return (
            f"{metric}{weighted}",
            f"{count(found.videos, 'video')}{span}",
            count(len(self.keys), "person", "people"),
        )

    # --- videos -----------------------------------------------------------------------------------

    def _strip(self, video: CountedVideo, day: str) -> VideoStrip:
        """Who is on screen in a video. Its faces are kept for `_person`."""
        seen = self._timeline(video)
        duration = video.duration_s or max(
            (one.end_s for person in seen for one in person.intervals), default=0.0
        )
        lanes = tuple(
            marks.lane(
                self.keys.get(person.identity_id, person.identity_id),
                [(one.start_s, one.end_s) for one in person.intervals],
                duration,
            )
            for person in seen[:MOST_LANES]
            if duration > 0
        )
        return VideoStrip(
            key=self.video_keys[video.video_id],
            title=self.titles[video.video_id],
            link=self.links[video.video_id],
            day=day,
            duration_s=duration,
            values=tuple(video.metrics.get(name, math.nan) for name in self.found.metrics),
            lanes=lanes,
            others=max(0, len(seen) - MOST_LANES),
            third=round(100 * _OPENING_S / duration, 1) if duration > _OPENING_S else None,
            partial=video.status is Status.PARTIAL,
        )

    def _timeline(self, video: CountedVideo) -> list[PersonOnScreen]:
        record = self.registry.records.get(video.video_id)
        if record is None:
            raise StoreCorrupt(
                f"The record of video {video.video_id} is missing. `face-registry doctor` shows "
                "what is damaged."
            )
        record = relabelled(record, self._view.identity_of)
        if not self.redaction.faces:
            self.faces.add(record, self.keys)
        known: Set[str] = self.found.people.keys()
        seen = timeline(
            (face for face in record.faces if face.identity_id in known),
            duration_s=record.media.duration_s,
            frame_height=record.media.height,
        )
        self.on_screen[video.video_id] = {person.identity_id: person for person in seen}
        return seen

    @cached_property
    def _view(self) -> View:
        if self.asked.as_of is None:
            return self.registry.view
        return fold(self.registry.decisions.entries(), as_of=self.asked.as_of)

    # --- people -----------------------------------------------------------------------------------

    def _person(
        self,
        identity: str,
        videos: Sequence[CountedVideo],
        numbers: Sequence[tuple[str, Measured]],
        moments: int,
    ) -> Person:
        seen = [(video, video.people[identity][0]) for video in videos]
        sightings = tuple(
            Sighting(
                video=self.video_keys[video.video_id],
                values=tuple(video.metrics.get(name, math.nan) for name in self.found.metrics),
                first_s=appearance.first_s,
                seconds=appearance.screen_time_s,
                link=link_to_second(self.links[video.video_id], appearance.first_s),
            )
            for video, appearance in seen
        )
        opening = sum(appearance.first_s < _OPENING_S for _, appearance in seen)
        return Person(
            key=self.keys[identity],
            identity=identity,
            label=self.labels[identity],
            named=bool(self.redaction.name(self.found.people[identity].name)),
            cover=bool(self.faces.of(identity, 1)),
            videos=len(videos),
            seconds=sum(appearance.screen_time_s for _, appearance in seen),
            opening=opening / len(seen) if seen else math.nan,
            facts=self._facts(identity, videos, opening),
            moments=self._moments(identity, moments),
            sightings=sightings,
            distribution=self._distribution(videos),
            course=self._course(videos),
            numbers=tuple(numbers),
        )

    def _by_value(self, video: CountedVideo) -> tuple[float, str]:
        """Highest value of the metric first."""
        value = video.metrics.get(self.found.metrics[0], math.nan)
        return (-value if math.isfinite(value) else math.inf), video.video_id

    def _facts(
        self, identity: str, videos: Sequence[CountedVideo], opening: int
    ) -> tuple[str, ...]:
        """Sentences about where and how a person is on screen."""
        together = Counter(other for video in videos for other in video.people if other != identity)
        texts = [f"On screen in the first 3 s of {opening} of {count(len(videos), 'video')}"]
        sizes: Counter[str] = Counter()
        for video in videos:
            person = self.on_screen[video.video_id].get(identity)
            sizes.update(person.sizes_s if person else {})
        total = sum(sizes.values())
        if sizes[CLOSE_UP]:
            texts.append(f"a close-up for {100 * sizes[CLOSE_UP] / total:.0f} % of the time")
        for other, videos_with in together.most_common(_COMPANIONS):
            texts.append(f"{videos_with} with {self.labels.get(other, short(other))}")
        return tuple(texts)

    def _moments(self, identity: str, limit: int) -> tuple[Moment, ...]:
        cover = self.found.people[identity].cover_face
        return tuple(
            Moment(
                picture=data_url(self.registry, face, MOMENT),
                time_s=face.time_s,
                video=self.video_keys[face.video_id],
                title=self.titles[face.video_id],
                link=link_to_second(self.links[face.video_id], face.time_s),
            )
            for face in self.faces.of(identity, limit, first=cover)
        )

    def _covers(self) -> dict[str, str]:
        """The cover of each person by key; nobody has one if faces are not shown."""
        covers = {}
        for identity, key in self.keys.items():
            first = self.found.people[identity].cover_face
            for face in self.faces.of(identity, 1, first=first):
                covers[key] = data_url(self.registry, face, COVER)
        return covers

    def _distribution(self, videos: Sequence[CountedVideo]) -> tuple[marks.Dots, ...]:
        """The values of the metric in the videos with the person, and in all others."""
        own, known = self._mask(videos), np.isfinite(self.places)
        groups = []
        for mask, text, mine in ((own, "with", True), (~own, "without", False)):
            there = known & mask
            mean = self._mean(there)
            groups.append(
                marks.dots(
                    self.places[there].tolist(),
                    self.axis.place(mean) if math.isfinite(mean) else None,
                    f"{text} ({int(there.sum()):,})",
                    own=mine,
                )
            )
        return tuple(groups)

    def _course(self, videos: Sequence[CountedVideo]) -> marks.Course | None:
        """The metric over time, of the person's videos beside all."""
        if len(self.periods.labels) < 2:
            return None
        known = np.isfinite(self.values[self.found.metrics[0]])
        own = self._mask(videos) & known
        return marks.course(
            self.periods.labels,
            [self._mean(own & there) for there in self._in_periods],
            self._every,
            [int((own & there).sum()) for there in self._in_periods],
        )

    @cached_property
    def _in_periods(self) -> list[np.ndarray]:
        place = np.array(self.periods.of_video)
        return [place == number for number in range(len(self.periods.labels))]

    @cached_property
    def _every(self) -> list[float]:
        known = np.isfinite(self.values[self.found.metrics[0]])
        return [self._mean(known & there) for there in self._in_periods]

    def _mask(self, videos: Sequence[CountedVideo]) -> np.ndarray:
        mask = np.zeros(len(self.videos), np.bool_)
        mask[[self.rows_of_videos[video.video_id] for video in videos]] = True
        return mask

    def _mean(self, where: np.ndarray) -> float:
        """The mean of the metric over some videos, weighted as the table is; NaN: there is none."""
        from queries.statistics.means import geometric_mean, weighted_mean

        values, amounts = self.values[self.found.metrics[0]][where], self._amounts[where]
        there = amounts > 0
        if not there.any():
            return math.nan
        mean = geometric_mean if self.found.log else weighted_mean
        return float(mean(values[there], amounts[there]))

    @cached_property
    def _amounts(self) -> np.ndarray:
        if not self.found.weights[0]:
            return np.ones(len(self.videos))
        found = weights_of(self.videos, self.found.metrics[0], self.asked.weight)
        return np.nan_to_num(np.array(found, np.float64))

    # --- questions and pairs ----------------------------------------------------------------------

    def _questions(self) -> Questions:
        if self.asked.as_of is not None:
            return Questions((), 0)
        return open_questions(self.registry, self.redaction, self._titled)

    def _titled(self, video_id: str) -> tuple[str, str]:
        """What a video of a question is called, and its link; it may not be one of the page's."""
        counted = self.registry.view.counted_video(video_id)
        if counted in self.titles:
            return self.titles[counted], self.links[counted]
        video = self.registry.index.video(video_id)
        if video is None:
            return "a video", ""
        number = len(self.titles) + 1
        self.titles[counted] = title(video.url, video.attributes, self.redaction, number)
        self.links[counted] = self.redaction.link(video.url)
        return self.titles[counted], self.links[counted]

    def _pairs(self) -> PairRows:
        return pair_rows(
            self.registry,
            self.asked.selection,
            metric=self.found.metrics[0],
            weight=self.asked.weight,
            provisional=self.asked.provisional,
            keys=self.keys,
            labels=self.labels,
            as_of=self.asked.as_of,
        )


def _in_order(found: Report, asked: Asked) -> list[dict[Any, Any]]:
    """The rows of the table in the order of the page, the first `top` of each value of `by`."""
    rows = found.table.to_dict(orient="records")
    if not asked.sort:
        metric, by = found.metrics[0], f"by_{found.by}"

        def place(row: Mapping[Any, Any]) -> tuple[str, int, float, int, str]:
            verdict = _text(row[f"verdict_{metric}"]) or VERDICTS[-1]
            shrunk = row[f"shrunk_{metric}"]
            value = -shrunk if math.isfinite(shrunk) else math.inf
            group = str(row[by]) if found.by else ""
            return group, VERDICTS.index(verdict), value, -row["videos"], row["identity"]

        rows.sort(key=place)
    taken: Counter[str] = Counter()
    chosen = []
    for row in rows:
        group = str(row[f"by_{found.by}"]) if found.by else ""
        taken[group] += 1
        if asked.top is None or taken[group] <= asked.top:
            chosen.append(row)
    return chosen


def _whole(number: float) -> int:
    return 0 if math.isnan(number) else int(number)


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else ""
