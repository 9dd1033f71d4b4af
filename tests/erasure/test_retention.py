"""How long videos are kept: a period for everyone, and removing what is older in one go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from qdrant_client import QdrantClient

from registry import open_registry
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.copies.backup import backup, restore
from registry.core import keys, retention
from registry.core.erasing import ErasurePlan, decode_plan
from registry.core.registry import Registry
from registry.core.retention import older_than
from registry.errors import StoreCorrupt
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.upkeep.doctor import Inspection
from registry.upkeep.monitoring import format_metrics
from registry.upkeep.status import dump
from tests.support.factories import contract, person, video
from tests.support.homes import copy_home
from tests.support.registries import new_registry, put

NOW = datetime.now(UTC)


def _read(days_ago: float, name: str, who: int) -> Any:
    """A video that was read so many days ago."""
    at = NOW - timedelta(days=days_ago)
    return replace(video(name, [person(who)]), run=f"{at:%Y%m%dT%H%M%SZ}-0000")


OLD, OLDER, NEW = _read(40, "old", 0), _read(400, "older", 1), _read(2, "new", 0)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("filled") / "home"
    with new_registry(home, OLD, OLDER, NEW):
        return home


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    return copy_home(filled, tmp_path / "home")


def _call(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), *arguments], catch_exceptions=False)


def test_the_period_belongs_to_the_registry(home: Path, tmp_path: Path) -> None:
    assert _call(home, "retention").stdout == "Videos are kept without limit.\n"
    said = _call(home, "retention", "--days", "90").stdout
    assert "1 is older. Run `face-registry videos remove --older-than 90`" in said
    assert json.loads(_call(home, "status", "--json").stdout)["retention_days"] == 90
    with open_registry(home=home) as opened:
        assert "face_registry_videos_past_retention 1.0\n" in format_metrics(opened)
        finding = {f.part: f for f in Inspection(opened).findings()}["retention"]
        assert (finding.verdict, OLDER.url.exposed() in finding.detail) == ("warning", True)
        assert "--older-than 90" in finding.advice
        before = dump(opened)
        assert before["retention_days"] == 90
        backup(opened, tmp_path / "saved.zip")
    with open_registry(home=tmp_path / "other") as other:
        restore(other, tmp_path / "saved.zip")
        assert dump(other) == before
    assert json.loads(_call(home, "retention", "--none", "--json").stdout)["days"] is None
    assert _call(home, "retention", "--none", "--days", "3").exit_code == 2


def test_what_is_older_is_listed_first_and_removed_with_yes(home: Path) -> None:
    listed = _call(home, "videos", "remove", "--older-than", "30")
    assert OLD.url.exposed() in listed.stdout
    assert OLDER.url.exposed() in listed.stdout
    assert NEW.url.exposed() not in listed.stdout
    assert "2 videos would be removed for good. Use --yes" in listed.stderr
    preview = json.loads(_call(home, "videos", "remove", "--older-than", "30", "--json").stdout)
    assert (preview["removed"], len(preview["videos"])) == (None, 2)
    done = _call(home, "videos", "remove", "--older-than", "30", "--yes", "--json")
    receipt = json.loads(done.stdout)
    assert receipt["removed"] == {"videos": 2, "faces": 2, "crops": 2, "identities": 1}
    assert len(receipt["subject"]["sha256"]) == 2
    with open_registry(home=home) as opened:
        assert [video.url for video in opened.index.videos()] == [NEW.url]
        assert [info.key for info in opened.blobs.list("crops/")] == [NEW.faces[0].crop]
        assert {f.verdict for f in Inspection(opened).findings()} == {"ok"}
    again = _call(home, "videos", "remove", "--older-than", "30", "--yes")
    assert "No video is that old" in again.stdout


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Registry]:
    """The same on the served kind of index, in memory."""
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    blobs = FolderStore(tmp_path / "objects")
    with Registry(load_settings(home=tmp_path), blobs, store) as opened:
        opened.establish(contract())
        put(opened, OLD, OLDER, NEW)
        yield opened


def test_several_videos_are_removed_by_name(served: Registry) -> None:
    receipt = served.remove_videos([OLD.url.exposed(), NEW.video_id, OLD.video_id])
    assert receipt["removed"]["videos"] == 2
    assert list(served.records.ids()) == [OLDER.video_id]


def test_videos_are_named_or_chosen_by_age(tmp_path: Path) -> None:
    assert _call(tmp_path, "videos", "remove").exit_code == 2
    assert (
        _call(tmp_path, "videos", "remove", OLDER.url.exposed(), "--older-than", "3").exit_code == 2
    )


def test_a_video_of_an_unknown_day_counts_as_old(served: Registry) -> None:
    served.commit(video("of no day", []))
    assert [v.last_read for v in older_than(served, 10_000)] == [""]
    assert {v.url.exposed() for v in older_than(served, 0, now=NOW + timedelta(days=1))} >= {
        NEW.url.exposed()
    }


def test_a_damaged_period_says_how_to_set_it_again(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    blobs.put(keys.RETENTION, b"{}")
    with pytest.raises(StoreCorrupt, match="retention --days"):
        retention.days(blobs)


def test_a_plan_comes_back_from_its_intent() -> None:
    for subject in ("one", ("one", "two")):
        plan = ErasurePlan(
            "video", ("i",), ("a", "b"), ("a",), subject=subject, removed={"videos": 1}
        )
        assert decode_plan(plan.encode()) == plan
