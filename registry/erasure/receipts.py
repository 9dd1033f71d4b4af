"""Erasure receipts: what each erasure removed, without saying whom."""

from __future__ import annotations

from typing import Any

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.core.selectors import begins
from registry.errors import StoreCorrupt, UnknownError
from registry.system import checked_json as checked


def load_receipts(blobs: BlobStore) -> list[dict[str, Any]]:
    """All receipts, newest first. Raises `StoreCorrupt`."""
    receipts = [_load(blobs, info.key) for info in blobs.list(keys.RECEIPTS)]
    return sorted(receipts, key=lambda receipt: (receipt["at"], receipt["receipt"]), reverse=True)


def find_receipt(blobs: BlobStore, key: str) -> dict[str, Any]:
    """The receipt of this id or unique beginning of one. Raises `UnknownError`, `StoreCorrupt`."""
    every = sorted(keys.name_in(info.key) for info in blobs.list(keys.RECEIPTS))
    matching = [one for one in every if one == key.lower()] or [
        one for one in every if begins(one, key)
    ]
    if len(matching) == 1:
        return _load(blobs, keys.receipt(matching[0]))
    if matching:
        raise UnknownError(
            f"The ids of {len(matching)} receipts begin with {key!r}. Use more of the id."
        )
    raise UnknownError(f"No receipt has the id {key!r}. `face-registry receipts list` lists all.")


def _load(blobs: BlobStore, key: str) -> dict[str, Any]:
    try:
        receipt = checked.decode(blobs.get(key))
        if not {"receipt", "kind", "at", "removed"} <= receipt.keys():
            raise ValueError("fields are missing")
    except ValueError as exc:
        raise StoreCorrupt(
            f"The receipt {key} is damaged ({exc}). Restore a backup if you need it."
        ) from exc
    return receipt
