"""`videos timeline` and `identities together`, from the records of a registry."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from queries.pairs import pairs
from queries.report import report
from queries.screen_time import timeline
from registry.cli import cli
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Vectors, Video
from registry.errors import UnknownError, UsageError
from registry.footage.joining import join_videos
from registry.people.corrections import merge
from registry.settings import load_settings
from tests.support.factories import face, person, video
from tests.support.registries import new_registry, put, who

ANN, BEN, CLEO = person(0), person(1), person(2)
FRAME_S = 10 / 30


def _together(name: str, frames: list[list[Vectors]], value: float) -> Video:
    """A video with several faces in each frame."""
    made = video(name, [ANN] * len(frames), metrics={"Performance": value})
    faces = tuple(
        face(made.video_id, 10 * i, who, position=place)
        for i, frame in enumerate(frames)
        for place, who in enumerate(frame)
    )
    return replace(made, faces=faces)


BOTH = _together("both", [[ANN], [ANN, BEN], [ANN, BEN], [BEN]], 8.0)
ALONE = _together("alone", [[ANN]], 2.0)
OTHER = _together("other", [[BEN], [CLEO], [CLEO]], 4.0)
VIDEOS = (BOTH, ALONE, OTHER)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("screen") / "home"
    with new_registry(home, *VIDEOS) as registry:
        for name, shown, place in (("Ann", BOTH, 0), ("Ben", BOTH, 2), ("Cleo", OTHER, 1)):
            registry.name(who(registry, shown, place), name)
    return home


def _open(home: Path) -> Registry:
    return open_registry(load_settings(home=home))


def _call(home: Path, *arguments: str) -> str:
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_timeline_is_printed_and_written(home: Path, tmp_path: Path) -> None:
    text = _call(home, "videos", "timeline", "both.mp4")
    assert "Ann, main person: 0.0-1.0 s (medium); with" in text
    assert max(map(len, text.splitlines())) <= 100
    document = json.loads(_call(home, "videos", "timeline", "both.mp4", "--json"))
    ann, ben = document["people"]
    assert (ann["name"], ann["main"], ann["intervals"]) == (
        "Ann", True, [{"start_s": 0.0, "end_s": 1.0, "size": "medium"}],
    )  # fmt: skip
    assert ben["together"][0]["seconds"] == pytest.approx(2 * FRAME_S, abs=1e-6)
    assert ben["share"] == pytest.approx(0.75)
    _call(home, "videos", "timeline", "both.mp4", "--csv", str(tmp_path / "out.csv"))
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [(row["name"], row["main"], row["end_s"]) for row in rows] == [
        ("Ann", "True", "1.0"),
        ("Ben", "False", "1.333333"),
    ]


def test_the_seconds_of_a_timeline_are_those_of_reports(home: Path) -> None:
    with _open(home) as registry:
        shown = {one.identity_id: one.seconds for one in timeline(registry, "other.mp4")}
        indexed = registry.video("other.mp4").appearances
        assert shown == {one.identity_id: pytest.approx(one.screen_time_s) for one in indexed}
        with pytest.raises(UnknownError):
            timeline(registry, "nothing.mp4")


def test_a_timeline_and_a_report_agree_on_the_main_person(home: Path) -> None:
    with _open(home) as registry:
        main = {one: timeline(registry, one)[0].identity_id for one in ("both.mp4", "other.mp4")}
        rows = report(registry, role="main").set_index("identity")
        assert rows.loc[main["both.mp4"], "videos"] == 2
        assert rows.loc[main["other.mp4"], "videos"] == 1
        assert len(rows) == 2


def test_pairs_have_their_videos_seconds_and_means(home: Path, tmp_path: Path) -> None:
    document = json.loads(_call(home, "identities", "together", "--json"))
    named = {frozenset((one["first_name"], one["second_name"])): one for one in document["pairs"]}
    first = named[frozenset(("Ann", "Ben"))]
    assert (first["videos"], first["seconds"]) == (1, pytest.approx(2 * FRAME_S, abs=1e-3))
    alone = {first["first_name"]: "first", first["second_name"]: "second"}
    assert first["mean_together"] == 8.0
    assert first[f"mean_{alone['Ann']}_alone"] == 2.0
    assert first[f"mean_{alone['Ben']}_alone"] == 4.0
    assert first["verdict"] == "too few"
    assert [one["url"] for one in first["shared"]] == [BOTH.url.exposed()]
    assert named[frozenset(("Ben", "Cleo"))]["seconds"] == 0.0, "never at the same time"
    text = _call(home, "identities", "together", "Ann", "Ben")
    assert "0.7 s together, Performance 8.00" in text
    _call(home, "identities", "together", "Ann", "--csv", str(tmp_path / "pairs.csv"))
    assert len((tmp_path / "pairs.csv").read_text().splitlines()) == 2


def test_a_pair_is_compared_with_the_videos_of_one_of_the_two(tmp_path: Path) -> None:
    values = np.random.default_rng(5).lognormal(0, 0.1, size=(3, 8))
    made = [
        _together(f"p{kind}{i}", frames, float(value * (10 if kind == 0 else 1)))
        for kind, frames in enumerate(([[ANN, BEN]], [[ANN]], [[BEN]]))
        for i, value in enumerate(values[kind])
    ]
    with new_registry(tmp_path / "home", *made) as registry:
        put(registry, *(_together(f"x{i}", [[CLEO]], 1000.0) for i in range(3)))
        [row] = pairs(registry).table.to_dict(orient="records")
        assert (row["n_together"], row["n_first_alone"], row["n_second_alone"]) == (8, 8, 8)
        rest = (row["mean_first_alone"] + row["mean_second_alone"]) / 2
        assert row["difference"] == pytest.approx(row["mean_together"] - rest)
        assert row["verdict"] == "clearly above"
        join_videos(registry, [one.url.exposed() for one in made[:2]])
        assert pairs(registry).table.iloc[0]["videos"] == 7
        ben = who(registry, made[0], 1)
        merge(registry, [who(registry, made[0]), ben])
        assert pairs(registry).table.empty
        with pytest.raises(UsageError, match="No video has the metric 'Likes'"):
            pairs(registry, metric="Likes")
