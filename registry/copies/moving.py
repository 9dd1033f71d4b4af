"""`migrate`: the objects of a registry to another place, and its index made anew there.

The source is only read, but for its lease where it is on servers. Ids are in the objects, so they
stay. A copy that was cut off is taken up by the same command: objects that are there with the same
bytes are kept. Where only one of the two stores moves, the other is shared: objects that stay where
they are are not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from registry.blobs.base import BlobStore
from registry.copies import copying
from registry.copies.copying import Copied
from registry.copies.saving import check_index
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
class Moved:
    """What a migration did."""

    copied: Copied | None
    """None: the objects are where they were."""
    videos: int
    """In the new index."""
    objects: str
    """Where they are now."""
    index: str


def migrate(
    source: Registry, target: Settings, progress: Callable[[str], None] = lambda _: None
) -> Moved:
    """Bring a registry to where `target` says. See `registry.settings.load_target`.

    Raises:
        EmptyRegistry: there is nothing to move.
        StoreError: the target holds a registry already, or gave back other bytes than were written.
        ContractError: the target's index belongs to another registry.
    """
    with _held(source, target), ExitStack() as opened:
        blobs = open_blobs(target)
        opened.callback(blobs.close)
        store = open_store(target)
        opened.callback(store.close)
        return move(source, target, blobs, store, progress)


def move(
    source: Registry,
    target: Settings,
    blobs: BlobStore,
    store: Store,
    progress: Callable[[str], None] = lambda _: None,
) -> Moved:
    """`migrate`, with the target's parts passed in; they stay the caller's to close."""
    contract = source.contract
    source.hold()
    source.finish_erasure()
    same = blobs.describe() == source.blobs.describe()
    if same and store.describe() == source.store.describe():
        raise StoreError(f"the registry is there already: {blobs.describe()}")
    copied = None
    with _leased(source, target, blobs, same=same) as lease:
        if not same:
            _check_objects(blobs, contract)
            rights = source.rights if lease is None else [lease, *source.rights]
            copied = _copy(source, GuardedStore(blobs, *rights), contract, progress)
        moved = Registry(target, blobs, store, lease=lease)
        check_index(moved, contract)
        with recorded(moved, "migrate") as recording:
            videos = moved.reindex(lambda video: progress(video.video_id))
            recording.counts = {"videos": {"rows": videos}}
    return Moved(copied, videos, blobs.describe(), store.describe())


def _copy(
    source: Registry,
    target: GuardedStore,
    contract: Contract,
    progress: Callable[[str], None],
) -> Copied:
    with target.writing():
        listed = list(copying.objects(source.blobs))
        registry_id = contract.registry_id
        copied = copying.copy(listed, source.blobs.get, target, registry_id, progress)
        if list(copying.objects(source.blobs)) != listed:
            raise StoreError(
                "the registry changed while it was copied; end what writes to it and run the same "
                "command again"
            )
        copying.finish(target)
        return copied


def _check_objects(blobs: BlobStore, contract: Contract) -> None:
    """Raise `StoreError` unless there is nothing, or a part of this very copy."""
    incoming = Intents(blobs).content(INCOMING)
    if incoming == contract.registry_id.encode():
        return
    if incoming is None and contracts.load_fields(blobs) is None:
        return
    raise StoreError(
        f"{blobs.describe()} holds a registry already, or part of one: choose another place, or "
        "remove what is there"
    )


@contextmanager
def _leased(
    source: Registry, target: Settings, blobs: BlobStore, *, same: bool
) -> Iterator[Lease | None]:
    """The lease on the target's objects; where they are the source's, its own if it has one."""
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
            with suppress(StoreError):  # it runs out by itself
                lease.release()


@contextmanager
def _held(source: Registry, target: Settings) -> Iterator[None]:
    """The lock on the target's home, where the source does not hold it already."""
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
