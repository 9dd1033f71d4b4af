"""Migration of a registry to another place: its objects are copied, and its index is built there.

The source is only read, except for its lease if it is on servers. Ids are part of the objects, so
they stay. An interrupted migration continues when it is run again: objects that are there with the
same bytes are kept. If only one of the two stores changes, both registries share the other one, and
shared objects are not copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from registry.blobs.base import BlobStore
from registry.copies.backup import check_index_owner
from registry.copies.copying import CopyResult, copy_objects, finish, list_objects
from registry.core import contract as contracts
from registry.core.backends import open_blobs, open_store
from registry.core.guarded import GuardedStore
from registry.core.home import HomeLock, prepare_home
from registry.core.intents import INCOMING, Intents
from registry.core.lease import Lease
from registry.core.registry import Registry
from registry.core.runs import recorded
from registry.domain import Contract
from registry.errors import StoreError
from registry.settings import Settings
from registry.store.base import Store


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """The result of a migration."""

    copied: CopyResult | None
    """None: the objects stayed where they are."""
    videos: int
    """The number of videos in the new index."""
    objects: str
    """Where the objects are."""
    index: str
    """Where the index is."""


def migrate(source: Registry, target: Settings) -> MigrationResult:
    """Copy a registry to the place that `target` describes. See `registry.settings.load_target`.

    Raises:
        EmptyRegistry: there is nothing to copy.
        StoreError: the target contains a registry already, or returned other bytes than were
            written.
        ContractError: the target's index belongs to another registry.
    """
    with _home_locked(source, target), ExitStack() as opened:
        blobs = open_blobs(target)
        opened.callback(blobs.close)
        store = open_store(target)
        opened.callback(store.close)
        return migrate_to(source, target, blobs, store)


def migrate_to(
    source: Registry, target: Settings, blobs: BlobStore, store: Store
) -> MigrationResult:
    """Do what `migrate` does with open stores of the target, which the caller closes."""
    contract = source.contract
    source.hold()
    source.finish_erasure()
    same = blobs.describe() == source.blobs.describe()
    if same and store.describe() == source.store.describe():
        raise StoreError(
            f"The registry is already in {blobs.describe()}. Give another place to migrate it to."
        )
    copied = None
    with _target_lease(source, target, blobs, same=same) as lease:
        if not same:
            _check_target(blobs, contract)
            rights = source.rights if lease is None else [lease, *source.rights]
            copied = _copy(source, GuardedStore(blobs, *rights), contract)
        moved = Registry(target, blobs, store, lease=lease)
        check_index_owner(moved, contract)
        with recorded(moved, "migrate") as recording:
            videos = moved.reindex()
            recording.counts = {"videos": {"rows": videos}}
    return MigrationResult(copied, videos, blobs.describe(), store.describe())


def _copy(source: Registry, target: GuardedStore, contract: Contract) -> CopyResult:
    with target.writing():
        listed = list(list_objects(source.blobs))
        copied = copy_objects(listed, source.blobs.get, target, contract.registry_id)
        if list(list_objects(source.blobs)) != listed:
            raise StoreError(
                "The registry changed while it was copied. Stop what writes to it, and run the "
                "same command again."
            )
        finish(target)
        return copied


def _check_target(blobs: BlobStore, contract: Contract) -> None:
    """Raise `StoreError` unless the target is empty or contains a part of this same copy."""
    incoming = Intents(blobs).content(INCOMING)
    if incoming == contract.registry_id.encode():
        return
    if incoming is None and contracts.load_fields(blobs) is None:
        return
    raise StoreError(
        f"There is a registry, or a part of one, in {blobs.describe()} already. Choose another "
        "place, or remove what is there."
    )


@contextmanager
def _target_lease(
    source: Registry, target: Settings, blobs: BlobStore, *, same: bool
) -> Iterator[Lease | None]:
    """Hold the lease on the target's objects: the source's lease, if they share the objects."""
    if same and source.lease is not None:
        yield source.lease
    elif target.embedded:
        yield None
    else:
        lease = Lease(blobs)
        lease.acquire()
        try:
            yield lease
        finally:
            with suppress(StoreError):  # it expires
                lease.release()


@contextmanager
def _home_locked(source: Registry, target: Settings) -> Iterator[None]:
    """Hold the lock on the target's home folder, unless the source holds it already."""
    held = source.settings.embedded and target.home == source.settings.home
    if target.embedded and not held:
        prepare_home(target.home)
        lock = HomeLock(target.home)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()
    else:
        yield
