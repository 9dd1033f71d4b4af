"""Folders that nobody but their owner can use: mode 0700, or an access list on Windows."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from registry.system import paths

_OTHERS = 0o077
"""Permission bits of everyone but the owner."""


def make_private_folder(path: Path, *, existing: bool = False) -> None:
    """Create a folder that its owner alone can use; no error if a folder exists.

    Missing parents are created with the usual access. With `existing`, a folder that exists is
    closed to others too. Raises `OSError`.
    """
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        if not existing:
            return
        if sys.platform != "win32":
            path.chmod(0o700)
        elif others_have_access(path):
            close_to_others(path)
    else:
        if sys.platform == "win32" and sys.version_info < (3, 12, 4):
            # From 3.12.4 on, os.mkdir turns the mode 0700 into such a list itself.
            close_to_others(path)


def close_to_others(path: Path) -> None:
    """Take all access to a file or folder from everyone but its owner. Raises `OSError`.

    On Windows, what is in a folder inherits its list, so only the folder itself is named; system
    and administrators keep their access, as root has it elsewhere.
    """
    if sys.platform == "win32":
        from registry.system.windows_access import restrict_to_owner

        restrict_to_owner(path)
    else:
        path.chmod(path.lstat().st_mode & ~_OTHERS & 0o7777)


def others_have_access(path: Path) -> bool:
    """Whether anyone but the owner (and system and administrators) may use a file or folder.

    Raises `OSError`.
    """
    if sys.platform == "win32":
        from registry.system.windows_access import grants_to_others

        return grants_to_others(path)
    else:
        return bool(path.lstat().st_mode & _OTHERS)


def open_to_others(folder: Path) -> Iterator[Path]:
    """Yield what others may use of a folder and all that is in it, without links."""
    for path in _walk(folder):
        if others_have_access(path):
            yield path


def command_to_close(path: Path) -> str:
    """Return the command of this system that closes a file to others."""
    if sys.platform == "win32":
        return f"icacls {path} /inheritance:r /grant:r %USERNAME%:F"
    else:
        return f"chmod 600 {path}"


def _walk(home: Path) -> Iterator[Path]:
    if home.is_dir():
        yield home
    for folder, folders, files in os.walk(home):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            if not paths.is_link(status) and not stat.S_ISLNK(status.st_mode):
                yield path
