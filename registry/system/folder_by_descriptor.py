"""An open folder on Linux and macOS: every name is opened relative to a descriptor (`openat`).

So no symbolic link is followed, also if someone replaces a folder meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from registry.system.folder_interface import Entry, Kind, link_error

assert sys.platform != "win32"

_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Non-blocking, so that a FIFO in the folder cannot hang a reader."""
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class FolderByDescriptor:
    """An `OpenFolder`; links on the way to the folder itself are followed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)

    def write(self, name: str, data: bytes) -> None:
        """Create, write, sync."""
        fd = os.open(name, _WRITE, 0o600, dir_fd=self._root)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)

    def move(self, name: str, names: Sequence[str]) -> None:
        """Rename, sync the folder."""
        with self._below(names[:-1], make=True) as folder:
            os.replace(name, names[-1], src_dir_fd=self._root, dst_dir_fd=folder)
            os.fsync(folder)

    def read(self, names: Sequence[str]) -> bytes | None:
        """Open without following a link, check the open file, read it."""
        with self._below(names[:-1]) as folder:
            fd = os.open(names[-1], _READ, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            with os.fdopen(fd, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(fd)

    def kind(self, names: Sequence[str]) -> Kind:
        """By `fstatat`."""
        with self._below(names[:-1]) as folder:
            mode = _mode_of(names[-1], folder)
        if stat.S_ISLNK(mode):
            return "link"
        if stat.S_ISDIR(mode):
            return "folder"
        return "file" if stat.S_ISREG(mode) else "other"

    def remove(self, names: Sequence[str]) -> None:
        """Unlink, sync the folder."""
        with self._below(names[:-1]) as folder:
            os.unlink(names[-1], dir_fd=folder)
            os.fsync(folder)

    def remove_folder(self, names: Sequence[str]) -> None:
        """Refused if it is not empty, so a file that is written meanwhile is not lost."""
        with self._below(names[:-1]) as parent:
            os.rmdir(names[-1], dir_fd=parent)

    def entries(self, names: Sequence[str], prefix: str = "") -> list[Entry]:
        """List the open folder."""
        found = []
        with self._below(names) as folder, os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(prefix):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.append(Entry(entry.name, is_folder=True))
                    continue
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # deleted meanwhile
                    continue
                if stat.S_ISREG(info.st_mode):
                    version = f"{info.st_ino}-{info.st_mtime_ns}-{info.st_ctime_ns}"
                    found.append(Entry(entry.name, False, info.st_size, version, info.st_mtime))
        return found

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold an exclusive `flock`; the system releases it if the process dies."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(name, flags, 0o600, dir_fd=self._root)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def free_bytes(self) -> int | None:
        """By `fstatvfs`."""
        room = os.fstatvfs(self._root)
        return room.f_bavail * room.f_frsize if room.f_blocks else None

    def is_replaced(self) -> bool:
        """Compare the open folder with that at its path."""
        try:
            return not os.path.samestat(os.fstat(self._root), self._path.stat())
        except OSError:
            return True

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._root)

    @contextlib.contextmanager
    def _below(self, names: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """The folder at the path `names`, open until the block ends.

        With `make`, missing folders are created (0700, synced into their parents).
        """
        # Not dup(root), which would share the listing position with other threads.
        fd = os.open(".", _FOLDER, dir_fd=self._root)
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
                        raise link_error(name) from None
                    raise
                os.close(fd)
                fd = child
            yield fd
        finally:
            os.close(fd)


def _mode_of(name: str, folder: int) -> int:
    """Type and permission bits of `name` in the open `folder`, even of a link."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
