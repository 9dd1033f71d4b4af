"""The seal of a shard: a file with the digests of its files, valid until the next write.

Edge loads most damaged files without an error and answers from them. So a shard is sealed when it
is closed properly, its files are compared with the seal before the next load, and the first write
removes the seal. A shard without a seal, as a crash leaves it, is loaded unchecked.

Measured with Edge 0.9.0: loading merges the journals of the last write; loading again changes
nothing, nor do reading, flushing and closing. So a shard is loaded once more before it is sealed,
and a seal is valid for the version of Edge that wrote it. Comparing 50,000 faces of 512-d (200 MB)
takes 0.17 s of CPU.
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
from registry.store.edge_shard import REBUILD
from registry.system import checked_json as checked
from registry.system.paths import data_blocks, files_below, remove, replace, sync

_EDGE = "qdrant-edge-py"
_BLOCK = 256 * 1024
"""Bytes per read. Blocks of zeros are left out of the digest: the files are mostly holes, which are
not read, and a copy without holes has the same digest."""
_ZEROS = bytes(_BLOCK)


def seal_file(folder: Path) -> Path:
    """The file with the digests."""
    return folder.with_name(f".{folder.name}.seal")


def seal(folder: Path) -> None:
    """Write the digests of the files of a shard that is flushed and closed."""
    text = checked.encode({"edge": version(_EDGE), "files": dict(_digests(folder))})
    aside = folder.with_name(f".{folder.name}.sealing")
    with aside.open("wb") as file:
        aside.chmod(0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    replace(aside, seal_file(folder))


def unseal(folder: Path) -> None:
    """Remove the seal before files change."""
    mark = seal_file(folder)
    remove(mark)
    # The old seal must not reappear after a power failure, when the files have changed.
    with suppress(OSError):
        sync(mark.parent)


def check_seal(folder: Path) -> bool:
    """Whether the shard is sealed. Raises `StoreCorrupt` if a file differs from the seal."""
    try:
        text = seal_file(folder).read_bytes()
    except FileNotFoundError:
        return False
    try:
        body = checked.decode(text)
    except ValueError as exc:
        raise StoreCorrupt(f"{seal_file(folder)} is damaged. {REBUILD}") from exc
    if body["edge"] != version(_EDGE):
        unseal(folder)
        return False
    sealed: dict[str, str] = body["files"]
    current = dict(_digests(folder))
    for name in sorted({*sealed, *current}):
        if sealed.get(name) != current.get(name):
            how = "is missing" if name not in current else "has changed"
            raise StoreCorrupt(f"{folder / name} {how}. {REBUILD}")
    return True


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and digest of each file below the folder, without hidden files."""
    above = len(os.fspath(folder)) + 1
    for entry in files_below(folder):
        if not entry.name.startswith("."):
            with open(entry.path, "rb") as file:  # noqa: PTH123
                yield entry.path[above:].replace(os.sep, "/"), _digest(file)


def _digest(file: BinaryIO) -> str:
    size = os.fstat(file.fileno()).st_size
    digest = hashlib.sha256(f"{size}".encode())
    for start in data_blocks(file, _BLOCK):
        file.seek(start)
        data = file.read(_BLOCK)
        if data != _ZEROS[: len(data)]:
            digest.update(start.to_bytes(8, "big"))
            digest.update(data)
    return digest.hexdigest()
