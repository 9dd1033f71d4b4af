"""Objects as files below one folder: the object store of an embedded registry."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from registry.blobs.base import BlobInfo, check_key, is_key, starts_keys
from registry.blobs.openat import FOLDER, READ, WRITE, folder_below, mode_of, symbolic_link
from registry.errors import ObjectMissing, StoreDenied, StoreError, StoreFull

RESERVE_BYTES = 256 * 2**20
"""Free space that objects leave to the index beside them: Qdrant Edge writes to mapped files, and
on a full disk that kills the process (SIGBUS, seen with 0.9.0). Eight segments of its write-ahead
log, which takes 32 MiB at a time."""

_TEMPORARY = ".put-"
"""Start of the names under which files are written; no key has a name with a dot in front."""
_TURN = ".turn"
"""The file that is locked while one `put_if` compares and writes; it stays."""
_LEFTOVER_AGE_S = 3600.0
"""A temporary file not touched for so long belongs to a process that is gone."""
_PRUNING_RACES = 64
"""How often a `put` makes its folder again after a `delete` beside it pruned it. Each turn takes
one more such delete at that very moment, so only a root that is gone uses them up."""

_NO_SUCH_PATH = (FileNotFoundError, NotADirectoryError)
"""What a walk meets where a folder of the key is absent, or is itself an object."""


class FolderStore:
    """A `BlobStore` in a folder, which may hold nothing else but names that start with a dot.

    A file gets its name only when its bytes are on the disk. Folders are made for their owner alone
    (0700), files too (0600). The folder itself may be reached through a symbolic link; below it
    none is followed.
    """

    def __init__(self, root: Path, *, reserve_bytes: int = RESERVE_BYTES) -> None:
        """Open `root`, made if absent, and remove what killed writers left there.

        A `put` that would leave less than `reserve_bytes` of free space raises `StoreFull`.
        """
        self.root = root.absolute()
        self._reserve_bytes = reserve_bytes
        self._open_root: int | None = None
        with self._errors():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open_root = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        self._remove_leftovers()

    def describe(self) -> str:
        """The folder's path."""
        return f"folder {self.root}"

    def put(self, key: str, data: bytes) -> None:
        """Write to a temporary file, sync it, rename it to its key, sync the folder."""
        *folders, name = check_key(key).split("/")
        with self._errors(key):
            self._check_space(len(data))
            temporary = f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
            try:
                fd = os.open(temporary, WRITE, 0o600, dir_fd=self._root)
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(fd)
                self._rename(temporary, folders, name)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=self._root)
                raise

    def get(self, key: str) -> bytes:
        """Read the file."""
        *folders, name = check_key(key).split("/")
        with self._errors(key):
            try:
                with self._folder(folders) as folder:
                    fd = os.open(name, READ, dir_fd=folder)
            except _NO_SUCH_PATH as exc:
                raise self._missing(key) from exc
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise self._missing(key)
                with os.fdopen(fd, "rb", closefd=False) as file:
                    return file.read()
            finally:
                os.close(fd)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Read the file; its tag is its SHA-256."""
        data = self.get(key)
        return data, hashlib.sha256(data).hexdigest()

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        """Compare and write while no other `put_if` does; a plain `put` beside it is not held."""
        with self._errors(key):
            turn = os.open(_TURN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._root)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            try:
                found: str | None = self.get_tagged(key)[1]
            except ObjectMissing:
                found = None
            if found != expected:
                return None
            self.put(key, data)
            return hashlib.sha256(data).hexdigest()
        finally:
            os.close(turn)

    def exists(self, key: str) -> bool:
        """Look for the file."""
        *folders, name = check_key(key).split("/")
        with self._errors(key):
            try:
                with self._folder(folders) as folder:
                    mode = mode_of(name, folder)
            except _NO_SUCH_PATH:
                return False
            if stat.S_ISLNK(mode):
                raise symbolic_link()
            return stat.S_ISREG(mode)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Walk the folders in order of key, opening only those that `prefix` leaves."""
        if starts_keys(prefix):
            with self._errors(prefix), self._folder([]) as root:
                yield from self._walk(root, "", prefix)

    def delete(self, key: str) -> None:
        """Remove the file, sync its folder, and remove the folders that this leaves empty."""
        *folders, name = check_key(key).split("/")
        with self._errors(key):
            try:
                with self._folder(folders) as folder:
                    if stat.S_ISDIR(mode_of(name, folder)):
                        return
                    os.unlink(name, dir_fd=folder)
                    os.fsync(folder)
            except _NO_SUCH_PATH:
                return
            self._prune(folders)

    def close(self) -> None:
        """Let go of the folder."""
        root, self._open_root = self._open_root, None
        if root is not None:
            os.close(root)

    @property
    def _root(self) -> int:
        if self._open_root is None:
            raise StoreError(f"the object store in {self.root} is closed; open it again")
        return self._open_root

    def _folder(
        self, names: Sequence[str], *, make: bool = False
    ) -> contextlib.AbstractContextManager[int]:
        return folder_below(self._root, names, make=make)

    def _rename(self, temporary: str, folders: Sequence[str], name: str) -> None:
        for turn in range(_PRUNING_RACES):
            try:
                with self._folder(folders, make=True) as folder:
                    os.replace(temporary, name, src_dir_fd=self._root, dst_dir_fd=folder)
                    os.fsync(folder)
                return
            except FileNotFoundError:
                if turn == _PRUNING_RACES - 1:
                    raise

    def _prune(self, folders: Sequence[str]) -> None:
        # rmdir refuses a folder that holds anything, so a put beside this loses nothing.
        with contextlib.suppress(OSError):
            for depth in range(len(folders) - 1, -1, -1):
                with self._folder(folders[:depth]) as parent:
                    os.rmdir(folders[depth], dir_fd=parent)

    def _walk(self, folder: int, base: str, prefix: str) -> Iterator[BlobInfo]:
        """Objects in the open `folder`, whose path is `base`, by what is left of the prefix."""
        only, slash, rest = prefix.partition("/")
        if slash:
            yield from self._walk_below(folder, base, only, rest)
            return
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and is_key(f"{base}{entry.name}"):
                    # With its slash a folder sorts as the keys below it do.
                    is_folder = entry.is_dir(follow_symlinks=False)
                    names.append(f"{entry.name}/" if is_folder else entry.name)
        names.sort()
        for name in names:
            if name.endswith("/"):
                yield from self._walk_below(folder, base, name[:-1], "")
                continue
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:  # deleted since
                continue
            if stat.S_ISREG(found.st_mode):
                yield BlobInfo(f"{base}{name}", found.st_size)

    def _walk_below(self, folder: int, base: str, name: str, prefix: str) -> Iterator[BlobInfo]:
        try:
            child = os.open(name, FOLDER, dir_fd=folder)
        except OSError as exc:
            # Gone since it was listed, an object, or a symbolic link: nothing to list in any case.
            if exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return
            raise
        try:
            yield from self._walk(child, f"{base}{name}/", prefix)
        finally:
            os.close(child)

    def _check_space(self, size: int) -> None:
        room = os.fstatvfs(self._root)
        free = room.f_bavail * room.f_frsize
        if room.f_blocks and free - size < self._reserve_bytes:  # some file systems do not count
            raise StoreFull(
                f"{self.root} has {free / 2**20:.0f} MiB of free space, and "
                f"{self._reserve_bytes / 2**20:.0f} MiB are kept for the index; make room there"
            )

    def _remove_leftovers(self) -> None:
        # A folder that may only be read has readers all the same: what cannot go, stays.
        with contextlib.suppress(OSError), os.scandir(self._root) as entries:
            for entry in entries:
                if entry.name.startswith(_TEMPORARY):
                    age_s = time.time() - entry.stat(follow_symlinks=False).st_mtime
                    if age_s > _LEFTOVER_AGE_S:
                        os.unlink(entry.name, dir_fd=self._root)

    def _missing(self, key: str) -> ObjectMissing:
        return ObjectMissing(f"there is no object {key} in {self.root}")

    @contextlib.contextmanager
    def _errors(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise _translated(exc, self.root / key) from exc


def _translated(exc: OSError, path: Path) -> StoreError:
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(f"no space left to write {path} ({exc.strerror}); make room there")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return StoreDenied(
                f"{path} is not open to this user ({exc.strerror}); "
                "correct its owner and mode, or use another folder"
            )
        case errno.ELOOP:
            return StoreError(
                f"{path} is or lies behind a symbolic link, which the object store does not "
                "follow; put the files themselves there"
            )
        case errno.EISDIR | errno.ENOTDIR | errno.EEXIST:
            return StoreError(
                f"{path} cannot be both an object and a folder of objects ({exc.strerror})"
            )
        case errno.ENOENT:
            return StoreError(f"{path} cannot be written; the object store's folder is gone")
        case _:
            return StoreError(f"reading or writing {path} failed ({exc.strerror or exc})")
