"""The interface to an open folder: files in it by name, with no link followed below it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["file", "folder", "link", "other"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a folder."""

    name: str
    is_folder: bool
    size: int = 0
    """Bytes, of a file."""
    version: str = ""
    """Of a file: changes when another one takes its place."""
    modified_s: float = 0.0
    """Of a file: seconds since 1970."""


class OpenFolder(Protocol):
    """An open folder. Threads may share it.

    `names` are the folders below it and the name of a file. Every method raises `OSError`:
    `FileNotFoundError` and `NotADirectoryError` as the system does, and ELOOP if a folder on the
    way is a link.
    """

    def write(self, name: str, data: bytes) -> None:
        """Create a file in the folder itself, readable by its owner alone, and sync it."""

    def move(self, name: str, names: Sequence[str]) -> None:
        """Rename a file of the folder itself, replacing a file there, and sync that folder.

        Missing folders are created, accessible to their owner alone.
        """

    def read(self, names: Sequence[str]) -> bytes | None:
        """The bytes of a file; None if it is not a file. Raises ELOOP for a link."""

    def kind(self, names: Sequence[str]) -> Kind:
        """What has this name."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove a file or a link, and sync its folder."""

    def remove_folder(self, names: Sequence[str]) -> None:
        """Remove an empty folder."""

    def entries(self, names: Sequence[str], prefix: str = "") -> list[Entry]:
        """The files and folders, without links, in a folder, whose names start with `prefix`."""

    def lock(self, name: str) -> AbstractContextManager[object]:
        """Wait for, and then hold, a lock on a file of the folder itself, which is created."""

    def free_bytes(self) -> int | None:
        """Free space for this user; None if the file system reports no sizes."""

    def is_replaced(self) -> bool:
        """Whether the path of the folder leads to another folder now."""

    def close(self) -> None:
        """Close the folder."""


def link_error(name: str) -> OSError:
    """Return the error for a link where none is allowed."""
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
