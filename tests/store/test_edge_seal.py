"""Seals of large shards: settled by the next opening, and only changed files are read for them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from registry.errors import StoreCorrupt
from registry.store import edge, edge_seal, edge_shard
from registry.store.base import CollectionSpec, Filter, Point
from registry.store.edge import EdgeCollection, EdgeStore
from registry.store.edge_seal import check_seal, seal_file
from registry.system import checked_json as checked
from tests.support.points import FACES, face, numbers, random_units, uid

REPOSITORY = Path(__file__).parents[2]
ROWS = random_units(600, FACES.dimension or 0, seed=3)
V1 = Filter(must={"video_id": ["v1"]})


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "SETTLED_BYTES", 0)
    monkeypatch.setattr(edge_shard, "GRAPH_FROM", 500)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index"


def _points(first: int) -> list[Point]:
    return [Point(uid(first + n), {"video_id": f"v{n % 5}"}, row) for n, row in enumerate(ROWS)]


def _optimise_and_change(faces: EdgeCollection) -> None:
    faces.optimize()
    faces.delete(V1)


CHANGES: list[Callable[[EdgeCollection], None]] = [
    lambda faces: None,
    lambda faces: faces.upsert(_points(0)),
    lambda faces: faces.set_payload({"x": 1}, V1),
    lambda faces: faces.upsert(_points(300)),
    lambda faces: faces.delete(V1),
    lambda faces: faces.optimize(),
    lambda faces: faces.upsert(_points(100)),
    _optimise_and_change,
    lambda faces: faces.upsert(_points(5000)[:7]),
]


def _bytes_of_all(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def _session(path: Path, work: Callable[[EdgeCollection], object]) -> None:
    store = EdgeStore(path, reserve_bytes=0)
    work(store.open(FACES))
    store.close()


def _read(faces: EdgeCollection) -> None:
    list(faces.scroll(with_vectors=True))
    faces.query(ROWS[:3], limit=2, exact=False)


def test_the_opening_after_a_change_settles_and_later_ones_change_no_byte(path: Path) -> None:
    for number, change in enumerate(CHANGES):
        store = EdgeStore(path, reserve_bytes=0)
        faces = store.open(FACES)
        change(faces)
        held = numbers(faces)
        store.close()
        made = check_seal(path / "faces")
        assert made, number
        if number != 0:
            assert not made.settled, number
        _session(path, _read)
        settled = check_seal(path / "faces")
        assert settled, number
        assert settled.settled, number
        before = _bytes_of_all(path)
        store = EdgeStore(path, reserve_bytes=0)
        faces = store.open(FACES)
        _read(faces)
        assert numbers(faces) == held, number
        store.close()
        assert _bytes_of_all(path) == before, number


def test_a_seal_has_the_digest_of_every_file_as_if_all_were_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_seal, "_RECENT_NS", 0)
    folder = path / "faces"
    for change in CHANGES:
        _session(path, change)
        made = check_seal(folder)
        assert made
        assert made.digests == edge_seal._digests(folder)


def test_files_that_have_not_changed_are_not_read_for_a_seal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_seal, "_RECENT_NS", 0)
    folder = path / "faces"
    _session(path, lambda faces: faces.upsert(_points(0)))
    _session(path, lambda faces: faces.optimize())
    _session(path, _read)
    read: list[str] = []
    digest_of = edge_seal._digest_of

    def watched(file: Path) -> str:
        read.append(file.relative_to(folder).as_posix())
        return digest_of(file)

    store = EdgeStore(path, reserve_bytes=0)
    faces = store.open(FACES)
    faces.upsert([Point(uid(9000), {"video_id": "new"}, ROWS[0])])
    with monkeypatch.context() as closing:
        closing.setattr(edge_seal, "_digest_of", watched)
        store.close()
    made = check_seal(folder)
    assert made
    if edge_seal._times_show_writes(folder):
        left_out = made.digests.keys() - set(read)
        assert any("/vector_index" in name for name in left_out)
        assert any("/vector_storage" in name for name in left_out)
    else:
        assert set(read) == made.digests.keys()
        assert not made.states


def test_a_file_with_its_old_times_and_other_bytes_is_named(path: Path) -> None:
    folder = path / "faces"
    _session(path, lambda faces: faces.upsert(_points(0)))
    chance = random.Random(5)
    used = [file for file in sorted(folder.rglob("*")) if file.is_file() and any(file.read_bytes())]
    for file in chance.sample(used, 8):
        status, before = file.stat(), file.read_bytes()
        at = chance.choice(np.flatnonzero(np.frombuffer(before, np.uint8)).tolist())
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(bytes([before[at] ^ 4]))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        store = EdgeStore(path, reserve_bytes=0)
        with pytest.raises(StoreCorrupt, match="has changed"):
            store.open(FACES)
        store.close()
        file.write_bytes(before)
    _session(path, lambda faces: faces.count())


@pytest.mark.parametrize("when", ["before loading", "after loading"])
def test_a_kill_while_a_shard_is_settled_leaves_no_seal_and_no_damage(
    path: Path, when: str
) -> None:
    _session(path, lambda faces: faces.upsert([face(n) for n in range(5)]))
    code = f"""
import os, sys
from pathlib import Path
from registry.store import edge
from tests.support.points import FACES
load = edge.load
def loaded(*given, **named):
    shard = load(*given, **named) if {when == "after loading"} else None
    os._exit(7)
edge.load = loaded
edge.EdgeStore(Path(sys.argv[1]), reserve_bytes=0).open(FACES)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=REPOSITORY, check=False)
    assert done.returncode == 7
    assert not seal_file(path / "faces").exists()
    _session(path, lambda faces: faces.upsert([face(5)]))
    found: list[int] = []
    _session(path, lambda faces: found.extend(numbers(faces)))
    assert found == list(range(6))
    assert check_seal(path / "faces")


def test_what_an_earlier_version_sealed_counts_as_settled(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "SETTLED_BYTES", 2**40)
    spec = CollectionSpec("faces", FACES.dimension, FACES.keywords)
    store = EdgeStore(path, reserve_bytes=0)
    store.open(spec).upsert([face(1)])
    store.close()
    mark = seal_file(path / "faces")
    body = checked.decode(mark.read_bytes())
    mark.write_bytes(checked.encode({"edge": body["edge"], "files": body["files"]}))
    before = _bytes_of_all(path)
    _session(path, _read)
    assert _bytes_of_all(path) == before


def test_a_store_that_is_closed_while_python_ends_is_sealed(path: Path) -> None:
    code = """
import atexit, sys
from pathlib import Path
from registry.store.edge import EdgeStore
from tests.support.points import FACES, face
store = EdgeStore(Path(sys.argv[1]), reserve_bytes=0)
store.open(FACES).upsert([face(1)])
atexit.register(store.close)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=REPOSITORY, capture_output=True, check=True
    )
    assert done.stderr == b""
    assert check_seal(path / "faces")
    assert not [*path.glob(".*.sealing")]
