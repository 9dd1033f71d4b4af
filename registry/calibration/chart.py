"""The chart of a calibration: similarities of one person and of two, and the thresholds.

Three panels share one axis of cosine similarity: single faces, their false-accept rate, and means
of tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.calibration.measurement import MeasuredThreshold, Measurement
from registry.calibration.sample_size import Pairs, face_weights
from registry.calibration.thresholds import Basis
from registry.charts import Chart, themed
from registry.faces.rates import Curve, Floats
from registry.terminal import rate

if TYPE_CHECKING:
    import altair

_WIDTH, _PANEL = 876, 210
"""px: of a panel."""
_BIN = 0.02
"""Cosine: the width of a bar."""
_LOWEST_RATE = 1e-6
"""The end of the axis of rates."""
_SAME, _STRANGERS, _MERGED = range(3)
_COUNTED = 4
"""Places in the theme's range `category`: blue, orange, light blue; grey."""


def draw(measurement: Measurement) -> Chart:
    """The chart, of Altair."""
    import altair as alt

    faces, tracks, pairs = measurement.faces, measurement.tracks, measurement.pairs
    samples = (faces.impostors, tracks.impostors, pairs.within)
    lowest = [float(s.similarities.min()) for s in samples if len(s.similarities)]
    low = float(np.floor(min([-0.2, *lowest]) * 10) / 10)
    same = (
        ("one person, in one track", pairs.within, _SAME),
        ("one person, merged by a person", pairs.across, _MERGED),
    )
    merged = (("one person, merged by a person", pairs.across_tracks, _MERGED),)
    title = f"Calibration of {measurement.calibration.model} on this registry"
    words = [_label(faces), _label(tracks)]
    chart = alt.vconcat(
        _histogram(low, "Single faces: lookup", faces, same),
        _rates(low, measurement),
        _histogram(low, "Means of tracks: suggest, consolidate", tracks, merged),
        spacing=36,
    ).resolve_scale(color="independent", strokeDash="independent")
    return themed(
        chart.properties(
            title=title,
            description=f"{title}. Single faces: {words[0]}. Means of tracks: {words[1]}.",
        )
    )


def _label(threshold: MeasuredThreshold) -> str:
    estimate = threshold.estimate
    kept = ", the model's own" if estimate.basis is Basis.SHIPPED else ""
    return (
        f"threshold {estimate.threshold:.3f}{kept}, 95 % interval {estimate.low:.3f} to "
        f"{estimate.high:.3f}; target rate {rate(estimate.target)}; dashed: threshold of that rate "
        f"on the shipped curve, {estimate.shipped:.3f}"
    )


def _x(low: float, field: str = "similarity") -> altair.X:
    import altair as alt

    scale = alt.Scale(domain=[low, 1.0], nice=False, clamp=True)
    axis = alt.Axis(values=[tenth / 10 for tenth in range(round(low * 10), 11, 2)], format=".1f")
    return alt.X(f"{field}:Q", title="cosine similarity", scale=scale, axis=axis)


def _colour(names: dict[int, str], symbol: str = "square") -> altair.Color:
    """The colour of each series by its place in the theme; the legend tells what it is."""
    import altair as alt

    return alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(
            domain=[names.get(place, f"(none {place})") for place in range(max(names) + 1)],
            range="category",
        ),
        legend=alt.Legend(
            values=list(names.values()),
            orient="top",
            direction="vertical",
            symbolType=symbol,
            symbolOpacity=1,
        ),
    )


def _histogram(
    low: float, title: str, threshold: MeasuredThreshold, genuine: Sequence[tuple[str, Pairs, int]]
) -> Chart:
    import altair as alt

    edges = np.arange(low, 1 + 2 * _BIN, _BIN)
    support = threshold.estimate.support
    kinds = [
        (
            f"two people: {support.pairs:,} pairs, of {support.of_people:,} pairs of people, worth "
            f"{support.independent:.0f} independent",
            threshold.impostors,
            _STRANGERS,
        ),
        *(
            (f"{name}: {len(p.similarities):,} pairs of {len(np.unique(p.people)):,} people", p, at)
            for name, p, at in genuine
            if len(p.similarities)
        ),
    ]
    bars = [
        {"from": left, "to": min(right, 1.0), "share": share, "series": name}
        for name, pairs, _ in kinds
        for left, right, share in zip(
            edges.tolist(), edges[1:].tolist(), _shares(pairs, edges).tolist(), strict=False
        )
        if share > 0 and left < 1
    ]
    names = {place: name for name, _, place in kinds}
    histogram = (
        alt.Chart(alt.InlineData(values=bars))
        .mark_bar(opacity=0.55, binSpacing=1)
        .encode(
            x=_x(low, "from"),
            x2="to",
            y=alt.Y("share:Q", title="share of the pairs", stack=None, axis=alt.Axis(format="%")),
            y2=alt.datum(0),
            color=_colour(names),
        )
    )
    return alt.layer(histogram, *_thresholds(low, threshold)).properties(
        width=_WIDTH, height=_PANEL, title=alt.Title(title, subtitle=_label(threshold))
    )


def _thresholds(low: float, threshold: MeasuredThreshold) -> Iterator[Chart]:
    """The threshold with its interval, and the shipped threshold of the target rate."""
    import altair as alt

    estimate = threshold.estimate
    data = {
        "low": estimate.low,
        "high": estimate.high,
        "threshold": estimate.threshold,
        "shipped": estimate.shipped,
    }
    base = alt.Chart(alt.InlineData(values=[data]))
    yield base.mark_rect(style="band").encode(x=_x(low, "low"), x2="high")
    yield base.mark_rule(style="reference", strokeDash=[6, 4]).encode(x=_x(low, "shipped"))
    yield base.mark_rule(style="threshold").encode(x=_x(low, "threshold"))


def _shares(pairs: Pairs, edges: Floats) -> Floats:
    """The share of pairs in each bar; each pair of people, or person, counts once."""
    if not len(pairs.similarities):
        return np.zeros(len(edges) - 1)
    counts = np.histogram(pairs.similarities, edges, weights=face_weights(pairs))[0]
    shares: Floats = counts / counts.sum()
    return shares


def _rates(low: float, measurement: Measurement) -> Chart:
    """False-accept rate of single faces by threshold: counted, estimated, and shipped."""
    import altair as alt

    faces = measurement.faces
    estimate = faces.estimate
    names = (
        "this registry, estimated",
        "this registry, counted",
        f"the model's shipped curve ({measurement.shipped.source})",
    )
    y = alt.Y(
        "rate:Q",
        title="rate per comparison",
        scale=alt.Scale(type="log", domain=[_LOWEST_RATE, 1], nice=False, clamp=True),
        axis=alt.Axis(format="~e", values=[10.0**-power for power in range(7)]),
    )
    series = alt.StrokeDash(
        "series:N",
        title=None,
        scale=alt.Scale(domain=list(names), range=[[1, 0], [1, 0], [6, 4]]),
        legend=None,
    )
    lines = [
        *_curve(estimate.curve, low, names[0]),
        *_curve(measurement.shipped.curve, low, names[2]),
    ]
    colour = _colour({_SAME: names[2], _STRANGERS: names[0], _COUNTED: names[1]}, "stroke")
    curves = (
        alt.Chart(alt.InlineData(values=lines))
        .mark_line()
        .encode(x=_x(low), y=y, strokeDash=series, color=colour)
    )
    steps = (
        alt.Chart(alt.InlineData(values=list(_counted(faces.impostors, names[1]))))
        .mark_line(interpolate="step-before", strokeWidth=1.5)
        .encode(x=_x(low), y=y, strokeDash=series, color=colour)
    )
    target = alt.Chart(alt.InlineData(values=[{"rate": estimate.target}]))
    label = (
        f"at {estimate.threshold:.3f}: {rate(estimate.far)}, 95 % interval "
        f"{rate(estimate.far_low)} to {rate(estimate.far_high)}; {estimate.needed:,} independent "
        "pairs of people would show the target rate directly"
    )
    return alt.layer(
        *_thresholds(low, faces),
        target.mark_rule(style="reference", strokeDash=[2, 3]).encode(y=y),
        curves,
        steps,
    ).properties(
        width=_WIDTH,
        height=_PANEL,
        title=alt.Title("Single faces: false-accept rate", subtitle=label),
    )


def _curve(curve: Curve, low: float, name: str) -> Iterator[dict[str, Any]]:
    for similarity in np.arange(low, 1.001, 0.01).tolist():
        if (value := curve.far(similarity)) > _LOWEST_RATE:
            yield {"similarity": similarity, "rate": value, "series": name}


def _counted(pairs: Pairs, name: str) -> Iterator[dict[str, Any]]:
    """The share of the pairs that are at least so similar, at each similarity of one."""
    if not len(pairs.similarities):
        return
    order = np.argsort(pairs.similarities)
    weights = face_weights(pairs)[order]
    above = 1 - np.concatenate([[0.0], np.cumsum(weights)[:-1]]) / weights.sum()
    for similarity, share in zip(pairs.similarities[order].tolist(), above.tolist(), strict=True):
        yield {"similarity": similarity, "rate": share, "series": name}
    yield {"similarity": float(pairs.similarities.max()), "rate": _LOWEST_RATE, "series": name}
