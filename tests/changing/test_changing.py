"""Changing the model: beside the registry, shown, and then in one step; nothing lost on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from qdrant_client import QdrantClient

from registry.blobs.folder import FolderStore
from registry.changing.change import ModelChange, discard, prepare, switch
from registry.cli import cli
from registry.copies.backup import backup, restore
from registry.core import keys
from registry.core import operating_point as operating
from registry.core.intents import SWITCH
from registry.core.lease import Lease
from registry.core.operating_point import CalibratedThreshold, Calibration
from registry.core.registry import Registry
from registry.domain import Contract, Quality, Vectors, Video
from registry.errors import (
    EmptyRegistry,
    RegistryLocked,
    StoreUnreachable,
    UsageError,
)
from registry.footage.joining import join_videos
from registry.people.corrections import merge, separate, undo
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.upkeep.status import dump, status
from tests.faults.proxies import Fault, FaultyBlobs, FaultyStore, Trigger
from tests.support.factories import contract, person
from tests.support.homes import copy_home
from tests.support.portraits import Pixels, portrait, put, shown
from tests.support.registries import set_metrics

CONTRACT: Contract = replace(contract(), registry_id="00000000-0000-4000-8000-000000000001")

# To the old model, Ann is one identity, Bea two, and Cleo and Dee are one: the new one sees that
# Bea is one, and Cleo and Dee are two.
ANN, BEA, CLEO, DEE = (portrait(who) for who in range(4))
A = shown("a", (person(0), ANN), (person(1), BEA))
B = shown("b", (person(0, 0.1), ANN), (person(2), BEA), run="run-2")
C = shown("c", (person(3), CLEO), (person(3, 0.1), DEE), (person(0), ANN), run="run-3")


def _open(
    home: Path,
    client: QdrantClient | None = None,
    trigger: Trigger | None = None,
    lease: Lease | None = None,
    blobs: FolderStore | None = None,
) -> Registry:
    blobs = blobs or FolderStore(home / "objects")
    client = client or QdrantClient(":memory:")
    store = ServerStore("http://localhost", None, client=client)
    trigger = trigger or Trigger()
    parts = FaultyBlobs(blobs, trigger), FaultyStore(store, trigger)
    return Registry(load_settings(home=home), *parts, lease=lease)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with _open(tmp_path) as opened:
        opened.establish(CONTRACT)
        put(opened, A, B, C)
        yield opened


def _change(registry: Registry) -> ModelChange:
    return prepare(registry, Pixels(), "pixels")


def _who(registry: Registry, of: tuple[Video, list[bytes]], face: int) -> str:
    record = registry.records.get(of[0].video_id)
    assert record is not None
    return registry.view.identity_of(record.faces[face])


def test_the_preview_says_who_is_joined_and_split_and_whose_average_moves(
    registry: Registry,
) -> None:
    set_metrics(registry, A[0].video_id, {"Performance": 3.0})
    ann, bea, other_bea = (_who(registry, *at) for at in ((A, 0), (A, 1), (B, 1)))
    cleo = _who(registry, C, 0)
    before = dump(registry)
    document = json.loads(json.dumps(_change(registry).as_dict()))
    assert document["identities"] == {
        "before": 4, "after": 4, "unchanged": 1, "named_before": 0, "named_after": 0,
    }  # fmt: skip
    [joined], [split] = document["joined"], document["split"]
    assert {one["identity"] for one in joined["of"]} == {bea, other_bea}
    assert split["identity"] == cleo
    assert len(split["into"]) == 2
    averages = {line["identity"]: line for line in document["averages"]}
    assert ann not in averages
    assert averages[joined["identity"]]["after"]["average"] == 2.0
    assert averages[joined["identity"]]["before"]["average"] in (1.0, 3.0)
    assert document["faces"] == {
        "total": 7, "embedded_now": 7, "by_recorded_landmarks": 7, "unusable": {},
    }  # fmt: skip
    assert dump(registry) == before, "nothing is touched before the switch"


def test_the_preview_speaks_of_those_whom_lists_show(registry: Registry) -> None:
    """Hands and poor faces are provisional: counted by themselves, and in no other line."""

    def poor(name: str, *faces: tuple[Vectors, bytes]) -> tuple[Video, list[bytes]]:
        made, pictures = shown(name, *faces, run="run-4")
        blurred = Quality(0.1, ("blurred",))
        return replace(made, faces=tuple(replace(f, quality=blurred) for f in made.faces)), pictures

    before = _change(registry)
    # Two hands of one shape to the new model, of two to the old one, and Ann in the dark.
    hand, other = portrait(7), portrait(7, 0.05)
    put(registry, poor("h", (person(5), hand), (person(6), other)), poor("i", (person(4), ANN)))
    index = registry.index
    assert (index.count_identities(), index.count_identities(provisional=True)) == (4, 3)
    change = _change(registry)
    preview, document = change.preview, change.as_dict()
    assert (preview.before, preview.after) == (4, 4)
    assert document["provisional"] == {"before": 3, "after": 1}
    assert [line.others.keys() for line in preview.joined] == [
        line.others.keys() for line in before.preview.joined
    ]
    assert [line.before is None for line in preview.averages].count(True) == [
        line.before is None for line in before.preview.averages
    ].count(True)
    assert change.duplicates == before.duplicates
    switch(registry, change)
    index = registry.index
    assert (index.count_identities(), index.count_identities(provisional=True)) == (4, 1)


def test_a_switch_does_what_the_preview_says_and_keeps_what_people_said(
    registry: Registry, tmp_path: Path
) -> None:
    ann, bea, cleo = (_who(registry, *at) for at in ((A, 0), (A, 1), (C, 0)))
    registry.name(ann, "Ann")
    registry.name(cleo, "Cleo")
    merge(registry, [ann, bea])
    separate(registry, ann, cleo)
    log = registry.decisions.entries()
    change = _change(registry)
    switch(registry, change)
    assert registry.decisions.entries() == log
    assert registry.contract.model == Pixels.info
    assert [one.name for one in registry.contract.earlier_models] == ["test-model"]
    assert registry.index.count_identities() == change.preview.after == 2
    assert registry.identity("Ann").faces == 5, "Bea's other face joined those merged with Ann"
    assert registry.identity("Cleo").faces == 2, "whom people called one is one"
    assert not list(registry.blobs.list("next/"))
    undo(registry, 3)
    assert registry.identity(bea).faces == 2
    with pytest.raises(UsageError, match="uses pixels already"):
        _change(registry)
    # It goes on with the new model.
    later = Pixels().embed(Pixels().align(_picture(ANN), [None]))[0]  # type: ignore[list-item]
    put(registry, shown("d", (later, ANN)))
    assert registry.identity("Ann").videos == 4
    # A reindex and a copy know nothing but objects.
    whole = dump(registry)
    registry.reindex()
    assert dump(registry) == whole
    backup(registry, tmp_path / "saved.zip")
    with _open(tmp_path / "there") as there:
        restore(there, tmp_path / "saved.zip")
        assert dump(there) == whole


def test_joined_videos_count_once_before_and_after_a_change(registry: Registry) -> None:
    bea = _who(registry, A, 1)
    set_metrics(registry, A[0].video_id, {"Performance": 3.0})
    join_videos(registry, [A[0].url.exposed(), B[0].url.exposed()])
    change = _change(registry)
    moved = {line.identity: line for line in change.preview.averages}
    switch(registry, change)
    for identity, line in moved.items():
        if line.after is not None:
            assert registry.identity(identity).videos == line.after.videos
    [joined] = change.preview.joined
    assert registry.identity(joined.identity).videos == 1, "two before they were joined"
    assert joined.identity not in moved, "one video, with the first one's 3.0, before and after"
    assert bea in {joined.identity, *joined.others}


def _picture(data: bytes) -> Any:
    import cv2
    import numpy as np

    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_what_changed_in_between_is_brought_up_and_the_rest_is_not_done_again(
    registry: Registry,
) -> None:
    assert _change(registry).embedded == 7
    registry.remove_videos([C[0].url.exposed()])
    put(registry, shown("d", (person(4), DEE)))
    put(registry, shown("a", (person(0), ANN), (person(1), CLEO)))  # read again, another picture
    set_metrics(registry, B[0].video_id, {"Performance": 9.0})
    change = _change(registry)
    assert (change.embedded, change.faces) == (2, 5)
    switch(registry, change)
    metrics = {video.url: video.metrics for video in registry.index.videos()}
    assert metrics[B[0].url] == {"Performance": 9.0}
    assert len(metrics) == 3


def test_what_was_begun_is_told_of_dropped_and_no_part_of_a_backup(
    registry: Registry, tmp_path: Path
) -> None:
    _change(registry)
    assert status(registry)["change_begun"] == {"model": "pixels", "videos": 3}
    backup(registry, tmp_path / "saved.zip")
    with _open(tmp_path / "there") as there:
        restore(there, tmp_path / "saved.zip")
        assert not list(there.blobs.list("next/"))
    third = Pixels()
    third.info = replace(Pixels.info, name="third", digest="f" * 64)
    with pytest.raises(UsageError, match="A change to pixels has begun here"):
        prepare(registry, third, "third")
    assert discard(registry) == 4
    assert "change_begun" not in status(registry)
    assert prepare(registry, third, "third").embedded == 7


def test_who_is_forgotten_goes_from_beside_too(registry: Registry) -> None:
    _change(registry)
    put(registry, shown("a", (person(1), BEA)))  # Ann has left the video; beside she has not
    ann = _who(registry, B, 0)
    gone = {f.face_id for one in (A, B, C) for f in one[0].faces if f.embedding[0] > 0.9}
    receipt = registry.forget(ann)
    assert receipt["final_query"]["records_beside"] == 0
    beside = b"".join(registry.blobs.get(i.key) for i in registry.blobs.list("next/records/"))
    assert not [face for face in gone if face.encode() in beside]
    assert _change(registry).faces == 4


def test_blocks_and_damaged_crops_stand_in_the_way_until_they_are_given_up(
    registry: Registry,
) -> None:
    block = registry.forget(_who(registry, A, 0), block=True)["block"]["id"]
    record = registry.records.get(C[0].video_id)
    assert record is not None
    crop = record.faces[0].crop  # its name now: the erased person was covered in it
    registry.blobs.unguarded.put(crop, b"torn")
    line = CalibratedThreshold(
        0.5, 0.4, 0.6, 1e-4, 1e-4, 1e-6, 1e-3, "moved", 0.4, 40, 20, 20, 18.0
    )
    info = registry.contract.model
    operating.save_calibration(
        registry, Calibration(info.name, info.digest, line, line, ((0.2, 0.5), (0.5, 1e-4)))
    )
    change = _change(registry)
    assert change.as_dict()["faces"]["unusable"].keys() == {crop}
    for blocks, faces in ((False, False), (True, False), (False, True)):
        with pytest.raises(UsageError, match="The model was not changed"):
            switch(registry, change, drop_blocks=blocks, drop_faces=faces)
    assert registry.blocks.all()
    switch(registry, change, drop_blocks=True, drop_faces=True)
    assert not registry.blocks.all()
    assert not registry.blobs.exists(crop)
    assert not registry.blobs.exists("calibration.json")
    receipts = [json.loads(registry.blobs.get(i.key)) for i in registry.blobs.list("receipts/")]
    assert [r["blocks"] for r in receipts if r["kind"] == "blocks"] == [[block]]


def test_whose_lease_was_taken_over_changes_nothing(tmp_path: Path) -> None:
    import time

    blobs = FolderStore(tmp_path / "objects")
    with _open(tmp_path, lease=Lease(blobs)) as registry:
        registry.establish(CONTRACT)
        put(registry, A)
        change = _change(registry)
        Lease(blobs, clock=lambda: time.time() + 61).acquire()
        held = sorted(blobs.list(), key=lambda info: info.key)
        with pytest.raises(RegistryLocked, match="taken over"):
            switch(registry, change)
        assert sorted(blobs.list(), key=lambda info: info.key) == held


def test_half_a_switch_is_finished_by_who_may_write_and_read_by_nobody(tmp_path: Path) -> None:
    class Cut(FolderStore):
        """One whose connection is lost when the contract is to be written."""

        lost = False

        def put(self, key: str, data: bytes) -> None:
            if self.lost and key == keys.CONTRACT:
                raise StoreUnreachable("the connection is lost")
            super().put(key, data)

    blobs, client = Cut(tmp_path / "objects"), QdrantClient(":memory:")
    writer = _open(tmp_path, client, lease=Lease(blobs), blobs=blobs)
    writer.establish(CONTRACT)
    put(writer, A)
    change = _change(writer)
    blobs.lost = True
    with pytest.raises(StoreUnreachable):
        switch(writer, change)
    assert blobs.exists(keys.intent(SWITCH))
    with pytest.raises(RegistryLocked, match="in use by process"):
        _open(tmp_path, client, lease=Lease(blobs))
    blobs.lost = False
    assert writer.contract.model == Pixels.info
    assert _open(tmp_path, client, lease=Lease(blobs)).contract.model == Pixels.info


# --- cut off -------------------------------------------------------------------------------------


def _run(registry: Registry) -> None:
    """What the command does, and what it does when it is repeated after it was done."""
    if registry.contract.model.name != "pixels":
        switch(registry, prepare(registry, Pixels(), "pixels"))


def _state(registry: Registry) -> dict[str, Any]:
    index = registry.index
    return {
        **dump(registry),
        "index_faces": [
            (p.id, dict(p.payload), p.vector.tobytes() if p.vector is not None else b"")
            for p in index.stored_faces(with_vectors=True)
        ],
        "identities": [asdict(one) for one in index.identities()],
        "objects": [info.key for info in registry.blobs.list()],
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects that a test must copy."""
    home = tmp_path_factory.mktemp("filled")
    with _open(home) as opened:
        opened.establish(CONTRACT)
        put(opened, A, B)
        opened.name(_who(opened, A, 0), "Ann")
    return home


def _copied(filled: Path, home: Path) -> QdrantClient:
    shutil.rmtree(home, ignore_errors=True)
    copy_home(filled, home)
    client = QdrantClient(":memory:")
    with _open(home, client) as opened:
        opened.reindex()
    return client


@pytest.mark.parametrize(
    ("fault", "goes_on", "step"),
    [
        (Fault.LOST, False, 8),
        pytest.param(Fault.LOST, False, 1, marks=pytest.mark.slow),
        pytest.param(Fault.REFUSED, False, 1, marks=pytest.mark.slow),
        pytest.param(Fault.REFUSED, True, 1, marks=pytest.mark.slow),
    ],
)
def test_a_change_that_was_cut_off_anywhere_ends_like_one_that_was_not(
    filled: Path, tmp_path: Path, fault: Fault, goes_on: bool, step: int
) -> None:
    """At each operation on objects and index: before it, after it, and going on in the process."""
    client, trigger = _copied(filled, tmp_path / "whole"), Trigger()
    whole = _open(tmp_path / "whole", client)
    old = _state(whole)
    _run(whole)
    expected = _state(whole)
    counted = _copied(filled, tmp_path / "counted")
    _run(_open(tmp_path / "counted", counted, trigger))
    writes = ("put", "delete", "upsert", "drop", "open", "flush", "set")
    points = [n for n, name in enumerate(trigger.names) if name.startswith(writes)]
    assert len(points) > 40
    for at in points[::step]:
        home, trigger = tmp_path / "struck", Trigger(fault, at)
        client = _copied(filled, home)
        struck = _open(home, client, trigger)
        with pytest.raises(StoreUnreachable):
            _run(struck)
        trigger.at = -1
        if goes_on:
            _run(struck)
            assert _state(struck) == expected, trigger.names[at]
            continue
        begun = struck.blobs.exists(keys.intent(SWITCH))
        again = _open(home, client)
        if again.contract.model.name == "test-model":
            assert not begun
            assert {**_state(again), "objects": []} == {**old, "objects": []}
        _run(again)
        assert _state(again) == expected, trigger.names[at]


# --- the command ---------------------------------------------------------------------------------


def _call(home: Path, *arguments: object) -> Any:
    return CliRunner().invoke(cli, ["--home", str(home), *map(str, arguments)])


def test_the_command_refuses_what_cannot_be_together(tmp_path: Path) -> None:
    for wrong in (
        ("--model", "sface", "--to-home", tmp_path / "there"),
        ("--discard", "--switch"),
        ("--discard", "--model", "sface"),
        ("--model", "sface", "--drop-blocks"),
    ):
        assert _call(tmp_path, "migrate", *wrong).exit_code == 2
    empty = _call(tmp_path, "migrate", "--model", "sface")
    assert isinstance(empty.exception, EmptyRegistry)
