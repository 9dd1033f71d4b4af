"""A clock that is years off is noticed, and removal by age waits for a person to confirm it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.core import clock, keys
from registry.core.opening import open_registry
from registry.errors import UsageError
from registry.models.base import FaceModel
from tests.support.factories import person, video
from tests.support.registries import new_registry, open_empty

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def _ran(blobs: FolderStore, *days_ago: float, now: datetime = NOW) -> None:
    for number, days in enumerate(days_ago):
        at = now - timedelta(days=days)
        blobs.put(keys.run(f"{at:%Y%m%dT%H%M%SZ}-{number:04x}"), b"{}")


@pytest.fixture
def blobs(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.mark.parametrize(
    ("days_ago", "said"),
    [
        ((), ""),
        ((700, 350, 1), ""),
        ((30, -0.9), ""),
        ((30, -2), "a run of this registry began on 2026-11-29"),
        ((30, -3652), "a run of this registry began on 2036-11-26"),
        ((-3652, -3660), "the first run of this registry began on 2036-11-26"),
        ((3700, 3652), "3,652 days after the run before it, of 2016-11-27"),
        ((3652, 10, 1), "A run of this registry began on 2026-11-17, 3,642 days after"),
    ],
)
def test_what_contradicts_the_clock_is_said(
    blobs: FolderStore, days_ago: tuple[float, ...], said: str
) -> None:
    _ran(blobs, *days_ago)
    found = clock.doubts(blobs, now=NOW)
    assert said in found
    assert bool(said) == bool(found)
    clock.check_clock(blobs, confirmed=True, now=NOW)
    if said:
        with pytest.raises(UsageError, match="repeat the command with --clock-is-right"):
            clock.check_clock(blobs, confirmed=False, now=NOW)
    else:
        clock.check_clock(blobs, confirmed=False, now=NOW)


def test_names_that_are_no_times_say_nothing(blobs: FolderStore) -> None:
    blobs.put(keys.run("test-run"), b"{}")
    assert clock.doubts(blobs, now=NOW) == ""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Runs a command on a registry of one old video with a run ten years ahead."""
    home = tmp_path / "home"
    new_registry(home, video("old", [person(0)])).close()
    blobs = FolderStore(home / "objects")
    _ran(blobs, -3652, now=datetime.now(UTC))
    blobs.close()

    def command(*words: str) -> Result:
        return CliRunner().invoke(cli, ["--home", str(home), *words])

    return command


def test_removal_by_age_is_refused_until_the_clock_is_confirmed(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    remove = ("videos", "remove", "--older-than", "30")
    listed = run(*remove)
    assert listed.exit_code == 0
    assert "old.mp4" in listed.output
    assert "The clock of this computer says" in listed.output
    refused = run(*remove, "--yes")
    assert isinstance(refused.exception, UsageError)
    assert "what is removed is lost" in str(refused.exception)
    with open_registry(home=tmp_path / "home") as registry:
        assert registry.index.count_videos() == 1
    confirmed = run(*remove, "--yes", "--clock-is-right")
    assert confirmed.exit_code == 0, confirmed.output
    with open_registry(home=tmp_path / "home") as registry:
        assert registry.index.count_videos() == 0


def test_a_video_that_is_named_is_removed_whatever_the_clock_says(
    run: Callable[..., Result],
) -> None:
    assert run("videos", "remove", "https://example.com/old.mp4", "--yes").exit_code == 0


def test_status_retention_and_doctor_say_it(run: Callable[..., Result]) -> None:
    assert "began on 20" in json.loads(run("status", "--json").stdout)["clock"]
    assert "The clock of this computer" in run("retention", "--days", "30", "--yes").output
    findings = {f["part"]: f for f in json.loads(run("doctor", "--json").stdout)["findings"]}
    assert findings["clock"]["verdict"] == "warning"
    assert "--clock-is-right" in findings["clock"]["advice"]


def test_an_ingest_warns(tmp_path: Path, sface: FaceModel) -> None:
    home = tmp_path / "home"
    open_empty(home, sface).close()
    blobs = FolderStore(home / "objects")
    _ran(blobs, -3652, now=datetime.now(UTC))
    blobs.close()
    (tmp_path / "t.csv").write_text("Video URL,Performance\nabsent.mp4,2\n")
    told = CliRunner().invoke(
        cli, ["--home", str(home), "ingest", str(tmp_path / "t.csv"), "--workers", "0"]
    )
    assert "warning: The clock of this computer says" in told.output
