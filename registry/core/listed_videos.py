"""Which videos the last table listed, so that the next ingest can count those that are gone.

One object, `listed.json`, with ids. An erasure takes the ids of removed videos out of it.
"""

from __future__ import annotations

from collections.abc import Collection

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.errors import ObjectMissing, StoreCorrupt
from registry.system import checked_json as checked


def read(blobs: BlobStore) -> frozenset[str]:
    """Ids of the videos of the last table; none before the first. Raises `StoreCorrupt`."""
    try:
        return frozenset(checked.decode(blobs.get(keys.LISTED))["videos"])
    except ObjectMissing:
        return frozenset()
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreCorrupt(
            f"{keys.LISTED} is damaged ({exc}). Delete it: the next ingest writes it again."
        ) from exc


def write(blobs: BlobStore, video_ids: Collection[str]) -> None:
    """These are the videos of the last table."""
    blobs.put(keys.LISTED, checked.encode({"videos": sorted(video_ids)}))


def without(blobs: BlobStore, video_ids: Collection[str]) -> bytes | None:
    """The object without these ids; None if it has none of them."""
    listed = read(blobs)
    left = listed - set(video_ids)
    return None if left == listed else checked.encode({"videos": sorted(left)})
