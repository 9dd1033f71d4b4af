"""The seal of a shard: a file with the digests of its files, valid until the next write.

Edge loads most damaged files without an error and answers from them. So a shard is sealed when it
is closed properly, its files are compared with the seal before the next load, and the first write
removes the seal. A shard without a seal, as a crash leaves it, is loaded unchecked.

Measured with Edge 0.9.0: loading merges the journals of the last write, and writes settings and
versions of points again; loading again changes nothing, nor do reading, flushing and closing. So a
seal says whether the shard is settled, that is, was loaded since the last write. A small shard is
loaded once more before it is sealed. For a large one this takes seconds, so the next opening
compares its files with the seal, loads it, and seals it again. A seal is valid for the version of
Edge that wrote it. Comparing 50,000 faces of 512-d (200 MB) takes 0.17 s of CPU.

Only files that changed are read for a new seal. A file that has the same size, times and inode as
in the last seal keeps the digest of then; if its bytes changed all the same, the next comparison
finds it. A comparison reads every byte.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
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
_RECENT_NS = 4_000_000_000
"""A file that changed so recently may change again without a new time. FAT has the coarsest times,
of 2 s."""
_THREADS = 4
"""Files that are digested at once; Python digests without holding the interpreter's lock."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a seal says."""

    digests: Mapping[str, str]
    """By name of the file, relative to the shard."""
    settled: bool
    """Whether the shard was loaded since the last write, so that loading changes nothing."""
    states: Mapping[str, list[int]] = field(default_factory=dict)
    """By name of the file, its `_state`, where any later write gives it another one."""


def seal_file(folder: Path) -> Path:
    """The file with the digests."""
    return folder.with_name(f".{folder.name}.seal")


def seal(folder: Path, *, settled: bool, earlier: Seal | None = None) -> Seal:
    """Write the digests of the files of a shard that is flushed.

    Args:
        folder: of the shard.
        settled: whether it was loaded since the last write.
        earlier: the seal that the first write removed. Files that have not changed since then are
            not read.
    """
    aside = folder.with_name(f".{folder.name}.sealing")
    remove(aside)  # left by a process that was killed
    try:
        with aside.open("wb") as file:
            aside.chmod(0o600)
            now = os.fstat(
                file.fileno()
            ).st_mtime_ns  # by the clock that files get their times from
            made = _made(folder, settled, earlier or Seal({}, settled), now)
            body = {"files": made.digests, "settled": made.settled, "states": made.states}
            file.write(checked.encode({"edge": version(_EDGE), **body}))
            file.flush()
            os.fsync(file.fileno())
        replace(aside, seal_file(folder))
    finally:
        remove(aside)
    return made


def _made(folder: Path, settled: bool, earlier: Seal, now: int) -> Seal:
    files = dict(_files(folder))
    states = {name: _state(path) for name, path in files.items()}
    # One after the other: a registry that is closed while Python ends cannot start threads.
    digests = {
        name: earlier.digests[name]
        if earlier.states.get(name) == states[name]
        else _digest_of(path)
        for name, path in files.items()
    }
    trusted = _times_show_writes(folder)
    before = now - _RECENT_NS
    return Seal(
        digests,
        settled,
        {name: one for name, one in states.items() if trusted and max(one[1:3]) < before},
    )


def unseal(folder: Path) -> None:
    """Remove the seal before files change."""
    mark = seal_file(folder)
    remove(mark)
    # The old seal must not reappear after a power failure, when the files have changed.
    with suppress(OSError):
        sync(mark.parent)


def check_seal(folder: Path) -> Seal | None:
    """The seal of the shard; None if it has none.

    Raises `StoreCorrupt` if a file differs from the seal.
    """
    try:
        text = seal_file(folder).read_bytes()
    except FileNotFoundError:
        return None
    try:
        body = checked.decode(text)
    except ValueError as exc:
        raise StoreCorrupt(f"{seal_file(folder)} is damaged. {REBUILD}") from exc
    if body["edge"] != version(_EDGE):
        unseal(folder)
        return None
    # Earlier versions loaded every shard once more before they sealed it.
    found = Seal(body["files"], body.get("settled", True), body.get("states", {}))
    current = _digests(folder)
    for name in sorted({*found.digests, *current}):
        if found.digests.get(name) != current.get(name):
            how = "is missing" if name not in current else "has changed"
            raise StoreCorrupt(f"{folder / name} {how}. {REBUILD}")
    return found


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of each file below the folder, without hidden files."""
    above = len(os.fspath(folder)) + 1
    for entry in sorted(files_below(folder), key=lambda entry: entry.path):
        if not entry.name.startswith("."):
            yield entry.path[above:].replace(os.sep, "/"), Path(entry.path)


def _state(path: Path) -> list[int]:
    """Size, times of the last changes of content and of anything, and inode of a file."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _times_show_writes(folder: Path) -> bool:
    """Whether a file here gets a new time when it is written through a memory map, as Edge does.

    On Linux it does so on ext4, XFS and Btrfs, and not on tmpfs.
    """
    probe = folder.with_name(f".{folder.name}.probe")
    try:
        probe.write_bytes(bytes(mmap.PAGESIZE))
        os.utime(probe, ns=(_LONG_AGO_NS, _LONG_AGO_NS))
        before = probe.stat().st_mtime_ns
        with probe.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
            view[0] ^= 1  # read first: tmpfs sees a page that is written at once
        return probe.stat().st_mtime_ns != before
    finally:
        remove(probe)


_LONG_AGO_NS = 1_000_000_000 * 10**9
"""September 2001: any time that is not now."""


def _digests(folder: Path) -> dict[str, str]:
    """The digest of each file below the folder by name, without hidden files."""
    files = dict(_files(folder))
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(files, pool.map(_digest_of, files.values()), strict=True))


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return _digest(file)


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
