"""The chart of a calibration: similarities of one person and of two, and the thresholds.

Three panels share one axis of cosine similarity: single faces, their false-accept rate, and means
of tracks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from registry.calibration.drawing import Area, Picture, Stroke, Words, box
from registry.calibration.measurement import MeasuredThreshold, Measurement
from registry.calibration.sample_size import Pairs, face_weights
from registry.calibration.thresholds import Basis
from registry.faces.rates import Curve, Floats
from registry.terminal import rate

_WIDTH, _LEFT, _RIGHT = 960, 72, 24
_PANEL, _GAP, _TOP = 210, 158, 130
_ROW = 18
"""px: the height of a panel, between panels, and above the first; of a line of the legend."""
_BIN = 0.02
"""Cosine: the width of a bar."""
_LOWEST_RATE = 1e-6
"""The end of the axis of rates."""
_STRANGERS, _SAME, _MERGED = "#c4561a", "#1f5fa8", "#0b7a5b"
_LINE, _PALE, _INK, _SOFT = "#111111", "#e6e6e6", "#333333", "#777777"


@dataclass(frozen=True, slots=True)
class _Axis:
    """The axis that all panels share."""

    low: float
    high: float = 1.0

    def x(self, similarity: float) -> float:
        share = (min(max(similarity, self.low), self.high) - self.low) / (self.high - self.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def draw(measurement: Measurement) -> Picture:
    """The chart."""
    faces, tracks, pairs = measurement.faces, measurement.tracks, measurement.pairs
    samples = (faces.impostors, tracks.impostors, pairs.within)
    lowest = [float(s.similarities.min()) for s in samples if len(s.similarities)]
    axis = _Axis(np.floor(min([-0.2, *lowest]) * 10) / 10)
    tops = [_TOP + n * (_PANEL + _GAP) for n in range(3)]
    title = f"Calibration of {measurement.calibration.model} on this registry"
    picture = Picture(_WIDTH, tops[2] + _PANEL + 68, title)
    picture.shapes.append(Words(_LEFT, 34, title, _INK, 19))
    same = (
        ("one person, in one track", pairs.within, _SAME),
        ("one person, merged by a person", pairs.across, _MERGED),
    )
    merged = (("one person, merged by a person", pairs.across_tracks, _MERGED),)
    _histogram(picture, axis, tops[0], "Single faces: lookup", faces, same)
    _rates(picture, axis, tops[1], measurement)
    _histogram(picture, axis, tops[2], "Means of tracks: suggest, consolidate", tracks, merged)
    return picture


def _frame(picture: Picture, axis: _Axis, top: float, title: str, across: str, rows: int) -> None:
    """Title, axes and their names, below `rows` lines of legend."""
    bottom = top + _PANEL
    picture.shapes.append(Words(_LEFT, top - 12 - _ROW * rows, title, _INK, 15))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    picture.shapes.append(Words(middle, bottom + 34, "cosine similarity", _INK, 12, "middle"))
    for tenth in range(round(axis.low * 10), 11, 2):
        x = axis.x(tenth / 10)
        picture.shapes.append(Stroke(((x, top), (x, bottom)), _PALE))
        picture.shapes.append(Words(x, bottom + 18, f"{tenth / 10:.1f}", _SOFT, 11, "middle"))
    picture.shapes.append(Stroke(((_LEFT, bottom), (_WIDTH - _RIGHT, bottom)), _SOFT))
    picture.shapes.append(Words(22, top + _PANEL / 2, across, _INK, 12, "middle", upright=True))


def _lines(picture: Picture, axis: _Axis, top: float, threshold: MeasuredThreshold) -> None:
    """The threshold with its interval, and the shipped threshold of the target rate."""
    estimate, bottom = threshold.estimate, top + _PANEL
    picture.shapes.append(
        Area(box(axis.x(estimate.low), top, axis.x(estimate.high), bottom), _LINE, 0.08)
    )
    for at, colour, width, dashed in (
        (estimate.shipped, _SOFT, 1.2, True),
        (estimate.threshold, _LINE, 1.8, False),
    ):
        picture.shapes.append(
            Stroke(((axis.x(at), top), (axis.x(at), bottom)), colour, width, dashed)
        )


def _label(threshold: MeasuredThreshold) -> str:
    estimate = threshold.estimate
    kept = ", the model's own" if estimate.basis is Basis.SHIPPED else ""
    return (
        f"threshold {estimate.threshold:.3f}{kept}, 95 % interval {estimate.low:.3f} to "
        f"{estimate.high:.3f}; target rate {rate(estimate.target)}; dashed: threshold of that rate "
        f"on the shipped curve, {estimate.shipped:.3f}"
    )


def _histogram(
    picture: Picture,
    axis: _Axis,
    top: float,
    title: str,
    threshold: MeasuredThreshold,
    genuine: Sequence[tuple[str, Pairs, str]],
) -> None:
    genuine = [kind for kind in genuine if len(kind[1].similarities)]
    _frame(picture, axis, top, title, "share of the pairs", 1 + len(genuine))
    edges = np.arange(axis.low, 1 + 2 * _BIN, _BIN)
    support = threshold.estimate.support
    names = (
        f"two people: {support.pairs:,} pairs, of {support.of_people:,} pairs of people, worth "
        f"{support.independent:.0f} independent",
        *(
            f"{name}: {len(p.similarities):,} pairs of {len(np.unique(p.people)):,} people"
            for name, p, _ in genuine
        ),
    )
    kinds = [(threshold.impostors, _STRANGERS), *((p, colour) for _, p, colour in genuine)]
    shares = [_shares(pairs, edges) for pairs, _ in kinds]
    tallest = max([0.01, *(float(s.max()) for s in shares)])
    picture.shapes.append(Words(_LEFT - 8, top + 10, f"{tallest:.0%}", _SOFT, 11, "end"))
    picture.shapes.append(Words(_LEFT - 8, top + _PANEL, "0", _SOFT, 11, "end"))
    for share, (_, colour) in zip(shares, kinds, strict=True):
        _bars(picture, axis, top, edges, share / tallest, colour)
    _lines(picture, axis, top, threshold)
    _legend(picture, top, names, [colour for _, colour in kinds])
    picture.shapes.append(Words(_LEFT, top + _PANEL + 54, _label(threshold), _INK, 12))


def _shares(pairs: Pairs, edges: Floats) -> Floats:
    """The share of pairs in each bar; each pair of people, or person, counts once."""
    if not len(pairs.similarities):
        return np.zeros(len(edges) - 1)
    counts = np.histogram(pairs.similarities, edges, weights=face_weights(pairs))[0]
    shares: Floats = counts / counts.sum()
    return shares


def _bars(
    picture: Picture, axis: _Axis, top: float, edges: Floats, heights: Floats, colour: str
) -> None:
    bottom = top + _PANEL
    for left, right, height in zip(edges, edges[1:], heights, strict=False):
        if height > 0 and left < axis.high:
            y = bottom - float(height) * (_PANEL - 6)
            corners = box(axis.x(float(left)) + 0.5, y, axis.x(float(right)) - 0.5, bottom)
            picture.shapes.append(Area(corners, colour, 0.55))


def _legend(picture: Picture, top: float, names: Sequence[str], colours: Sequence[str]) -> None:
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        y = top - 10 - _ROW * (len(names) - 1 - number)
        picture.shapes.append(Area(box(_LEFT, y - 9, _LEFT + 10, y + 1), colour, 0.7))
        picture.shapes.append(Words(_LEFT + 18, y, name, _INK, 12))


def _rates(picture: Picture, axis: _Axis, top: float, measurement: Measurement) -> None:
    """False-accept rate of single faces by threshold: counted, estimated, and shipped."""
    _frame(picture, axis, top, "Single faces: false-accept rate", "rate per comparison", 3)
    bottom = top + _PANEL
    powers = -round(math.log10(_LOWEST_RATE))

    def y(value: float) -> float:
        return top + _PANEL * min(max(-math.log10(max(value, 1e-300)), 0.0), powers) / powers

    for power in range(powers + 1):
        at = top + _PANEL * power / powers
        words = f"1e-{power}" if power else "1"
        picture.shapes.append(Stroke(((_LEFT, at), (_WIDTH - _RIGHT, at)), _PALE))
        picture.shapes.append(Words(_LEFT - 8, at + 4, words, _SOFT, 11, "end"))
    faces = measurement.faces
    estimate = faces.estimate
    _lines(picture, axis, top, faces)
    for curve, colour, dashed in (
        (measurement.shipped.curve, _SOFT, True),
        (estimate.curve, _STRANGERS, False),
    ):
        points = _curve_points(curve, axis, y, bottom)
        picture.shapes.append(Stroke(points, colour, 2.0, dashed))
    picture.shapes.extend(_counted(faces.impostors, axis, y, bottom))
    target = y(estimate.target)
    picture.shapes.append(Stroke(((_LEFT, target), (_WIDTH - _RIGHT, target)), _LINE, 1.0, True))
    names = (
        "this registry, estimated",
        "this registry, counted",
        f"the model's shipped curve ({measurement.shipped.source})",
    )
    _legend(picture, top, names, (_STRANGERS, _INK, _SOFT))
    words = (
        f"at {estimate.threshold:.3f}: {rate(estimate.far)}, 95 % interval "
        f"{rate(estimate.far_low)} to {rate(estimate.far_high)}; {estimate.needed:,} independent "
        "pairs of people would show the target rate directly"
    )
    picture.shapes.append(Words(_LEFT, bottom + 54, words, _INK, 12))


def _curve_points(
    curve: Curve, axis: _Axis, y: Callable[[float], float], bottom: float
) -> list[tuple[float, float]]:
    points = [(axis.x(s), y(curve.far(s))) for s in np.arange(axis.low, 1.001, 0.01).tolist()]
    return [point for point in points if point[1] < bottom]


def _counted(pairs: Pairs, axis: _Axis, y: Callable[[float], float], bottom: float) -> list[Stroke]:
    """The rate among the pairs, in steps."""
    if not len(pairs.similarities):
        return []
    order = np.argsort(pairs.similarities)
    weights = face_weights(pairs)[order]
    above = 1 - np.concatenate([[0.0], np.cumsum(weights)[:-1]]) / weights.sum()
    points: list[tuple[float, float]] = []
    for similarity, share in zip(pairs.similarities[order].tolist(), above.tolist(), strict=True):
        x = axis.x(similarity)
        points += [(x, points[-1][1]), (x, y(share))] if points else [(x, y(share))]
    points.append((points[-1][0], bottom))
    return [Stroke(points, _INK, 1.2)]
