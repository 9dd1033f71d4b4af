"""An open folder where names cannot be opened relative to a descriptor, as on Windows.

Links and junctions are refused by looking at each folder on the way before it is used. Whoever may
write to the folder can put a link there between the look and the use; on Windows nobody but the
owner may, and making a symbolic link takes a right of its own. It works on all systems, so that the
same tests run over both implementations.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from registry.system import paths
from registry.system.folder_interface import Entry, Kind, link_error
from registry.system.locks import file_lock
from registry.system.privacy import make_private_folder


class FolderByPath:
    """An `OpenFolder`; links on the way to the folder itself are followed."""

    def __init__(self, path: Path) -> None:
        self._root = path
        self._identity = path.stat()
        if not stat.S_ISDIR(self._identity.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        with os.scandir(path):  # raises if this user may not list it
            pass

    def write(self, name: str, data: bytes) -> None:
        """Create, write, sync."""
        with open(self._root / name, "xb", opener=_create) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def move(self, name: str, names: Sequence[str]) -> None:
        """Rename, repeated while a reader has the file open; sync the folder."""
        folder = self._below(names[:-1], make=True)
        target = folder / names[-1]
        if target.is_dir() and not target.is_symlink():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        paths.replace(self._root / name, target)
        paths.sync(folder)

    def read(self, names: Sequence[str]) -> bytes | None:
        """Look at the file, then read it."""
        path = self._below(names[:-1]) / names[-1]
        status = path.lstat()
        if paths.is_link(status):
            raise link_error(names[-1])
        return paths.repeated(path.read_bytes) if stat.S_ISREG(status.st_mode) else None

    def kind(self, names: Sequence[str]) -> Kind:
        """By `lstat`."""
        status = (self._below(names[:-1]) / names[-1]).lstat()
        if paths.is_link(status):
            return "link"
        if stat.S_ISDIR(status.st_mode):
            return "folder"
        return "file" if stat.S_ISREG(status.st_mode) else "other"

    def remove(self, names: Sequence[str]) -> None:
        """Unlink, repeated while a reader has the file open; sync the folder."""
        folder = self._below(names[:-1])
        paths.repeated((folder / names[-1]).unlink)
        paths.sync(folder)

    def remove_folder(self, names: Sequence[str]) -> None:
        """Refused if it is not empty, so a file that is written meanwhile is not lost."""
        (self._below(names[:-1]) / names[-1]).rmdir()

    def entries(self, names: Sequence[str], prefix: str = "") -> list[Entry]:
        """List the folder."""
        folder = self._below(names)
        found = []
        with paths.repeated(lambda: os.scandir(folder)) as entries:
            for entry in entries:
                if not entry.name.startswith(prefix):
                    continue
                # Not entry.stat(), which on Windows does not know the number of the file.
                with suppress(FileNotFoundError):  # deleted meanwhile
                    info = os.lstat(entry.path)
                    if stat.S_ISDIR(info.st_mode) and not paths.is_link(info):
                        found.append(Entry(entry.name, is_folder=True))
                    elif stat.S_ISREG(info.st_mode):
                        version = f"{info.st_ino}-{info.st_mtime_ns}-{info.st_ctime_ns}"
                        found.append(Entry(entry.name, False, info.st_size, version, info.st_mtime))
        return found

    def lock(self, name: str) -> AbstractContextManager[object]:
        """Hold a `filelock`; the system releases it if the process dies."""
        return file_lock(self._root / name)

    def free_bytes(self) -> int | None:
        """By `shutil.disk_usage`."""
        return paths.free_bytes(self._root)

    def is_replaced(self) -> bool:
        """Compare the folder as it was opened with that at its path."""
        try:
            return not os.path.samestat(self._identity, self._root.stat())
        except OSError:
            return True

    def close(self) -> None:
        """Do nothing: no descriptor is open."""

    def _below(self, names: Sequence[str], *, make: bool = False) -> Path:
        """The folder at the path `names`. With `make`, missing folders are created."""
        path = self._root
        for name in names:
            parent, path = path, path / name
            try:
                status = path.lstat()
            except FileNotFoundError:
                if not make:
                    raise
                make_private_folder(path)
                paths.sync(parent)
                status = path.lstat()
            if paths.is_link(status):
                raise link_error(name)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return path


def _create(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
