"""What EdgeStore promises beyond the contract: locks, crashes, damage, a full disk."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from registry.errors import RegistryLocked, StoreCorrupt, StoreError, StoreFull
from registry.store import edge_shard
from registry.store.base import CollectionSpec, Filter, Point
from registry.store.edge import EdgeCollection, EdgeStore
from registry.store.edge_seal import check_seal, seal_file
from registry.system import checked_json as checked
from tests.support.points import FACES, VIDEOS, face, numbers, random_units, uid, video

REPOSITORY = Path(__file__).parents[2]
PRELUDE = """
import os, sys, time
from pathlib import Path
from registry.errors import StoreFull
from registry.store.base import *
from registry.store.edge import EdgeStore
from tests.support.points import *
path = Path(sys.argv[1])
def say(text):
    print(text, flush=True)
"""
FAR_TOO_MUCH = 2**60


@contextmanager
def child(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs the code; it has said its first line when this begins."""
    command = [sys.executable, "-c", PRELUDE + code, str(path)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == "ready"
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def store(path: Path) -> Iterator[EdgeStore]:
    store = EdgeStore(path, reserve_bytes=0)
    yield store
    store.close()


def _written(path: Path, points: int = 3) -> Path:
    """The folder of a shard that is closed."""
    store = EdgeStore(path, reserve_bytes=0)
    store.open(FACES).upsert([face(n, video_id="a") for n in range(points)])
    store.close()
    return path / "faces"


def _unsealed(path: Path) -> Path:
    """The folder of a shard as a kill leaves it: Edge has to find damage by itself."""
    folder = _written(path)
    seal_file(folder).unlink()
    return folder


# --- who may use it -----------------------------------------------------------------------------


def test_another_process_is_refused_until_the_first_one_ends(path: Path, store: EdgeStore) -> None:
    code = "s = EdgeStore(path); s.open(FACES); say('ready'); sys.stdin.read()"
    with child(code, path) as process:
        for use in (lambda: store.open(FACES), lambda: store.drop("faces")):
            with pytest.raises(RegistryLocked, match=f"^{re.escape(str(path))} is in use"):
                use()
        assert store.has("faces")
        process.communicate()
    assert store.open(FACES).count() == 0


def test_a_shard_that_another_program_has_open_is_refused(path: Path, store: EdgeStore) -> None:
    folder = _written(path)
    code = "import qdrant_edge; s = qdrant_edge.EdgeShard.load(str(path)); say('ready'); input()"
    with (
        child(code, folder),
        pytest.raises(RegistryLocked, match=f"^{re.escape(str(folder))} is in use"),
    ):
        store.open(FACES)
    assert store.open(FACES).count() == 3


def test_a_second_store_in_the_same_process_is_refused(path: Path, store: EdgeStore) -> None:
    store.open(FACES)
    second = EdgeStore(path)
    with pytest.raises(RegistryLocked):
        second.open(FACES)
    store.close()
    assert second.open(FACES).count() == 0
    second.close()


def test_asking_what_exists_needs_no_lock(path: Path, store: EdgeStore) -> None:
    store.open(FACES)
    second = EdgeStore(path)
    assert second.has("faces")
    assert not second.has("videos")
    assert str(path) in second.describe()


def test_folders_are_the_owners_alone(path: Path, store: EdgeStore) -> None:
    store.open(FACES)
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "faces").stat().st_mode & 0o777 == 0o700
    assert (path / ".lock").stat().st_mode & 0o777 == 0o600


def test_a_path_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file/index/faces cannot be used"):
        EdgeStore(tmp_path / "file" / "index").open(FACES)


# --- crashes ------------------------------------------------------------------------------------


def test_what_was_flushed_survives_a_kill(path: Path, store: EdgeStore) -> None:
    code = """
faces = EdgeStore(path).open(FACES)
faces.upsert([face(n, video_id="a") for n in range(500)])
faces.set_payload({"video_id": "b"}, Filter(must={"video_id": ["a"]}))
faces.flush()
say("ready")
sys.stdin.read()
"""
    with child(code, path) as process:
        process.kill()
        process.wait()
    faces = store.open(FACES)
    assert faces.count(Filter(must={"video_id": ["b"]})) == 500


def test_a_kill_while_creating_and_dropping_leaves_all_or_nothing(path: Path) -> None:
    code = """
store = EdgeStore(path, reserve_bytes=0)
say("ready")
end = time.monotonic() + 20
while time.monotonic() < end:
    faces = store.open(FACES)
    faces.upsert([face(1)])
    faces.flush()
    store.drop("faces")
"""
    for round_ in range(4):
        with child(code, path) as process:
            time.sleep(0.01 + 0.02 * round_)
            process.kill()
            process.wait()
        store = EdgeStore(path, reserve_bytes=0)
        assert store.open(FACES).count() in (0, 1)
        assert sorted(p.name for p in path.iterdir()) == [".lock", "faces"]
        store.drop("faces")
        store.close()


def test_what_a_crash_left_half_done_is_no_collection_and_goes(path: Path) -> None:
    folder = _written(path)
    shutil.copytree(folder, path / ".faces.old")
    (path / ".videos.new").mkdir()
    store = EdgeStore(path)
    assert not store.has("videos")
    store.open(FACES)
    assert sorted(p.name for p in path.glob("[!.]*")) == ["faces"]
    assert not list(path.glob(".*.old"))
    store.close()


def test_a_kill_while_loading_is_no_damage(path: Path, store: EdgeStore) -> None:
    folder = _written(path)
    mark = folder.with_name(".faces.loading")
    mark.touch()
    assert store.open(FACES).count() == 3
    assert not mark.exists()


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["edge_config.json", "segment.json", "open-1", "", "segments"])
def test_a_shard_that_does_not_load_can_be_dropped(path: Path, store: EdgeStore, part: str) -> None:
    folder = _unsealed(path)
    if (folder / part).is_dir():
        shutil.rmtree(folder / part)
        (folder / part).mkdir()
    for file in folder.rglob(part or "*"):
        if file.is_file():
            file.write_bytes(b"damaged " * 20)
    for _ in range(2):
        with pytest.raises(
            StoreCorrupt, match=f"^{re.escape(str(folder))} does not load .* reindex"
        ):
            store.open(FACES)
    store.drop("faces")
    assert store.open(FACES).count() == 0


def test_a_shard_that_ends_the_process_is_named_the_next_time(path: Path, store: EdgeStore) -> None:
    folder = _unsealed(path)
    (id_map,) = folder.rglob("mutable_id_tracker.mappings")
    damaged = bytearray(id_map.read_bytes())
    damaged[20] ^= 0xFF  # the length of an entry: Edge asks for the memory and aborts
    id_map.write_bytes(damaged)
    with child("say('ready'); EdgeStore(path).open(FACES)", path) as process:
        assert process.wait(60) == -signal.SIGABRT
    with pytest.raises(
        StoreCorrupt, match=f"^{re.escape(str(folder))} ends or hangs the process .* reindex"
    ):
        store.open(FACES)
    store.drop("faces")
    assert store.open(FACES).count() == 0


def _digest_of_all(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).digest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("how", ["flipped", "torn", "gone", "more"])
def test_a_file_that_changed_since_it_was_closed_is_named_and_not_loaded(
    path: Path, store: EdgeStore, how: str
) -> None:
    folder = _written(path)
    chance = random.Random(how)
    used = [file for file in sorted(folder.rglob("*")) if file.is_file() and any(file.read_bytes())]
    for file in chance.sample(used, 8):
        before = file.read_bytes()
        at = chance.choice(np.flatnonzero(np.frombuffer(before, np.uint8)).tolist())
        other = file.with_name("segment") if how == "more" else file
        match how:
            case "flipped":
                file.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
            case "torn":
                file.write_bytes(before[:at])
            case "gone":
                file.unlink()
            case "more":
                other.write_bytes(before)
        with pytest.raises(StoreCorrupt, match=f"^{re.escape(str(other))} .* reindex"):
            store.open(FACES)
        other.unlink(missing_ok=True)
        file.write_bytes(before)
    assert store.open(FACES).count() == 3


def test_a_seal_that_is_damaged_is_named_and_goes_with_the_shard(
    path: Path, store: EdgeStore
) -> None:
    seal_file(_written(path)).write_text("{")
    with pytest.raises(StoreCorrupt, match=r"faces\.seal is damaged\. .* reindex"):
        store.open(FACES)
    store.drop("faces")
    assert store.open(FACES).count() == 0


def test_a_shard_is_sealed_whatever_was_done_to_it_and_reading_changes_no_byte(path: Path) -> None:
    rows = random_units(600, FACES.dimension or 0, seed=3)

    def points(first: int) -> list[Point]:
        return [Point(uid(first + n), {"video_id": f"v{n % 5}"}, row) for n, row in enumerate(rows)]

    where = Filter(must={"video_id": ["v1"]})
    changes: list[Callable[[EdgeCollection], None]] = [
        lambda faces: None,
        lambda faces: faces.upsert(points(0)),
        lambda faces: faces.set_payload({"x": 1}, where),
        lambda faces: faces.upsert(points(300)),
        lambda faces: faces.delete(where),
        lambda faces: faces.optimize(),
        lambda faces: faces.upsert(points(100)),
    ]
    for number, change in enumerate(changes):
        store = EdgeStore(path, reserve_bytes=0)
        change(store.open(FACES))
        store.close()
        assert check_seal(path / "faces"), number
        sealed = _digest_of_all(path)
        store = EdgeStore(path, reserve_bytes=0)
        faces = store.open(FACES)
        list(faces.scroll(with_vectors=True))
        faces.query(rows[:3], limit=2, exact=False)
        store.close()
        assert _digest_of_all(path) == sealed, number


def test_a_kill_after_a_write_leaves_no_seal_and_no_damage(path: Path, store: EdgeStore) -> None:
    folder = _written(path)
    code = """
faces = EdgeStore(path, reserve_bytes=0).open(FACES)
faces.upsert([face(7)])
faces.flush()
say("ready")
sys.stdin.read()
"""
    with child(code, path) as process:
        process.kill()
        process.wait()
    assert not seal_file(folder).exists()
    assert store.open(FACES).count() == 4
    store.close()
    assert check_seal(folder)


def test_what_another_version_of_edge_sealed_is_loaded_and_sealed_anew(
    path: Path, store: EdgeStore
) -> None:
    mark = seal_file(_written(path))
    mark.write_bytes(checked.encode({"edge": "0.0.1", "files": {}}))
    assert store.open(FACES).count() == 3
    store.close()
    assert checked.decode(mark.read_bytes())["files"]


def test_a_copy_without_holes_has_the_same_seal(path: Path, store: EdgeStore) -> None:
    folder = _written(path)
    for file in [each for each in folder.rglob("*") if each.is_file()]:
        file.write_bytes(file.read_bytes())
    assert store.open(FACES).count() == 3


# --- size ---------------------------------------------------------------------------------------


def test_dropping_leaves_no_byte_of_it(path: Path, store: EdgeStore) -> None:
    store.open(FACES).upsert([face(1, secret="do-not-keep-this")])
    store.open(VIDEOS).flush()
    store.drop("faces")
    left = [file for file in path.rglob("*") if file.is_file()]
    assert left
    assert not any(b"do-not-keep-this" in file.read_bytes() for file in left)


@pytest.mark.parametrize("graph_from", [2_000, edge_shard.GRAPH_FROM])
def test_thousands_of_faces_answer_alike_before_and_after_optimising(
    store: EdgeStore, graph_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_shard, "GRAPH_FROM", graph_from)
    rows = random_units(2200, 512, seed=1)
    rows[2000:2020] = rows[0]
    spec = CollectionSpec("faces", 512, FACES.keywords)
    faces = store.open(spec)
    faces.upsert([Point(uid(n), {"video_id": f"v{n % 7}"}, row) for n, row in enumerate(rows)])
    where = Filter(must_not={"video_id": ["v0"]})
    before = faces.query(rows[:40], limit=3, where=where)
    faces.optimize()
    after = faces.query(rows[:40], limit=3, where=where)
    assert faces._shard is not None
    indexed = faces._shard.info().indexed_vectors_count
    assert indexed == (len(rows) if graph_from <= len(rows) else 0)
    assert [[hit.id for hit in hits] for hits in after] == [
        [hit.id for hit in hits] for hits in before
    ]
    np.testing.assert_allclose(
        [[hit.score for hit in hits] for hits in after],
        [[hit.score for hit in hits] for hits in before],
        atol=1e-6,
    )
    faces.upsert([Point(uid(3), {"video_id": "v3", "again": 1}, rows[3])])
    faces.set_payload({"again": 2}, Filter(must={"video_id": ["v4"]}))
    assert numbers(faces) == list(range(2200))
    assert faces.get([uid(4)])[0].payload == {"video_id": "v4", "again": 2}
    (hits,) = faces.query(rows[:1], limit=5)
    assert [hit.id for hit in hits] == [uid(n) for n in (0, 2000, 2001, 2002, 2003)]


def test_writes_stop_where_the_reserve_begins_and_reading_goes_on(path: Path) -> None:
    _written(path)
    store = EdgeStore(path, reserve_bytes=FAR_TOO_MUCH)
    faces = store.open(FACES)
    writes = (
        lambda: store.open(VIDEOS),
        lambda: store.open(CollectionSpec("faces", 4, (*FACES.keywords, "another"))),
        lambda: faces.upsert([face(9)]),
        lambda: faces.set_payload({"a": 1}, Filter()),
        lambda: faces.delete(Filter()),
        faces.optimize,
    )
    for write in writes:
        with pytest.raises(StoreFull, match=f"^{re.escape(str(path))}.* MiB free .* Free some"):
            write()
    assert not store.has("videos")
    assert numbers(faces) == [0, 1, 2]
    faces.flush()
    store.drop("faces")
    assert not store.has("faces")
    store.close()


def test_a_disk_that_fills_up_ends_in_an_error_and_not_in_a_signal(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    # A file system of its own, which goes with the process that mounted it.
    alone = ["unshare", "--mount", "--map-root-user", "sh", "-ec"]
    mount = f"mount -t tmpfs -o size=100m tmpfs {disk}"
    try:
        subprocess.run([*alone, mount], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"a small file system of one's own: {exc}")
    code = """
store = EdgeStore(path, reserve_bytes=70 * 2**20)
faces = store.open(CollectionSpec("faces", 512, ("video_id",)))
rows = random_units(200, 512, seed=1)
written = 0
try:
    while True:
        new = [Point(uid(written + n), {"video_id": "a"}, row) for n, row in enumerate(rows)]
        faces.upsert(new)
        written += len(rows)
except StoreFull:
    faces.flush()
    say(f"{faces.count()} of {written}")
    store.close()
with open(path / "ballast", "wb") as ballast:  # now somebody else takes the rest
    try:
        while ballast.write(bytes(2**20)):
            ballast.flush()
    except OSError:
        pass
store = EdgeStore(path, reserve_bytes=70 * 2**20)
try:
    store.open(CollectionSpec("faces", 512, ("video_id",)))
except StoreFull as exc:
    say("full" if "Free some" in str(exc) else str(exc))
"""
    command = f'{mount} && exec "$0" -c "$1" {disk}'
    done = subprocess.run(
        [*alone, command, sys.executable, PRELUDE + code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counted, full = done.stdout.splitlines()
    kept, _, written = counted.partition(" of ")
    assert int(kept) >= int(written) > 1000
    assert full == "full"


def test_payloads_beyond_a_segment_of_the_log_are_written(store: EdgeStore) -> None:
    videos = store.open(VIDEOS)
    videos.upsert([video(n, text="x" * 3_000_000) for n in range(5)])  # more than a log segment
    assert [len(point.payload["text"]) for point in videos.scroll()] == [3_000_000] * 5


def test_an_index_of_other_settings_is_opened_and_stays_sealed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(edge_shard, "GRAPH_FROM", 5_000)
        store = EdgeStore(path)
        faces = store.open(FACES)
        faces.upsert([face(1)])
        faces.flush()
        store.close()
    for _ in range(2):
        store = EdgeStore(path)
        assert numbers(store.open(FACES)) == [1]
        store.close()
        assert check_seal(path / "faces")
