"""Atomic writing of files, their endings, and entries of zip archives."""

from __future__ import annotations

import errno
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.errors import StoreDenied, StoreError, StoreFull, UsageError
from registry.system.paths import is_in_use, remove, replace, sync

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can store: the same content always gives the same bytes."""

_UNIX = 3
"""The system that zip entries name, on every system (APPNOTE.TXT 4.4.2): their modes are Unix's."""

STANDARD_OUTPUT = Path("-")

SUFFIXES = {
    "CSV": (".csv",),
    "Parquet": (".parquet", ".pq"),
    "Excel": (".xlsx",),
    "zip": (".zip",),
    "PNG": (".png",),
    "HTML": (".html", ".htm"),
    "JSON": (".json",),
}
"""By format, the endings of its files; the first one is proposed."""
_OTHERS = frozenset(
    {".tsv", ".xls", ".xlsm", ".ods", ".pdf", ".jpg", ".jpeg", ".svg", ".gz", ".bz2", ".xz", ".zst"}
)
"""Endings of formats that nothing is written in."""

_TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xls", ".xlsm"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces `path` when the block ends without error.

    The file is synced before it is renamed, and only its owner can read it. Raises `StoreDenied` or
    `StoreFull`; an existing file stays as it was then.
    """
    try:
        if path.is_dir():
            raise StoreDenied(f"{path} is a folder. Give the path of a file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            sync(temporary)
            replace(temporary, path)
            sync(path.parent)
        finally:
            remove(temporary)
    except OSError as exc:
        raise _file_error(path, exc) from exc


def check_suffix(path: Path, kind: str) -> None:
    """Raise `UsageError` if a file of one format is to have the ending of another.

    Other endings, and none, are fine.

    Args:
        path: of the file.
        kind: its format, one of `SUFFIXES`.
    """
    suffix = path.suffix.lower()
    known = _OTHERS.union(*SUFFIXES.values())
    if suffix in known and suffix not in SUFFIXES[kind]:
        raise UsageError(
            f"{path.name} is not the name of a {kind} file: {suffix} is another format. Use "
            f"{SUFFIXES[kind][0]}."
        )


def add_entry(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file to a zip, without a time; when it is unpacked, only its owner can read it."""
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.create_system = _UNIX
    entry.external_attr = 0o600 << 16
    archive.writestr(entry, content)


def _file_error(path: Path, exc: OSError) -> StoreError:
    if exc.errno in _FULL:
        return StoreFull(f"{path} cannot be written ({exc.strerror}). Free some space.")
    advice = "Choose another path."
    if is_in_use(exc) and path.is_file():
        programs = "Excel or another program" if path.suffix.lower() in _TABLES else "the program"
        advice = f"Close it in {programs} that has it open, or choose another path."
    return StoreDenied(f"{path} cannot be written ({exc.strerror}). {advice}")
