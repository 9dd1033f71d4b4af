"""One writer at a time, on an object store that several machines share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from registry.blobs.base import BlobStore
from registry.blobs.folder import FolderStore
from registry.blobs.minio_store import MinioStore
from registry.core import keys
from registry.core.lease import Lease
from registry.core.registry import Registry
from registry.errors import RegistryLocked, StoreCorrupt, StoreDenied
from registry.settings import load_settings
from registry.store.server import ServerStore
from tests.faults.workload import CONTRACT, dump
from tests.support import places
from tests.support.factories import person, picture, video
from tests.support.weed import S3Server, s3_server

__all__ = ["s3_server"]
ROOT = Path(__file__).parents[2]


class Unconditional(FolderStore):
    """A store that takes no notice of conditions, as some S3 servers do."""

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        self.put(key, data)
        return self.get_tagged(key)[1]


class ReadOnly(FolderStore):
    """A store whose user may only read."""

    def put(self, key: str, data: bytes) -> None:
        raise StoreDenied(f"{key} may not be written.")

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        raise StoreDenied(f"{key} may not be written.")

    def delete(self, key: str) -> None:
        raise StoreDenied(f"{key} may not be deleted.")


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    if request.param == "folder":
        store: BlobStore = FolderStore(tmp_path / "objects")
    else:
        store = bucket(request.getfixturevalue("s3_server"), places.bucket("lease"))
    yield store
    store.close()


def bucket(server: S3Server, name: str) -> MinioStore:
    return MinioStore(server.endpoint, server.access_key, server.secret_key, name, secure=False)


def test_a_conditional_put_compares_and_writes(blobs: BlobStore) -> None:
    first = blobs.put_if("a", b"1", None)
    assert first is not None
    assert blobs.put_if("a", b"2", None) is None
    second = blobs.put_if("a", b"3", first)
    assert second not in (None, first)
    assert blobs.put_if("a", b"4", first) is None
    assert blobs.get_tagged("a") == (b"3", second)
    assert blobs.put_if("absent", b"5", first) is None
    assert not blobs.exists("absent")


def test_of_many_at_once_one_gets_it(blobs: BlobStore) -> None:
    def attempt(_: int) -> bool:
        try:
            Lease(blobs).acquire()
        except RegistryLocked:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 1


def test_who_may_only_read_is_told_who_has_it(tmp_path: Path) -> None:
    """As a reader that opens a registry while an ingest on another machine is under way."""
    writer = Lease(FolderStore(tmp_path))
    writer.acquire()
    with pytest.raises(RegistryLocked, match="in use by process"):
        Lease(ReadOnly(tmp_path)).acquire()
    writer.release()
    with pytest.raises(StoreDenied):
        Lease(ReadOnly(tmp_path)).acquire()


def test_the_second_is_told_who_has_it_and_gets_it_once_it_is_given_back(blobs: BlobStore) -> None:
    first, second = Lease(blobs), Lease(blobs)
    token = first.acquire().token
    with pytest.raises(RegistryLocked, match=rf"in use by process {os.getpid()} on .* since 2"):
        second.acquire()
    first.release()
    assert second.acquire().token > token
    second.check()
    second.release()


@pytest.mark.slow
def test_it_is_renewed_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    first = Lease(blobs, ttl_s=0.6)
    first.acquire()
    time.sleep(1.5)
    first.check()
    with pytest.raises(RegistryLocked):
        Lease(blobs, ttl_s=0.6).acquire()
    first.release()


def test_a_holder_that_died_is_followed_once_its_time_is_up(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    Lease(blobs).acquire()
    later = Lease(blobs, clock=lambda: time.time() + 61)
    assert later.acquire().token == 2


def test_a_writer_whose_lease_was_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path / "objects")
    late = Lease(blobs)
    with _in_memory(tmp_path, blobs, late) as registry:
        registry.establish(CONTRACT)
        _commit(registry, "a")
        Lease(blobs, clock=lambda: time.time() + 61).acquire()
        before = sorted(info.key for info in blobs.list())
        with pytest.raises(RegistryLocked, match=r"taken over by process .* writes nothing more"):
            registry.commit(video("b", [person(1)]))
        assert sorted(info.key for info in blobs.list()) == before
        assert json.loads(blobs.get(keys.LEASE))["token"] == 2


def test_a_reader_needs_none_and_leaves_the_writers_work_alone(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path / "objects")
    client = QdrantClient(":memory:")
    lease = Lease(blobs)
    settings = load_settings(home=tmp_path)
    with Registry(settings, blobs, ServerStore("", None, client=client), lease=lease) as writer:
        writer.establish(CONTRACT)
        _commit(writer, "a")
        writer.settle()
        blobs.put("intents/00000000-0000-4000-8000-00000000000a", b"")  # it is at work
        reader = Registry(settings, blobs, ServerStore("", None, client=client), lease=Lease(blobs))
        assert reader.index.count_videos() == 1
        assert len(list(blobs.list("intents/"))) == 1
    late = FolderStore(tmp_path / "objects")
    with Registry(settings, late, ServerStore("", None, client=client), lease=Lease(late)) as other:
        assert other.index.count_videos() == 1
        assert list(late.list("intents/")) == []
    client.close()


def test_a_store_without_conditions_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    lease = Lease(Unconditional(tmp_path), say=said.append, ttl_s=1.0)
    lease.acquire()
    assert not lease.conditional
    assert "ignores conditional writes" in said[0]
    lease.release()


def _in_memory(home: Path, blobs: BlobStore, lease: Lease) -> Registry:
    store = ServerStore("", None, client=QdrantClient(":memory:"))
    return Registry(load_settings(home=home), blobs, store, lease=lease)


def _commit(registry: Registry, *names: str) -> None:
    for name in names:
        one = video(name, [person(ord(name) % 3), person(3, 0.1 * (ord(name) % 4))])
        if registry.records.get(one.video_id) is None:
            with registry.writing():
                for face in one.faces:
                    registry.blobs.put(face.crop, picture(face.crop))
                registry.commit(one)


def work(blobs: BlobStore, home: Path, names: str) -> None:
    """What one process does: wait for the other, bring its own index up, and commit."""
    lease = Lease(blobs, wait=True, say=lambda text: print(text, flush=True))
    with _in_memory(home, blobs, lease) as registry:
        registry.hold()
        if registry.is_empty:
            registry.establish(CONTRACT)
        else:
            registry.reindex()
        print("working since", time.monotonic(), flush=True)
        _commit(registry, *names)


_PROCESS = """
import sys
from pathlib import Path
from tests.core.test_lease import MinioStore, work
endpoint, access, secret, bucket, home, names = sys.argv[1:]
work(MinioStore(endpoint, access, secret, bucket, secure=False), Path(home), names)
"""


@pytest.mark.slow
def test_two_processes_at_once_end_in_the_registry_of_one_after_the_other(
    s3_server: S3Server, tmp_path: Path
) -> None:
    name = places.bucket("two")
    shared = bucket(s3_server, name)
    arguments = [s3_server.endpoint, s3_server.access_key, s3_server.secret_key, name]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, *arguments, str(tmp_path / names), names],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for names in ("abcdef", "defghi")
    ]  # fmt: skip
    said = [process.communicate(timeout=110)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    since = [float(text.split()[-1]) for text in said]
    order = ("abcdef", "defghi") if since[0] < since[1] else ("defghi", "abcdef")
    for names in order:
        work(FolderStore(tmp_path / "alone"), tmp_path, names)
    alone = FolderStore(tmp_path / "alone")
    with (
        _in_memory(tmp_path, shared, Lease(shared)) as one,
        _in_memory(tmp_path, alone, Lease(alone)) as other,
    ):
        one.reindex()
        other.reindex()
        assert one.index.count_videos() == 9
        assert dump(one) == dump(other)


@pytest.fixture
def killed(tmp_path: Path) -> int:
    """The process number of a writer that was killed with the lease in its hands."""
    code = (
        "import sys, time; from pathlib import Path; from registry.core.lease import Lease\n"
        "from registry.blobs.folder import FolderStore\n"
        "Lease(FolderStore(Path(sys.argv[1])), ttl_s=2).acquire(); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    return holder.pid


def test_a_killed_writer_of_this_machine_is_followed_at_once(tmp_path: Path, killed: int) -> None:
    held = json.loads(FolderStore(tmp_path).get(keys.LEASE))
    assert held["pid"] == killed
    assert Lease(FolderStore(tmp_path), ttl_s=2).acquire().token == held["token"] + 1


def test_a_killed_writer_of_another_machine_is_followed_by_one_that_waits(
    tmp_path: Path, killed: int
) -> None:
    blobs, said = FolderStore(tmp_path), list[str]()
    held = {**json.loads(blobs.get(keys.LEASE)), "machine": "another", "expires": time.time() + 1}
    blobs.put(keys.LEASE, json.dumps(held).encode())
    Lease(blobs, wait=True, say=said.append, ttl_s=2).acquire()
    assert f"in use by process {killed}" in said[0]


def test_a_lease_that_nobody_understands_is_nobodys(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    blobs.put(keys.LEASE, b"{")
    assert Lease(blobs).acquire().token == 1


def test_a_lease_that_cannot_be_read_is_named_with_its_store(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    lease = Lease(blobs)
    lease.acquire()
    blobs.put(keys.LEASE, b"\x00 no lease")
    with pytest.raises(StoreCorrupt, match=f"{keys.LEASE} of folder .*cannot be read"):
        lease.check()
    lease.release()
