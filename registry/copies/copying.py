"""Objects from one place to another: what is there already is kept, what was written is read back.

A mark (`intents/incoming`) stands in the target from before the first object until the last one is
there. A registry with that mark does not open for work: half of a copy is no registry. The contract
is written last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from registry.blobs.base import BlobInfo, BlobStore
from registry.core import keys
from registry.core.intents import INCOMING, REINDEX, Intents
from registry.errors import StoreCorrupt

_OF_CHANGES = (keys.INTENTS, keys.STAGING, keys.REWRITES)
"""Objects of changes under way in the registry that a copy replaces."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did."""

    written: int
    kept: int
    """Objects that were there already, byte for byte."""
    removed: int
    """Objects of the registry that was there before."""

    @property
    def objects(self) -> int:
        """How many there are now."""
        return self.written + self.kept


def objects(blobs: BlobStore) -> Iterator[BlobInfo]:
    """The objects that make up a registry, in order of key."""
    return (info for info in blobs.list() if not info.key.startswith(keys.TRANSIENT))


def copy(
    source: Iterable[BlobInfo],
    read: Callable[[str], bytes],
    target: BlobStore,
    registry_id: str,
    progress: Callable[[str], None] = lambda _: None,
) -> Copied:
    """Make the target hold these objects and no others of a registry; `finish` comes next.

    Args:
        source: what there is.
        read: the bytes of one of them.
        target: where they go; an object there of equal size and digest is kept.
        registry_id: goes into the mark, so that only the same copy is taken up again.
        progress: told each key when it is there.

    Raises:
        StoreCorrupt: the target gave back other bytes than were written. The mark stays.
    """
    Intents(target).declare(INCOMING, registry_id.encode())
    there = {info.key: info.size for info in objects(target)}
    wanted = sorted(source, key=lambda info: (info.key == keys.CONTRACT, info.key))
    written = 0
    for info in wanted:
        data = read(info.key)
        digest = hashlib.sha256(data).digest()
        if there.get(info.key) != len(data) or _digest(target, info.key) != digest:
            target.put(info.key, data)
            written += 1
            if _digest(target, info.key) != digest:
                raise StoreCorrupt(
                    f"object {info.key} came back from {target.describe()} as other bytes than "
                    "were written; look after that store and run the same command again"
                )
        progress(info.key)
    surplus = there.keys() - {info.key for info in wanted}
    gone = sorted(key for key in surplus if key.startswith(keys.DURABLE))  # a bucket may hold more
    for key in gone:
        target.delete(key)
    for info in [i for prefix in _OF_CHANGES for i in target.list(prefix)]:
        if info.key != keys.intent(INCOMING):
            target.delete(info.key)  # of the registry that was there before
    _check_count(target, {info.key for info in wanted})
    return Copied(written, len(wanted) - written, len(gone))


def finish(target: BlobStore) -> None:
    """Everything is there: what remains is to build the index."""
    intents = Intents(target)
    intents.declare(REINDEX)
    intents.remove(INCOMING)


def _digest(blobs: BlobStore, key: str) -> bytes:
    return hashlib.sha256(blobs.get(key)).digest()


def _check_count(target: BlobStore, wanted: set[str]) -> None:
    held = {info.key for info in objects(target)}
    missing = sorted(wanted - held)
    if missing:
        raise StoreCorrupt(
            f"{target.describe()} does not list {missing[0]} and {len(missing) - 1} more objects "
            "that were written there; run the same command again"
        )
