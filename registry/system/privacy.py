"""Folders that nobody but their owner can use: mode 0700, or an access list on Windows."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from registry.system import paths

_OTHERS = 0o077
"""Permission bits of everyone but the owner."""
_TRUSTED = frozenset({"OW", "BA", "SY", "CO", "S-1-3-4", "S-1-5-32-544", "S-1-5-18", "S-1-3-0"})
"""Owner rights, administrators, system, and creator-owner, which stands for the owner (Microsoft,
"SID strings" and "Well-known SIDs")."""
_ENTRY = re.compile(r"\((?P<type>[^;)]*);[^;)]*;[^;)]*;[^;)]*;[^;)]*;(?P<who>[^;)]*)")
_ALLOWS = frozenset({"A", "XA", "OA", "ZA"})
"""Types of entries that allow something (Microsoft, "ACE strings")."""


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
        else:
            _close_where_possible(path)
    else:
        if sys.platform == "win32" and sys.version_info < (3, 12, 4):
            # From 3.12.4 on, os.mkdir turns the mode 0700 into such a list itself.
            _close_where_possible(path)


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
        from registry.system.windows_access import describe_access

        return grants_to_others(describe_access(path))
    else:
        return bool(path.lstat().st_mode & _OTHERS)


def grants_to_others(description: str) -> bool:
    """Whether a Windows access list gives anything to others than owner, administrators, system.

    Args:
        description: owner and list in Microsoft's text form (SDDL).
    """
    owner = re.search(r"O:(S-[0-9-]+|[A-Z]{2})", description)
    trusted = _TRUSTED | ({owner[1]} if owner else set())
    _, found, entries = description.partition("D:")
    if not found or entries.startswith("NO_ACCESS_CONTROL"):
        return True  # no list: everyone may do everything
    return any(
        entry["type"] in _ALLOWS and entry["who"] not in trusted
        for entry in _ENTRY.finditer(entries)
    )


def _close_where_possible(path: Path) -> None:
    """Some file systems of Windows (FAT) keep no lists; `doctor` says that others have access."""
    with suppress(OSError):
        if others_have_access(path):
            close_to_others(path)


def open_to_others(folder: Path) -> Iterator[Path]:
    """Yield what others may use of a folder and all that is in it, without links.

    If `folder` itself is a link, it is followed.
    """
    folder = folder.resolve()
    if folder.is_dir() and others_have_access(folder):
        yield folder
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # removed meanwhile
                if not paths.is_link(path.lstat()) and others_have_access(path):
                    yield path


def command_to_close(path: Path) -> str:
    """Return the command of this system that closes a file to others."""
    if sys.platform == "win32":
        return f'icacls "{path}" /inheritance:r /grant:r %USERNAME%:F'
    else:
        return f"chmod 600 {shlex.quote(str(path))}"
