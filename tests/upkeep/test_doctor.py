"""What `doctor` finds in a registry damaged on purpose, what it mends, and what it leaves."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from qdrant_client import QdrantClient

from ingest.extract import Extraction
from ingest.fetch.downloads import Downloader
from ingest.pipeline import RunContext, run
from ingest.progress import SilentReporter
from ingest.summary import Summary
from ingest.tables.reading import read_frame
from ingest.tables.table import TableOptions
from registry import ids, open_registry
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.core import keys
from registry.core.intents import Intents
from registry.core.lease import Lease
from registry.core.registry import Registry
from registry.core.runs import runs
from registry.domain import Media
from registry.errors import FetchError, StoreCorrupt, StoreError
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.upkeep.checks import Finding, check_home_folder, check_machine
from registry.upkeep.doctor import Inspection, examine, examine_registry
from registry.upkeep.status import dump
from tests.faults.proxies import Fault, FaultyBlobs, FaultyStore, Trigger
from tests.support.factories import contract, face, person, picture, video
from tests.support.registries import new_registry, put, set_metrics

CONTRACT = contract()
A, B = video("a", [person(0), person(1)]), video("b", [person(0, 0.1)])


def _served(home: Path, client: QdrantClient, lease: Lease | None = None) -> Registry:
    blobs, store = (
        FolderStore(home / "objects"),
        ServerStore("http://localhost", None, client=client),
    )
    return Registry(load_settings(home=home), blobs, store, lease=lease)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Two videos, on the served kind of index."""
    with _served(tmp_path, QdrantClient(":memory:")) as opened:
        opened.establish(contract())
        put(opened, A, B)
        opened.settle()  # as an ingest does at its end
        yield opened


def _look(registry: Registry, *, fix: bool = False, deep: bool = False) -> dict[str, Finding]:
    return {finding.part: finding for finding in Inspection(registry, fix, deep).findings()}


def _verdicts(found: dict[str, Finding]) -> dict[str, str]:
    """Those of the parts that are not in order."""
    return {part: f.verdict for part, f in found.items() if f.verdict != "ok"}


def test_a_sound_registry_is_in_order_and_stays_as_it_is(registry: Registry) -> None:
    before, keys = dump(registry), [info.key for info in registry.blobs.list()]
    found = _look(registry, deep=True)
    assert _verdicts(found) == {}
    assert found["crops"].detail == "All crops (3) match their digests."
    assert all(finding.advice == "" for finding in found.values())
    assert (dump(registry), [info.key for info in registry.blobs.list()]) == (before, keys)


def test_an_embedded_registry_is_probed_and_mended_too(tmp_path: Path) -> None:
    with new_registry(tmp_path, A, B) as opened:
        before = dump(opened)
        opened.store.drop("faces")
    with open_registry(home=tmp_path) as opened:
        found = _look(opened)
        assert (found["index"].verdict, found["content"].verdict) == ("ok", "failed")
        assert _verdicts(_look(opened, fix=True)) == {"content": "fixed"}
        assert _verdicts(_look(opened)) == {}
        assert dump(opened) == before


def test_crops_of_no_record_are_named_and_removed(registry: Registry) -> None:
    registry.blobs.unguarded.put(f"crops/{A.video_id}/990_0.jpg", b"left behind")
    registry.blobs.unguarded.put(
        "crops/00000000-0000-4000-8000-000000000000/0_0.jpg", b"of no video"
    )
    found = _look(registry)["orphans"]
    assert found.verdict == "warning"
    assert "Crops without a record: 2 (" in found.detail
    assert "--fix" in found.advice
    assert _verdicts(_look(registry, fix=True)) == {"orphans": "fixed"}
    assert _verdicts(_look(registry)) == {}
    assert len(list(registry.blobs.list("crops/"))) == 3


def test_an_index_that_differs_is_rebuilt(registry: Registry) -> None:
    before = dump(registry)
    registry.index.put_details(replace(A, metrics={"Performance": 99.0}), registry.view)
    found = _look(registry)["content"]
    assert (found.verdict, "reindex" in found.advice) == ("failed", True)
    assert A.video_id in found.detail
    assert _verdicts(_look(registry, fix=True)) == {"content": "fixed"}
    assert dump(registry) == before


def _lose_a_crop(registry: Registry) -> None:
    registry.blobs.unguarded.delete(A.faces[0].crop)


def _flip_a_crop(registry: Registry) -> None:
    registry.blobs.unguarded.put(A.faces[0].crop, b"\xff\xd8 something else")


@pytest.mark.parametrize(("damage", "deep"), [(_lose_a_crop, False), (_flip_a_crop, True)])
def test_a_video_whose_crops_are_damaged_is_marked_and_stays_on_record(
    registry: Registry, damage: Any, deep: bool
) -> None:
    damage(registry)
    found = _look(registry, deep=deep)
    assert _verdicts(found) == {"crops": "failed"}
    assert ("doctor --deep --fix" in found["crops"].advice) == deep  # else --fix would not find it
    found = _look(registry, fix=True, deep=deep)
    assert _verdicts(found) == {"crops": "fixed"}
    assert A.url.exposed() in found["crops"].detail
    assert registry.rereads.marked() == [A.video_id]
    assert _verdicts(_look(registry, deep=deep)) == {"crops": "warning"}
    assert len(registry.records.get(A.video_id).faces) == 2  # type: ignore[union-attr]


def _damage_a_record(registry: Registry) -> None:
    data = registry.blobs.get(keys.record(A.video_id))
    registry.blobs.unguarded.put(keys.record(A.video_id), data[:-9])


def test_a_damaged_record_is_given_up_by_name_and_can_be_read_again(registry: Registry) -> None:
    sound = dump(registry)
    _damage_a_record(registry)
    found = _look(registry)
    assert found["records"].verdict == "failed"
    assert "Restore a backup" in found["records"].advice
    with pytest.raises(StoreCorrupt):
        registry.records.get(A.video_id)
    fixed = _look(registry, fix=True)
    assert _verdicts(fixed) == {"records": "fixed"}
    assert A.url.exposed() in fixed["records"].detail
    left = registry.records.get(A.video_id)
    assert left is not None
    assert (left.status, left.url.exposed(), left.metrics, left.faces) == (
        "failed",
        A.url.exposed(),
        A.metrics,
        (),
    )
    assert registry.index.count_faces() == 1
    put(registry, A)
    with registry.writing():
        registry.rereads.unmark(A.video_id)
    assert dump(registry) == sound


def test_a_damaged_record_that_no_index_knows_is_removed_and_said_to_be(
    registry: Registry,
) -> None:
    _damage_a_record(registry)
    registry.store.drop("videos")
    fixed = _look(registry, fix=True)
    assert _verdicts(fixed) == {"records": "fixed"}
    assert "URL unknown" in fixed["records"].detail
    assert list(registry.records.ids()) == [B.video_id]
    assert registry.index.count_videos() == 1


def test_a_damaged_record_and_a_damaged_index_are_put_right_at_once(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry:
        put(registry, A, B)
        _damage_a_record(registry)
    next(tmp_path.glob("index/faces/segments/*/segment.json")).write_text("{}")
    with open_registry(home=tmp_path) as registry:
        with pytest.raises(StoreCorrupt, match=A.video_id):
            registry.reindex()
        fixed = _look(registry, fix=True)
        assert _verdicts(fixed) == {"records": "fixed", "content": "fixed"}
        assert (
            A.url.exposed() in fixed["records"].detail
        )  # the index that was left standing knew it
        assert _verdicts(_look(registry)) == {"orphans": "warning"}  # its crops


def test_a_damaged_decision_is_not_repaired_and_nothing_is_dropped(registry: Registry) -> None:
    registry.name(next(registry.index.identities()).identity_id, "Ann")
    registry.blobs.unguarded.put("decisions/0000000001.json", b"{")
    registry.adopt(registry.blobs.unguarded)  # as a new process would open it
    found = _look(registry, fix=True)
    assert found["decisions"].verdict == "failed"
    assert "Restore it from a backup" in found["decisions"].detail
    assert registry.store.has("faces")
    assert len(list(registry.blobs.list("crops/"))) == 3


def test_what_an_earlier_crash_left_is_finished_or_named(registry: Registry) -> None:
    Intents(registry.blobs.unguarded).declare(B.video_id)
    registry.adopt(registry.blobs.unguarded)  # as a new process would open it
    found = _look(registry)["leftovers"]
    assert (found.verdict, found.detail) == (
        "ok", "Completed interrupted changes: 1.",
    )  # fmt: skip
    registry.blobs.unguarded.put("doctor/half", b"")
    registry.blobs.unguarded.put("runs/20260102T030405Z-0000.json", b"{")
    found_ = _look(registry, fix=True)
    assert _verdicts(found_) == {"leftovers": "fixed", "decisions": "warning"}
    assert not registry.blobs.exists("doctor/half")


def test_a_registry_that_another_writes_to_is_left_alone(tmp_path: Path) -> None:
    client, blobs = QdrantClient(":memory:"), FolderStore(tmp_path / "objects")
    with _served(tmp_path, client, Lease(blobs)) as writer:
        writer.establish(contract())
        put(writer, A)
        with _served(tmp_path, client, Lease(blobs)) as other:
            [finding] = examine_registry(other, Inspection(other, fix=True))
    assert (finding.verdict, finding.part) == ("warning", "registry")
    assert "in use by process" in finding.detail


def test_modes_are_tightened(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with new_registry(home, A):
        pass
    record = next((home / "objects" / "records").iterdir())
    record.chmod(0o644)
    record.parent.chmod(0o755)
    settings = load_settings(home=home)
    by_part = {f.part: f for f in check_machine(settings, fix=False)}
    assert by_part["modes"].verdict == "warning"
    by_part = {f.part: f for f in check_machine(settings, fix=True)}
    assert by_part["modes"].verdict == "fixed"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.parent.stat().st_mode) == 0o700


def test_a_home_whose_paths_would_be_too_long_is_named(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 130)
    finding = check_home_folder(deep, 259)
    assert (finding.part, finding.verdict) == ("home", "warning")
    assert "this system allows 259 in all" in finding.detail
    assert "--home" in finding.advice
    assert check_home_folder(deep, None).verdict == "ok"
    assert check_home_folder(Path(deep.anchor) / "faces", 259).verdict == "ok"


def test_the_command_ends_with_1_while_a_part_fails_and_a_repair_is_a_run(tmp_path: Path) -> None:
    """The model of these registries is none that can be loaded: that part fails throughout."""
    with new_registry(tmp_path, A) as opened:
        opened.blobs.unguarded.put("crops/x/0_0.jpg", b"of no video")
    done = CliRunner().invoke(cli, ["--home", str(tmp_path), "doctor", "--fix", "--json"])
    assert done.exit_code == 1
    verdicts = {f["part"]: f["verdict"] for f in json.loads(done.stdout)["findings"]}
    assert (verdicts["model"], verdicts["orphans"]) == ("failed", "fixed")
    assert {v for p, v in verdicts.items() if p not in ("model", "orphans", "modes")} == {"ok"}
    with open_registry(home=tmp_path) as opened:
        [one] = runs(opened)
        assert (one.kind, one.outcome, one.counts["fixed"] >= 1) == ("repair", "done", True)


def test_an_empty_home_is_in_order(tmp_path: Path) -> None:
    found = {f.part: f.verdict for f in examine(load_settings(home=tmp_path / "new"))}
    assert set(found.values()) == {"ok"}
    assert {"objects", "index", "home", "modes"} <= found.keys()


class _Answers:
    """An extractor that gives the faces of a video, or none where its bytes cannot be had."""

    def __init__(self, extraction: Extraction | None) -> None:
        self._extraction = extraction

    def extract(self, path: Path, video_id: str) -> Extraction:
        if self._extraction is None:
            raise FetchError("the server answered 404 Not Found")
        return self._extraction

    def close(self) -> None: ...


def _ingest(registry: Registry, folder: Path, clip: Path, answer: Extraction | None) -> Summary:
    table = pd.DataFrame({"Video URL": [str(clip)], "Performance": [2.0]})
    rows = read_frame(table, TableOptions(allow_local_files=True), folder)
    parts = RunContext(registry, Downloader(folder / "tmp"), _Answers(answer), ahead=1)
    return run(
        parts, rows, retry_failed=False, consolidate=False,
        reporter=SilentReporter(), stop=Event(),
    )  # fmt: skip


def test_a_marked_video_is_read_again_and_kept_where_it_cannot_be(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(16))
    video_id = ids.video_id(clip.as_uri())
    extraction = Extraction((face(video_id, 0, person(0)),), Media(frames_sampled=1), "")
    with _served(tmp_path, QdrantClient(":memory:")) as opened:
        opened.establish(contract())
        for each in extraction.faces:
            opened.blobs.unguarded.put(each.crop, picture(each.crop))
        assert _ingest(opened, tmp_path, clip, extraction).ingested == 1
        set_metrics(opened, video_id, {"Performance": 2.0, "Views": 7.0})
        assert _ingest(opened, tmp_path, clip, extraction).unchanged == 1
        with opened.writing():
            opened.rereads.mark(video_id)
        failed = _ingest(opened, tmp_path, clip, None)
        assert "The record of the video stays as it is" in failed.failures[0].reason
        assert opened.index.count_faces() == 1
        assert opened.rereads.marked() == [video_id]
        assert _ingest(opened, tmp_path, clip, extraction).ingested == 1
        assert opened.rereads.marked() == []
        record = opened.records.get(video_id)
        assert record is not None
        assert record.metrics == {"Performance": 2.0, "Views": 7.0}
        with opened.writing():
            opened.rereads.mark(video_id)
        opened.remove_videos([clip.as_uri()])
        assert [i.key for i in opened.blobs.list() if video_id in i.key] == []


def _damaged(home: Path) -> QdrantClient:
    """A registry with every damage that can be repaired. Returns its index."""
    client = QdrantClient(":memory:")
    with _served(home, client) as opened:
        opened.establish(CONTRACT)
        put(opened, A, B, video("c", [person(2)]))
        _damage_a_record(opened)
        opened.blobs.unguarded.delete(B.faces[0].crop)
        opened.blobs.unguarded.put("crops/x/0_0.jpg", b"of no video")
        opened.index.put_details(replace(B, metrics={"Performance": 99.0}), opened.view)
    return client


def _mended(home: Path, client: QdrantClient) -> Any:
    """What a repair makes of it, and that it then is in order but for what is to be read again."""
    with _served(home, client) as opened:
        _look(opened, fix=True)
        _look(opened, fix=True)  # the crops of the record that was given up are orphans now
        assert _verdicts(_look(opened)) == {"crops": "warning"}
        return dump(opened)


@pytest.mark.slow
def test_a_repair_that_was_cut_off_anywhere_is_finished_by_the_next(tmp_path: Path) -> None:
    """At every third operation in turn the connection is lost."""
    whole = _mended(tmp_path / "whole", _damaged(tmp_path / "whole"))
    cut_off, at = 0, 0
    while True:
        home = tmp_path / str(at)
        client, trigger = _damaged(home), Trigger(Fault.GONE, at)
        store = ServerStore("http://localhost", None, client=client)
        blobs = FaultyBlobs(FolderStore(home / "objects"), trigger)
        with suppress(StoreError):
            opened = Registry(load_settings(home=home), blobs, FaultyStore(store, trigger))
            _look(opened, fix=True)
        if trigger.done <= at:
            break
        assert _mended(home, client) == whole, trigger.names[at]
        cut_off, at = cut_off + 1, at + 3
    assert cut_off > 20
