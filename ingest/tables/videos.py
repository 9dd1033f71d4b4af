"""Turns the rows below a header into `VideoRow`s: one for each video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.tables.cells import url_text
from ingest.tables.conversion import NumberColumn
from ingest.tables.header import Header
from ingest.tables.locations import Locator
from ingest.tables.placements import MOST_VALUES, combine, how_to_combine
from ingest.tables.sheet import Row
from ingest.tables.specs import Aggregation, MetricSpec
from ingest.tables.table import SkippedRow, UnreadableCell, Value, VideoRow
from ingest.tables.totals import is_blank
from registry.domain import Weighted
from registry.errors import RowError
from registry.urls import Url, printable

SHOWN = 20
"""The most sentences of one kind, and the most row numbers in a sentence."""


@dataclass(slots=True)
class Body:
    """The rows below a header, and what the user should know of them."""

    rows: list[Row] = field(default_factory=list)
    """Each as long as the header."""
    failures: list[RowError] = field(default_factory=list)
    skipped: list[SkippedRow] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class RowReader:
    """Turns each row into a `VideoRow`, and collects the cells that cannot be read."""

    def __init__(
        self,
        header: Header,
        numbers: Mapping[str, NumberColumn],
        attributes: Mapping[str, Sequence[Value | None]],
    ) -> None:
        self._header = header
        self._specs = header.specs
        self._means = [spec for spec in header.specs if spec.aggregation is Aggregation.MEAN]
        self._numbers = numbers
        self._attributes = attributes
        self.unreadable: list[UnreadableCell] = []
        self.weightless: dict[str, list[int]] = {}
        """Rows with a value and without a weight, by metric."""
        self._bad = {place for column in numbers.values() for place in column.unreadable}

    def video_rows(self, body: Body, locator: Locator) -> Iterator[VideoRow]:
        """The rows that name a video, in their order; the others are added to `body.failures`."""
        names = [spec.name for spec in self._specs]
        metrics = zip(*(self._numbers[name].values for name in names), strict=True)
        labels = list(self._attributes)
        attributes = (
            zip(*self._attributes.values(), strict=True) if labels else iter([()] * len(body.rows))
        )
        located: dict[str, tuple[Url, Url]] = {}
        url = self._header.url
        for place, ((row, cells), values, labelled) in enumerate(
            zip(body.rows, metrics, attributes, strict=True)
        ):
            text = "" if is_blank(cells[url]) else url_text(cells[url])
            urls = located.get(text)
            if urls is None:
                try:
                    urls = located[text] = locator.locate(row, text)
                except RowError as exc:
                    body.failures.append(exc)
                    continue
            video = VideoRow(
                row,
                *urls,
                {
                    name: value
                    for name, value in zip(names, values, strict=True)
                    if value is not None
                },
                attributes={
                    label: value
                    for label, value in zip(labels, labelled, strict=True)
                    if value is not None
                },
                rows=(row,),
            )
            if self._means or place in self._bad:
                video = self._with_weights(place, video)
            yield video

    def _with_weights(self, place: int, video: VideoRow) -> VideoRow:
        """The row with the weights of means, and without metrics that cannot be read."""
        unreadable = {spec.name for spec in self._specs if self._is_bad(place, spec.name, video)}
        metrics, weights = dict(video.metrics), {}
        for spec in self._means:
            value = metrics.get(spec.name)
            weight = self._numbers[spec.weight].values[place]
            if self._is_bad(place, spec.weight, video) or (weight is not None and weight < 0):
                if weight is not None:
                    self._report(
                        video.row, spec.weight, f"{weight:g}", "a weight cannot be negative"
                    )
                unreadable.add(spec.name)
                metrics.pop(spec.name, None)
            elif value is not None and weight is not None:
                weights[spec.name] = Weighted(value * weight, weight)
            elif value is not None:
                self.weightless.setdefault(spec.name, []).append(video.row)
        return replace(video, metrics=metrics, weights=weights, unreadable=frozenset(unreadable))

    def _is_bad(self, place: int, name: str, video: VideoRow) -> bool:
        bad = self._numbers[name].unreadable.get(place)
        if bad is not None:
            self._report(video.row, name, bad.cell, bad.why)
        return bad is not None

    def _report(self, row: int, name: str, cell: str, why: str) -> None:
        unreadable = UnreadableCell(row, printable(name), printable(cell), why)
        if unreadable not in self.unreadable[-2 * len(self._numbers) :]:
            self.unreadable.append(unreadable)


def combined(
    rows: Sequence[VideoRow], specs: Sequence[MetricSpec], body: Body
) -> Sequence[VideoRow]:
    """Combine the rows of each video. Differences between them become warnings."""
    groups: dict[Url, list[VideoRow]] = {}
    for row in rows:
        groups.setdefault(row.url, []).append(row)
    repeated = len(rows) - len(groups)
    if not repeated:
        return rows
    videos = [combine(group, specs) for group in groups.values()]
    conflicts = [conflict for video in videos for conflict in video.conflicts]
    body.warnings += [sentence for _, sentence in conflicts[:SHOWN]]
    if len(conflicts) > SHOWN:
        body.warnings.append(f"{len(conflicts) - SHOWN} more values differ in the same way.")
    several = "rows repeat URLs" if repeated > 1 else "row repeats a URL"
    if any(spec.aggregation is Aggregation.SINGLE for spec in specs):
        hint = f" {how_to_combine(conflicts[0][0])}" if conflicts else ""
        body.warnings.append(
            f"{repeated} {several} of earlier rows. Each video counts once, with the values of its "
            f"first row.{hint}"
        )
    else:
        body.notes.append(
            f"{repeated} {several} of earlier rows. They were combined: "
            f"{', '.join(map(str, specs))}."
        )
    cut = sorted(frozenset[str]().union(*(video.cut for video in videos)))
    if cut:
        body.notes.append(
            f"More than {MOST_VALUES} different values of one video in {', '.join(cut)}. The "
            f"first {MOST_VALUES} are kept."
        )
    return [video.video for video in videos]
