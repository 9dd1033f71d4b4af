"""Charts of tables: what is drawn, where, and what a person who does not see it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import face_registry as fr
from face_registry.statistics import geometric_mean, performance, weighted_mean
from queries.plot.videos import DRAWN
from registry import charts
from registry.core.registry import Registry
from registry.domain import Status
from registry.errors import RegistryError, UnknownError, UsageError
from tests.support.factories import person, video
from tests.support.registries import new_registry, who

VALUES = [2.0, 4.0, 3.0, 7.0, 1.0, 5.0, 4.0, 6.0, 3.0, 5.0]
"""The example by hand of docs/METRICS.md: Anna in the 2nd, 4th, 6th and 8th, Ben in the others."""
TABLE = pd.DataFrame(
    {
        "video": [f"v{n}" for n in range(10)],
        "Score": VALUES,
        "Views": np.arange(1.0, 11),
        "Published": [f"2026-0{1 + n // 2}-15" for n in range(10)],
    }
)
SEEN = pd.DataFrame(
    {
        "person": [*(["Anna", "Ben"] * 5), "Cleo"],
        "video": [*(f"v{n}" for n in (1, 0, 3, 2, 5, 4, 7, 6)), "x", *("v8", "v9")],
    }
)
SEEN.loc[8:, "person"] = ["Nobody", "Ben", "Ben"]
CLEO = pd.DataFrame({"person": ["Cleo"], "video": ["v9"]})


def drawn(chart: Any) -> dict[str, list[dict[str, Any]]]:
    """The data of each mark of a chart as Vega computes them, by the role of the mark."""
    import vl_convert

    scene = vl_convert.vegalite_to_scenegraph(charts.specification(chart))
    found: dict[str, list[dict[str, Any]]] = {}

    def visit(node: dict[str, Any]) -> None:
        if node.get("role") == "mark":
            found.setdefault(node["marktype"], []).extend(node["items"])
        for item in [*node.get("items", []), *node.get("groups", [])]:
            visit(item)

    visit(scene["scenegraph"])
    return found


def words(chart: Any) -> list[str]:
    root = ElementTree.fromstring(charts.svg(chart))
    texts = root.iter("{http://www.w3.org/2000/svg}text")
    return [line for element in texts for line in element.itertext()]


def data(chart: Any) -> list[dict[str, Any]]:
    """The first data of a chart."""
    spec = chart.to_dict()
    return list(next(iter(spec["datasets"].values()))) if "datasets" in spec else _inline(spec)


def _inline(spec: Any) -> list[dict[str, Any]]:
    text = json.dumps(spec)
    start = text.index('"values": [{') + len('"values": ')
    return list(json.JSONDecoder().raw_decode(text[start:])[0])


def _verdict(mark: ElementTree.Element) -> str:
    return mark.get("aria-label", "").partition("verdict: ")[2].partition(";")[0]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_ranking_shows_means_and_intervals_on_the_axis_of_the_metric(scale: str) -> None:
    seen = pd.concat([SEEN, CLEO], ignore_index=True)
    table = performance(seen, TABLE, "Score", scale=scale)
    chart = fr.plot.ranking(table, "Score", log=scale == "log")
    rows = {row["label"]: row for row in data(chart)}
    mean = geometric_mean if scale == "log" else weighted_mean
    anna = table.set_index("person").loc["Anna"]
    assert rows["Anna"]["mean"] == pytest.approx(mean([4.0, 7.0, 5.0, 6.0]))
    others = mean([2.0, 3.0, 1.0, 4.0, 3.0, 5.0])
    assert rows["Anna"]["others"] == pytest.approx(others)
    for name in ("low", "high"):
        at = others * (1 + anna[name]) if scale == "log" else others + anna[name]
        assert rows["Anna"][name] == pytest.approx(at)
    assert rows["Cleo"]["low"] is rows["Cleo"]["others"] is None
    text = words(chart)
    assert ("geometric mean Score (log scale)" if scale == "log" else "mean Score") in text
    assert f"4 videos, {anna['verdict']}" in text
    assert "1 video, too few" in text


def test_too_few_is_hollow_and_has_no_interval() -> None:
    seen = pd.concat([SEEN, CLEO], ignore_index=True)
    table = performance(seen, TABLE, "Score")
    root = ElementTree.fromstring(charts.svg(fr.plot.ranking(table)))
    dots = [e for e in root.iter() if e.get("aria-roledescription") == "point"]
    hollow = [e for e in dots if e.get("fill") in (None, "none", "transparent")]
    assert [_verdict(e) for e in hollow] == ["too few"]
    colours = charts.theme()["range"]["category"]
    full = {_verdict(e): e.get("fill") for e in dots}
    assert full["clearly above"] == colours[0]
    assert full["clearly below"] == colours[1]
    lines = [e for e in root.iter() if e.get("aria-roledescription") == "rule mark"]
    assert len(lines) == 2


def test_a_ranking_tells_in_words_what_it_shows() -> None:
    table = performance(SEEN, TABLE, "Score")
    told = fr.plot.ranking(table, "Score").to_dict()["description"]
    assert told.startswith("Score of the videos with each person. Anna: 5.50, 4 videos, leaning ab")
    assert "interval 3.48 to 7.52, the others 3.00" in told


def test_a_long_interval_does_not_hide_the_means() -> None:
    table = performance(SEEN, TABLE, "Score")
    table.loc[0, ["low", "high"]] = [-1000.0, 1000.0]
    chart = fr.plot.ranking(table)
    (low, high), row = next(
        (layer["encoding"]["x"]["scale"]["domain"], row)
        for layer, row in zip(chart.to_dict()["layer"], data(chart), strict=False)
    )
    assert -3 < low < high < 12
    assert (row["drawn_low"], row["drawn_high"]) == pytest.approx((low, high))
    assert row["before"] == pytest.approx(low)
    assert row["beyond"] == pytest.approx(high)


def test_a_ranking_of_a_part_says_so_and_one_without_the_metric_is_refused() -> None:
    table = performance(SEEN, TABLE, "Score")
    assert "The first 1 of 2 people." in words(fr.plot.ranking(table, top=1))
    with pytest.raises(UsageError, match="no verdicts about the metric 'ROAS'"):
        fr.plot.ranking(table.drop(columns="verdict"), "ROAS")


def test_a_distribution_has_a_dot_for_each_video_and_the_means() -> None:
    chart = fr.plot.distribution(TABLE, SEEN, "Score", "Anna", weight="Views")
    dots = data(chart)
    assert sorted(row["value"] for row in dots) == sorted(VALUES)
    assert {row["lane"] for row in dots} == {"Anna (4)", "all other videos (6)"}
    text = words(chart)
    with_anna = weighted_mean([4.0, 7.0, 5.0, 6.0], [2.0, 4.0, 6.0, 8.0])
    assert f"{with_anna:.2f}" in text
    assert "Dot: a video. Line: mean, weighted by Views." in text
    assert all(0 <= row["spread"] < 1 for row in dots)
    assert f"Anna: 4 videos, mean {with_anna:.2f}" in chart.to_dict()["description"]


def test_a_distribution_of_very_many_videos_is_drawn_in_part() -> None:
    n = DRAWN + 500
    many = pd.DataFrame({"video": [f"v{i}" for i in range(n)], "Score": np.arange(n, dtype=float)})
    chart = fr.plot.distribution(many, SEEN, "Score", ["Anna", "Ben"])
    rows = [row for row in data(chart) if row["other"]]
    assert len(rows) == DRAWN
    assert (min(r["value"] for r in rows), max(r["value"] for r in rows)) == (10.0, n - 1.0)
    assert f"all other videos: {n - 10:,} videos, mean" in chart.to_dict()["description"]
    assert any("2,000 videos of a lane are drawn" in text for text in words(chart))


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, ("Likes", "Anna"), "no column 'Likes'"),
        ({}, ("Score", "Zoe"), "nobody called 'Zoe' in its column 'person'"),
        ({"Score": 0.0}, ("Score", "Anna"), "10 values of 'Score' are not above 0"),
    ],
)
def test_what_a_distribution_cannot_show_is_said(
    change: dict[str, float], arguments: tuple[str, str], message: str
) -> None:
    with pytest.raises(RegistryError, match=message):
        fr.plot.distribution(TABLE.assign(**change), SEEN, *arguments, log=True)


def test_over_time_has_the_means_of_periods() -> None:
    chart = fr.plot.over_time(TABLE, SEEN, "Score", ["Anna", "Ben"], by="Published")
    rows = [row for row in data(chart) if row["mean"] is not None and row["panel"] == "Anna"]
    own = {row["start"][:10]: row["mean"] for row in rows if not row["other"]}
    assert own == {"2026-01-12": 4.0, "2026-02-09": 7.0, "2026-03-09": 5.0, "2026-04-13": 6.0}
    others = {row["start"][:10]: (row["mean"], row["n"]) for row in rows if row["other"]}
    assert others["2026-05-11"] == (4.0, 2)
    assert "Line: mean of a week. Dots: videos with the person. Dashed: the videos without." in (
        words(chart)
    )
    assert "Anna, 2026-01-12: 4.00, 1 video" in chart.to_dict()["description"]


def test_over_time_by_month_by_run_and_by_no_time() -> None:
    days = pd.Series([f"202{n}-06-15" for n in range(6)]).reindex(range(10))
    months = TABLE.assign(Published=days)
    chart = fr.plot.over_time(months, SEEN, "Score", "Ben", by="Published")
    starts = {row["start"] for row in data(chart) if row["mean"] is not None and not row["other"]}
    assert sorted(start[:10] for start in starts) == ["2020-06-01", "2022-06-01", "2024-06-01"]
    runs = TABLE.assign(run=["20260601T120000Z-0a1b"] * 5 + ["20260608T120000Z-0a1b"] * 5)
    chart = fr.plot.over_time(runs, SEEN, "Score", "Ben")
    means = [row["mean"] for row in data(chart) if row["mean"] is not None and not row["other"]]
    assert means == [2.0, 4.0]
    with pytest.raises(UsageError, match="'Score' has values that are not dates"):
        fr.plot.over_time(TABLE.assign(Day="soon"), SEEN, "Score", "Ben", by="Score")
    with pytest.raises(UsageError, match="does not hold ids of runs"):
        fr.plot.over_time(TABLE.assign(run="x"), SEEN, "Score", "Ben")


A = video("a", [person(0), person(0), person(1)], metrics={"Performance": 10.0})
B = video("b", [person(0)], metrics={"Performance": 20.0})
C = video("c", [person(1)], metrics={"Performance": 60.0})
D = replace(video("d", [], metrics={"Performance": 1.0}), status=Status.FAILED, reason="gone")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "home", A, B, C, D) as opened:
        opened.name(who(opened, B), "Ann")
        yield opened


def test_the_tables_of_a_registry_are_drawn(registry: Registry) -> None:
    ann = who(registry, B)
    report = fr.report(registry)
    assert [row["label"] for row in data(fr.plot.ranking(report))] == [
        name or identity[:8]
        for name, identity in zip(report["name"], report["identity"], strict=True)
    ]
    fr.join_videos(registry, [A.url.exposed(), B.url.exposed()])
    videos, seen = fr.videos_frame(registry), fr.appearances_frame(registry)
    dots = data(fr.plot.distribution(videos, seen, "Performance", ann))
    assert {(row["lane"], row["value"]) for row in dots} == {
        ("Ann (1)", 10.0), ("all other videos (1)", 60.0)
    }, "joined videos are one, and a video that could not be read is none"  # fmt: skip
    table = fr.timeline_frame(registry, A.url.exposed())
    chart = fr.plot.timeline(table, duration_s=10.0, title="a.mp4")
    assert len(drawn(chart)["rect"]) == len(table)
    assert "3 s" in words(chart)
    assert chart.to_dict()["description"].startswith("a.mp4. Ann, ")
    pairs = fr.pairs_frame(registry)
    chart = fr.plot.pairs(pairs, "Performance")
    alone = "0 + 1" if pairs["first"][0] == ann else "1 + 0"
    expected = f"1 together, {alone} alone, too few"
    assert [row["note"] for row in data(chart)] == [expected]


def test_two_people_of_one_name_are_two_rows(registry: Registry) -> None:
    for identity in (who(registry, B), who(registry, C)):
        registry.name(identity, "Sam\u202e<b>")
    labels = [row["label"] for row in data(fr.plot.ranking(fr.report(registry)))]
    assert len(set(labels)) == 2
    assert all(label.startswith("Sam") and "\u202e" not in label for label in labels)


def test_a_report_by_an_attribute_has_a_panel_for_each_value() -> None:
    table = performance(SEEN, TABLE, "Score").add_suffix("_Score")
    table = table.rename(columns={"person_Score": "person"})
    both = pd.concat([table.assign(by_Platform="TikTok"), table.assign(by_Platform="Reels")])
    text = words(fr.plot.ranking(both, "Score"))
    assert {"Platform: TikTok", "Platform: Reels"} <= set(text)


def test_nobody_is_an_unknown_error() -> None:
    with pytest.raises(UnknownError):
        fr.plot.over_time(TABLE, SEEN, "Score", "Zoe", by="Published")
