"""Places of marks on charts that are drawn as inline SVG: axes, forest plots, strips. Pure.

All places are percent of the width, 0 to 100: a chart fills its column and its text keeps its size.
No mark needs a `style` attribute, which a strict Content-Security-Policy forbids. The templates in
`templates/marks.html` draw them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from queries.figures import figure

_RATIOS = (-0.95, -0.9, -0.75, -0.5, 0.0, 1.0, 3.0, 9.0, 19.0, 99.0)
"""Ratios minus one that an axis of ratios is labelled with."""
_LOWEST_RATIO = -0.98
_BEYOND = 2.0
"""The shared axis ends at so many times the median half width of the intervals beyond the outermost
difference, so that one unsure person does not flatten all others: a longer interval is cut, which
an arrow shows."""
_SKEWED = 20.0
"""Largest by smallest value from which an axis of values is logarithmic."""
_BINS = 40
MOST_DOTS = 300
"""Values that are drawn as dots; more are drawn as a histogram, which takes less space and time."""
_SAME = "same"
_APART = 13.0
"""Percent that two labels of an axis are apart at least."""
_LAYERS = (0, -1, 1, -2, 2)
OPENING_S = 3.0
"""Seconds that count as the opening of a video, where a platform counts a view."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    """Percent."""
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale that several charts share."""

    low: float
    """Smallest value, in the units of `transform`."""
    high: float
    ticks: tuple[Tick, ...]
    transform: Callable[[float], float] = float

    def place(self, value: float) -> float:
        """The place of a value in percent, with one decimal; at the edge if it is beyond.

        NaN if the value is not known.
        """
        if not math.isfinite(value):
            return math.nan
        share = (self.transform(value) - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 1)


@dataclass(frozen=True, slots=True)
class Forest:
    """One row of a forest plot: a difference with its interval on a shared axis. In percent."""

    low: float
    middle: float
    high: float
    zero: float
    cut_low: bool
    """Whether the interval goes on beyond the axis; likewise `cut_high`."""
    cut_high: bool
    kind: str
    """CSS classes: `a` clearly or leaning above, `b` below, `` unsure, `few`: only a hollow dot."""
    text: str
    """The same in words, for screen readers."""


def forest(
    axis: Axis, middle: float, low: float, high: float, verdict: str, text: str
) -> Forest | None:
    """The row of a forest plot; None where there is no difference to show."""
    if not math.isfinite(middle):
        return None
    ends = [axis.place(end) if math.isfinite(end) else axis.place(middle) for end in (low, high)]
    kind = {"above": "a", "below": "b", "few": "few"}.get(verdict.rpartition(" ")[2], "")
    return Forest(
        ends[0],
        axis.place(middle),
        ends[1],
        axis.place(0.0),
        axis.transform(low) < axis.low,
        axis.transform(high) > axis.high,
        kind,
        text,
    )


def axis_of_differences(rows: Iterable[tuple[float, float, float]], *, ratios: bool) -> Axis:
    """The axis that the differences of all rows share; zero is always on it.

    Args:
        rows: (difference, low, high); NaN where there is none.
        ratios: whether these are ratios minus one, which get a logarithmic scale.
    """
    known = [row for row in rows if math.isfinite(row[0])]
    if ratios:
        transform = _log_ratio
        known = [tuple(map(transform, row)) for row in known]  # type: ignore[misc]
    middles = [0.0, *(row[0] for row in known)]
    reach = max(middles) - min(middles) or 1.0
    lows = [row[1] for row in known if math.isfinite(row[1])]
    highs = [row[2] for row in known if math.isfinite(row[2])]
    halves = [(row[2] - row[1]) / 2 for row in known if math.isfinite(row[1] + row[2])]
    beyond = _BEYOND * median(halves) if halves else 0.5 * reach
    edges = min(middles) - beyond, max(middles) + beyond
    low = max(edges[0], min(middles[0] - 0.15 * reach, *middles, *lows))
    high = min(edges[1], max(middles[0] + 0.15 * reach, *middles, *highs))
    margin = 0.04 * (high - low)
    low, high = low - margin, high + margin
    if ratios:
        marks = [(_log_ratio(one), one) for one in _RATIOS if low <= _log_ratio(one) <= high]
        if len(marks) < 3:
            marks = [(_log_ratio(one), one) for one in _nice(math.expm1(low), math.expm1(high), 4)]
        texts = [(at, f"{100 * one:+,.0f} %" if one else _SAME) for at, one in marks]
        return Axis(low, high, _ticks(texts, low, high), _log_ratio)
    texts = [
        (at, f"{'+' if at > 0 else ''}{_short(at)}" if at else _SAME) for at in _nice(low, high, 5)
    ]
    return Axis(low, high, _ticks(texts, low, high))


def axis_of_values(values: Sequence[float]) -> Axis:
    """The axis of a metric: logarithmic if all values are above 0 and far apart."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if low > 0 and high / low > _SKEWED:
        low, high = math.log10(low), math.log10(high)
        margin = 0.03 * (high - low)
        low, high = low - margin, high + margin
        marks = [
            step * 10.0**power
            for power in range(math.floor(low), math.ceil(high) + 1)
            for step in ((1, 2, 5) if high - low < 2.5 else (1,))
        ]
        texts = [(math.log10(one), _short(one)) for one in marks if low <= math.log10(one) <= high]
        return Axis(low, high, _ticks(texts, low, high), math.log10)
    margin = 0.03 * (high - low) or 1.0
    low, high = low - margin, high + margin
    return Axis(low, high, _ticks([(v, _short(v)) for v in _nice(low, high, 6)], low, high))


@dataclass(frozen=True, slots=True)
class Dots:
    """The values of one group of videos: as dots, or of many as a histogram."""

    text: str
    """What the group is: `with (32)`."""
    own: bool
    """Whether it is the group with the person."""
    dots: tuple[tuple[float, int], ...]
    """Place in percent, and layer from -2 to 2, so that equal values do not hide each other."""
    bars: tuple[tuple[float, float, float], ...]
    """Place and width in percent, and height from 0 to 1."""
    mean: float | None
    """Percent."""


def dots(places: Sequence[float], middle: float | None, text: str, *, own: bool) -> Dots:
    """Where the values of a group of videos are on an axis.

    Args:
        places: of the values that are known, in percent, in any order.
        middle: place of the mean; None: not known.
        text: what the group is.
        own: whether it is the group with the person.
    """
    if len(places) <= MOST_DOTS:
        layers = len(_LAYERS)
        shown = tuple((place, _LAYERS[i % layers]) for i, place in enumerate(sorted(places)))
        return Dots(text, own, shown, (), middle)
    counts, _ = np.histogram(places, bins=_BINS, range=(0, 100))
    most, width = int(counts.max()), 100 / _BINS
    bars = tuple(
        (round(i * width, 1), width, round(int(count) / most, 2))
        for i, count in enumerate(counts)
        if count
    )
    return Dots(text, own, (), bars, middle)


@dataclass(frozen=True, slots=True)
class Course:
    """A metric over time: segments between periods that follow each other. All in percent."""

    own: tuple[tuple[float, float, float, float], ...]
    """x1, y1, x2, y2 of the videos with the person."""
    every: tuple[tuple[float, float, float, float], ...]
    """The same of all videos."""
    points: tuple[tuple[float, float, str], ...]
    """x, y and a text of each period with videos of the person."""
    periods: tuple[Tick, ...]
    values: tuple[Tick, ...]
    """Labels from below (100) to above (0)."""


def course(
    periods: Sequence[str], own: Sequence[float], every: Sequence[float], counts: Sequence[int]
) -> Course | None:
    """The means of a person's videos by period beside those of all; None for a single period.

    Args:
        periods: labels, in order, without gaps.
        own: mean of the person's videos in each; NaN: none.
        every: mean of all videos in each.
        counts: how many videos of the person each has.
    """
    known = [value for value in (*own, *every) if math.isfinite(value)]
    if len(periods) < 2 or not known:
        return None
    low, high = min(0.0, *known), max(0.0, *known)
    span = (high - low) or 1.0
    xs = [round(3 + 94 * i / (len(periods) - 1), 1) for i in range(len(periods))]

    def place(value: float) -> float:
        return round(100 * (1 - (value - low) / span), 1)

    def segments(values: Sequence[float]) -> tuple[tuple[float, float, float, float], ...]:
        there = [i for i, value in enumerate(values) if math.isfinite(value)]
        return tuple((xs[a], place(values[a]), xs[b], place(values[b])) for a, b in pairwise(there))

    step = math.ceil(len(periods) / 8)
    return Course(
        segments(own),
        segments(every),
        tuple(
            (xs[i], place(value), f"{periods[i]}: {figure(value)}, n {counts[i]}")
            for i, value in enumerate(own)
            if math.isfinite(value)
        ),
        tuple(Tick(xs[i], periods[i]) for i in range(0, len(periods), step)),
        tuple(Tick(place(at), _short(at)) for at in _nice(low, high, 3)),
    )


@dataclass(frozen=True, slots=True)
class Lane:
    """When one person is on screen in a video."""

    person: str
    """Key of the person on the page."""
    spans: tuple[tuple[float, float], ...]
    """Beginning and length of each stretch, in percent of the video."""
    text: str
    """The same in words, for screen readers."""


def lane(person: str, stretches: Sequence[tuple[float, float]], duration_s: float) -> Lane:
    """The lane of a person in the strip of a video.

    Args:
        person: key of the person on the page.
        stretches: beginning and end of each, in seconds.
        duration_s: of the video, above 0.
    """
    spans = tuple(
        (
            round(min(100.0, 100 * start / duration_s), 1),
            round(max(0.6, min(100.0, 100 * end / duration_s) - 100 * start / duration_s), 1),
        )
        for start, end in stretches
    )
    times = ", ".join(f"{clock(start)} to {clock(end)}" for start, end in stretches[:12])
    more = f" and {len(stretches) - 12} more" if len(stretches) > 12 else ""
    return Lane(person, spans, times + more)


def place_of_opening(duration_s: float) -> float | None:
    """Where the opening of a video of this length in seconds ends; None if it is not longer."""
    return round(100 * OPENING_S / duration_s, 1) if duration_s > OPENING_S else None


def clock(seconds: float) -> str:
    """Seconds as `0:04` or `1:02:03`, rounded down as players do."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _log_ratio(ratio: float) -> float:
    return math.log1p(max(_LOWEST_RATIO, ratio)) if math.isfinite(ratio) else ratio


def _nice(low: float, high: float, wanted: int) -> list[float]:
    """About so many round numbers between two; 0 is exactly 0."""
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= raw)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _ticks(texts: Sequence[tuple[float, str]], low: float, high: float) -> tuple[Tick, ...]:
    """Ticks that do not run into each other; "same" stays."""
    placed = [Tick(round(100 * (at - low) / (high - low), 1), text) for at, text in texts]
    kept = [tick for tick in placed if tick.text == _SAME]
    for tick in sorted(placed, key=lambda tick: abs(tick.at - kept[0].at) if kept else tick.at):
        if tick not in kept and all(abs(tick.at - other.at) >= _APART for other in kept):
            kept.append(tick)
    return tuple(sorted(kept, key=lambda tick: tick.at))


def _short(value: float) -> str:
    """A label of an axis: `0.5`, `20`, `1,500`, `2M`."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.3g}M"
    return f"{value:,.6g}"
