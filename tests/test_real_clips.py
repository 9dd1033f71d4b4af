"""Real clips of five people, two or all of each, under both models that can be had here."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.test_main_job import call

CLIPS = "videos/asl_gestures"


def _people(data: Path) -> dict[str, str]:
    """Person by file name; each of these clips shows one."""
    labels = pd.read_csv(data / "videos" / "labels.tsv", sep="\t")
    ours = labels[labels["video"].str.startswith("asl_gestures/")]
    return {Path(video).name: person for video, person in zip(ours.video, ours.person, strict=True)}


@pytest.fixture(
    scope="module",
    params=[
        ("sface", 2),
        pytest.param(("sface", None), marks=pytest.mark.slow),
        pytest.param(("buffalo_sc_int8", None), marks=pytest.mark.slow),
    ],
    ids=["sface-few", "sface", "buffalo_sc_int8"],
)
def registry(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The home of a registry of so many clips of each person, and their table."""
    name, most = request.param
    model = name if name == "sface" else str(shared_data / "models" / name)
    folder = tmp_path_factory.mktemp(name)
    table = folder / "clips.csv"
    clips = sorted((shared_data / CLIPS).glob("*.mkv"))
    assert len(clips) == 20
    people = _people(shared_data)
    of_person = [[clip for clip in clips if people[clip.name] == p] for p in set(people.values())]
    clips = sorted(clip for theirs in of_person for clip in theirs[:most])
    assert len(clips) == (20 if most is None else 5 * most)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Video URL", "Performance"])
        writer.writerows((clip, 3.5 * number) for number, clip in enumerate(clips))
    result = call(
        folder / "home", "ingest", str(table), "--model", model, "--allow-local-files", "--json"
    )
    assert result.exit_code == 0, result.output
    return folder / "home", table


def _json(home: Path, *arguments: str) -> Any:
    return json.loads(call(home, *arguments, "--json").stdout)


def test_there_are_faces_in_all(registry: tuple[Path, Path]) -> None:
    videos = _json(registry[0], "videos", "list")["videos"]
    assert len(videos) == len(pd.read_csv(registry[1]))
    assert all(video["faces"] >= 5 for video in videos)


def test_no_identity_mixes_two_people(registry: tuple[Path, Path], shared_data: Path) -> None:
    people = _people(shared_data)
    shown: dict[str, set[str]] = defaultdict(set)
    for video in _json(registry[0], "videos", "list")["videos"]:
        for appearance in video["appearances"]:
            shown[appearance["identity_id"]].add(people[Path(video["url"]).name])
    assert all(len(who) == 1 for who in shown.values())
    assert 5 <= len(shown) <= 60


def test_averages_equal_a_pandas_computation(registry: tuple[Path, Path]) -> None:
    home, table = registry
    values = pd.read_csv(table)
    values["url"] = values["Video URL"].map(lambda path: Path(path).resolve().as_uri())
    seen = pd.DataFrame(
        (v["url"], a["identity_id"])
        for v in _json(home, "videos", "list")["videos"]
        for a in v["appearances"]
    ).set_axis(["url", "identity"], axis=1)
    theirs = seen.merge(values, on="url").groupby("identity")["Performance"].mean()
    rows = _json(home, "report")["rows"]
    ours = pd.Series({row["identity"]: row["average_performance"] for row in rows})
    pd.testing.assert_series_equal(ours.sort_index(), theirs, check_names=False)


def test_a_crop_finds_its_own_identity_first(registry: tuple[Path, Path]) -> None:
    home, _ = registry
    for video in _json(home, "videos", "list")["videos"][::5]:
        appearance = video["appearances"][0]
        answer = _json(home, "lookup", str(home / "objects" / appearance["best_crop"]))
        best = answer["faces"][0]["matches"][0]
        assert best["identity"] == appearance["identity_id"]
        assert best["similarity"] > 0.99
