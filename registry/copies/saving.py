"""`backup` and `restore`: all objects of a registry in one archive, and back, anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry.blobs import swap
from registry.blobs.base import BlobInfo, BlobStore
from registry.blobs.folder import FolderStore
from registry.copies import archive, copying
from registry.copies.archive import Archive
from registry.core import keys
from registry.core.index import Index
from registry.core.registry import Registry
from registry.core.runs import recorded
from registry.core.schema import STEPS, latest
from registry.domain import Contract, Video
from registry.errors import ContractError, ObjectMissing, StoreError
from registry.system.files import placed

_CHANGED = "the registry changed while it was saved; end what writes to it and try again"


def backup(registry: Registry, path: Path) -> dict[str, Any]:
    """Write all objects of a registry into one archive. Returns its head: counts and contract.

    The index is not in it: it is computed from the objects. What an erasure has yet to remove is
    removed first.

    Raises:
        EmptyRegistry: there is nothing to save.
        StoreCorrupt: a record or a decision is damaged.
        StoreError: an object cannot be read, the registry changed meanwhile, or `path` cannot be
            written; a file of that name stays as it was.
    """
    contract = registry.contract
    registry.hold()
    registry.finish_erasure()
    for _ in registry.records.all():
        pass  # a backup with a damaged record could not be restored, and would replace a sound one
    registry.decisions.entries()
    listed = list(copying.objects(registry.blobs))
    head = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "schema": contract.schema,
        "contract": contract.as_dict(),
        "counts": counts(listed),
    }
    with placed(path) as aside:
        archive.write(aside, _read(registry.blobs, listed), head)
        if list(copying.objects(registry.blobs)) != listed:
            raise StoreError(_CHANGED)
    return head


def counts(listed: list[BlobInfo]) -> dict[str, int]:
    """How many objects of each kind, in all, and their bytes."""
    kinds = Counter(info.key.partition("/")[0] for info in listed if "/" in info.key)
    total = sum(info.size for info in listed)
    return {**dict(sorted(kinds.items())), "objects": len(listed), "bytes": total}


def restore(
    registry: Registry,
    path: Path,
    *,
    overwrite: bool = False,
    bring_back: bool = False,
    progress: Callable[[Video], None] = lambda _: None,
) -> dict[str, Any]:
    """Make a registry hold what an archive does, and rebuild its index.

    All of the archive is verified before anything is written. In a folder the new objects are built
    beside the old ones and change places with them; in a bucket, which knows no such step, they are
    written over the old ones, the contract last, and until that is done the registry does not open
    (running the same command again goes on). The index is dropped when the objects are in place.

    Args:
        registry: an open registry.
        path: the archive.
        overwrite: replace what the registry holds.
        bring_back: even if it erased since something that the archive may still hold.
        progress: called with each video whose index is rebuilt.

    Returns the head of the archive's manifest.

    Raises:
        StoreCorrupt: the archive is damaged, cut off or something else; the entry is named.
        StoreError: the registry is not empty, and `overwrite` was not given; or it has receipts
            that the archive lacks, and `bring_back` was not given.
        ContractError: a newer version wrote the archive, or the index belongs to another registry.
    """
    with Archive(path) as saved:
        saved.verify()
        with registry.writing():
            _check(registry, saved.contract, overwrite=overwrite)
            if not bring_back:
                _check_erased(registry, saved)
            blobs = registry.blobs.unguarded
            if isinstance(blobs, FolderStore):
                blobs = _into_folder(blobs, saved)
            else:
                _copy(saved, registry.blobs)
            registry.adopt(blobs)
        with recorded(registry, "restore") as recording:
            recording.counts = {"videos": {"rows": registry.reindex(progress)}}
        return {key: value for key, value in saved.manifest.items() if key != "objects"}


def _check(registry: Registry, coming: Contract, *, overwrite: bool) -> None:
    if coming.schema > latest(STEPS):
        raise ContractError(
            f"the backup has schema {coming.schema} and this version knows {latest(STEPS)}: "
            "upgrade face-registry"
        )
    if registry.incoming is not None and registry.incoming != coming.registry_id.encode():
        if not overwrite:
            raise StoreError(
                f"{registry.blobs.describe()} holds part of another registry, from a restore or a "
                "migration that did not finish; finish that, or pass --overwrite"
            )
    elif registry.incoming is None:
        held = None if registry.is_empty else registry.contract
        if held is not None and not overwrite:
            raise StoreError(
                f"{registry.blobs.describe()} holds a registry already: "
                "choose another --home, or pass --overwrite to replace it"
            )
        check_index(registry, held or coming)


def _check_erased(registry: Registry, saved: Archive) -> None:
    """Erasures are to last: none is undone by the way, along with its receipt and its block."""
    if registry.is_empty or registry.contract.registry_id != saved.contract.registry_id:
        return
    receipts = {info.key for info in registry.blobs.list(keys.RECEIPTS)}
    since = receipts - {info.key for info in saved.blobs()}
    if since:
        raise StoreError(
            f"the backup is older than erasures in this registry (receipts: {len(since)}): what "
            "they erased would come back, and the receipts and blocks would go; pass "
            "--bring-back-erased if that is meant, and erase it again"
        )


def check_index(registry: Registry, contract: Contract) -> None:
    """Raise `ContractError` if the index is there and not that of this contract's registry."""
    if Index.present(registry.store):
        Index(registry.store, contract).check_owner()


def _into_folder(blobs: FolderStore, saved: Archive) -> FolderStore:
    root = blobs.root
    beside = FolderStore(swap.fresh(root))
    _copy(saved, beside)
    beside.close()
    blobs.close()
    swap.swap(root)
    return FolderStore(root)


def _copy(saved: Archive, target: BlobStore) -> None:
    copying.copy(saved.blobs(), saved.read, target, saved.contract.registry_id)
    copying.finish(target)


def _read(blobs: BlobStore, listed: list[BlobInfo]) -> Iterator[tuple[str, bytes]]:
    for info in sorted(listed, key=lambda info: (info.key != keys.CONTRACT, info.key)):
        try:
            yield info.key, blobs.get(info.key)
        except ObjectMissing as exc:
            raise StoreError(_CHANGED) from exc
