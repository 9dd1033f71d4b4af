"""Copying the objects of a registry from one place to another.

Objects that are already there with the same bytes are kept; objects that are written are read back.
A mark (`intents/incoming`) is in the target from before the first object until after the last one:
a registry with this mark does not open, because it is incomplete. The contract is written last.
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
class CopyResult:
    """The counts of a copy."""

    written: int
    kept: int
    """Objects that were already there with the same bytes."""
    removed: int
    """Objects of an earlier registry."""

    @property
    def objects(self) -> int:
        """The number of objects that the target has now."""
        return self.written + self.kept


def list_objects(blobs: BlobStore) -> Iterator[BlobInfo]:
    """List the objects that make up a registry, in order of key."""
    return (info for info in blobs.list() if not info.key.startswith(keys.TRANSIENT))


def copy_objects(
    source: Iterable[BlobInfo],
    read: Callable[[str], bytes],
    target: BlobStore,
    registry_id: str,
) -> CopyResult:
    """Make the target contain these objects and no others of a registry; `finish` comes next.

    Args:
        source: the objects to copy.
        read: returns the bytes of one of them.
        target: the store to write to; its objects of the same size and digest are kept.
        registry_id: written into the mark, so that only a copy of the same registry continues it.

    Raises:
        StoreCorrupt: the target returned other bytes than were written. The mark stays.
    """
    Intents(target).declare(INCOMING, registry_id.encode())
    sizes = {info.key: info.size for info in list_objects(target)}
    wanted = sorted(source, key=lambda info: (info.key == keys.CONTRACT, info.key))
    written = 0
    for info in wanted:
        data = read(info.key)
        digest = hashlib.sha256(data).digest()
        if sizes.get(info.key) != len(data) or _digest(target, info.key) != digest:
            target.put(info.key, data)
            written += 1
            if _digest(target, info.key) != digest:
                raise StoreCorrupt(
                    f"Object {info.key} came back from {target.describe()} with other bytes than "
                    "were written. Check that store, then run the same command again."
                )
    surplus = sizes.keys() - {info.key for info in wanted}
    removed = sorted(key for key in surplus if key.startswith(keys.DURABLE))
    for key in removed:
        target.delete(key)
    # What an earlier registry in the target had in progress.
    for info in [i for prefix in _OF_CHANGES for i in target.list(prefix)]:
        if info.key != keys.intent(INCOMING):
            target.delete(info.key)
    _check_listing(target, {info.key for info in wanted})
    return CopyResult(written, len(wanted) - written, len(removed))


def finish(target: BlobStore) -> None:
    """Everything is there: what remains is to build the index."""
    intents = Intents(target)
    intents.declare(REINDEX)
    intents.remove(INCOMING)


def _digest(blobs: BlobStore, key: str) -> bytes:
    return hashlib.sha256(blobs.get(key)).digest()


def _check_listing(target: BlobStore, wanted: set[str]) -> None:
    listed = {info.key for info in list_objects(target)}
    missing = sorted(wanted - listed)
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise StoreCorrupt(
            f"Object {missing[0]}{more} was written to {target.describe()} but is not listed "
            "there. Run the same command again."
        )
