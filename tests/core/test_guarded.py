"""The guard on a registry's objects: what may write, when, and who is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
from qdrant_client import QdrantClient

from ingest import ingest
from registry.blobs.folder import FolderStore
from registry.changing.change import ModelChange, discard, prepare, switch
from registry.copies.backup import backup, restore
from registry.copies.migration import migrate_to
from registry.core import operating_point as operating
from registry.core import retention
from registry.core.decisions import Decision, DecisionKind
from registry.core.guarded import GuardedStore
from registry.core.lease import Lease
from registry.core.opening import open_registry
from registry.core.operating_point import CalibratedThreshold
from registry.core.registry import Registry
from registry.core.runs import recorded
from registry.core.video_changes import absorb, discard_crops, make_first, rename_metric
from registry.errors import RegistryLocked
from registry.people.corrections import merge, separate, undo
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.upkeep.doctor import Inspection, examine_registry
from tests.support.factories import contract, person, video
from tests.support.portraits import Pixels, portrait, put, shown
from tests.support.registries import set_metrics

A = shown("a", (person(0), portrait(0)), (person(1), portrait(1)))
B = shown("b", (person(0, 0.1), portrait(0)), (person(2), portrait(1)))


class Right:
    """A right to write that counts its checks and can be lost."""

    def __init__(self) -> None:
        self.checks, self.lost = 0, False

    def check(self) -> None:
        self.checks += 1
        if self.lost:
            raise RegistryLocked("Another process has taken over.")


@pytest.fixture
def right() -> Right:
    return Right()


@pytest.fixture
def store(tmp_path: Path, right: Right) -> GuardedStore:
    return GuardedStore(FolderStore(tmp_path), right)


def writes(store: GuardedStore) -> list[Callable[[], object]]:
    return [
        lambda: store.put("a", b"new"),
        lambda: store.put_if("b", b"new", None),
        lambda: store.delete("a"),
    ]


def content(store: GuardedStore) -> dict[str, bytes]:
    return {info.key: store.get(info.key) for info in store.list()}


def test_writing_outside_a_change_is_an_error_of_the_program(store: GuardedStore) -> None:
    store.unguarded.put("a", b"old")
    for write in writes(store):
        with pytest.raises(RuntimeError, match=r"outside a change.*registry\.writing"):
            write()
    assert content(store) == {"a": b"old"}


def test_reading_needs_no_right(store: GuardedStore, right: Right) -> None:
    store.unguarded.put("a", b"old")
    right.lost = True
    tag = store.get_tagged("a")
    assert tag == store.unguarded.get_tagged("a")
    assert (store.get("a"), store.exists("a"), store.exists("b")) == (b"old", True, False)
    assert [info.key for info in store.list()] == ["a"]
    assert store.describe() == store.unguarded.describe()
    assert right.checks == 0


def test_a_change_of_many_objects_checks_once(store: GuardedStore, right: Right) -> None:
    with store.writing():
        for number in range(50):
            store.put(f"a/{number}", b"")
        store.delete("a/0")
    assert right.checks == 1
    assert len(content(store)) == 49


def test_a_step_inside_a_change_checks_again_and_ends_alone(
    store: GuardedStore, right: Right
) -> None:
    with store.writing():
        with store.writing():
            store.put("a", b"1")
        store.put("b", b"2")
        right.lost = True
        with pytest.raises(RegistryLocked), store.writing():
            store.put("c", b"3")
    assert content(store) == {"a": b"1", "b": b"2"}
    with pytest.raises(RuntimeError):
        store.put("d", b"4")


def test_a_change_that_takes_long_stops_once_the_right_is_lost(
    tmp_path: Path, right: Right
) -> None:
    store = GuardedStore(FolderStore(tmp_path), right, recheck_s=0.05)
    with store.writing():
        store.put("a", b"old")
        right.lost = True
        time.sleep(0.06)
        for write in writes(store):
            with pytest.raises(RegistryLocked, match="taken over"):
                write()
    assert content(store) == {"a": b"old"}


def test_a_change_that_fails_ends(store: GuardedStore) -> None:
    with pytest.raises(ValueError, match="halfway"), store.writing():
        store.put("a", b"1")
        raise ValueError("halfway")
    with pytest.raises(RuntimeError):
        store.put("b", b"2")


def test_a_change_is_of_one_thread(store: GuardedStore) -> None:
    errors: list[BaseException] = []

    def write() -> None:
        try:
            store.put("a", b"from another thread")
        except RuntimeError as exc:
            errors.append(exc)

    with store.writing():
        thread = Thread(target=write)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert content(store) == {}


def test_a_registry_that_is_closed_is_not_written_to(tmp_path: Path) -> None:
    with open_registry(home=tmp_path) as registry:
        registry.establish(contract())
    with pytest.raises(RegistryLocked, match="Open it again"), registry.writing():
        pass
    with pytest.raises(RegistryLocked):
        retention.set_days(registry, 3)


# --- a writer whose lease was taken over ---------------------------------------------------------


class Late:
    """An open registry on servers whose lease another process is about to take over."""

    def __init__(self, home: Path) -> None:
        self.blobs = FolderStore(home / "objects")
        store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
        self.registry = Registry(
            load_settings(home=home), self.blobs, store, lease=Lease(self.blobs)
        )
        self.registry.establish(contract())
        put(self.registry, A, B)
        self.change: ModelChange = prepare(self.registry, Pixels(), "pixels")
        self.archive, self.other = home / "saved.zip", home / "other"
        backup(self.registry, self.archive)
        ann, bea = sorted(i.identity_id for i in self.registry.index.identities())[:2]
        self.ann, self.bea = ann, bea
        self.registry.name(ann, "Ann")
        self.orphan = f"crops/{A[0].video_id}/990_0.jpg"
        self.blobs.put(self.orphan, b"named by no record")

    def take_over(self) -> dict[str, bytes]:
        """Have another process take the lease. Returns all objects after that."""
        Lease(self.blobs, clock=lambda: time.time() + 61).acquire()
        return self.objects()

    def objects(self) -> dict[str, bytes]:
        return {info.key: self.blobs.get(info.key) for info in self.blobs.list()}


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Late]:
    made = Late(tmp_path)
    yield made
    made.registry.close()


def _record_a_run(late: Late) -> None:
    with recorded(late.registry, "reindex"):
        pass


def _mark(late: Late) -> None:
    with late.registry.writing():
        late.registry.rereads.mark(A[0].video_id)


def _lift(late: Late) -> None:
    with late.registry.writing():
        late.registry.rereads.unmark(A[0].video_id)


def _store_a_crop(late: Late) -> None:
    with late.registry.writing():
        late.registry.blobs.put(f"crops/{A[0].video_id}/980_0.jpg", b"")


def _move(late: Late) -> None:
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    settings = load_settings(home=late.other)
    migrate_to(late.registry, settings, FolderStore(late.other / "objects"), store)


def _line(at: float) -> CalibratedThreshold:
    return CalibratedThreshold(at, at, at, 1e-4, 1e-4, 1e-6, 1e-3, "moved", 0.4, 40, 20, 20, 18.0)


def _calibrate(late: Late) -> None:
    info = late.registry.contract.model
    curve = ((0.2, 0.5), (0.5, 1e-4))
    line = _line(0.5)
    operating.save_calibration(
        late.registry, operating.Calibration(info.name, info.digest, line, line, curve)
    )


def _ingest(late: Late) -> None:
    ingest(
        late.registry,
        pd.DataFrame({"Video URL": ["https://example.com/z.mp4"], "P": [1.0]}),
        metrics=["P"],
        workers=1,
    )


OPERATIONS: dict[str, Callable[[Late], object]] = {
    # core
    "commit": lambda late: late.registry.commit(video("c", [person(3)])),
    "commit a video without faces": lambda late: late.registry.commit(video("c", [])),
    "revise": lambda late: set_metrics(late.registry, A[0].video_id, {"Views": 2.0}),
    "absorb": lambda late: absorb(late.registry, B[0].video_id, A[0]),
    "discard_crops": lambda late: discard_crops(late.registry, "of no record"),
    "rename_metric": lambda late: rename_metric(late.registry, "Performance", "Views"),
    "make_first": lambda late: make_first(late.registry, "Performance"),
    "decide": lambda late: late.registry.decide(
        Decision(0, DecisionKind.MERGE, late.ann, others=(late.bea,))
    ),
    "name": lambda late: late.registry.name(late.ann, "Anna"),
    "reindex": lambda late: late.registry.reindex(),
    "forget": lambda late: late.registry.forget(late.ann),
    "forget and block": lambda late: late.registry.forget(late.ann, block=True),
    "remove_videos": lambda late: late.registry.remove_videos(
        [A[0].url.exposed(), B[0].url.exposed()]
    ),
    "unblock": lambda late: late.registry.unblock("of nobody"),
    "give_up": lambda late: late.registry.give_up([A[0].video_id]),
    "establish": lambda late: late.registry.establish(contract()),
    "a run": _record_a_run,
    "mark a reread": _mark,
    "lift a reread": _lift,
    "store a crop": _store_a_crop,
    "set the retention": lambda late: retention.set_days(late.registry, 30),
    "end the retention": lambda late: retention.set_days(late.registry, None),
    "write a calibration": _calibrate,
    "remove a calibration": lambda late: operating.remove_calibration(late.registry),
    # people
    "merge": lambda late: merge(late.registry, [late.ann, late.bea]),
    "separate": lambda late: separate(late.registry, late.ann, late.bea),
    "undo": lambda late: undo(late.registry),
    # changing
    "migrate --model": lambda late: prepare(late.registry, Pixels(), "pixels"),
    "migrate --model --switch": lambda late: switch(late.registry, late.change),
    "migrate --discard": lambda late: discard(late.registry),
    # copies
    "restore": lambda late: restore(late.registry, late.archive, overwrite=True, bring_back=True),
    "migrate": _move,
    # upkeep
    "doctor --fix": lambda late: list(
        examine_registry(late.registry, Inspection(late.registry, fix=True, deep=True))
    ),
    # ingest
    "ingest": _ingest,
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_writer_whose_lease_was_taken_over_is_refused(late: Late, operation: str) -> None:
    objects = late.take_over()
    with pytest.raises(RegistryLocked, match="taken over by process"):
        OPERATIONS[operation](late)
    assert late.objects() == objects
    assert not (late.other / "objects").exists() or not list((late.other / "objects").iterdir())
