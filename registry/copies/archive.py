"""The archive of a backup: a zip of all objects, with a manifest.

Every object is the entry `objects/<key>`, uncompressed. The last entry, `manifest.json`, lists the
SHA-256 of each, the counts and the contract. An archive is used only after all of it was compared
with its manifest. Zip64 allows more than 4 GiB and more than 65,535 entries.
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
"""Bytes. An object takes about 150 of them, so this is the manifest of seven million objects."""
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
"""What `zipfile` and `json` raise for damaged files."""


def write_archive(path: Path, objects: Iterable[tuple[str, bytes]], head: dict[str, Any]) -> None:
    """Write an archive of these objects, given as key and bytes.

    `head` has the other fields of the manifest.
    """
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
    """One object in the manifest."""

    key: str
    size: int
    """Bytes."""
    sha256: str


class Archive:
    """An open archive. Use it in a `with` statement, and call `verify` before reading objects."""

    def __init__(self, path: Path) -> None:
        """Read the manifest.

        Raises:
            StoreDenied: the file does not exist or cannot be read.
            StoreCorrupt: it is not an archive of this format, or it is truncated.
        """
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as exc:
            raise StoreDenied(f"{path} cannot be read ({exc.strerror or exc}).") from exc
        except _BROKEN as exc:
            raise StoreCorrupt(
                f"{path} is not a backup or is truncated: it has no end of a zip file ({exc}). "
                "Use another backup."
            ) from exc
        try:
            self.manifest = self._read_manifest()
            self.contract = self._contract()
            self.entries = self._entries()
        except BaseException:
            self._zip.close()
            raise

    def verify(self) -> None:
        """Compare all entries with the manifest. Raises `StoreCorrupt` for the first wrong one."""
        listed = [_OBJECTS + entry.key for entry in self.entries]
        held = [info.filename for info in self._zip.infolist() if info.filename != _MANIFEST]
        if len(set(held)) != len(held):
            duplicate = next(name for name in held if held.count(name) > 1)
            raise self._damaged(duplicate, "is in it twice")
        for name in sorted(set(held) ^ set(listed)):
            missing = name in set(listed)
            raise self._damaged(name, "is missing" if missing else "is not in its manifest")
        for entry in self.entries:
            self.read_object(entry.key)

    def read_object(self, key: str) -> bytes:
        """Return the bytes of an object. Raises `StoreCorrupt` if they differ from the manifest."""
        entry = self._by_key[key]
        data = self._bytes(_OBJECTS + key, entry.size)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise self._damaged(_OBJECTS + key, "is not what was saved (its SHA-256 differs)")
        return data

    def list_objects(self) -> Iterator[BlobInfo]:
        """List its objects, as a store does."""
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
            raise StoreCorrupt(
                f"{self._path} is a zip file but not a backup: it has no {_MANIFEST}. Use another "
                "file."
            )
        data = self._bytes(_MANIFEST, None)
        with self._reading(_MANIFEST):
            manifest = json.loads(data)
            given = (manifest["format"], manifest["version"])
        if given != (FORMAT, VERSION):
            raise StoreCorrupt(
                f"{self._path} has format {given[0]!r}, version {given[1]!r}. This version of "
                f"face-registry reads {FORMAT!r}, version {VERSION}."
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
                raise self._damaged(entry.key[:80], "is not a valid object key")
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
            raise StoreDenied(f"{self._path} cannot be read ({exc.strerror or exc}).") from exc

    def _damaged(self, name: str, what: str) -> StoreCorrupt:
        return StoreCorrupt(f"{self._path} is damaged: {name!r} {what}. Use another backup.")
