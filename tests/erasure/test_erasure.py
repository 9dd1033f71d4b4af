"""Forgetting a person or a video on the real embedded parts, up to the bytes in the files."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from qdrant_client import QdrantClient

from registry.blobs.base import BlobInfo
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.core.decisions import Decision, DecisionKind
from registry.core.lease import Lease
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Vectors, Video
from registry.errors import RegistryLocked, StoreUnreachable, UnknownError
from registry.settings import load_settings
from registry.store.server import ServerStore
from tests.support import places
from tests.support.factories import contract, person, picture, video
from tests.support.failing_folder import FailingFolder
from tests.support.homes import copy_home

ANN, BEA, CLEO = person(0, 0.123), person(1, 0.321), person(2, 0.213)
NAME = "Annabel Quixote"


def put(registry: Registry, *videos: Video) -> list[Video]:
    """Commit videos with their crops."""
    with registry.writing():
        for one in videos:
            for face in one.faces:
                registry.blobs.put(face.crop, picture(face.crop))
        return [registry.commit(one) for one in videos]


def _fill(registry: Registry) -> str:
    """Ann in two videos, named; Bea beside her and alone. Returns Ann's id."""
    registry.establish(contract())
    first, *_ = put(
        registry, video("a", [ANN, BEA]), video("b", [ANN, CLEO, ANN]), video("c", [BEA])
    )
    ann, bea = (face.identity_id for face in first.faces)
    registry.name(ann, NAME)
    registry.name(bea, "Bea")
    registry.decide(Decision(0, DecisionKind.SEPARATE, ann, (bea,)))
    registry.settle()  # as an ingest does at its end
    return ann


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home that a test must copy, and Ann's id."""
    home = tmp_path_factory.mktemp("filled")
    with open_registry(home=home) as registry:
        return home, _fill(registry)


@pytest.fixture
def home(filled: tuple[Path, str], tmp_path: Path) -> Path:
    return copy_home(filled[0], tmp_path / "home")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry on the served kind of index, which deletes by filter.

    On the server given (`make test-server`), else on qdrant-client's own engine.
    """
    if "QDRANT_URL" in places.QDRANT:
        given = {name.lower(): value for name, value in places.environment(tmp_path).items()}
        index = {name: value for name, value in given.items() if name.startswith("qdrant_")}
        with open_registry(load_settings(home=tmp_path, **index)) as opened:
            yield opened
        return
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    settings = load_settings(home=tmp_path)
    with Registry(settings, FolderStore(tmp_path / "objects"), store) as opened:
        yield opened


def _ids_of(registry: Registry, identity: str) -> list[str]:
    return [identity, *(face.face_id for face in registry.index.faces_of(identity))]


def files_with(home: Path, wanted: dict[str, bytes]) -> list[tuple[str, str]]:
    """Which of these bytes are in which files below a folder, names included."""
    found = []
    for path in home.rglob("*"):
        held = path.read_bytes() if path.is_file() else b""
        held += str(path.relative_to(home)).encode()
        found += [(path.name, what) for what, text in wanted.items() if text in held]
    return found


def traces(vectors: dict[str, Vectors], ids: list[str]) -> dict[str, bytes]:
    """The bytes that would tell of a person: vectors, ids as text and as 16 bytes, the name."""
    wanted = {name: np.asarray(v, dtype="<f4").tobytes() for name, v in vectors.items()}
    for each in ids:
        wanted[each] = each.encode()
        wanted[f"{each} packed"] = bytes.fromhex(each.replace("-", ""))
    return {**wanted, "name": NAME.encode()}


@pytest.mark.slow
def test_forgetting_leaves_no_byte_of_a_person_and_all_of_the_others(home: Path) -> None:
    with open_registry(home=home) as opened:
        ann = opened.identity(NAME).identity_id
        wanted = traces({"Ann": ANN}, _ids_of(opened, ann))
        others = [i for i in opened.index.identities() if i.identity_id != ann]
    before = {what for _, what in files_with(home, wanted)}
    assert {"Ann", "name", ann} <= before, "the scan must be able to find what is to go"
    (home / "tmp").mkdir()
    (home / "tmp" / "half.mp4").write_bytes(ANN.tobytes())
    with open_registry(home=home) as opened:
        receipt = opened.forget(ann)
        assert list(opened.index.identities()) == others
        assert [len(v.faces) for v in opened.records.all()] == [1, 1, 1]
        assert {str(v.status) for v in opened.records.all()} == {"done"}
    assert files_with(home, wanted) == []
    assert files_with(home, {"Bea": BEA.tobytes()}), "the others' vectors are where they were"
    assert receipt["removed"] == {"faces": 3, "crops": 3, "videos_changed": 2, "identities": 1}


def test_a_receipt_says_what_went_and_nothing_of_whom(registry: Registry) -> None:
    ann = _fill(registry)
    receipt = registry.forget(ann)
    text = json.dumps(receipt)
    assert set(receipt["final_query"].values()) == {0}
    assert "backups made before" in receipt["not_covered"]
    assert NAME not in text
    assert ann not in text
    assert not re.search(r"0\.\d{4}", text)
    assert json.loads(registry.blobs.get(f"receipts/{receipt['receipt']}.json")) == receipt


def test_a_receipt_says_that_pictures_were_not_looked_through_without_a_model(
    registry: Registry,
) -> None:
    receipt = registry.forget(_fill(registry))
    assert (receipt["pictures"]["model"], receipt["pictures"]["looked_through"]) == ("", 0)
    left = receipt["pictures"]["not_looked_through"]
    assert left == 2
    assert any(f"{left} pictures" in what for what in receipt["not_covered"])


def test_the_log_keeps_its_numbers_and_what_it_says_of_others(registry: Registry) -> None:
    registry.forget(_fill(registry))
    kinds = [(d.number, d.kind) for d in registry.decisions.entries()]
    assert kinds == [(1, DecisionKind.VOID), (2, DecisionKind.NAME), (3, DecisionKind.VOID)]
    assert registry.identity("Bea").videos == 2
    with pytest.raises(UnknownError):
        registry.identity(NAME)


def test_those_who_were_split_off_a_person_stay_whoever_they_were_taken_from(
    registry: Registry,
) -> None:
    """The record of a face names the identity that the rule gave, also after a split."""
    registry.establish(contract())
    [one] = put(registry, video("a", [ANN, ANN, BEA]))
    ann = one.faces[0].identity_id
    split = registry.decide(
        Decision(0, DecisionKind.SPLIT, ann, faces=(one.faces[1].face_id,))
    ).new_identity
    registry.forget(ann)
    record = registry.records.get(one.video_id)
    assert record is not None
    assert [face.identity_id for face in record.faces] == [split, one.faces[2].identity_id]
    assert registry.identity(split).faces == 1
    assert ann not in str(registry.decisions.entries())


def test_a_merged_person_goes_with_all_their_ids(registry: Registry) -> None:
    registry.establish(contract())
    [one] = put(registry, video("a", [ANN, BEA, CLEO]))
    ann, bea, cleo = (face.identity_id for face in one.faces)
    registry.decide(Decision(0, DecisionKind.MERGE, ann, (bea,)))
    registry.forget(ann)
    assert [i.identity_id for i in registry.index.identities()] == [cleo]
    assert registry.decisions.entries() == [Decision(1, DecisionKind.VOID)]


def test_a_blocked_person_is_not_enrolled_again_until_the_block_is_lifted(
    registry: Registry,
) -> None:
    receipt = registry.forget(_fill(registry), block=True)
    again, *_ = put(registry, video("d", [ANN, CLEO]))
    assert len(again.faces) == 1
    assert [b.key for b in registry.blobs.list(f"crops/{again.video_id}/")] == [again.faces[0].crop]
    registry.unblock(receipt["block"]["id"])
    again, *_ = put(registry, video("d", [ANN, CLEO]))
    assert len(again.faces) == 2
    with pytest.raises(UnknownError, match="no block"):
        registry.unblock(receipt["block"]["id"])


def test_without_a_block_nothing_of_a_template_is_kept(registry: Registry) -> None:
    assert registry.forget(_fill(registry))["block"] is None
    assert list(registry.blobs.list("blocks/")) == []


def test_a_video_goes_with_its_crops_and_those_who_are_in_no_other(home: Path) -> None:
    url = "https://example.com/b.mp4"
    with open_registry(home=home) as opened:
        gone = opened.video(url)
        people = [appearance.identity_id for appearance in gone.appearances]
        cleo = next(one for one in people if opened.identity(one).videos == 1)
        receipt = opened.remove_videos([url])
        assert receipt["removed"]["videos"] == 1
        assert set(receipt["final_query"].values()) == {0}
        assert opened.index.count_videos() == 2
        assert opened.identity(NAME).videos == 1
    wanted = traces({"Cleo": CLEO}, [gone.video_id, cleo])
    wanted.pop("name")
    assert files_with(home, {**wanted, "url": url.encode()}) == []


def _state(registry: Registry) -> dict[str, Any]:
    identities = list(registry.index.identities())
    return {
        "records": [
            (v.video_id, [(f.face_id, f.identity_id) for f in v.faces])
            for v in registry.records.all()
        ],
        "decisions": [replace(d, at="") for d in registry.decisions.entries()],
        "crops": [info.key for info in registry.blobs.list("crops/")],
        "under way": [i.key for p in ("intents/", "rewrites/") for i in registry.blobs.list(p)],
        "identities": identities,
        "faces": [dict(point.payload) for point in registry.index.stored_faces()],
        "blocks": [b.template.tolist() for b in registry.blocks.all()],
    }


def _in_memory(
    home: Path,
    client: QdrantClient,
    blobs: FolderStore | None = None,
    lease: Lease | None = None,
) -> Registry:
    store = ServerStore("http://localhost", None, client=client)
    return Registry(load_settings(home=home), blobs or FolderStore(home), store, lease=lease)


def _taken_over(blobs: FolderStore) -> list[BlobInfo]:
    """Take the lease from whoever holds it. Returns what there is after that."""
    Lease(blobs, clock=lambda: time.time() + 61).acquire()
    return sorted(blobs.list(), key=lambda info: info.key)


def test_whose_lease_was_taken_over_erases_nothing(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    registry = _in_memory(tmp_path, QdrantClient(":memory:"), blobs, Lease(blobs))
    ann = _fill(registry)
    held = _taken_over(blobs)
    for erase in (
        lambda: registry.forget(ann),
        lambda: registry.remove_videos(["https://example.com/a.mp4"]),
        lambda: registry.unblock(ann),
    ):
        with pytest.raises(RegistryLocked, match="writes nothing more"):
            erase()
    assert sorted(blobs.list(), key=lambda info: info.key) == held


def test_an_erasure_that_another_took_over_stops_and_is_finished_by_that_one(
    tmp_path: Path,
) -> None:
    class Overtaken(FolderStore):
        """One whose lease another takes as soon as the first crop is gone."""

        done = False

        def delete(self, key: str) -> None:
            super().delete(key)
            if key.startswith("crops/") and not self.done:
                self.done = True
                _taken_over(self)

    client, blobs = QdrantClient(":memory:"), Overtaken(tmp_path)
    first = _in_memory(tmp_path, client, blobs, Lease(blobs))
    ann = _fill(first)
    with pytest.raises(RegistryLocked, match="taken over"):
        first.forget(ann)
    later = Lease(blobs, clock=lambda: time.time() + 200)
    other = _in_memory(tmp_path, client, blobs, later)
    assert [i.name for i in other.index.identities() if i.name] == ["Bea"]
    assert list(blobs.list("intents/")) == []
    assert next(blobs.list("receipts/"), None) is not None
    assert not later.held, "a reader that settles gives the lease back"


def test_a_reader_does_not_read_while_another_erases(tmp_path: Path) -> None:
    client, blobs = QdrantClient(":memory:"), FolderStore(tmp_path)
    writer = _in_memory(tmp_path, client, blobs, Lease(blobs))
    _fill(writer)
    blobs.put("intents/erase", b"{}")  # it is at work
    reader = _in_memory(tmp_path, client, blobs, Lease(blobs))
    with pytest.raises(RegistryLocked, match="in use by process"):
        reader.identity(NAME)
    assert blobs.get("intents/erase") == b"{}"


def test_an_erasure_that_was_cut_off_anywhere_is_finished_at_the_next_opening(
    tmp_path: Path,
) -> None:
    """After each single change to the objects in turn, until one run needs no second."""
    whole = _in_memory(tmp_path / "whole", QdrantClient(":memory:"))
    whole.forget(_fill(whole), block=True)
    expected = _state(whole)
    cut_off = 0
    while True:
        client, place = QdrantClient(":memory:"), tmp_path / str(cut_off)
        ann = _fill(_in_memory(place, client))
        failing = _in_memory(place, client, FailingFolder(place, cut_off))
        try:
            failing.forget(ann, block=True)
            break
        except StoreUnreachable:
            again = _in_memory(place, client)
        if cut_off:
            assert _state(again) == expected, cut_off
            assert next(again.blobs.list("receipts/"), None) is not None
        else:
            assert again.identity(NAME).faces == 3, "nothing is done before the intent is written"
        cut_off += 1
    assert cut_off > 15


@pytest.mark.slow
def test_an_erasure_that_was_cut_off_while_the_embedded_index_was_rebuilt_is_finished(
    home: Path,
) -> None:
    with open_registry(home=home) as opened:
        ann = opened.identity(NAME).identity_id
        wanted = traces({"Ann": ANN}, _ids_of(opened, ann))
        opened.adopt(FailingFolder(home / "objects", 6))
        with pytest.raises(StoreUnreachable):
            opened.forget(ann)
        opened.store.drop("faces")
    with open_registry(home=home) as again:
        assert again.index.count_faces() == 3
        assert list(again.blobs.list("intents/")) == []
    assert files_with(home, wanted) == []


def test_the_commands_hand_out_the_receipt(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    command = [
        "--home",
        str(home),
        "identities",
        "forget",
        NAME,
        "--block",
        "--yes",
        "--receipt",
        str(path),
    ]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert "keeps a template" in done.output
    receipt = json.loads(path.read_text())
    assert receipt["kind"] == "person"
    lift = ["--home", str(home), "identities", "unblock", receipt["block"]["id"]]
    assert CliRunner().invoke(cli, lift, catch_exceptions=False).exit_code == 0
    remove = [
        *("--home", str(home), "videos", "remove", "https://example.com/c.mp4", "--yes", "--json")
    ]
    done = CliRunner().invoke(cli, remove, catch_exceptions=False)
    assert json.loads(done.stdout)["removed"]["videos"] == 1
