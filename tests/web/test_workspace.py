"""Who may use the registry when: many readers, or one writer, in the order in which they came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from registry.core.registry import Registry
from registry.web.workspace import Turns, Workspace
from tests.support.registries import who
from tests.web.conftest import VIDEOS


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_readers_share_and_a_writer_is_alone() -> None:
    turns, inside = Turns(), threading.Barrier(2)
    together = []

    def read() -> None:
        with turns.reading():
            inside.wait(30)  # both are in
            together.append(1)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1, 1]
    with turns.writing():
        reader = threading.Thread(target=lambda: turns.reading().__enter__())
        reader.start()
        reader.join(0.05)
        assert reader.is_alive()
    reader.join(30)
    assert not reader.is_alive()


def test_nobody_is_overtaken() -> None:
    """A writer is not starved by readers, nor they by an ingest that takes turn after turn."""
    turns, order = Turns(), list[str]()
    turns.acquire()

    def enter(name: str, *, writes: bool) -> None:
        with turns.writing() if writes else turns.reading():
            order.append(name)

    threads = []
    for name in ("reader 1", "writer", "reader 2"):
        thread = threading.Thread(target=enter, args=(name,), kwargs={"writes": name == "writer"})
        threads.append(thread)
        waiting = len(turns._queue)
        thread.start()
        _until(lambda before=waiting: len(turns._queue) == before + 1)  # type: ignore[misc]
    turns.release()
    turns.acquire()  # the ingest's next turn comes after those who waited
    order.append("ingest")
    turns.release()
    for thread in threads:
        thread.join(30)
    assert order == ["reader 1", "writer", "reader 2", "ingest"]


def test_a_result_is_computed_once_until_something_changes(registry: Registry) -> None:
    workspace, computed = Workspace(registry), list[int]()

    def compute(opened: Registry) -> int:
        computed.append(opened.index.count_identities())
        return computed[-1]

    assert workspace.once("people", compute) == workspace.once("people", compute)
    assert len(computed) == 1
    with workspace.changing() as opened:
        opened.name(who(opened, VIDEOS[0]), "Ann")
    workspace.once("people", compute)
    assert len(computed) == 2
