"""The report: the right mean, how sure it is, and what is selected."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from face_registry import open_registry
from face_registry.statistics import performance
from queries.averages import average_of, averages
from queries.figures import figure
from queries.report import MEASURES, SORTS, report
from registry.cli import cli
from registry.core.registry import Registry
from registry.core.table_settings import TableSettings, save_table_settings
from registry.domain import Attribute, Video, Weighted
from registry.errors import RegistryError, UsageError
from registry.footage.joining import join_videos
from tests.support.factories import person, video
from tests.support.homes import copy_home
from tests.support.registries import new_registry, put, who

ANN, BEN, CLEO = 0, 1, 2


def _video(
    name: str,
    people: list[int],
    roas: float,
    spend: float,
    attributes: dict[str, Attribute],
    metrics: dict[str, float] | None = None,
) -> Video:
    """A video with a weighted ROAS; each person of the list has one face more, in order."""
    made = video(
        name,
        [person(who) for who in people],
        metrics={"Performance": roas * 10, "ROAS": roas, "Spend": spend, **(metrics or {})},
    )
    return replace(made, weights={"ROAS": Weighted(roas * spend, spend)}, attributes=attributes)


VIDEOS = [
    _video("a", [ANN, ANN, BEN], 4.0, 10.0, {"Platform": "TikTok", "Day": "2026-05-01"}),
    _video("b", [ANN], 1.0, 90.0, {"Platform": "TikTok", "Day": "2026-06-01"}),
    _video("c", [BEN, ANN], 2.0, 50.0, {"Platform": "Reels", "Day": "2026-06-15"}),
    _video("d", [BEN, BEN, CLEO], 3.0, 50.0, {"Platform": "Reels", "Day": "2026-07-01"}),
    _video("e", [CLEO], 9.0, 1.0, {"Platform": ("Reels", "TikTok"), "Day": "2026-07-02"}),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with all videos, closed, for tests that read it; others copy it."""
    home = tmp_path_factory.mktemp("report") / "home"
    with new_registry(home, *VIDEOS) as opened:
        with opened.writing():
            save_table_settings(opened.blobs, TableSettings(metrics=("ROAS:mean@Spend",)))
        for name, face in (("Ann", 0), ("Ben", 2)):
            opened.name(who(opened, VIDEOS[0], face), name)
        opened.name(who(opened, VIDEOS[4]), "Cleo")
    return home


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open copy of it that tests only read."""
    copy = tmp_path_factory.mktemp("shared") / "home"
    copy_home(home, copy)
    with open_registry(home=copy) as opened:
        yield opened


@pytest.fixture
def registry(home: Path, tmp_path: Path) -> Iterator[Registry]:
    """An open copy of it that a test changes."""
    copy_home(home, tmp_path / "home")
    with open_registry(home=tmp_path / "home") as opened:
        yield opened


def _by_name(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {
        str(row["name"]): {str(name): value for name, value in row.items()}
        for row in table.to_dict(orient="records")
    }


def test_the_mean_is_weighted_by_the_kind_of_the_metric(shared: Registry) -> None:
    ann = _by_name(report(shared, "ROAS"))["Ann"]
    assert ann["mean_ROAS"] == pytest.approx((4 * 10 + 1 * 90 + 2 * 50) / 150)
    assert ann["total_ROAS"] == pytest.approx(4 * 10 + 1 * 90 + 2 * 50)
    assert ann["average_ROAS"] == pytest.approx(7 / 3), "the plain mean stays"
    plain = _by_name(report(shared, "ROAS", weight="none"))["Ann"]
    assert plain["mean_ROAS"] == pytest.approx(7 / 3)


def test_the_means_of_one_person_are_those_of_the_report(shared: Registry) -> None:
    metrics = ("ROAS", "Spend", "Performance")
    for _, row in report(shared, metrics).iterrows():
        means = average_of(shared, row["identity"])
        assert [means[name] for name in metrics] == pytest.approx(
            [row[f"mean_{name}"] for name in metrics]
        )
    other = _by_name(report(shared, "Performance", weight="Spend"))["Ann"]
    assert other["mean_Performance"] == pytest.approx(10 * 230 / 150)


def test_the_columns_of_averages_stay_first_and_the_new_ones_follow(shared: Registry) -> None:
    old = averages(shared)
    new = report(shared, ["ROAS", "Spend"])
    assert list(new.columns[: len(old.columns)]) == list(old.columns)
    assert list(new.columns[len(old.columns) :]) == [
        *(f"{measure}_ROAS" for measure in MEASURES),
        *(f"{measure}_Spend" for measure in MEASURES),
        "n_Performance",
    ]
    same = new[old.columns].sort_values("identity", ignore_index=True)
    pd.testing.assert_frame_equal(same, old.sort_values("identity", ignore_index=True))


def test_a_link_that_rows_are_made_by_is_shown_without_its_signature(tmp_path: Path) -> None:
    link = f"https://cdn.example.com/t.jpg?X-Amz-Signature={'5' * 64}"
    shown = replace(video("a", [person(0)], metrics={"ROAS": 1.0}), attributes={"Thumbnail": link})
    with new_registry(tmp_path / "home", shown) as registry:
        table = report(registry, "ROAS", by="Thumbnail")
    assert table["by_Thumbnail"].tolist() == ["https://cdn.example.com/t.jpg?X-Amz-Signature=***"]


def test_the_csv_has_other_columns_only_if_something_is_asked(home: Path, tmp_path: Path) -> None:
    copy_home(home, tmp_path / "home")
    with open_registry(home=home) as registry:
        expected = averages(registry)
    for options, same in (
        ((), True),
        (("--all",), True),
        (("--sort", "shrunk"), False),
        (("--where", "Platform=TikTok"), False),
        (("--since", "2000-01-01"), False),
        (("--role", "main"), False),
    ):
        _call(tmp_path / "home", "report", "--csv", str(tmp_path / "report.csv"), *options)
        written = pd.read_csv(tmp_path / "report.csv")
        assert (list(written.columns) == list(expected.columns)) is same, options
        if same:
            assert list(written["identity"]) == list(expected["identity"])


def test_the_statistics_are_those_of_the_two_tables(registry: Registry) -> None:
    rng = np.random.default_rng(3)
    more = [
        _video(f"m{i}", [i % 3], float(v), float(w), {})
        for i, (v, w) in enumerate(rng.lognormal((0, 4), (1, 0.4), size=(30, 2)))
    ]
    put(registry, *more)
    everything = [*VIDEOS, *more]
    appearances = pd.DataFrame(
        [
            (appearance.identity_id, one.video_id)
            for one in registry.index.videos()
            for appearance in one.appearances
        ],
        columns=["person", "video"],
    )
    videos = pd.DataFrame(
        {
            "video": [one.video_id for one in everything],
            "ROAS": [one.metrics["ROAS"] for one in everything],
            "Spend": [one.metrics["Spend"] for one in everything],
        }
    ).sort_values("video")
    expected = performance(appearances, videos, "ROAS", weight="Spend").set_index("person")
    found = report(registry, "ROAS").set_index("identity")
    assert (found["verdict_ROAS"] != "too few").any()
    for name in expected.columns:
        own = found[f"{name}_ROAS"].reindex(expected.index)
        pd.testing.assert_series_equal(own, expected[name], check_names=False, check_dtype=False)


def test_median_and_trimmed_mean_stand_beside_the_mean(shared: Registry) -> None:
    ann = _by_name(report(shared, "Spend"))["Ann"]
    assert (ann["median_Spend"], ann["trimmed_Spend"], ann["n_Spend"]) == (50.0, 50.0, 3)
    cleo = _by_name(report(shared, "ROAS"))["Cleo"]
    assert cleo["median_ROAS"] == 3.0, "half of the spend and more lies on 3"


def test_joined_videos_count_once_with_the_weight_of_the_first(registry: Registry) -> None:
    join_videos(registry, [VIDEOS[1].url.exposed(), VIDEOS[0].url.exposed()])
    ann = _by_name(report(registry, "ROAS"))["Ann"]
    assert (ann["videos"], ann["n_ROAS"]) == (2, 2)
    assert ann["mean_ROAS"] == pytest.approx((1 * 90 + 2 * 50) / 140)
    ben = _by_name(report(registry, "ROAS"))["Ben"]
    assert ben["total_ROAS"] == pytest.approx(1 * 90 + 2 * 50 + 3 * 50)


def test_a_video_without_a_weight_is_left_out_and_counted(
    registry: Registry, tmp_path: Path
) -> None:
    put(registry, video("f", [person(ANN)], metrics={"ROAS": 100.0}))
    ann = _by_name(report(registry, "ROAS"))["Ann"]
    assert (ann["videos"], ann["n_ROAS"]) == (4, 3)
    registry.close()
    text = _call(tmp_path / "home", "report", "--metric", "ROAS").stderr
    assert "1 video with a ROAS and no Spend did not count" in text


@pytest.mark.parametrize(
    ("asked", "videos"),
    [
        ({"where": ["Platform=TikTok"]}, {"Ann": 2, "Ben": 1, "Cleo": 1}),
        ({"where": ["Platform=TikTok", "Day>2026-05-20"]}, {"Ann": 1, "Cleo": 1}),
        ({"since": "2026-06-15"}, {"Ann": 1, "Ben": 2, "Cleo": 2}),
        ({"role": "main"}, {"Ann": 2, "Ben": 2, "Cleo": 1}),
        ({"within": 0.3}, {"Ann": 2, "Ben": 2, "Cleo": 1}),
        ({"min_screen_time": 0.5}, {"Ann": 1, "Ben": 1}),
        ({"min_videos": 3}, {"Ann": 3, "Ben": 3}),
        ({"top": 1, "sort": "total"}, {"Ben": 3}),
    ],
)
def test_what_is_selected_counts(
    shared: Registry, asked: dict[str, Any], videos: dict[str, int]
) -> None:
    rows = _by_name(report(shared, "ROAS", **asked))
    assert {name: row["videos"] for name, row in rows.items()} == videos


def test_leaving_out_rows_changes_no_number(shared: Registry) -> None:
    everyone = report(shared, "ROAS").set_index("identity")
    some = report(shared, "ROAS", min_videos=3, top=1, sort="name").set_index("identity")
    pd.testing.assert_frame_equal(some, everyone.loc[some.index])


def test_each_value_of_an_attribute_has_rows_of_its_own(shared: Registry) -> None:
    table = report(shared, "ROAS", by="Platform")
    found = {(row["by_Platform"], row["name"]): row for row in table.to_dict(orient="records")}
    assert found["TikTok", "Ann"]["mean_ROAS"] == pytest.approx((40 + 90) / 100)
    assert found["Reels", "Ann"]["mean_ROAS"] == 2.0
    assert found["Reels", "Cleo"]["n_ROAS"] == 2
    assert found["TikTok", "Cleo"]["n_ROAS"] == 1, "one video was on both"
    alone = _by_name(report(shared, "ROAS", where=["Platform=Reels"]))
    assert alone["Ben"]["shrunk_ROAS"] == found["Reels", "Ben"]["shrunk_ROAS"]


def test_geometric_means_on_the_log_scale(shared: Registry) -> None:
    ann = _by_name(report(shared, "Spend", log=True))["Ann"]
    assert ann["mean_Spend"] == pytest.approx((10 * 90 * 50) ** (1 / 3))


@pytest.mark.parametrize("sort", SORTS)
def test_rows_can_be_put_in_every_order(shared: Registry, sort: str) -> None:
    table = report(shared, "ROAS", sort=sort)
    column = {
        "average": "average_performance",
        "videos": "videos",
        "screen-time": "screen_time_s",
        "name": "name",
    }.get(sort, f"{sort}_ROAS")
    values = table[column].dropna()
    rising = sort in {"p", "name"}
    assert values.is_monotonic_increasing if rising else values.is_monotonic_decreasing


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"metrics": "Likes"},
            "No video has the metric 'Likes'. Metrics: Performance, ROAS, Spend",
        ),
        ({"weight": "Likes"}, "No video has the metric 'Likes'"),
        ({"by": "Colour"}, "No video has the attribute 'Colour'. Attributes: Day, Platform"),
        ({"adjust": ["Colour"]}, "No video has the attribute 'Colour'"),
        ({"where": ["Colour=red"]}, "No video has the attribute 'Colour'"),
        ({"since": "June"}, "'June' is not a date. Write it as 2026-06-01"),
        ({"since": "2026-06-01", "date_column": "Platform"}, "'Platform' has values that are not"),
        ({"sort": "size"}, "There is no order 'size'"),
        ({"role": "extra"}, "There is no role 'extra'"),
    ],
)
def test_what_cannot_be_asked_is_said(
    shared: Registry, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        report(shared, **asked)


def test_two_columns_of_dates_are_a_question(registry: Registry) -> None:
    put(registry, _video("g", [ANN], 1.0, 1.0, {"Made": "2026-01-01T10:00:00"}))
    with pytest.raises(UsageError, match=r"hold dates: Day, Made\. Name one with --date-column"):
        report(registry, since="2026-06-01")
    assert _by_name(report(registry, since="2026-06-01", date_column="Made")) == {}


def test_a_report_as_of_an_earlier_decision_has_the_statistics_of_then(registry: Registry) -> None:
    before = report(registry, "ROAS").drop(columns="name").sort_values("identity")
    count = len(registry.decisions.entries())
    join_videos(registry, [one.url.exposed() for one in VIDEOS[:3]])
    again = report(registry, "ROAS", as_of=count).drop(columns="name").sort_values("identity")
    pd.testing.assert_frame_equal(
        again.reset_index(drop=True), before.reset_index(drop=True), rtol=1e-9
    )


def _call(home: Path, *arguments: str) -> Any:
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_the_command_prints_writes_and_answers_as_json(home: Path, tmp_path: Path) -> None:
    asked = (
        "report",
        "--metric",
        "ROAS",
        "--by",
        "Platform",
        "--sort",
        "mean",
        "--min-videos",
        "1",
    )
    text = _call(home, *asked).stdout
    assert max(map(len, text.splitlines())) <= 100
    first = text.splitlines()[1].split()
    assert (first[0], first[2], first[-2:]) == ("Reels", "Cleo", ["too", "few"])
    document = json.loads(_call(home, *asked, "--json").stdout)
    assert (document["selected"], document["weights"]) == (5, {"ROAS": "Spend"})
    assert document["rows"][0]["verdict_ROAS"] == "too few"
    assert document["rows"][0]["difference_ROAS"] is None
    _call(home, *asked, "--csv", str(tmp_path / "out.csv"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert rows[0]["by_Platform"] == "Reels"
    assert list(rows[0]) == list(document["rows"][0])


def test_the_command_takes_every_option_of_a_selection(home: Path) -> None:
    asked = (
        *("--where", "Platform=TikTok", "--since", "2026-05-01", "--date-column", "Day"),
        *("--role", "main", "--within", "3", "--min-screen-time", "0.1"),
    )
    rows = json.loads(_call(home, "report", *asked, "--json").stdout)["rows"]
    assert {row["name"]: row["videos"] for row in rows} == {"Ann": 2, "Cleo": 1}
    with pytest.raises(RegistryError):
        _call(home, "report", "--where", "Colour=red")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (0.00012, "0.000120"), (0.5, "0.500"), (9.996, "10.00"), (12.345, "12.3"),
        (1234.5, "1,234"), (-2.46, "-2.46"), (2e-7, "2.0e-07"), (math.nan, "-"),
    ],
)  # fmt: skip
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text
