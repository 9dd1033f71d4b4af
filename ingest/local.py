"""A video that is a file on this machine: used where it lies."""

from __future__ import annotations

import stat
from pathlib import Path

from ingest.content import HEAD, refuse_pages
from registry.errors import FetchError
from registry.urls import printable


def local_file(path: Path) -> tuple[Path, int]:
    """The path and its size in bytes. Raises `FetchError` if it cannot be a video."""
    shown = printable(str(path), 500)
    if not path.is_absolute():
        raise FetchError(f"{shown} is not an absolute path.")
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise FetchError(f"{shown} is a folder, not a video.")
        if not stat.S_ISREG(found.st_mode):
            raise FetchError(f"{shown} is a device or a pipe, not a file.")
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError as exc:
        raise FetchError(f"There is no file {shown}.") from exc
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise FetchError(f"{shown} cannot be read: {why}.") from exc
    if not head:
        raise FetchError(f"{shown} is empty.")
    refuse_pages(shown, head, "")
    return path, found.st_size
