"""Objects as files below one folder: the object store of an embedded registry."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from registry.blobs.base import BlobInfo, check_key, is_key, put_at_once, starts_keys
from registry.errors import ObjectMissing, StoreDenied, StoreError, StoreFull
from registry.system.folder_interface import OpenFolder, link_error
from registry.system.open_folder import open_folder
from registry.system.privacy import make_private_folder

RESERVE_BYTES = 256 * 2**20
"""Free space to leave for the index on the same disk: Qdrant Edge writes to mapped files, and on a
full disk that kills the process (SIGBUS, seen with 0.9.0). Eight segments of its write-ahead log,
which grows by 32 MiB at a time."""

_TEMPORARY = ".put-"
"""Prefix of files that are being written; names in keys do not start with a dot."""
_LOCK = ".turn"
"""The file that `put_if` locks while it compares and writes; it is not removed."""
_LEFTOVER_AGE_S = 3600.0
"""A temporary file that was not changed for so long belongs to a process that has ended."""
_PUT_ATTEMPTS = 64
"""How often a `put` creates its folder again after a concurrent `delete` removed it. Each attempt
needs another such delete at the same moment, so only a missing root uses them up."""

_NO_SUCH_PATH = (FileNotFoundError, NotADirectoryError)
"""Errors of opening a key whose folder does not exist or is an object itself."""


class FolderStore:
    """A `BlobStore` in a folder that has nothing else in it, except names that start with a dot.

    A file gets its name when its bytes are on the disk. Folders and files are accessible to their
    owner only. The path of the folder may contain symbolic links; below it, none is followed.
    """

    def __init__(
        self,
        root: Path,
        *,
        reserve_bytes: int = RESERVE_BYTES,
        read_only: bool = False,
        opener: Callable[[Path], OpenFolder] = open_folder,
    ) -> None:
        """Open `root`, created if it does not exist, and remove files that killed writers left.

        A `put` that would leave less than `reserve_bytes` of free space raises `StoreFull`. With
        `read_only`, nothing is created or removed here, and a missing folder raises
        `ObjectMissing`; the caller writes nothing. `opener` opens the folder, by default in the way
        of this system.
        """
        self.root = root.absolute()
        self._reserve_bytes = reserve_bytes
        self._opened: OpenFolder | None = None
        if read_only and not self.root.exists():
            raise ObjectMissing(f"There is no folder {self.root}. Check --home.")
        with self._errors():
            if not read_only:
                make_private_folder(self.root)
            self._opened = opener(self.root)
        if not read_only:
            self._remove_leftovers()

    def describe(self) -> str:
        """The folder's path."""
        return f"folder {self.root}"

    def put(self, key: str, data: bytes) -> None:
        """Write to a temporary file, sync it, rename it to its key, sync the folder."""
        names = check_key(key).split("/")
        with self._errors(key):
            folder = self._folder
            self._check_space(folder, len(data))
            temporary = f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
            try:
                folder.write(temporary, data)
                _move(folder, temporary, names)
            except BaseException:
                with contextlib.suppress(OSError):
                    folder.remove([temporary])
                raise

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        """Write in several threads."""
        put_at_once(self.put, objects)

    def get(self, key: str) -> bytes:
        """Read the file."""
        with self._errors(key):
            try:
                data = self._folder.read(check_key(key).split("/"))
            except _NO_SUCH_PATH as exc:
                raise self._missing(key) from exc
        if data is None:
            raise self._missing(key)
        return data

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Read the file; its tag is its SHA-256."""
        data = self.get(key)
        return data, hashlib.sha256(data).hexdigest()

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        """Compare and write under a lock of all `put_if` calls; a plain `put` is not locked out."""
        with self._errors(key), self._folder.lock(_LOCK):
            try:
                tag: str | None = self.get_tagged(key)[1]
            except ObjectMissing:
                tag = None
            if tag != expected:
                return None
            self.put(key, data)
            return hashlib.sha256(data).hexdigest()

    def exists(self, key: str) -> bool:
        """Check for the file."""
        with self._errors(key):
            try:
                kind = self._folder.kind(check_key(key).split("/"))
            except _NO_SUCH_PATH:
                return False
            if kind == "link":
                raise link_error(key)
            return kind == "file"

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Walk the folders in order of key, and open only those that match `prefix`."""
        if starts_keys(prefix):
            with self._errors(prefix):
                yield from self._walk([], prefix)

    def delete(self, key: str) -> None:
        """Remove the file, sync its folder, and remove folders that are empty then."""
        names = check_key(key).split("/")
        with self._errors(key):
            folder = self._folder
            try:
                if folder.kind(names) == "folder":
                    return
                folder.remove(names)
            except _NO_SUCH_PATH:
                return
            # A folder that is not empty is refused, so a concurrent put loses nothing.
            with contextlib.suppress(OSError):
                for depth in range(len(names) - 1, 0, -1):
                    folder.remove_folder(names[:depth])

    def close(self) -> None:
        """Close the folder."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def is_replaced(self) -> bool:
        """Whether another folder has taken the place of the open one, as a restore does."""
        return self._folder.is_replaced()

    @property
    def _folder(self) -> OpenFolder:
        if self._opened is None:
            raise StoreError(f"The object store in {self.root} is closed. Open it again.")
        return self._opened

    def _walk(self, names: Sequence[str], prefix: str) -> Iterator[BlobInfo]:
        """Objects below the folder at the path `names` that match the rest of the prefix."""
        only, slash, rest = prefix.partition("/")
        if slash:
            yield from self._walk([*names, only], rest)
            return
        base = "".join(f"{name}/" for name in names)
        try:
            entries = self._folder.entries(names, prefix)
        except OSError as exc:
            # Deleted meanwhile, an object, or a symbolic link: nothing to list in any case.
            if names and exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return
            raise
        # With a slash at its end, a folder sorts like the keys below it.
        for entry in sorted(entries, key=lambda e: f"{e.name}/" if e.is_folder else e.name):
            if not is_key(f"{base}{entry.name}"):
                continue
            if entry.is_folder:
                yield from self._walk([*names, entry.name], "")
            else:
                yield BlobInfo(f"{base}{entry.name}", entry.size, entry.version)

    def _check_space(self, folder: OpenFolder, size: int) -> None:
        free = folder.free_bytes()
        if free is not None and free - size < self._reserve_bytes:
            raise StoreFull(
                f"{self.root} has {free / 2**20:.0f} MiB of free space, and "
                f"{self._reserve_bytes / 2**20:.0f} MiB are kept for the index. Free some."
            )

    def _remove_leftovers(self) -> None:
        # A folder without write permission can still be read, so errors are ignored.
        with contextlib.suppress(OSError):
            for entry in self._folder.entries([], _TEMPORARY):
                if time.time() - entry.modified_s > _LEFTOVER_AGE_S:
                    self._folder.remove([entry.name])

    def _missing(self, key: str) -> ObjectMissing:
        return ObjectMissing(f"There is no object {key} in {self.root}.")

    @contextlib.contextmanager
    def _errors(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise _translated(exc, self.root / key) from exc


def _translated(exc: OSError, path: Path) -> StoreError:
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(
                f"No space is left to write {path} ({exc.strerror}). Free some space there."
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return StoreDenied(
                f"{path} is not accessible to this user ({exc.strerror}). "
                "Correct its owner and mode, or use another folder."
            )
        case errno.ELOOP:
            return StoreError(
                f"{path} is, or is below, a symbolic link, which the object store does not follow. "
                "Replace the link by the files themselves."
            )
        case errno.EISDIR | errno.ENOTDIR | errno.EEXIST:
            return StoreError(
                f"{path} cannot be both an object and a folder of objects ({exc.strerror}). "
                "Remove what does not belong there."
            )
        case errno.ENOENT:
            return StoreError(
                f"{path} cannot be written, because the folder of the store is gone. Open it again."
            )
        case _:
            return StoreError(f"{path} cannot be read or written ({exc.strerror or exc}).")


def _move(folder: OpenFolder, temporary: str, names: Sequence[str]) -> None:
    for attempt in range(_PUT_ATTEMPTS):
        try:
            folder.move(temporary, names)
            return
        except FileNotFoundError:
            if attempt == _PUT_ATTEMPTS - 1:
                raise
