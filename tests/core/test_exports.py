"""The files that were written out of a registry are known, and receipts and doctor name them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from qdrant_client import QdrantClient

from queries.export import write_zip
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.copies.backup import backup, restore
from registry.core.exports import Export, load_exports, record_exports, save_exports
from registry.core.lease import Lease
from registry.core.metric_history import first_run, read_by
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.errors import StoreCorrupt
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.upkeep.doctor import Inspection
from tests.support.factories import contract, person, video
from tests.support.registries import new_registry, put, who

NOW = datetime.now(UTC)


def _stamp(days_ago: float) -> str:
    return f"{NOW - timedelta(days=days_ago):%Y%m%dT%H%M%SZ}-0000"


EARLY = replace(video("early", [person(0)]), run=_stamp(30))
LATE = replace(video("late", [person(1)]), run=_stamp(10))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "home", EARLY, LATE) as opened:
        yield opened


def written(registry: Registry, name: str, days_ago: float) -> Export:
    at = (NOW - timedelta(days=days_ago)).isoformat(timespec="seconds")
    export = Export("zip", f"/exports/{name}.zip", at)
    with registry.writing():
        save_exports(registry.blobs, [*load_exports(registry.blobs), export])
    return export


def test_commands_and_functions_record_what_they_write(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_zip(registry, tmp_path / "faces.zip")
    backup(registry, tmp_path / "saved.zip")
    registry.close()
    monkeypatch.chdir(tmp_path)
    options = ("--csv", "a.csv", "--parquet", "b.parquet", "--excel", "c.xlsx")
    done = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "report", *options])
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "report", "--csv", "a.csv"])
    assert again.exit_code == 0
    with open_registry(home=tmp_path / "home") as opened:
        known = load_exports(opened.blobs)
    assert sorted((one.kind, Path(one.path).name) for one in known) == [
        ("backup", "saved.zip"),
        ("csv", "a.csv"),
        ("excel", "c.xlsx"),
        ("parquet", "b.parquet"),
        ("parquet", "b_appearances.parquet"),
        ("parquet", "b_videos.parquet"),
        ("zip", "faces.zip"),
    ]
    assert all(Path(one.path).parent == tmp_path for one in known)
    assert all(datetime.fromisoformat(one.at) >= NOW.replace(microsecond=0) for one in known)


def test_a_receipt_names_what_was_written_while_the_person_was_on_record(
    registry: Registry,
) -> None:
    written(registry, "before both", 40)
    first, second = written(registry, "with one", 20), written(registry, "with both", 5)
    early, late = who(registry, EARLY), who(registry, LATE)
    of_late = registry.forget(late)
    assert [export["path"] for export in of_late["exports"]] == [second.path]
    of_early = registry.remove_videos([EARLY.video_id])
    assert [export["path"] for export in of_early["exports"]] == [first.path, second.path]
    assert set(of_early["exports"][0]) == {"kind", "path", "at"}
    assert early not in str(of_early)


def test_a_video_that_was_read_again_counts_from_its_first_run(registry: Registry) -> None:
    assert first_run(EARLY) == EARLY.run
    assert first_run(read_by(EARLY, _stamp(1))) == EARLY.run
    # Without a metric, nothing tells when it was first read: every export counts.
    assert first_run(replace(EARLY, metrics={})) == ""
    export = written(registry, "long ago", 1000)
    registry.commit(replace(EARLY, metrics={}))
    assert [one["path"] for one in registry.forget(who(registry, EARLY))["exports"]] == [
        export.path
    ]


def test_doctor_names_exports_and_those_that_an_erasure_left(
    registry: Registry, tmp_path: Path
) -> None:
    def finding() -> tuple[str, str]:
        [one] = [f for f in Inspection(registry).findings() if f.part == "exports"]
        return one.verdict, one.detail

    assert finding() == ("ok", "No file is known to have been written from here.")
    path = tmp_path / "faces.zip"
    write_zip(registry, path)
    assert finding() == ("ok", f"Files written from here: 1 (zip {path}).")
    registry.forget(who(registry, EARLY))
    assert finding()[0] == "warning"
    assert f"Written before an erasure, and still there: {path}." in finding()[1]
    path.unlink()
    assert finding()[0] == "ok"


def test_a_restore_keeps_what_was_written_since_the_backup(
    registry: Registry, tmp_path: Path
) -> None:
    backup(registry, tmp_path / "saved.zip")
    write_zip(registry, tmp_path / "faces.zip")
    known = load_exports(registry.blobs)
    restore(registry, tmp_path / "saved.zip", overwrite=True)
    assert load_exports(registry.blobs) == known
    assert len(known) == 2


def test_a_damaged_list_stops_no_erasure_and_the_receipt_says_so(registry: Registry) -> None:
    with registry.writing():
        registry.blobs.put("exports.json", b'{"exports": 3}')
    with pytest.raises(StoreCorrupt, match="delete it"):
        load_exports(registry.blobs)
    receipt = registry.forget(who(registry, EARLY))
    assert receipt["exports"] == []
    assert "exports made before: the list of them is damaged" in receipt["not_covered"]


def test_an_export_while_another_process_writes_is_kept_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    blobs = FolderStore(tmp_path / "objects")
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    other = Lease(blobs)
    settings = load_settings(home=tmp_path)
    with Registry(settings, blobs, store, lease=Lease(blobs), say=said.append) as registry:
        registry.establish(contract())
        put(registry, EARLY)
        assert registry.lease
        registry.lease.release()
        other.acquire()
        record_exports(registry, "csv", [tmp_path / "table.csv"])
        assert len(said) == 1
        assert "table.csv was written, so the receipt" in said[0]
        other.release()
        record_exports(registry, "csv", [tmp_path / "table.csv"])
        assert [one.kind for one in load_exports(registry.blobs)] == ["csv"]
