"""Forest plots: means with their intervals, one row each, on one shared axis. Pure."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from queries.figures import figure
from queries.plot.labels import described, people_labels, person_column
from registry.charts import Chart, rows, themed
from registry.errors import UsageError
from registry.urls import printable

VERDICTS = (
    "clearly above",
    "clearly below",
    "leaning above",
    "leaning below",
    "cannot tell",
    "too few",
)
"""In the order of the colours, `registry.charts.CATEGORIES`. The words stand beside the rows, so a
legend would repeat them."""
_WIDTH, _STEP = 560, 26
"""px: of the axis, and of a row."""
_ROOM = 1.0
"""How far the axis goes beyond the means on each side, as a share of their range. The interval of
three videos can be many times as long, and would leave the others as dots."""
_MEASURES = ("n", "mean", "shrunk", "difference", "low", "high", "verdict", "adjusted")


def ranking(
    table: pd.DataFrame, metric: str = "", *, log: bool = False, top: int = 30, level: float = 0.95
) -> Chart:
    """How the videos with each person perform, and how sure that is; in the order of the table.

    A dot is the mean of the videos with a person, the grey tick beside it that of the others. The
    line is the interval of the difference between the two: if it leaves out the tick, the
    difference is unlikely to be chance. Hollow dots have too few videos for an interval.

    People without a value of the metric have no row.

    Args:
        table: of `report`, also with `by`, or of `statistics.performance`.
        metric: one of the report's; by default its first.
        log: whether the table was made with `log=True` (`scale="log"`): the axis is logarithmic.
        top: the number of rows; with `by`, for each value.
        level: of the intervals in the table.

    Raises:
        UsageError: the table has no such metric.
    """
    found, metric = _measures(table, metric)
    table, found = table[found["mean"].notna()], found[found["mean"].notna()]
    column = next((str(name) for name in table.columns if str(name).startswith("by_")), "")
    parts = []
    groups = table.groupby(column, sort=False).indices if column else {"": np.arange(len(table))}
    for value, where in groups.items():
        people = table.iloc[where]
        shown = _forest_rows(found.iloc[where], log).head(top)
        names = people["name"] if "name" in people else people[person_column(people)]
        labels = people_labels(people[person_column(people)].head(top), names.head(top))
        shown.insert(0, "label", labels)
        shown["note"] = [
            f"{n:.0f} video{'s' if n != 1 else ''}, {verdict}"
            for n, verdict in zip(shown["n"], shown["verdict"], strict=True)
        ]
        parts.append((value, shown, len(where)))
    adjusted = "adjusted" in found and bool(found["adjusted"].notna().any())
    how = "geometric mean" if log else "mean"
    title = f"{printable(metric)} of the videos with each person" if metric else "Videos by person"
    subtitle = [
        f"Dot: {how}. Line: {level:.0%} interval of the difference from the videos without the "
        "person, whose mean is the tick.",
        "Hollow: too few videos to tell. Associations, not causes."
        + (" The words are about the difference after adjustment." if adjusted else ""),
    ]
    if any(number > top for _, _, number in parts):
        subtitle.append(f"The first {top} of {max(number for _, _, number in parts):,} people.")
    axis = f"{how} {printable(metric)}".strip() + (" (log scale)" if log else "")
    axes = _limits(pd.concat([shown for _, shown, _ in parts]), log)
    charts = [_forest(shown, axis, axes, log) for _, shown, _ in parts]
    if column:
        name = column.removeprefix("by_")
        charts = [
            chart.properties(title=alt.Title(f"{name}: {str(value) or '(none)'}", fontSize=13))
            for chart, (value, _, _) in zip(charts, parts, strict=True)
        ]
    sentences = [
        (f"{value}: " if column else "") + _sentence(row)
        for value, shown, _ in parts
        for row in shown.to_dict("records")
    ]
    chart = alt.vconcat(*charts) if column else charts[0]
    return themed(
        chart.properties(
            title=alt.Title(title, subtitle=subtitle), description=described(title, sentences)
        )
    )


def pairs(table: pd.DataFrame, metric: str = "", *, top: int = 30, level: float = 0.95) -> Chart:
    """How the videos with two people perform beside those with one of them alone.

    Args:
        table: of `pairs_frame`.
        metric: its name, for the title.
        top: the number of rows.
        level: of the intervals in the table.
    """
    shown = table.head(top)
    frame = _forest_rows(
        pd.DataFrame(
            {
                "n": shown["n_together"],
                "mean": shown["mean_together"],
                **{name: shown[name] for name in ("difference", "low", "high", "verdict")},
            }
        ),
        log=False,
    )
    ids = [*shown["first"], *shown["second"]]
    known = dict(zip(ids, [*shown["first_name"], *shown["second_name"]], strict=True))
    labels = dict(zip(known, people_labels(known, known.values()), strict=True))
    frame.insert(
        0,
        "label",
        [
            f"{labels[a]} + {labels[b]}"
            for a, b in zip(shown["first"], shown["second"], strict=True)
        ],
    )
    frame["first"] = shown["mean_first_alone"].to_numpy(np.float64)
    frame["second"] = shown["mean_second_alone"].to_numpy(np.float64)
    frame["note"] = [
        f"{together} together, {a} + {b} alone, {verdict}"
        for together, a, b, verdict in zip(
            shown["n_together"],
            shown["n_first_alone"],
            shown["n_second_alone"],
            shown["verdict"],
            strict=True,
        )
    ]
    title = f"{printable(metric)} of the videos with both people".strip()
    subtitle = [
        f"Dot: mean with both. Line: {level:.0%} interval of the difference from the videos with "
        "one of them, whose mean is the tick.",
        "Triangles: mean of the first person alone (pointing down) and of the second (up). Hollow: "
        "too few videos to tell.",
    ]
    if len(table) > top:
        subtitle.append(f"The first {top} of {len(table):,} pairs.")
    axis = f"mean {printable(metric)}".strip()
    sentences = [
        f"{_sentence(row)}; the first alone {figure(row['first'])}, the second alone "
        f"{figure(row['second'])}"
        for row in frame.to_dict("records")
    ]
    chart = _forest(frame, axis, _limits(frame, log=False), log=False, alone=True)
    return themed(
        chart.properties(
            title=alt.Title(title, subtitle=subtitle), description=described(title, sentences)
        )
    )


def _measures(table: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str]:
    """The columns `_MEASURES` that the table has of a metric, by measure; and the metric."""
    if "verdict" in table and "person" in table:
        return table[[name for name in _MEASURES if name in table]], metric
    named = [
        str(name).removeprefix("verdict_") for name in table.columns if "verdict_" in str(name)
    ]
    metric = metric or (named[0] if named else "")
    if metric not in named:
        raise UsageError(
            f"The table has no verdicts about the metric '{printable(metric)}'. Metrics with "
            f"verdicts: {printable(', '.join(named)) or 'none'}. Name one in `report`."
        )
    columns = {f"{name}_{metric}": name for name in _MEASURES}
    return table[[name for name in columns if name in table]].rename(columns=columns), metric


def _forest_rows(measures: pd.DataFrame, log: bool) -> pd.DataFrame:
    """Means, the means of the others and intervals, all on the axis of the metric."""
    numbers = measures.drop(columns="verdict").astype(np.float64)
    mean, difference = numbers["mean"], numbers["difference"]
    others = mean / (1 + difference) if log else mean - difference
    low, high = numbers["low"], numbers["high"]
    frame = pd.DataFrame(
        {
            "n": numbers["n"],
            "mean": mean,
            "others": others,
            "low": others * (1 + low) if log else others + low,
            "high": others * (1 + high) if log else others + high,
            "difference": difference,
            "shrunk": numbers.get("shrunk", np.nan),
            "verdict": measures["verdict"].astype(str),
        }
    )
    if log:  # an axis of logarithms ends above 0
        frame["low"] = frame["low"].where(frame["low"] > 0)
    return frame.reset_index(drop=True)


def _limits(frame: pd.DataFrame, log: bool) -> tuple[float, float]:
    """The ends of the axis: all means, and the intervals as far as there is `_ROOM`."""
    columns = [name for name in ("mean", "others", "first", "second") if name in frame]
    means = frame[columns].to_numpy(np.float64).ravel()
    ends = frame[["low", "high"]].to_numpy(np.float64).ravel()
    means, ends = means[np.isfinite(means)], ends[np.isfinite(ends)]
    if log:
        means, ends = np.log(means[means > 0]), np.log(ends[ends > 0])
    if not len(means):
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = float(means.min()), float(means.max())
    room = _ROOM * (high - low) or max(abs(high), 1.0) / 2
    margin = 0.06 * room
    low = max(low - room, min([low, *ends]) - margin)
    high = min(high + room, max([high, *ends]) + margin)
    return (math.exp(low), math.exp(high)) if log else (low, high)


def _forest(
    frame: pd.DataFrame, axis: str, limits: tuple[float, float], log: bool, *, alone: bool = False
) -> Chart:
    """The rows as a chart without title."""
    low, high = limits
    shown = frame.assign(
        drawn_low=frame["low"].clip(low, high),
        drawn_high=frame["high"].clip(low, high),
        before=np.where(frame["low"] < low, low, np.nan),
        beyond=np.where(frame["high"] > high, high, np.nan),
    )
    scale: Any = alt.Scale(
        domain=[low, high], nice=False, zero=False, type="log" if log else "linear"
    )
    x_axis = alt.Axis(title=axis, grid=True, tickCount=6)
    label = alt.Y(
        "label:N",
        sort=None,
        title=None,
        scale=alt.Scale(domain=list(frame["label"])),
        axis=alt.Axis(ticks=False, domain=False, labelPadding=8, grid=False),
    )
    colour = alt.Color(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=list(VERDICTS), range="category"),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("label:N", title="who"),
        alt.Tooltip("n:Q", title="videos", format=",.0f"),
        alt.Tooltip("mean:Q", title="mean", format=",.4~g"),
        alt.Tooltip("others:Q", title="mean of the others", format=",.4~g"),
        alt.Tooltip("difference:Q", title="ratio - 1" if log else "difference", format="+,.3~g"),
        alt.Tooltip("low:Q", title="interval from", format=",.4~g"),
        alt.Tooltip("high:Q", title="to", format=",.4~g"),
        alt.Tooltip("shrunk:Q", title="shrunk mean", format=",.4~g"),
        alt.Tooltip("verdict:N", title="verdict"),
    ]
    base = alt.Chart(rows(shown)).encode(y=label)
    few = base.transform_filter(alt.datum.verdict == "too few")
    told = base.transform_filter(alt.datum.verdict != "too few")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=scale, axis=x_axis)

    def triangles(field: str, shape: str) -> Any:
        mark = base.transform_filter(f"isValid(datum.{field})")
        return mark.mark_point(shape=shape, size=40, filled=True, style="reference").encode(
            x=x(field)
        )

    layers = [
        told.mark_rule(strokeWidth=2.5).encode(x=x("drawn_low"), x2="drawn_high", color=colour),
        told.mark_tick(thickness=2, height=14, style="reference").encode(x=x("others")),
        *(
            mark.mark_point(shape=shape, size=60, filled=True).encode(x=x(end), color=colour)
            for end, shape in (("before", "triangle-left"), ("beyond", "triangle-right"))
            for mark in (told.transform_filter(f"isValid(datum.{end})"),)
        ),
        *(
            (triangles("first", "triangle-down"), triangles("second", "triangle-up"))
            if alone
            else ()
        ),
        told.mark_point(filled=True, size=90, opacity=1).encode(
            x=x("mean"), color=colour, tooltip=tooltip
        ),
        few.mark_point(filled=False, size=80, strokeWidth=1.8, opacity=1).encode(
            x=x("mean"), color=colour, tooltip=tooltip
        ),
        base.mark_text(align="left", dx=10, style="note").encode(
            x=alt.value(_WIDTH), text="note:N"
        ),
    ]
    return alt.layer(*layers).properties(width=_WIDTH, height=alt.Step(_STEP))


def _sentence(row: dict[Any, Any]) -> str:
    text = f"{row['label']}: {figure(row['mean'])}, {row['note']}"
    if math.isfinite(row["low"]) and math.isfinite(row["high"]):
        text += (
            f", interval {figure(row['low'])} to {figure(row['high'])}, the others "
            f"{figure(row['others'])}"
        )
    return text
