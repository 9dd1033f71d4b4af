"""The seal of a shard: digests of its files, kept beside it while nobody writes to it.

Edge loads most damaged files without a word, and answers from them. A shard that was closed as it
should be is sealed; its files are compared before they are loaded again, and the first write breaks
the seal. One that a crash left unsealed is loaded as it is.

Measured with Edge 0.9.0: loading takes in journals that the last write left, and changes nothing
when it is done again; reading, flushing and closing change nothing. So a shard is loaded once more
before it is sealed, and a seal counts for the version of Edge that it was made with. Comparing
50,000 faces of 512-d (200 MB) takes 0.17 s of CPU.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from registry.errors import StoreCorrupt
from registry.store.edge_engine import REBUILD
from registry.system import checked_json as checked
from registry.system.files import sync

_EDGE = "qdrant-edge-py"
_BLOCK = 256 * 1024
"""Bytes that are read at once. Blocks of nothing but zeros count for nothing, so that holes, of
which the files mostly consist, are not read, and a copy that filled them has the same digest."""
_ZEROS = bytes(_BLOCK)


def seal_mark(folder: Path) -> Path:
    """The file that has the digests."""
    return folder.with_name(f".{folder.name}.seal")


def seal(folder: Path) -> None:
    """Keep the digests of the files of a shard that is flushed and closed."""
    text = checked.encode({"edge": version(_EDGE), "files": dict(_digests(folder))})
    aside = folder.with_name(f".{folder.name}.sealing")
    with aside.open("wb") as file:
        aside.chmod(0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(seal_mark(folder))


def unseal(folder: Path) -> None:
    """The files are about to change."""
    mark = seal_mark(folder)
    mark.unlink(missing_ok=True)
    # Not to come back after a power failure, when the files are others already.
    with suppress(OSError):
        sync(mark.parent)


def check_seal(folder: Path) -> bool:
    """Whether the shard is sealed. Raises `StoreCorrupt` if it is not what was sealed."""
    try:
        text = seal_mark(folder).read_bytes()
    except FileNotFoundError:
        return False
    try:
        body = checked.decode(text)
    except ValueError as exc:
        raise StoreCorrupt(f"{seal_mark(folder)} is damaged; {REBUILD}") from exc
    if body["edge"] != version(_EDGE):
        unseal(folder)
        return False
    sealed: dict[str, str] = body["files"]
    found = dict(_digests(folder))
    for name in sorted({*sealed, *found}):
        if sealed.get(name) != found.get(name):
            how = "is missing" if name not in found else "is not what was written"
            raise StoreCorrupt(f"{folder / name} {how}; {REBUILD}")
    return True


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    """The files below the folder, hidden ones left out, each with its length and its digest."""
    for path in sorted(folder.rglob("[!.]*")):
        if path.is_file():
            with path.open("rb") as file:
                yield str(path.relative_to(folder)), _digest(file)


def _digest(file: BinaryIO) -> str:
    size = os.fstat(file.fileno()).st_size
    digest = hashlib.sha256(f"{size}".encode())
    for start in _blocks(file, size):
        file.seek(start)
        data = file.read(_BLOCK)
        if data != _ZEROS[: len(data)]:
            digest.update(start.to_bytes(8, "big") + data)
    return digest.hexdigest()


def _blocks(file: BinaryIO, size: int) -> Iterator[int]:
    """Where blocks begin that are not all hole, in order."""
    at = 0
    while at < size:
        try:
            start = os.lseek(file.fileno(), at, os.SEEK_DATA)
        except OSError:  # a hole to the end
            return
        at = start - start % _BLOCK
        yield at
        at += _BLOCK
