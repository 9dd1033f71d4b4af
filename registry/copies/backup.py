"""Backup of all objects of a registry in one archive, and restore into any registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry.blobs.base import BlobInfo, BlobStore
from registry.blobs.folder import FolderStore
from registry.blobs.folder_swap import new_folder, replace_folder
from registry.copies.archive import Archive, write_archive
from registry.copies.copying import copy_objects, finish, list_objects
from registry.core import keys
from registry.core.exports import Export, load_exports, record_exports, save_exports
from registry.core.index import Index
from registry.core.registry import Registry
from registry.core.runs import recorded
from registry.core.schema import STEPS, latest
from registry.domain import Contract
from registry.errors import ContractError, ObjectMissing, RegistryError, StoreError
from registry.system.files import atomic_file

_CHANGED = "The registry changed while it was saved. Stop what writes to it, and try again."


def backup(registry: Registry, path: Path) -> dict[str, Any]:
    """Write all objects of a registry into one archive.

    The index is not in it, because it is computed from the objects. An interrupted erasure is
    completed first.

    Returns:
        The fields of the manifest but for the objects: counts, contract, schema and time.

    Raises:
        EmptyRegistry: there is nothing to save.
        StoreCorrupt: a record or a decision is damaged.
        StoreError: an object cannot be read, the registry changed meanwhile, or `path` cannot be
            written; an existing file stays as it was.
    """
    contract = registry.contract
    registry.hold()
    registry.finish_erasure()
    for _ in registry.records.all():
        pass  # a backup with a damaged record could not be restored
    registry.decisions.entries()
    listed = list(list_objects(registry.blobs))
    head = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "schema": contract.schema,
        "contract": contract.as_dict(),
        "counts": count_objects(listed),
    }
    with atomic_file(path) as temporary:
        write_archive(temporary, _read_objects(registry.blobs, listed), head)
        if list(list_objects(registry.blobs)) != listed:
            raise StoreError(_CHANGED)
    record_exports(registry, "backup", [path])
    return head


def count_objects(listed: list[BlobInfo]) -> dict[str, int]:
    """Count objects by the first part of their keys, all objects, and their bytes."""
    kinds = Counter(info.key.partition("/")[0] for info in listed if "/" in info.key)
    total = sum(info.size for info in listed)
    return {**dict(sorted(kinds.items())), "objects": len(listed), "bytes": total}


def restore(
    registry: Registry,
    path: Path,
    *,
    overwrite: bool = False,
    bring_back: bool = False,
) -> dict[str, Any]:
    """Replace the content of a registry by that of an archive, and rebuild its index.

    All of the archive is verified before anything is written. In a folder, the new objects are
    written to another folder, which then replaces the old one. In a bucket, where this is not
    possible, they are written over the old ones, the contract last; until then the registry does
    not open, and an interrupted restore continues when it is run again.

    Args:
        registry: an open registry.
        path: the archive.
        overwrite: replace what the registry contains.
        bring_back: restore even if the registry has since erased something that the archive may
            contain.

    Returns:
        The fields of the archive's manifest but for the objects.

    Raises:
        StoreCorrupt: the archive is damaged, truncated or another file; the entry is named.
        StoreError: the registry is not empty, and `overwrite` was not given; or it has receipts
            that the archive lacks, and `bring_back` was not given.
        ContractError: a newer version wrote the archive, or the index belongs to another registry.
    """
    with Archive(path) as saved:
        saved.verify()
        with registry.writing():
            known = _exports_of(registry, saved.contract)
            _check_target(registry, saved.contract, overwrite=overwrite)
            if not bring_back:
                _check_erasures(registry, saved)
            blobs = registry.blobs.unguarded
            if isinstance(blobs, FolderStore):
                blobs = _restore_folder(blobs, saved)
            else:
                _copy_archive(saved, registry.blobs)
            registry.adopt(blobs)
        if known:  # the backup lacks what was written since
            with registry.writing():
                save_exports(registry.blobs, [*load_exports(registry.blobs), *known])
        with recorded(registry, "restore") as recording:
            recording.counts = {"videos": {"rows": registry.reindex()}}
        return {key: value for key, value in saved.manifest.items() if key != "objects"}


def _exports_of(registry: Registry, coming: Contract) -> list[Export]:
    """The files that this same registry is known to have written."""
    try:
        same = registry.contract.registry_id == coming.registry_id
        return load_exports(registry.blobs) if same else []
    except RegistryError:  # it is empty, or damaged, which may be why it is restored
        return []


def _check_target(registry: Registry, coming: Contract, *, overwrite: bool) -> None:
    if coming.schema > latest(STEPS):
        raise ContractError(
            f"The backup has schema {coming.schema}, and this version of face-registry reads "
            f"schemas up to {latest(STEPS)}. Upgrade face-registry."
        )
    if registry.incoming is not None and registry.incoming != coming.registry_id.encode():
        if not overwrite:
            raise StoreError(
                f"There is a part of another registry in {registry.blobs.describe()}, from a "
                "restore or a migration that did not finish. Finish that one, or use --overwrite."
            )
    elif registry.incoming is None:
        current = None if registry.is_empty else registry.contract
        if current is not None and not overwrite:
            raise StoreError(
                f"There is a registry in {registry.blobs.describe()} already. Choose another "
                "--home, or use --overwrite to replace it."
            )
        check_index_owner(registry, current or coming)


def _check_erasures(registry: Registry, saved: Archive) -> None:
    """Raise `StoreError` if a restore would undo an erasure and remove its receipt and block."""
    if registry.is_empty or registry.contract.registry_id != saved.contract.registry_id:
        return
    receipts = {info.key for info in registry.blobs.list(keys.RECEIPTS)}
    since = receipts - {info.key for info in saved.list_objects()}
    if since:
        raise StoreError(
            f"The backup is older than erasures in this registry (receipts: {len(since)}). "
            "Restoring it would bring back what they erased, and remove their receipts and blocks. "
            "To do so all the same, use --bring-back-erased, and erase it again afterwards."
        )


def check_index_owner(registry: Registry, contract: Contract) -> None:
    """Raise `ContractError` if there is an index and it belongs to another registry."""
    if Index.present(registry.store):
        Index(registry.store, contract).check_owner()


def _restore_folder(blobs: FolderStore, saved: Archive) -> FolderStore:
    root = blobs.root
    staged = FolderStore(new_folder(root))
    _copy_archive(saved, staged)
    staged.close()
    blobs.close()
    replace_folder(root)
    return FolderStore(root)


def _copy_archive(saved: Archive, target: BlobStore) -> None:
    copy_objects(saved.list_objects(), saved.read_object, target, saved.contract.registry_id)
    finish(target)


def _read_objects(blobs: BlobStore, listed: list[BlobInfo]) -> Iterator[tuple[str, bytes]]:
    for info in sorted(listed, key=lambda info: (info.key != keys.CONTRACT, info.key)):
        try:
            yield info.key, blobs.get(info.key)
        except ObjectMissing as exc:
            raise StoreError(_CHANGED) from exc
