"""Operations on files and folders that behave alike on Linux, macOS and Windows."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

_T = TypeVar("_T")

_IN_USE = frozenset({5, 32, 33, 145})
"""Windows' errors while another process has a file open: ERROR_ACCESS_DENIED,
ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION; and ERROR_DIR_NOT_EMPTY, while a deleted file in a
folder is still open (winerror.h)."""
_PATIENCE_S = 2.0
"""How long an operation is repeated. Readers of this program hold a file for milliseconds, and
virus scanners for about a second; a chosen value."""
_PAUSE_S = 0.02


def repeated(operation: Callable[[], _T]) -> _T:
    """Return what `operation` returns; repeat it while another process has its file open.

    Only Windows refuses to replace, move or remove a file that is open elsewhere. All other errors,
    and this one after two seconds, are raised.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return operation()
        except OSError as exc:
            if not is_in_use(exc) or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)


def is_in_use(error: OSError) -> bool:
    """Whether Windows refused this because another process has the file open."""
    return getattr(error, "winerror", None) in _IN_USE


def replace(path: Path, target: Path) -> None:
    """Rename a file over `target`, which may exist, or a folder to `target`, which does not.

    Raises `OSError`.
    """
    repeated(lambda: path.replace(target))


def remove(path: Path) -> None:
    """Remove a file; no error if it does not exist. Raises `OSError`."""
    repeated(lambda: path.unlink(missing_ok=True))


def remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it. Raises `OSError`."""
    repeated(lambda: shutil.rmtree(path))


def sync(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, durable. Raises `OSError`.

    Windows writes the names in a folder with the file system's own journal, and has no call for it.
    """
    if sys.platform == "win32":
        if path.is_dir():
            return
        descriptor = os.open(path, os.O_RDWR)  # FlushFileBuffers refuses a handle for reading
    else:
        descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(path: Path) -> int:
    """Return the free space for this user on the disk of `path`. Raises `OSError`."""
    return shutil.disk_usage(path).free


def is_link(status: os.stat_result) -> bool:
    """Whether this, of `lstat`, is a symbolic link or a junction of Windows."""
    if sys.platform == "win32" and status.st_reparse_tag == stat.IO_REPARSE_TAG_MOUNT_POINT:
        return True
    return stat.S_ISLNK(status.st_mode)


def files_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder, in no particular order; links to folders are not followed.

    Folders that disappear meanwhile or may not be read are left out. Faster than `Path.rglob`,
    which makes a `Path` of each name.
    """
    folders = [os.fspath(folder)]
    while folders:
        with suppress(FileNotFoundError, PermissionError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file():
                    yield entry


def allocated_bytes(path: Path) -> int:
    """Return the bytes that a file occupies on the disk, without its holes. Raises `OSError`.

    Of a file that another program keeps to itself, Windows tells only the length.
    """
    if sys.platform == "win32":
        import ctypes

        call = ctypes.WinDLL("kernel32", use_last_error=True).GetCompressedFileSizeW
        call.argtypes = [ctypes.c_wchar_p, ctypes.POINTER(ctypes.c_ulong)]
        call.restype = ctypes.c_ulong
        high = ctypes.c_ulong(0)
        low: int = call(str(path), ctypes.byref(high))
        if low == 0xFFFFFFFF and (error := ctypes.get_last_error()):  # INVALID_FILE_SIZE
            if error in _IN_USE:
                return path.stat().st_size
            raise ctypes.WinError(error)
        return (high.value << 32) + low
    else:
        return path.stat().st_blocks * 512


def longest_path() -> int | None:
    """Return how many characters a path may have, where that is few: 259 on most Windows.

    None if there is no such limit: on other systems, and where long paths are enabled.
    """
    if sys.platform == "win32":
        import winreg

        key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
                if winreg.QueryValueEx(opened, "LongPathsEnabled")[0]:
                    return None
        except OSError:
            pass
        return 259  # MAX_PATH, without the final NUL
    else:
        return None


def data_blocks(file: BinaryIO, block: int) -> Iterator[int]:
    """Yield the offsets, multiples of `block`, of the blocks of an open file that may hold data.

    Blocks in holes are left out where the system can tell (Linux and macOS).
    """
    descriptor = file.fileno()
    size = os.fstat(descriptor).st_size
    seek_data = getattr(os, "SEEK_DATA", None)
    at = 0
    while at < size:
        if seek_data is not None:
            try:
                start = os.lseek(descriptor, at, seek_data)
            except OSError as exc:
                if exc.errno == errno.ENXIO:  # a hole to the end
                    return
                seek_data = None  # this file system cannot tell, so all blocks are read
                continue
            at = start - start % block
        yield at
        at += block
