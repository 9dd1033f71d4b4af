"""A registry that is opened twice in a process, in a fork, or sent to another process."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queries import documents
from queries.documents import report_head
from queries.report import report
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.errors import RegistryLocked
from registry.store.base import CollectionSpec
from registry.store.edge import EdgeCollection, EdgeStore
from registry.upkeep.status import status
from tests.support.factories import person, video
from tests.support.registries import new_registry, put, who

PARK = video("park", [person(0)])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with new_registry(tmp_path / "home", PARK):
        return tmp_path / "home"


def _held_by_other_processes(home: Path) -> bool:
    """Whether another process finds the lock taken."""
    code = f"from registry import open_registry; open_registry(home={str(home)!r}).close()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "RegistryLocked" in done.stderr, done.stderr
    return done.returncode != 0


def test_a_registry_that_is_open_is_given_back_and_closed_at_the_last_closing(home: Path) -> None:
    with open_registry(home=home) as first:
        with open_registry(home=home) as second:
            assert second is first
            put(second, video("beach", [person(0)]))
        assert first.index.count_videos() == 2
        first.name(who(first, PARK), "Ann")
        assert _held_by_other_processes(home)
    assert not _held_by_other_processes(home)
    with open_registry(home=home) as again:
        assert again is not first
        assert again.index.count_videos() == 2


def test_reports_and_status_do_not_load_the_faces(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    load = EdgeStore.open

    def open_collection(store: EdgeStore, spec: CollectionSpec) -> EdgeCollection:
        opened.append(spec.name)
        return load(store, spec)

    monkeypatch.setattr(EdgeStore, "open", open_collection)
    monkeypatch.setattr(documents, "COUNTED_FACES", 0)
    with open_registry(home=home) as registry:
        assert len(report(registry)) == 1
        assert report_head(registry, None)["likely_duplicates"] is None
        assert status(registry)["faces"] == 1
        registry.index.flush()
        assert sorted(opened) == ["identities", "videos"]
        assert registry.index.count_faces() == 1
        put(registry, video("beach", [person(0)]))
        assert status(registry)["faces"] == registry.index.count_faces() == 2
        assert sorted(opened) == ["faces", "identities", "videos"]


def test_a_notebook_cell_that_is_run_again_opens_the_registry_again(home: Path) -> None:
    registry = open_registry(home=home)
    registry = open_registry(home=home)
    assert registry.index.count_videos() == 1
    del registry
    gc.collect()
    assert not _held_by_other_processes(home)


def test_other_settings_are_another_registry(home: Path) -> None:
    with (
        open_registry(home=home),
        pytest.raises(RegistryLocked, match=f"in use by process {os.getpid()} "),
    ):
        open_registry(home=home, device="cpu")


def test_a_registry_cannot_be_sent_to_another_process(home: Path) -> None:
    with open_registry(home=home) as registry, pytest.raises(TypeError, match="Open it there"):
        pickle.dumps(registry)


def _in_a_fork(action: Callable[[], str]) -> str:
    forking: Any = multiprocessing.get_context("fork")  # mypy knows none on Windows
    receiving, sending = forking.Pipe(duplex=False)

    def run() -> None:
        try:
            sending.send(action())
        except RegistryLocked as exc:
            sending.send(str(exc))

    process = forking.Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == 0
    return str(receiving.recv())


def _closed(registry: Registry) -> str:
    registry.close()
    return "closed"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_changes_nothing_and_leaves_the_lock_to_its_parent(home: Path) -> None:
    with open_registry(home=home) as registry:
        identity = who(registry, PARK)
        said = _in_a_fork(lambda: str(registry.name(identity, "Ann")))
        assert f"opened by process {os.getpid()}, and this process is a fork of it" in said
        assert _in_a_fork(lambda: _closed(registry)) == "closed"
        assert _held_by_other_processes(home)
        assert "in use by process" in _in_a_fork(lambda: str(open_registry(home=home)))
        read = _in_a_fork(lambda: open_registry(home=home, read_only=True).identity(identity).name)
        assert read == ""
        registry.name(identity, "Ben")
        assert registry.identity(identity).name == "Ben"
