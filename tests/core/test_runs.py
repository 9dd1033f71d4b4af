"""The history of runs: what is kept of each, however it ended, and what never is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from qdrant_client import QdrantClient

from ingest import ingest
from registry import open_registry
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.copies.backup import backup, restore
from registry.core.lease import Lease
from registry.core.registry import Registry
from registry.core.runs import recorded, runs
from registry.errors import RegistryLocked, StoreCorrupt, StoreFull, UsageError
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.system.process import user_at_host
from registry.upkeep.status import dump
from tests.faults.forks import child
from tests.support.factories import contract, person, video
from tests.support.registries import new_registry

VIDEO = video("a", [person(0)])


def _served(home: Path, *, leased: bool = False) -> Registry:
    """A registry with the served kind of index, in memory, and perhaps a lease."""
    blobs = FolderStore(home / "objects")
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    lease = Lease(blobs) if leased else None
    return Registry(load_settings(home=home), blobs, store, lease=lease)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    opened = _served(tmp_path)
    opened.establish(contract())
    return opened


def _call(home: Path, *arguments: str) -> Result:
    command = ["--home", str(home), *arguments]
    return CliRunner().invoke(cli, command, catch_exceptions=False)


def test_an_ingest_is_kept_with_who_what_for_and_how_it_ended(tmp_path: Path) -> None:
    home, table = tmp_path / "home", tmp_path / "week 1.csv"
    table.write_text("Video URL,Performance\nmissing.mp4,1\n")
    done = _call(
        home, "ingest", str(table), "--workers", "1", "--purpose", " Study of reach ", "--json"
    )
    summary = json.loads(done.stdout)
    [run] = json.loads(_call(home, "status", "--runs", "--json").stdout)["runs"]
    assert run["run"] == summary["run"]
    assert (run["kind"], run["outcome"], run["reason"]) == ("ingest", "done", "")
    assert (run["csv"], run["purpose"]) == ("week 1.csv", "Study of reach")
    assert (run["counts"]["videos"], run["failures"]) == (summary["videos"], 1)
    assert (run["by"], run["model"]) == (user_at_host(), "sface")
    assert run["started"] <= run["ended"]
    assert "missing" not in json.dumps(run)
    said = _call(home, "status", "--runs").stdout
    assert "ingest  done" in said
    assert "purpose: Study of reach" in said


def test_a_purpose_can_stand_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_REGISTRY_PURPOSE", "Reach")
    table = pd.DataFrame({"Video URL": ["missing.mp4"], "Performance": [1.0]})
    with open_registry(home=tmp_path / "home") as opened:
        ingest(opened, table, workers=0)
        ingest(opened, table, workers=0, purpose="Audit")
        assert [run.purpose for run in runs(opened)] == ["Audit", "Reach"]


@pytest.mark.parametrize(
    ("purpose", "why"),
    [("a\nb", "on one line"), ("x" * 501, "501 characters, and 500 are allowed")],
)
def test_a_purpose_is_one_line(registry: Registry, purpose: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        ingest(registry, pd.DataFrame(), purpose=purpose)
    assert runs(registry) == []


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (StoreFull("no space left to write /home/ann/x; make room there"), "failed",
         "no space left to write … make room there"),
        (StoreCorrupt(f"record records/{VIDEO.video_id}.parquet is damaged"), "failed",
         "record … is damaged"),
        (ZeroDivisionError("https://example.com/ann.mp4"), "failed",
         "internal error: ZeroDivisionError"),
        (KeyboardInterrupt(), "interrupted", ""),
    ],
    ids=["a path", "an id", "a defect", "Ctrl-C"],
)  # fmt: skip
def test_a_run_that_failed_says_why_and_tells_of_nobody(
    registry: Registry, error: BaseException, outcome: str, reason: str
) -> None:
    with pytest.raises(type(error)), recorded(registry, "ingest") as recording:
        recording.failures = 2
        raise error
    [run] = runs(registry)
    assert (run.outcome, run.reason, run.failures) == (outcome, reason, 2)


def test_a_run_that_was_stopped_is_interrupted(registry: Registry) -> None:
    with recorded(registry, "ingest") as recording:
        recording.interrupted = True
    assert runs(registry)[0].outcome == "interrupted"


def test_a_run_that_was_killed_did_not_end(registry: Registry, tmp_path: Path) -> None:
    def die(_: object) -> None:
        with recorded(registry, "ingest"):
            os._exit(9)

    assert child(die) == (9, [])
    [run] = runs(_served(tmp_path))
    assert (run.kind, run.outcome, run.ended) == ("ingest", "did not end", "")


def test_on_servers_a_reader_sees_whether_a_run_is_at_work(tmp_path: Path) -> None:
    writer, reader = _served(tmp_path, leased=True), _served(tmp_path, leased=True)
    writer.establish(contract())
    with recorded(writer, "reindex"):
        reader = _served(tmp_path, leased=True)
        assert [run.outcome for run in runs(reader)] == ["running"]
        assert writer.lease is not None
        writer.lease.release()
        assert [run.outcome for run in runs(reader)] == ["did not end"]


def test_whose_lease_was_taken_over_writes_no_end(tmp_path: Path) -> None:
    writer = _served(tmp_path, leased=True)
    writer.establish(contract())
    with pytest.raises(RegistryLocked), recorded(writer, "reindex"):
        Lease(writer.blobs.unguarded, clock=lambda: time.time() + 61).acquire()
    assert [run.outcome for run in runs(writer)] == ["did not end"]


def test_a_damaged_run_is_said_to_be(registry: Registry) -> None:
    registry.blobs.unguarded.put("runs/20260102T030405Z-0000.json", b"{")
    [run] = runs(registry)
    assert (run.outcome, run.started) == ("damaged", "2026-01-02T03:04:05+00:00")


def test_runs_come_newest_first_and_travel_with_a_backup(
    registry: Registry, tmp_path: Path
) -> None:
    before = dump(registry)
    for run in ("20260101T000000Z-0000", "20260301T000000Z-0000", "20260201T000000Z-0000"):
        with recorded(registry, "ingest", run=run):
            pass
    kept = runs(registry)
    assert [run.run[4:6] for run in kept] == ["03", "02", "01"]
    assert dump(registry) == before
    head = backup(registry, tmp_path / "saved.zip")
    assert head["counts"]["runs"] == 3
    with _served(tmp_path / "other") as other:
        restore(other, tmp_path / "saved.zip")
        newest, *others = runs(other)
        assert (newest.kind, newest.outcome) == ("restore", "done")
        assert others == kept


def test_reindexing_is_a_run(tmp_path: Path) -> None:
    with new_registry(tmp_path, VIDEO):
        pass
    assert _call(tmp_path, "reindex").exit_code == 0
    with open_registry(home=tmp_path) as opened:
        [run] = runs(opened)
    found: dict[str, Any] = dict(run.counts)
    assert (run.kind, found) == ("reindex", {"videos": {"rows": 1}})
