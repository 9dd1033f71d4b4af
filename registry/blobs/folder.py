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
from registry.errors import ObjectMissing, StoreDenied, StoreError, StoreFull

RESERVE_BYTES = 256 * 2**20
"""Free space to leave for the index on the same disk: Qdrant Edge writes to mapped files, and on a
full disk that kills the process (SIGBUS, seen with 0.9.0). Eight segments of its write-ahead log,
which grows by 32 MiB at a time."""

_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Non-blocking, so that a FIFO in the folder cannot hang a reader."""
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW

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

    A file gets its name when its bytes are on the disk. Folders (0700) and files (0600) are
    accessible to their owner only. The path of the folder may contain symbolic links; below it,
    none is followed.
    """

    def __init__(
        self, root: Path, *, reserve_bytes: int = RESERVE_BYTES, read_only: bool = False
    ) -> None:
        """Open `root`, created if it does not exist, and remove files that killed writers left.

        A `put` that would leave less than `reserve_bytes` of free space raises `StoreFull`. With
        `read_only`, nothing is created or removed here, and a missing folder raises
        `ObjectMissing`; the caller writes nothing.
        """
        self.root = root.absolute()
        self._reserve_bytes = reserve_bytes
        self._open_root: int | None = None
        if read_only and not self.root.exists():
            raise ObjectMissing(f"There is no folder {self.root}. Check --home.")
        with self._errors():
            if not read_only:
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open_root = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        if not read_only:
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
                fd = os.open(temporary, _WRITE, 0o600, dir_fd=self._root)
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
                    fd = os.open(name, _READ, dir_fd=folder)
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
        """Compare and write under a lock of all `put_if` calls; a plain `put` is not locked out."""
        with self._errors(key):
            lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._root)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                tag: str | None = self.get_tagged(key)[1]
            except ObjectMissing:
                tag = None
            if tag != expected:
                return None
            self.put(key, data)
            return hashlib.sha256(data).hexdigest()
        finally:
            os.close(lock)

    def exists(self, key: str) -> bool:
        """Check for the file."""
        *folders, name = check_key(key).split("/")
        with self._errors(key):
            try:
                with self._folder(folders) as folder:
                    mode = _mode_of(name, folder)
            except _NO_SUCH_PATH:
                return False
            if stat.S_ISLNK(mode):
                raise _symbolic_link()
            return stat.S_ISREG(mode)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Walk the folders in order of key, and open only those that match `prefix`."""
        if starts_keys(prefix):
            with self._errors(prefix), self._folder([]) as root:
                yield from self._walk(root, "", prefix)

    def delete(self, key: str) -> None:
        """Remove the file, sync its folder, and remove folders that are empty then."""
        *folders, name = check_key(key).split("/")
        with self._errors(key):
            try:
                with self._folder(folders) as folder:
                    if stat.S_ISDIR(_mode_of(name, folder)):
                        return
                    os.unlink(name, dir_fd=folder)
                    os.fsync(folder)
            except _NO_SUCH_PATH:
                return
            self._prune(folders)

    def close(self) -> None:
        """Close the folder."""
        root, self._open_root = self._open_root, None
        if root is not None:
            os.close(root)

    def is_replaced(self) -> bool:
        """Whether another folder has taken the place of the open one, as a restore does."""
        try:
            return not os.path.samestat(os.fstat(self._root), self.root.stat())
        except OSError:
            return True

    @property
    def _root(self) -> int:
        if self._open_root is None:
            raise StoreError(f"The object store in {self.root} is closed. Open it again.")
        return self._open_root

    def _folder(
        self, names: Sequence[str], *, make: bool = False
    ) -> contextlib.AbstractContextManager[int]:
        return _folder_below(self._root, names, make=make)

    def _rename(self, temporary: str, folders: Sequence[str], name: str) -> None:
        for attempt in range(_PUT_ATTEMPTS):
            try:
                with self._folder(folders, make=True) as folder:
                    os.replace(temporary, name, src_dir_fd=self._root, dst_dir_fd=folder)
                    os.fsync(folder)
                return
            except FileNotFoundError:
                if attempt == _PUT_ATTEMPTS - 1:
                    raise

    def _prune(self, folders: Sequence[str]) -> None:
        # rmdir refuses a folder that is not empty, so a concurrent put loses nothing.
        with contextlib.suppress(OSError):
            for depth in range(len(folders) - 1, -1, -1):
                with self._folder(folders[:depth]) as parent:
                    os.rmdir(folders[depth], dir_fd=parent)

    def _walk(self, folder: int, base: str, prefix: str) -> Iterator[BlobInfo]:
        """Objects in the open `folder`, whose path is `base`, that match the rest of the prefix."""
        only, slash, rest = prefix.partition("/")
        if slash:
            yield from self._walk_below(folder, base, only, rest)
            return
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and is_key(f"{base}{entry.name}"):
                    # With a slash at its end, a folder sorts like the keys below it.
                    is_folder = entry.is_dir(follow_symlinks=False)
                    names.append(f"{entry.name}/" if is_folder else entry.name)
        names.sort()
        for name in names:
            if name.endswith("/"):
                yield from self._walk_below(folder, base, name[:-1], "")
                continue
            try:
                info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:  # deleted meanwhile
                continue
            if stat.S_ISREG(info.st_mode):
                version = f"{info.st_ino}-{info.st_mtime_ns}-{info.st_ctime_ns}"
                yield BlobInfo(f"{base}{name}", info.st_size, version)

    def _walk_below(self, folder: int, base: str, name: str, prefix: str) -> Iterator[BlobInfo]:
        try:
            child = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as exc:
            # Deleted meanwhile, an object, or a symbolic link: nothing to list in any case.
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
        # Some file systems report no sizes.
        if room.f_blocks and free - size < self._reserve_bytes:
            raise StoreFull(
                f"{self.root} has {free / 2**20:.0f} MiB of free space, and "
                f"{self._reserve_bytes / 2**20:.0f} MiB are kept for the index. Free some."
            )

    def _remove_leftovers(self) -> None:
        # A folder without write permission can still be read, so errors are ignored.
        with contextlib.suppress(OSError), os.scandir(self._root) as entries:
            for entry in entries:
                if entry.name.startswith(_TEMPORARY):
                    age_s = time.time() - entry.stat(follow_symlinks=False).st_mtime
                    if age_s > _LEFTOVER_AGE_S:
                        os.unlink(entry.name, dir_fd=self._root)

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


@contextlib.contextmanager
def _folder_below(root: int, names: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """The folder at the path `names` below the open folder `root`, open until the block ends.

    Each name is opened relative to the one before (`openat`), so no symbolic link is followed, also
    if someone replaces a folder meanwhile. With `make`, missing folders are created (0700, synced
    into their parents). Raises `OSError`: `ENOENT`, `ENOTDIR`, and `ELOOP` for a symbolic link.
    """
    # Not dup(root), which would share the listing position with other threads.
    fd = os.open(".", _FOLDER, dir_fd=root)
    try:
        for name in names:
            try:
                child = os.open(name, _FOLDER, dir_fd=fd)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=fd)
                os.fsync(fd)
                child = os.open(name, _FOLDER, dir_fd=fd)
            except NotADirectoryError:
                # Linux reports symbolic links in this way too; macOS reports ELOOP.
                if stat.S_ISLNK(_mode_of(name, fd)):
                    raise _symbolic_link() from None
                raise
            os.close(fd)
            fd = child
        yield fd
    finally:
        os.close(fd)


def _mode_of(name: str, folder: int) -> int:
    """Type and permission bits of `name` in the open `folder`, even of a link. Raises `OSError`."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode


def _symbolic_link() -> OSError:
    """The error for a symbolic link where none is allowed."""
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP))
