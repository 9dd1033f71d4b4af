"""Files that people asked for: written aside, then put in their place, whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.errors import StoreDenied, StoreError, StoreFull

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: the same content gives the same bytes whenever asked."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which takes its place if the block ends well.

    It is on the disk before it gets its name, and readable by its owner alone. Raises
    `StoreDenied` or `StoreFull`; a file of that name stays as it was then.
    """
    try:
        if path.is_dir():
            raise StoreDenied(f"{path} is a folder; give the path of a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            sync(aside)
            aside.replace(path)
            sync(path.parent)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as exc:
        raise _file_error(path, exc) from exc


def add_entry(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Put a file into a zip, without its time and for its owner alone once unpacked."""
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.external_attr = 0o600 << 16
    archive.writestr(entry, content)


def sync(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, durable. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_error(path: Path, exc: OSError) -> StoreError:
    if exc.errno in _FULL:
        return StoreFull(f"{path} cannot be written ({exc.strerror}); free some space")
    return StoreDenied(f"{path} cannot be written ({exc.strerror}); choose another path")
