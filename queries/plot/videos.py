"""Charts of single videos: their values with and without a person, over time, and a timeline. Pure.

The tables are those of `videos_frame` and `appearances_frame`, or any two tables with the columns
`video` and `person`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from queries.figures import figure
from queries.plot.labels import (
    described,
    names_by_person,
    people_labels,
    person_column,
)
from queries.statistics.means import geometric_mean, weighted_mean
from queries.timelines import BACKGROUND, CLOSE_UP, MEDIUM
from registry.charts import Chart, rows, themed
from registry.core.runs import began
from registry.errors import UnknownError, UsageError
from registry.redaction import redacted
from registry.urls import printable

DRAWN = 2000
"""The most dots of a lane; more would hide each other, and take seconds to draw."""
_WIDTH = 640
_GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, modulo 1, are spread evenly however many there are (Weyl's sequence)."""
_DAY = pd.Timedelta(days=1)
_PERIODS = ((35 * _DAY, "D", "day"), (180 * _DAY, "W-SUN", "week"), (None, "M", "month"))
"""Periods of means by the time that they cover: at most 35 days, 26 weeks, or any months."""
_OTHERS = "all other videos"


def distribution(
    videos: pd.DataFrame,
    appearances: pd.DataFrame,
    metric: str,
    people: str | Sequence[str],
    *,
    weight: str = "",
    log: bool = False,
) -> Chart:
    """Every video as a dot: a lane for the videos with each person, and one for all others.

    Args:
        videos: a row for each video, with the metric as a column.
        appearances: who is in which video.
        metric: a column of `videos`.
        people: ids, or the values of the column `person`.
        weight: a column of `videos` that means are weighted with, such as views.
        log: whether the axis is logarithmic; the means are then geometric ones.

    Raises:
        UnknownError: a person is in no video.
        UsageError: there is no such column, or a value is not above 0 with `log`.
    """
    chosen = [people] if isinstance(people, str) else list(people)
    shown, where = _values(videos, appearances, metric, chosen, weight)
    if log and (shown["value"] <= 0).any():
        raise UsageError(
            f"{int((shown['value'] <= 0).sum())} values of '{printable(metric)}' are not above 0, "
            "which a logarithmic axis cannot show. Leave out log=True."
        )
    labels = names_by_person(appearances, chosen)
    lanes = [(label, shown[where[one]]) for label, one in zip(labels, chosen, strict=True)]
    lanes.append((_OTHERS, shown[~np.any(list(where.values()), axis=0)]))
    dots, means, sentences = [], [], []
    for label, lane in lanes:
        name = f"{label} ({len(lane):,})"
        ordered = lane.sort_values("value")
        at = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), DRAWN)).round())
        drawn = ordered.iloc[at.astype(int)]
        spread = (np.arange(1, len(drawn) + 1) * _GOLDEN) % 1
        dots.append(drawn.assign(lane=name, spread=spread, other=label == _OTHERS))
        values, weights = lane["value"].to_numpy(), lane["weight"].to_numpy()
        middle = (geometric_mean if log else weighted_mean)(values, weights)
        means.append({"lane": name, "mean": middle, "text": figure(middle)})
        sentences.append(f"{label}: {len(lane):,} videos, mean {figure(middle)}")
    order = [str(mean["lane"]) for mean in means]
    title = f"{printable(metric)} of the videos with and without " + ", ".join(labels)
    how = ("geometric mean" if log else "mean") + (
        f", weighted by {printable(weight)}" if weight else ""
    )
    subtitle = f"Dot: a video. Line: {how}."
    if any(len(lane) > DRAWN for _, lane in lanes):
        subtitle += f" {DRAWN:,} videos of a lane are drawn, evenly over their values."
    x = alt.X(
        "value:Q",
        title=printable(metric) + (" (log scale)" if log else ""),
        scale=alt.Scale(type="log" if log else "linear", zero=False, nice=not log, padding=12),
        axis=alt.Axis(tickCount=8),
    )
    y = alt.Y(
        "lane:N",
        title=None,
        sort=None,
        scale=alt.Scale(domain=order, padding=0.25),
        axis=alt.Axis(ticks=False, domain=False, grid=False, labelPadding=8),
    )
    base = alt.Chart(rows(pd.concat(dots))).encode(
        x=x,
        y=y,
        yOffset=alt.YOffset("spread:Q", scale=alt.Scale(domain=[0, 1])),
        tooltip=[
            alt.Tooltip("shown:N", title="video"),
            alt.Tooltip("value:Q", title=printable(metric), format=",.4~g"),
        ],
    )
    middles = alt.Chart(rows(pd.DataFrame(means))).encode(x=alt.X("mean:Q"), y=y)
    chart = alt.layer(
        base.transform_filter("datum.other").mark_circle(size=34, style="faint"),
        base.transform_filter("!datum.other").mark_circle(size=42, opacity=0.75),
        middles.mark_tick(thickness=3, height=52, style="threshold"),
        middles.mark_text(dy=-36, fontWeight=600).encode(text="text:N"),
    ).properties(
        width=_WIDTH,
        height=alt.Step(78),
        title=alt.Title(title, subtitle=subtitle),
        description=described(title, sentences),
    )
    return themed(chart)


def over_time(
    videos: pd.DataFrame,
    appearances: pd.DataFrame,
    metric: str,
    people: str | Sequence[str],
    *,
    by: str = "run",
    weight: str = "",
) -> Chart:
    """The metric of the videos with each person over time, beside that of all other videos.

    Args:
        videos: a row for each video, with the metric and `by` as columns.
        appearances: who is in which video.
        metric: a column of `videos`.
        people: ids, or the values of the column `person`; each has a panel.
        by: a column of dates (ISO 8601), such as the day of publication: means are of days, weeks
            or months, depending on the time that they cover. Or `run`, the run that first read the
            video: means are those of runs.
        weight: a column of `videos` that means are weighted with.

    Raises:
        UnknownError: a person is in no video.
        UsageError: there is no such column, or it holds no times.
    """
    chosen = [people] if isinstance(people, str) else list(people)
    shown, where = _values(videos, appearances, metric, chosen, weight, by)
    shown["at"], shown["start"], period = _periods(shown["at"], by)
    labels = names_by_person(appearances, chosen)
    dots, means, sentences = [], [], []
    for label, one in zip(labels, chosen, strict=True):
        for other in (True, False):
            lane = shown[where[one] != other].assign(panel=label, other=other)
            if not other:
                dots.append(lane)
            for at, group in lane.groupby("start"):
                middle = weighted_mean(group["value"].to_numpy(), group["weight"].to_numpy())
                means.append(
                    {
                        "panel": label,
                        "other": other,
                        "start": at,
                        "middle": group["at"].mean(),
                        "mean": middle,
                        "n": len(group),
                    }
                )
                if not other:
                    n = f"{len(group)} video{'s' if len(group) != 1 else ''}"
                    sentences.append(f"{label}, {at:%Y-%m-%d}: {figure(middle)}, {n}")
    title = f"{printable(metric)} over time"
    how = f"mean of a {period}" + (f", weighted by {printable(weight)}" if weight else "")
    data = rows(pd.concat([pd.DataFrame(means), *dots], ignore_index=True))
    panels = []
    for label in labels:
        base = alt.Chart(data).transform_filter(alt.datum.panel == label)
        line = base.transform_filter("isValid(datum.mean)").encode(
            x=alt.X("middle:T", title="run" if by == "run" else printable(by)),
            y=alt.Y("mean:Q", title=printable(metric), scale=alt.Scale(zero=False)),
        )
        tooltip = [
            alt.Tooltip("start:T", title=f"{period} from"),
            alt.Tooltip("mean:Q", title="mean", format=",.4~g"),
            alt.Tooltip("n:Q", title="videos"),
        ]
        person = line.transform_filter("!datum.other")
        others = line.transform_filter("datum.other")
        layers = [
            base.transform_filter("isValid(datum.value)")
            .mark_circle(size=28, style="faint")
            .encode(
                x="at:T",
                y="value:Q",
                tooltip=[
                    alt.Tooltip("shown:N", title="video"),
                    alt.Tooltip("value:Q", title=printable(metric), format=",.4~g"),
                ],
            ),
            others.mark_line(strokeDash=[5, 4], strokeWidth=1.5, style="reference", fillOpacity=0),
            person.mark_line(),
            person.mark_point(filled=True, size=60, opacity=1).encode(tooltip=tooltip),
        ]
        panels.append(
            alt.layer(*layers).properties(
                width=_WIDTH, height=180, title=alt.Title(label, fontSize=13, offset=6)
            )
        )
    subtitle = f"Line: {how}. Dots: videos with the person. Dashed: the videos without."
    return themed(
        alt.vconcat(*panels)
        .resolve_scale(x="shared", y="shared")
        .properties(
            title=alt.Title(title, subtitle=subtitle), description=described(title, sentences)
        )
    )


def timeline(table: pd.DataFrame, *, duration_s: float | None = None, title: str = "") -> Chart:
    """Who is on screen in one video, and when: a lane for each person, the main person first.

    Args:
        table: of `timeline_frame`: a row for each interval.
        duration_s: the length of the video; by default the axis ends with the last interval.
        title: by default "Who is on screen".
    """
    sizes = [CLOSE_UP, MEDIUM, BACKGROUND]
    shown = table[["identity", "name", "start_s", "end_s", "size", "seconds"]].copy()
    people = shown.drop_duplicates("identity")
    labels = people_labels(people["identity"], people["name"])
    order = [
        f"{label}, {seconds:.1f} s"
        for label, seconds in zip(labels, people["seconds"], strict=True)
    ]
    shown["label"] = shown["identity"].map(dict(zip(people["identity"], order, strict=True)))
    if not shown["size"].isin(sizes).all():
        sizes, shown["size"] = ["size of the face not known"], "size of the face not known"
    end = duration_s or (float(shown["end_s"].max()) if len(shown) else 1.0)
    title = redacted(title, 120) if title else "Who is on screen"
    spans = [
        f"{label}: "
        + ", ".join(
            f"{a:.1f} to {b:.1f} s"
            for a, b in shown.loc[shown["label"] == label, ["start_s", "end_s"]].to_numpy()
        )
        for label in order
    ]
    x = alt.X(
        "start_s:Q",
        title="seconds",
        scale=alt.Scale(domain=[0, end], nice=False),
        axis=alt.Axis(format="~g"),
    )
    bars = (
        alt.Chart(rows(shown))
        .mark_bar(height=16, cornerRadius=3)
        .encode(
            x=x,
            x2="end_s",
            y=alt.Y(
                "label:N",
                title=None,
                sort=None,
                scale=alt.Scale(domain=order),
                axis=alt.Axis(ticks=False, domain=False, grid=True, labelPadding=8),
            ),
            color=alt.Color(
                "size:O",
                title="face",
                sort=None,
                scale=alt.Scale(domain=sizes, range="ordinal"),
                legend=alt.Legend(symbolType="square"),
            ),
            tooltip=[
                alt.Tooltip("label:N", title="who"),
                alt.Tooltip("start_s:Q", title="from", format=".2f"),
                alt.Tooltip("end_s:Q", title="to", format=".2f"),
                alt.Tooltip("size:N", title="face"),
            ],
        )
    )
    layers = [bars]
    if end > 3:
        third = alt.Chart(rows(pd.DataFrame({"at": [3.0], "text": ["3 s"]}))).encode(x="at:Q")
        layers += [
            third.mark_rule(strokeDash=[4, 3], style="threshold", strokeWidth=1.5),
            third.mark_text(align="left", dx=4, dy=-7, style="note").encode(
                y=alt.value(0), text="text:N"
            ),
        ]
    subtitle = "The first seconds decide whether people stay: the dashed line is the third."
    return themed(
        alt.layer(*layers).properties(
            width=_WIDTH,
            height=alt.Step(28),
            title=alt.Title(title, subtitle=subtitle) if end > 3 else alt.Title(title),
            description=described(title, spans),
        )
    )


def _values(
    videos: pd.DataFrame,
    appearances: pd.DataFrame,
    metric: str,
    people: Sequence[str],
    weight: str,
    by: str = "",
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The videos with a value (columns video, shown, value, weight, at), and who is in them.

    Joined videos count as the one that `counts_as` names, and videos that could not be read do not.
    """
    for column in (metric, weight, by):
        if column and column not in videos:
            raise UsageError(
                f"The table of videos has no column '{printable(column)}'. Columns: "
                f"{printable(', '.join(map(str, videos.columns)))}."
            )
    counted = videos
    if "counts_as" in videos:
        counted = videos[(videos["video"] == videos["counts_as"]) & (videos["status"] != "failed")]
    table = pd.DataFrame(
        {
            "video": counted["video"].astype(str),
            "shown": [
                redacted(str(one), 80) for one in counted["url" if "url" in counted else "video"]
            ],
            "value": pd.to_numeric(counted[metric]).astype(np.float64),
            "weight": pd.to_numeric(counted[weight]).astype(np.float64) if weight else 1.0,
            "at": counted[by] if by else "",
        }
    )
    table = table[np.isfinite(table["value"]) & (table["weight"] > 0)].reset_index(drop=True)
    key = person_column(appearances)
    seen = appearances[["video", key]].astype(str)
    if "counts_as" in videos:
        counts = dict(
            zip(videos["video"].astype(str), videos["counts_as"].astype(str), strict=True)
        )
        seen = seen.assign(video=seen["video"].map(lambda one: counts.get(one, one)))
    where = {}
    for one in people:
        own = set(seen.loc[seen[key] == str(one), "video"])
        where[one] = table["video"].isin(own).to_numpy()
        if not own:
            raise UnknownError(
                f"The table of appearances has nobody called '{printable(str(one))}' in its column "
                f"'{key}'. Give a value of that column."
            )
    return table, where


def _periods(at: pd.Series, by: str) -> tuple[pd.Series, pd.Series, str]:
    """The time of each video (NaT: not known), when its period began, and a period's name."""
    if by == "run":
        times = pd.to_datetime(pd.Series([began(str(run)) for run in at], at.index), utc=True)
        if times.isna().any():
            raise UsageError("The column 'run' does not hold ids of runs. Name a column of dates.")
        return times.dt.tz_localize(None), times.dt.tz_localize(None), "run"
    try:
        days = at.where(at.isna(), at.astype(str))  # a number is no time, not one since 1970
        times = pd.to_datetime(days, utc=True, format="ISO8601").dt.tz_localize(None)
    except (ValueError, TypeError):
        raise UsageError(
            f"The column '{printable(by)}' has values that are not dates (2026-06-01). Name "
            "another one."
        ) from None
    covered = times.max() - times.min()
    code, name = next((c, n) for limit, c, n in _PERIODS if limit is None or covered <= limit)
    return times, times.dt.to_period(code).dt.start_time, name
