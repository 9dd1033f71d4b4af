"""Provisional identities: kept, and left out of lists, reports and counts."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from queries.averages import averages
from queries.export import write_zip
from registry.cli import cli
from registry.core.registry import Registry
from registry.domain import Identity, Quality, Vectors, Video
from registry.people.joining import count_joining
from registry.upkeep.status import status
from tests.support.factories import person, video
from tests.support.registries import new_registry, put, who

BLURRED = Quality(0.1, ("blurred",))


def _poor(name: str, embedding: Vectors) -> Video:
    made = video(name, [embedding])
    return replace(made, faces=tuple(replace(face, quality=BLURRED) for face in made.faces))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    new_registry(tmp_path / "home", video("a", [person(0)]), _poor("b", person(1))).close()
    return tmp_path / "home"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "registry", video("a", [person(0)])) as opened:
        yield opened


def test_a_poor_face_alone_counts_nowhere_and_is_in_the_zip(
    registry: Registry, tmp_path: Path
) -> None:
    [poor] = put(registry, _poor("b", person(1)))
    identity = registry.identity(who(registry, poor))
    assert identity.provisional
    assert identity.identity_id not in set(averages(registry)["identity"])
    assert identity.identity_id in set(averages(registry, provisional=True)["identity"])
    assert status(registry)["identities"]["total"] == 1
    assert status(registry)["identities"]["provisional"] == 1
    write_zip(registry, tmp_path / "faces.zip")
    names = zipfile.ZipFile(tmp_path / "faces.zip").namelist()
    assert f"{identity.identity_id}/cover.jpg" in names


def test_a_good_face_that_joins_it_establishes_it(registry: Registry) -> None:
    [poor, good] = put(registry, _poor("b", person(1)), video("c", [person(1)]))
    assert who(registry, good) == who(registry, poor)
    assert not registry.identity(who(registry, poor)).provisional
    assert registry.index.count_identities() == 2
    put(registry, replace(good, faces=()))
    assert registry.identity(who(registry, poor)).provisional


def test_so_does_a_name(registry: Registry) -> None:
    [poor] = put(registry, _poor("b", person(1)))
    registry.name(who(registry, poor), "Ann")
    assert registry.index.count_identities() == 2
    registry.name("Ann", "")
    assert registry.index.count_identities() == 1
    registry.reindex()
    assert registry.index.count_identities() == 1


def test_so_does_a_track_of_poor_faces_that_are_certainly_faces(registry: Registry) -> None:
    """Somebody who is only ever seen from the side is somebody."""

    def seen(name: str, number: int, *reasons: str) -> bool:
        made = video(name, [person(number)] * 3)
        poor = tuple(replace(face, quality=Quality(0.4, reasons)) for face in made.faces)
        [put_down] = put(registry, replace(made, faces=poor))
        return not registry.identity(who(registry, put_down)).provisional

    assert seen("side", 1, "profile")
    assert not seen("hands", 2, "low_score", "profile")


def test_videos_leave_them_out_too(home: Path) -> None:
    def shown(*arguments: str) -> int:
        result = CliRunner().invoke(cli, ["--home", str(home), "videos", "list", *arguments])
        videos = json.loads(result.stdout)["videos"]
        return sum(len(video["appearances"]) for video in videos)

    assert (shown("--json"), shown("--all", "--json")) == (1, 2)


def test_lists_say_how_many_they_leave_out(home: Path) -> None:
    def run(*arguments: str) -> tuple[str, str]:
        result = CliRunner().invoke(cli, ["--home", str(home), *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    listed, note = run("identities", "list")
    assert len(listed.splitlines()) == 2
    assert "1 provisional identity not listed" in note
    assert len(json.loads(run("identities", "list", "--json")[0])["identities"]) == 1
    assert len(json.loads(run("identities", "list", "--all", "--json")[0])["identities"]) == 2
    report = json.loads(run("report", "--json")[0])
    assert (len(report["rows"]), report["provisional"]) == (1, 1)
    assert "1 provisional identity not listed" in run("report")[1]
    assert len(json.loads(run("report", "--all", "--json")[0])["rows"]) == 2


@pytest.mark.parametrize(("group", "fewer"), [("Ppp", 0), ("pEp", 0), ("pEE", 1), ("EpEE", 2)])
def test_joining_leaves_one_established_identity_of_a_group(group: str, fewer: int) -> None:
    """E: established, p: provisional; also where the id of a provisional one is kept."""
    members = [
        Identity(str(place), "", 1, 1, 0.0, "", "", provisional=letter in "Pp")
        for place, letter in enumerate(group)
    ]
    ids = [identity.identity_id for identity in members]
    assert count_joining([ids], members) == fewer
