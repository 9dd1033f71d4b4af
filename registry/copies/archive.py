"""The archive of a backup: a zip that any unzip opens, and that says what must be in it.

Every object lies under `objects/<key>`, stored as it is; `manifest.json` comes last and has the
SHA-256 of each, the counts and the contract. An archive is read only after all of it was compared
with its manifest. Zip64 carries what is larger than 4 GiB or has more than 65,535 entries.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from registry.blobs.base import BlobInfo, is_key
from registry.core import contract as contracts
from registry.core import keys
from registry.domain import Contract
from registry.errors import StoreCorrupt, StoreDenied, StoreError
from registry.system.files import add_entry

FORMAT, VERSION = "face-registry backup", 1
_MANIFEST, _OBJECTS = "manifest.json", "objects/"
_LARGEST_MANIFEST = 2**30
"""Bytes; an object takes some 150 of them, so it is the manifest of seven million."""
_BROKEN = (
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What zipfile and json raise for bytes that are not what was written."""


def write(path: Path, objects: Iterable[tuple[str, bytes]], head: dict[str, Any]) -> None:
    """Write an archive of these objects; `head` is what the manifest says beside them."""
    listed: list[dict[str, Any]] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for key, data in objects:
            add_entry(archive, _OBJECTS + key, data)
            digest = hashlib.sha256(data).hexdigest()
            listed.append({"key": key, "size": len(data), "sha256": digest})
        manifest = {"format": FORMAT, "version": VERSION, **head, "objects": listed}
        add_entry(archive, _MANIFEST, json.dumps(manifest, indent=1).encode())


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as the manifest has it."""

    key: str
    size: int
    """Bytes."""
    sha256: str


class Archive:
    """An archive, opened. Use it in a `with`; call `verify` before anything it holds is used."""

    def __init__(self, path: Path) -> None:
        """Read the manifest.

        Raises:
            StoreDenied: there is no such file, or it may not be read.
            StoreCorrupt: it is no archive of this format, or its end is missing.
        """
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as exc:
            raise StoreDenied(f"{path} cannot be read ({exc.strerror or exc})") from exc
        except _BROKEN as exc:
            raise StoreCorrupt(
                f"{path} is no backup, or is cut off: it does not end as a zip does ({exc})"
            ) from exc
        try:
            self.manifest = self._read_manifest()
            self.contract = self._contract()
            self.entries = self._entries()
        except BaseException:
            self._zip.close()
            raise

    def verify(self) -> None:
        """Read all of it and compare. Raises `StoreCorrupt`, naming the first wrong entry."""
        listed = [_OBJECTS + entry.key for entry in self.entries]
        held = [info.filename for info in self._zip.infolist() if info.filename != _MANIFEST]
        if len(set(held)) != len(held):
            twice = next(name for name in held if held.count(name) > 1)
            raise self._damaged(twice, "is in it twice")
        for name in sorted(set(held) ^ set(listed)):
            missing = name in set(listed)
            raise self._damaged(name, "is missing" if missing else "is not in its manifest")
        for entry in self.entries:
            self.read(entry.key)

    def read(self, key: str) -> bytes:
        """The bytes of an object. Raises `StoreCorrupt` unless they are those of the manifest."""
        entry = self._by_key[key]
        data = self._bytes(_OBJECTS + key, entry.size)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise self._damaged(_OBJECTS + key, "is not what was saved (its SHA-256 differs)")
        return data

    def blobs(self) -> Iterator[BlobInfo]:
        """What it holds, as a store would list it."""
        return (BlobInfo(entry.key, entry.size) for entry in self.entries)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read_manifest(self) -> dict[str, Any]:
        if _MANIFEST not in self._zip.namelist():
            raise StoreCorrupt(f"{self._path} is a zip and no backup: it has no {_MANIFEST}")
        data = self._bytes(_MANIFEST, None)
        with self._reading(_MANIFEST):
            manifest = json.loads(data)
            known = (manifest["format"], manifest["version"])
        if known != (FORMAT, VERSION):
            raise StoreCorrupt(
                f"{self._path} has format {known[0]!r}, version {known[1]!r}; this version reads "
                f"{FORMAT!r}, version {VERSION}"
            )
        result: dict[str, Any] = manifest
        return result

    def _contract(self) -> Contract:
        with self._reading(_MANIFEST):
            return contracts.from_dict(self.manifest["contract"])

    def _entries(self) -> list[Entry]:
        with self._reading(_MANIFEST):
            entries = [
                Entry(str(o["key"]), int(o["size"]), str(o["sha256"]))
                for o in self.manifest["objects"]
            ]
        for entry in entries:
            if not is_key(entry.key):
                raise self._damaged(entry.key[:80], "is no object key: nothing may leave its place")
        self._by_key = {entry.key: entry for entry in entries}
        if keys.CONTRACT not in self._by_key:
            raise self._damaged(keys.CONTRACT, "is missing")
        return entries

    def _bytes(self, name: str, size: int | None) -> bytes:
        with self._reading(name):
            info = self._zip.getinfo(name)
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError("it is compressed, and a backup is not")
            if info.file_size != (min(info.file_size, _LARGEST_MANIFEST) if size is None else size):
                raise ValueError(f"it has {info.file_size} bytes")
            return self._zip.read(info)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except _BROKEN as exc:
            raise self._damaged(name, f"cannot be read ({exc})") from exc
        except OSError as exc:
            raise StoreDenied(f"{self._path} cannot be read ({exc.strerror or exc})") from exc

    def _damaged(self, name: str, what: str) -> StoreCorrupt:
        return StoreCorrupt(f"{self._path} is damaged: {name!r} {what}; use another backup")
