from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.blobs.base import BlobStore
from registry.blobs.folder import FolderStore
from registry.errors import ObjectMissing, StoreDenied, StoreError, StoreFull
from registry.system.folder_by_path import FolderByPath
from registry.system.folder_interface import OpenFolder
from registry.system.open_folder import open_folder
from tests.blobs.test_contract import METHODS, listed
from tests.support.processes import is_root, make_link, make_pipe

NOBODY = 65534

modes = pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing on Windows")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture(params=[open_folder, FolderByPath], ids=["as this system does", "by path"])
def opener(request: pytest.FixtureRequest) -> Callable[[Path], OpenFolder]:
    """The way to open a folder that this system has, and the way of Windows."""
    way: Callable[[Path], OpenFolder] = request.param
    return way


@pytest.fixture
def store(root: Path, opener: Callable[[Path], OpenFolder]) -> Iterator[FolderStore]:
    store = FolderStore(root, opener=opener)
    yield store
    store.close()


def files(root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()
    )


@modes
def test_only_the_owner_can_read(root: Path, store: FolderStore) -> None:
    before = os.umask(0)
    try:
        store.put("crops/v1/0_0.jpg", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "crops/v1/0_0.jpg").stat().st_mode) == 0o600
    for folder in (root, root / "crops", root / "crops" / "v1"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_missing_parents_of_the_folder_are_made(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "a" / "b" / "objects")
    store.put("a", b"x")
    store.close()
    assert (tmp_path / "a/b/objects/a").read_bytes() == b"x"


def test_a_relative_folder_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FolderStore(Path("objects"))
    monkeypatch.chdir("/")
    store.put("a", b"x")
    assert str(tmp_path / "objects") in store.describe()
    store.close()
    assert (tmp_path / "objects" / "a").read_bytes() == b"x"


def test_folders_left_empty_by_a_delete_go_with_it(root: Path, store: FolderStore) -> None:
    for key in ("crops/v1/0_0.jpg", "crops/v2/0_0.jpg"):
        store.put(key, b"x")
    store.delete("crops/v1/0_0.jpg")
    assert not (root / "crops" / "v1").exists()
    assert (root / "crops" / "v2").exists()
    store.delete("crops/v2/0_0.jpg")
    assert list(root.iterdir()) == []


def test_what_is_no_object_is_not_listed(root: Path, store: FolderStore) -> None:
    store.put("crops/v1/0_0.jpg", b"x")
    (root / ".DS_Store").write_bytes(b"x")
    (root / "crops" / "v1" / "Thumbs db").write_bytes(b"x")
    (root / "crops" / ".hidden").mkdir()
    (root / "crops" / ".hidden" / "a").write_bytes(b"x")
    make_pipe(root / "crops" / "fifo")
    assert listed(store) == ["crops/v1/0_0.jpg"]
    assert not store.exists("crops/fifo")
    with pytest.raises(ObjectMissing):
        store.get("crops/fifo")


def test_a_narrow_listing_reads_no_other_folder(root: Path, store: FolderStore) -> None:
    for i in range(50):
        store.put(f"crops/v{i:02}/0_0.jpg", b"x")
    for folder in root.glob("crops/*"):
        os.utime(folder, (0, 0))  # read again, a folder gets a new time of access
    assert listed(store, "crops/v07/") == ["crops/v07/0_0.jpg"]
    first = next(store.list("crops/v3"))
    assert first.key == "crops/v30/0_0.jpg"
    read = {path.name for path in root.glob("crops/*") if path.stat().st_atime > 0}
    if not read:
        pytest.skip("this file system keeps no times of access")
    assert read == {"v07", "v30"}


# Symbolic links


def test_a_link_to_a_file_outside_is_refused(
    tmp_path: Path, root: Path, store: FolderStore
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    make_link(root / "a", tmp_path / "secret")
    for method in ("get", "exists"):
        with pytest.raises(StoreError, match=re.escape(str(root / "a")) + " .*symbolic link"):
            METHODS[method](store, "a")
    assert listed(store) == []
    store.put("a", b"mine")
    assert store.get("a") == b"mine"
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_deleting_a_link_leaves_what_it_points_at(
    tmp_path: Path, root: Path, store: FolderStore
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    make_link(root / "a", tmp_path / "secret")
    store.delete("a")
    assert not (root / "a").is_symlink()
    assert (tmp_path / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("method", METHODS)
def test_a_key_behind_a_linked_folder_is_refused(
    tmp_path: Path, root: Path, store: FolderStore, method: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"secret")
    make_link(root / "crops", outside)
    for key in ("crops/a", "crops/b/c"):
        with pytest.raises(StoreError, match="symbolic link") as caught:
            METHODS[method](store, key)
        assert not isinstance(caught.value, ObjectMissing)
    assert files(outside) == ["a"]
    assert (outside / "a").read_bytes() == b"secret"
    assert listed(store) == listed(store, "crops/") == []


def test_the_folder_itself_may_be_a_link(
    tmp_path: Path, opener: Callable[[Path], OpenFolder]
) -> None:
    (tmp_path / "disk").mkdir()
    make_link(tmp_path / "objects", tmp_path / "disk")
    store = FolderStore(tmp_path / "objects", opener=opener)
    store.put("a/b", b"x")
    store.close()
    assert (tmp_path / "disk" / "a" / "b").read_bytes() == b"x"


# Crashes

WRITER = """
import sys, pathlib, time
from registry.blobs.folder import FolderStore
store = FolderStore(pathlib.Path(sys.argv[1]), reserve_bytes=0)
print("ready", flush=True)
turn = 0
end = time.monotonic() + 20
while time.monotonic() < end:
    turn += 1
    store.put(f"crops/v{turn % 3}/a.jpg", bytes([turn % 256]) * (400_000 + turn % 7))
"""


def test_a_writer_killed_at_any_moment_leaves_whole_objects(root: Path) -> None:
    chance = random.Random(7)
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline().rstrip() == b"ready"
            time.sleep(chance.uniform(0.02, 0.12))
            writer.kill()
        store = FolderStore(root)
        blobs = list(store.list())
        assert blobs
        for blob in blobs:
            data = store.get(blob.key)
            # A turn's bytes tell its length modulo 7, up to the turn's own remainder of 256.
            assert 400_000 <= len(data) == blob.size < 400_007
            assert data == data[:1] * len(data)
        store.close()
    assert {name.rpartition("/")[2] for name in files(root) if not name.startswith(".")} == {
        "a.jpg"
    }


def test_what_a_killed_writer_left_is_never_listed_and_goes_after_an_hour(root: Path) -> None:
    killed = ""
    for _ in range(50):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            deadline = time.monotonic() + 5
            while not killed and time.monotonic() < deadline:
                killed = next((path.name for path in root.glob(".*")), "")
            writer.kill()
        if (root / killed).is_file():
            break
        killed = ""
    left = root / killed
    store = FolderStore(root)
    assert left.exists(), "it may be in use by another process"
    assert set(listed(store)) <= {f"crops/v{i}/a.jpg" for i in range(3)}
    store.close()
    old = time.time() - 3601
    os.utime(left, (old, old))
    (root / ".keep").write_bytes(b"not of a put")
    os.utime(root / ".keep", (old, old))
    FolderStore(root).close()
    assert not left.exists()
    assert (root / ".keep").exists()


def test_a_put_that_fails_leaves_nothing(root: Path, store: FolderStore) -> None:
    store.put("a/b", b"x")
    with pytest.raises(StoreError, match="cannot be both an object and a folder"):
        store.put("a", b"y")
    with pytest.raises(StoreError, match="cannot be both an object and a folder"):
        store.put("a/b/c", b"y")
    assert files(root) == ["a/b"]
    assert store.get("a/b") == b"x"


# Disks and permissions


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB and 16 files and folders."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=4m,nr_inodes=16", "tmpfs", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk to fill")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_without_space_is_reported_and_keeps_what_it_holds(
    small_disk: Path, opener: Callable[[Path], OpenFolder]
) -> None:
    store = FolderStore(small_disk / "objects", reserve_bytes=0, opener=opener)
    store.put("a", b"x" * 2_000_000)
    with pytest.raises(StoreFull, match=f"{small_disk}/objects has 2 MiB of free space"):
        store.put("a", b"y" * 3_000_000)
    assert store.get("a") == b"x" * 2_000_000
    store.delete("a")
    store.put("a", b"y" * 3_000_000)
    store.close()


def test_a_disk_that_refuses_is_reported_and_keeps_what_it_holds(
    small_disk: Path, opener: Callable[[Path], OpenFolder]
) -> None:
    store = FolderStore(small_disk / "objects", reserve_bytes=0, opener=opener)
    with pytest.raises(StoreFull, match=f"No space is left to write {small_disk}/objects/"):
        for i in range(16):
            store.put(f"crops/{i:02}", b"x")
    held = listed(store)
    assert 5 < len(held) < 16
    assert all(store.get(key) == b"x" for key in held)
    assert files(small_disk / "objects") == held
    store.delete(held[0])
    store.put("last", b"x")
    store.close()


def test_a_reserve_is_left_free(root: Path) -> None:
    free = shutil.disk_usage(root.parent).free
    store = FolderStore(root, reserve_bytes=free * 2)
    with pytest.raises(StoreFull, match=r"MiB are kept for the index. Free some"):
        store.put("a", b"x")
    assert files(root) == []
    store.close()


@contextlib.contextmanager
def without_access(folder: Path) -> Iterator[None]:
    """The folder closed to this process, also where it runs as root."""
    folder.chmod(0o000)
    root = is_root() and hasattr(os, "seteuid")
    if root and hasattr(os, "seteuid"):
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if hasattr(os, "seteuid") and root:
            os.seteuid(0)
        folder.chmod(0o700)


@modes
def test_a_folder_of_another_user_is_named(root: Path, store: FolderStore) -> None:
    store.put("crops/a", b"x")
    with without_access(root / "crops"):
        for method in METHODS:
            with pytest.raises(StoreDenied, match=re.escape(str(root / "crops"))):
                METHODS[method](store, "crops/a")
        with pytest.raises(StoreDenied, match=re.escape(str(root / "crops"))):
            listed(store, "crops/")
    assert store.get("crops/a") == b"x"


@modes
def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, opener: Callable[[Path], OpenFolder]
) -> None:
    with (
        without_access(tmp_path),
        pytest.raises(StoreDenied, match=re.escape(str(tmp_path / "objects"))),
    ):
        FolderStore(tmp_path / "objects", opener=opener)


def test_a_file_in_the_folders_place_is_named(
    root: Path, opener: Callable[[Path], OpenFolder]
) -> None:
    root.write_bytes(b"x")
    with pytest.raises(StoreError, match=re.escape(str(root))):
        FolderStore(root, opener=opener)


@pytest.mark.parametrize("method", METHODS)
def test_a_closed_store_says_so(root: Path, store: FolderStore, method: str) -> None:
    store.put("a", b"x")
    store.close()
    with pytest.raises(StoreError, match=re.escape(f"{root} is closed")):
        METHODS[method](store, "a")
    with pytest.raises(StoreError, match=re.escape(f"{root} is closed")):
        listed(store)


def test_a_folder_removed_meanwhile_is_an_error_to_write_to(root: Path, store: FolderStore) -> None:
    root.rmdir()
    with pytest.raises(StoreError, match="folder of the store is gone"):
        store.put("a/b", b"x")
    assert not root.exists()


def test_it_is_an_object_store(store: FolderStore) -> None:
    as_protocol: BlobStore = store  # mypy holds the protocol
    assert as_protocol.describe().startswith("folder ")
