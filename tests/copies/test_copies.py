"""Backup, restore and migrate on real stores: what comes back is what was there."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from qdrant_client import QdrantClient

from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.copies.archive import Archive
from registry.copies.backup import backup, restore
from registry.copies.migration import migrate_to
from registry.core import keys
from registry.core.lease import Lease
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.errors import RegistryLocked, StoreCorrupt, StoreError, StoreUnreachable
from registry.settings import load_settings, load_target
from registry.store.server import ServerStore
from registry.upkeep.status import dump
from tests.support import places
from tests.support.factories import contract, person, picture, video
from tests.support.weed import S3Server, s3_server

__all__ = ["s3_server"]


def _memory(root: Path) -> Registry:
    """A registry on a folder and qdrant-client's own engine: quick to open."""
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    return Registry(load_settings(home=root), FolderStore(root / "objects"), store)


def _fill(registry: Registry, *names: str) -> Registry:
    registry.establish(contract())
    for number, name in enumerate(names):
        one = video(name, [person(number), person(number, 0.2)])
        with registry.writing():
            for face in one.faces:
                registry.blobs.put(face.crop, picture(face.crop))
            registry.commit(one)
    registry.name(next(iter(registry.index.identities())).identity_id, "Ann")
    return registry


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """An archive, and the dump of what it was made of."""
    with _fill(_memory(tmp_path / "saved"), "a", "b") as registry:
        backup(registry, tmp_path / "saved.zip")
        return tmp_path / "saved.zip", dump(registry)


def test_what_is_restored_equals_what_was_saved(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with open_registry(home=tmp_path / "embedded") as registry:
        head = restore(registry, saved[0])
        assert dump(registry) == saved[1]
    assert head["counts"] == {
        "crops": 4,
        "decisions": 1,
        "records": 2,
        "objects": 8,
        "bytes": head["counts"]["bytes"],
    }
    with open_registry(home=tmp_path / "embedded") as again:
        assert dump(again) == saved[1]


def test_a_lease_is_no_part_of_what_is_saved(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path / "objects")
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    settings, lease = load_settings(home=tmp_path), Lease(blobs)
    with _fill(Registry(settings, blobs, store, lease=lease), "a") as registry:
        assert blobs.exists(keys.LEASE)
        backup(registry, tmp_path / "saved.zip")
        whole = dump(registry)
        with pytest.raises(RegistryLocked, match="in use by process"):
            backup(Registry(settings, blobs, store, lease=Lease(blobs)), tmp_path / "other.zip")
        Lease(blobs, clock=lambda: time.time() + 61).acquire()
        with pytest.raises(RegistryLocked, match="taken over"):
            registry.reindex()
    with zipfile.ZipFile(tmp_path / "saved.zip") as held:
        assert not [name for name in held.namelist() if keys.LEASE in name]
    with _memory(tmp_path / "there") as there:
        restore(there, tmp_path / "saved.zip")
        assert dump(there) == whole


def test_the_dump_tells_registries_apart_and_not_their_times(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with _fill(_memory(tmp_path / "same"), "a", "b") as same:
        assert dump(same) == saved[1]
        same.blobs.unguarded.put(next(same.blobs.list("crops/")).key, b"another picture")
        assert dump(same) != saved[1]
    with _fill(_memory(tmp_path / "other"), "a") as other:
        assert dump(other) != saved[1]


def test_an_archive_is_for_its_owner_alone_and_opens_with_any_unzip(
    saved: tuple[Path, dict[str, Any]],
) -> None:
    assert saved[0].stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(saved[0]) as opened:
        assert opened.testzip() is None
        manifest = json.loads(opened.read("manifest.json"))
        for entry in manifest["objects"]:
            data = opened.read(f"objects/{entry['key']}")
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]


def test_a_registry_that_holds_something_is_replaced_only_when_told(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with _fill(_memory(tmp_path / "old"), "c") as old:
        before = dump(old)
        with pytest.raises(StoreError, match="--overwrite"):
            restore(old, saved[0])
        assert dump(old) == before
        restore(old, saved[0], overwrite=True)
        assert dump(old) == saved[1]
    assert sorted(p.name for p in (tmp_path / "old").iterdir()) == ["objects"]


def test_who_was_erased_does_not_come_back_unasked(tmp_path: Path) -> None:
    path = tmp_path / "saved.zip"
    with _fill(_memory(tmp_path / "r"), "a", "b") as registry:
        gone = next(iter(registry.index.identities())).identity_id
        backup(registry, path)
        registry.forget(gone, block=True)
        after = dump(registry)
        with pytest.raises(StoreError, match=r"\(receipts: 1\).*--bring-back-erased"):
            restore(registry, path, overwrite=True)
        assert dump(registry) == after
        backup(registry, tmp_path / "later.zip")
        restore(registry, tmp_path / "later.zip", overwrite=True)
        assert dump(registry) == after
        restore(registry, path, overwrite=True, bring_back=True)
        assert registry.identity(gone).identity_id == gone


def test_a_crash_between_the_two_renames_leaves_the_old_registry(tmp_path: Path) -> None:
    with open_registry(home=tmp_path / "h") as registry:
        _fill(registry, "a")
        before = dump(registry)
    (tmp_path / "h" / "objects").rename(tmp_path / "h" / ".objects.old")
    (tmp_path / "h" / ".objects.new").mkdir()
    with open_registry(home=tmp_path / "h") as again:
        assert dump(again) == before


def _entries(path: Path) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(path) as opened:
        return [(info, opened.read(info)) for info in opened.infolist()]


def _rewritten(path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    entries = _entries(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for info, data in entries:
            changed = change(info.filename, data)
            if changed:
                made.writestr(*changed)


def _refused(path: Path, home: Path, match: str) -> None:
    with _memory(home) as registry:
        with pytest.raises(StoreError, match=match):
            restore(registry, path)
        assert list(registry.blobs.list()) == []


def test_a_damaged_archive_names_the_entry_and_writes_nothing(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, whole = saved[0], saved[0].read_bytes()
    with zipfile.ZipFile(path) as opened:
        info = next(i for i in opened.infolist() if i.filename.startswith("objects/crops"))
    place = info.header_offset + 30 + len(info.filename) + 2
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    _refused(path, tmp_path / "1", info.filename)
    path.write_bytes(whole[: len(whole) // 2])
    _refused(path, tmp_path / "2", "truncated")
    path.write_bytes(b"no zip at all")
    _refused(path, tmp_path / "3", "is not a backup")
    path.unlink()
    _refused(path, tmp_path / "4", "cannot be read")


def test_every_flipped_byte_is_found_or_changes_nothing(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, whole = saved[0], saved[0].read_bytes()
    with Archive(path) as good:
        content = {entry.key: good.read_object(entry.key) for entry in good.entries}
    found = 0
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            with Archive(path) as flipped:
                flipped.verify()
                assert {e.key: flipped.read_object(e.key) for e in flipped.entries} == content, (
                    place
                )
        except StoreCorrupt:
            found += 1
    assert found > 100


def test_foreign_incomplete_and_padded_archives_are_refused(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, whole = saved[0], saved[0].read_bytes()
    _rewritten(path, lambda name, data: None if name.endswith(".parquet") else (name, data))
    _refused(path, tmp_path / "1", "is missing")
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as more:
        more.writestr("objects/extra", b"x")
    _refused(path, tmp_path / "2", "not in its manifest")
    path.write_bytes(whole)
    _rewritten(path, lambda name, data: None if name == "manifest.json" else (name, data))
    _refused(path, tmp_path / "3", "a zip file but not a backup")


@pytest.mark.parametrize("key", ["../evil", "/etc/evil", "crops/../../evil", "a\\b", ".hidden", ""])
def test_a_key_that_leads_out_of_its_folder_is_refused(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path, key: str
) -> None:
    def lead_out(name: str, data: bytes) -> tuple[str, bytes]:
        if name == "manifest.json":
            manifest = json.loads(data)
            manifest["objects"].append(
                {"key": key, "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
            )
            return name, json.dumps(manifest).encode()
        return name, data

    _rewritten(saved[0], lead_out)
    with zipfile.ZipFile(saved[0], "a") as more:
        more.writestr(f"objects/{key}", b"x")
    _refused(saved[0], tmp_path / "home", "not a valid object key")
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_of_a_newer_version_is_refused(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    def newer(name: str, data: bytes) -> tuple[str, bytes]:
        if name == "manifest.json":
            return name, json.dumps({**json.loads(data), "version": 2}).encode()
        return name, data

    _rewritten(saved[0], newer)
    _refused(saved[0], tmp_path / "home", "version 2")


def test_a_backup_that_cannot_be_finished_leaves_the_one_before(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    before = saved[0].read_bytes()
    with _fill(_memory(tmp_path / "lossy"), "a") as registry:
        listed = [info.key for info in registry.blobs.list("crops/")]
        vanishing = _Vanishing(tmp_path / "lossy" / "objects")
        vanishing.vanishing = listed[0]
        registry.adopt(vanishing)
        with pytest.raises(StoreError, match="changed while it was saved"):
            backup(registry, saved[0])
    assert saved[0].read_bytes() == before
    assert [p.name for p in tmp_path.glob(".saved.zip*")] == []


@pytest.mark.parametrize("prefix", ["records/", "decisions/"])
def test_a_damaged_registry_is_not_saved_over_a_sound_backup(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path, prefix: str
) -> None:
    before = saved[0].read_bytes()
    with _fill(_memory(tmp_path / "damaged"), "a") as registry:
        registry.name(next(registry.index.identities()).identity_id, "Ann")
        key = next(registry.blobs.list(prefix)).key
        registry.blobs.unguarded.put(key, registry.blobs.get(key)[:-9])
        with pytest.raises(StoreCorrupt, match=key):
            backup(registry, saved[0])
    assert saved[0].read_bytes() == before


class _Vanishing(FolderStore):
    """A store from which another process takes an object between listing and reading."""

    vanishing = ""

    def get(self, key: str) -> bytes:
        if key == self.vanishing:
            self.delete(key)
        return super().get(key)


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Settings of a bucket of this test's own, also as the variables of a target."""
    name = places.bucket("saving")
    given = {
        "minio_endpoint": s3_server.endpoint,
        "minio_access_key": s3_server.access_key,
        "minio_secret_key": s3_server.secret_key,
        "minio_bucket": name,
        "minio_secure": "false",
    }
    for key, value in given.items():
        monkeypatch.setenv(f"TARGET_{key.upper()}", str(value))
    yield given


def test_there_and_back_between_a_folder_and_s3(bucket: dict[str, Any], tmp_path: Path) -> None:
    with _fill(_memory(tmp_path / "here"), "a", "b") as here:
        before = dump(here)
        target = load_target(
            load_settings(home=tmp_path / "there"), home=None, qdrant=None, minio=None
        )
        assert target.minio_bucket == bucket["minio_bucket"]
        there = _at(target)
        objects = there.blobs.unguarded
        moved = migrate_to(here, target, objects, there.store)
        assert moved.copied is not None
        assert (moved.copied.written, moved.videos) == (8, 2)
        assert dump(here) == before, "the source is as it was"
        with pytest.raises(StoreError, match="There is a registry"):
            migrate_to(here, target, objects, there.store)
    with Registry(target, objects, there.store) as served:
        assert dump(served) == before
        backup(served, tmp_path / "served.zip")
        back = _memory(tmp_path / "back")
        migrate_to(served, back.settings, back.blobs.unguarded, back.store)
        assert dump(Registry(back.settings, back.blobs.unguarded, back.store)) == before


def _at(target: Any) -> Registry:
    from registry.core.backends import open_blobs

    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    return Registry(target, open_blobs(target), store)


def test_a_bucket_takes_a_backup_over_another_registry_and_keeps_what_is_not_ours(
    saved: tuple[Path, dict[str, Any]], bucket: dict[str, Any], tmp_path: Path
) -> None:
    settings = load_settings(home=tmp_path / "s3", **bucket)
    with _fill(_at(settings), "z", "a") as served:
        served.blobs.unguarded.put("elsewhere/notes.txt", b"not ours")
        with pytest.raises(StoreError, match="--overwrite"):
            restore(served, saved[0])
        restore(served, saved[0], overwrite=True)
        assert dump(served) == saved[1]
        assert served.blobs.get("elsewhere/notes.txt") == b"not ours"


class _CutOff(FolderStore):
    """A target that stops answering after so many objects."""

    left = 5

    def put(self, key: str, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreUnreachable("the connection is lost")
        super().put(key, data)


def test_a_migration_that_was_cut_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with _fill(_memory(tmp_path / "here"), "a", "b") as here:
        there = _memory(tmp_path / "there")
        cut_off = _CutOff(tmp_path / "there" / "objects")
        with pytest.raises(StoreUnreachable):
            migrate_to(here, there.settings, cut_off, there.store)
        objects = there.blobs.unguarded
        half = Registry(there.settings, objects, there.store)
        with pytest.raises(StoreError, match="did not finish"):
            _ = half.contract
        with pytest.raises(StoreError, match="did not finish"):
            half.establish(contract())
        with _fill(_memory(tmp_path / "third"), "c") as third, pytest.raises(StoreError):
            migrate_to(third, there.settings, objects, there.store)
        moved = migrate_to(here, there.settings, objects, there.store)
        assert moved.copied is not None
        assert (moved.copied.kept, moved.copied.written) == (4, 4)
        assert dump(Registry(there.settings, objects, there.store)) == dump(here)


class _Lying(FolderStore):
    """A target that keeps other bytes than it was given."""

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data[:-1] + b"?" if key.startswith("crops/") else data)


def test_a_target_that_returns_other_bytes_is_found_out(tmp_path: Path) -> None:
    with _fill(_memory(tmp_path / "here"), "a") as here:
        there = _memory(tmp_path / "there")
        lying = _Lying(tmp_path / "there" / "objects")
        with pytest.raises(StoreCorrupt, match="other bytes"):
            migrate_to(here, there.settings, lying, there.store)


def test_the_commands(tmp_path: Path) -> None:
    homes = [str(tmp_path / name) for name in ("one", "two", "three")]
    with open_registry(home=Path(homes[0])) as registry:
        _fill(registry, "a")

    def run(home: str, *arguments: str) -> str:
        done = CliRunner().invoke(cli, ["--home", home, *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    before = run(homes[0], "status", "--dump")
    assert json.loads(before)["crops"]
    run(homes[0], "backup", str(tmp_path / "b.zip"))
    assert "Restored 5 objects from the backup of" in run(
        homes[1], "restore", str(tmp_path / "b.zip")
    )
    assert "Copied 6 objects to" in run(homes[1], "migrate", "--to-home", homes[2])
    assert run(homes[2], "status", "--dump") == before
