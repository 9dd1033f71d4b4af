"""The main job as a user has it: real videos over HTTP, the real default model and stores."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from registry.cli import cli
from registry.demo.cast import VIDEOS
from registry.demo.server import serve_folder
from registry.demo.videos import write_csv, write_probe
from registry.errors import RegistryError
from tests.support import places

in_folders = pytest.mark.skipif(
    bool(places.environment(Path())), reason="looks into the folders of an embedded registry"
)
CAST = {video.file: video for video in VIDEOS}


@dataclass(frozen=True)
class Site:
    """A folder of videos that is served, and the table of them."""

    folder: Path
    url: str
    table: Path


@pytest.fixture(scope="module")
def site(demo_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = Path(shutil.copytree(demo_videos, tmp_path_factory.mktemp("site") / "videos"))
    with serve_folder(folder) as url:
        table = tmp_path_factory.mktemp("table") / "videos.csv"
        write_csv(table, url)
        yield Site(folder, url, table)


def call(home: Path, *arguments: str) -> Result:
    """Run a command as the console script would, on the servers that the tests are given."""
    return call_here(home, *arguments, env=places.environment(home))


def call_here(home: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Run a command as the console script would."""
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments], env=env)
    if isinstance(result.exception, RegistryError):
        return result
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def first(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A registry that has ingested the table once, and what the command printed."""
    home = tmp_path_factory.mktemp("first") / "home"
    return home, ingest(home, site.table)


def ingest(home: Path, table: Path, *more: str, code: int = 3) -> dict[str, Any]:
    """Ingest with the options of the demo. One video of its table is not there: 3."""
    result = call(
        home, "ingest", str(table), "--metric", "Performance", "--metric", "Views",
        "--allow-private-hosts", "--json", *more,
    )  # fmt: skip
    assert result.exit_code == code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def _json(home: Path, *arguments: str) -> Any:
    result = call(home, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_summary_counts_every_row(first: tuple[Path, dict[str, Any]]) -> None:
    _, summary = first
    assert summary["videos"] == {
        "rows": 9, "ingested": 8, "updated": 0, "unchanged": 0, "duplicates": 0, "failed": 1,
        "gone": 0, "repeating": 0,
    }  # fmt: skip
    [failure] = summary["failures"]
    assert failure["row"] == 6
    assert "404" in failure["reason"]
    assert summary["frames"] > 100
    assert summary["faces"] > 100


def test_the_people_found_are_the_people_shown(first: tuple[Path, dict[str, Any]]) -> None:
    """Each identity is in exactly the videos of one person of the cast."""
    home, summary = first
    people = {person for video in VIDEOS for person in video.people}
    assert summary["identities"]["total"] == len(people)
    videos = _json(home, "videos", "list")["videos"]
    found = {
        frozenset(
            Path(v["url"]).name
            for v in videos
            if identity in {a["identity_id"] for a in v["appearances"]}
        )
        for identity in {a["identity_id"] for v in videos for a in v["appearances"]}
    }
    assert found == {frozenset(v.file for v in VIDEOS if p in v.people) for p in people}


@pytest.mark.slow
def test_consolidation_mends_a_rule_that_is_too_strict(site: Site, tmp_path: Path) -> None:
    """At cosine 0.995 even neighbouring frames are strangers; joined, they are the people shown.

    All but one: a player is only seen from the side, and poor faces join nobody by themselves.
    """
    home = tmp_path / "strict"
    summary = ingest(home, site.table, "--threshold", "0.995")["identities"]
    assert _json(home, "report")["likely_duplicates"] == summary["likely_duplicates"] > 0
    again = ingest(home, site.table, "--consolidate")["identities"]
    assert again["joined"] == summary["likely_duplicates"]
    assert again["total"] == summary["total"] - again["joined"]
    assert again["likely_duplicates"] == 0
    videos = _json(home, "videos", "list")["videos"]
    seen: dict[str, set[str]] = {}
    for video in videos:
        for appearance in video["appearances"]:
            seen.setdefault(appearance["identity_id"], set()).add(Path(video["url"]).name)
    people = {person for video in VIDEOS for person in video.people}
    shown = [{v.file for v in VIDEOS if person in v.people} for person in people]
    assert all(any(files <= of_person for of_person in shown) for files in seen.values())
    assert sum(of_person in seen.values() for of_person in shown) == len(people) - 1
    assert call(home, "identities", "undo").exit_code == 0
    assert _json(home, "status")["identities"]["total"] == summary["total"]


def test_averages_equal_a_pandas_computation(
    site: Site, first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, _ = first
    call(home, "report", "--csv", str(tmp_path / "out.csv"), "--zip", str(tmp_path / "out.zip"))
    ours = pd.read_csv(tmp_path / "out.csv").set_index("identity").sort_index()
    table = pd.read_csv(site.table).set_index("Video URL")
    seen = pd.DataFrame(
        [
            {"url": v["url"], "identity": a["identity_id"]}
            for v in _json(home, "videos", "list")["videos"]
            for a in v["appearances"]
        ]
    )
    theirs = seen.join(table, on="url").groupby("identity")[["Performance", "Views"]].mean()
    pd.testing.assert_series_equal(
        ours["average_performance"], theirs["Performance"], check_names=False
    )
    pd.testing.assert_series_equal(
        ours["average_Views"], theirs["Views"], check_names=False, check_dtype=False
    )
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = set(archive.namelist())
        assert set(ours["face_image"]) <= names
        pictures = [n for n in names if n.endswith(".jpg") and not n.endswith("/cover.jpg")]
        assert len(pictures) == ours["faces"].sum()
        assert all(archive.read(name)[:2] == b"\xff\xd8" for name in pictures)


def test_a_still_that_is_in_no_video_is_recognised(
    first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, _ = first
    write_probe(tmp_path / "probe.jpg", "player 3")
    [face] = _json(home, "lookup", str(tmp_path / "probe.jpg"))["faces"]
    best = face["matches"][0]
    assert best["similarity"] > 0.85
    assert best["same_by_rule"]
    videos = {Path(v).name for v in (e["video_url"] for e in best["evidence"])}
    assert videos <= {v.file for v in VIDEOS if "player 3" in v.people}
    assert best["average"]["Performance"] == pytest.approx((5.1 + 8.8 + 6.9) / 3)


@in_folders
def test_every_crop_finds_its_own_identity(first: tuple[Path, dict[str, Any]]) -> None:
    home, _ = first
    for identity in _json(home, "identities", "list")["identities"]:
        crop = home / "objects" / identity["cover"]
        faces = _json(home, "lookup", str(crop))["faces"]
        best = max((f["matches"][0] for f in faces if f["matches"]), key=lambda m: m["similarity"])
        assert best["identity"] == identity["identity"]
        assert best["similarity"] > 0.99


def test_the_same_table_again_changes_nothing(
    site: Site, first: tuple[Path, dict[str, Any]]
) -> None:
    home, _ = first
    again = ingest(home, site.table)
    assert again["videos"]["unchanged"] == 8
    assert again["frames"] == 0
    assert "--retry-failed" in again["failures"][0]["reason"]


@pytest.mark.slow
def test_another_registry_of_the_same_table_is_the_same(
    site: Site, first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, _ = first
    ingest(tmp_path / "other", site.table, "--workers", "1")
    here, there = (_json(h, "videos", "list") for h in (home, tmp_path / "other"))
    assert here == there
    assert _json(home, "report") == _json(tmp_path / "other", "report")


def test_next_weeks_table_adds_updates_and_retries(site: Site, tmp_path: Path) -> None:
    home = tmp_path / "home"
    week1, week2 = tmp_path / "1.csv", tmp_path / "2.csv"
    with site.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    _write(week1, [rows[0], rows[1], [f"{site.url}/late.mp4", "1", "1"]])
    assert ingest(home, week1, "--workers", "0")["videos"]["ingested"] == 1
    (site.folder / "late.mp4").write_bytes((site.folder / "launch-day.mp4").read_bytes())
    changed = [rows[1][0], "99.5", rows[1][2]]
    _write(week2, [rows[0], changed, rows[2], [f"{site.url}/late.mp4", "1", "1"]])
    summary = ingest(home, week2, "--retry-failed", "--workers", "0", code=0)
    assert summary["videos"]["updated"] == 1
    assert summary["videos"]["ingested"] == 2
    best = _json(home, "videos", "show", rows[1][0])
    assert best["metrics"]["Performance"] == 99.5
    report = _json(home, "report")["rows"]
    assert any(row["average_performance"] == 99.5 for row in report)
    assert _json(home, "videos", "show", f"{site.url}/late.mp4")["faces"] == 0


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


@in_folders
def test_a_lost_index_comes_back_the_same(
    first: tuple[Path, dict[str, Any]],
) -> None:
    home, _ = first
    before = _json(home, "report"), _json(home, "videos", "list")
    shutil.rmtree(home / "index")
    assert "face-registry reindex" in str(call(home, "report").exception)
    assert call(home, "reindex").exit_code == 0
    assert (_json(home, "report"), _json(home, "videos", "list")) == before


def test_names_show_in_every_answer(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, _ = first
    who = _json(home, "report")["rows"][0]["identity"]
    assert call(home, "identities", "name", who[:8], "Sally").exit_code == 0
    assert _json(home, "report")["rows"][0]["name"] == "Sally"
    shown = _json(home, "identities", "show", "Sally")
    assert shown["identity"] == who
    assert len(shown["appearances"]) == shown["videos"]
    call(home, "identities", "name", who, "")


def test_doctor_finds_everything_in_order(first: tuple[Path, dict[str, Any]]) -> None:
    home, _ = first
    findings = {f["part"]: f for f in _json(home, "doctor")["findings"]}
    assert {f["verdict"] for f in findings.values()} == {"ok"}
    assert findings["model"]["detail"].startswith("sface (128 dimensions, digest ")
    assert findings["model"]["detail"].endswith(" runs on cpu.")


def test_status_counts_what_there_is(first: tuple[Path, dict[str, Any]]) -> None:
    status = _json(first[0], "status")
    assert status["videos"] == {"done": 8, "partial": 0, "failed": 1}
    assert status["model"] == "sface"
