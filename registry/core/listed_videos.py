"""The videos that the last table listed, so that the next ingest can count those that are gone.

Their ids are one object, `listed.json`. An erasure removes the ids of removed videos from it.
"""

from __future__ import annotations

from collections.abc import Collection

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.errors import ObjectMissing, StoreCorrupt
from registry.system import checked_json as checked


def load_listed_videos(blobs: BlobStore) -> frozenset[str]:
    """Load the ids; empty before the first ingest. Raises `StoreCorrupt`."""
    try:
        return frozenset(checked.decode(blobs.get(keys.LISTED))["videos"])
    except ObjectMissing:
        return frozenset()
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreCorrupt(
            f"{keys.LISTED} is damaged ({exc}). Delete it: the next ingest writes it again."
        ) from exc


def save_listed_videos(blobs: BlobStore, video_ids: Collection[str]) -> None:
    """Save the ids of the videos of the last table."""
    blobs.put(keys.LISTED, checked.encode({"videos": sorted(video_ids)}))


def without(blobs: BlobStore, video_ids: Collection[str]) -> bytes | None:
    """The object's bytes without these ids; None if it contains none of them."""
    listed = load_listed_videos(blobs)
    left = listed - set(video_ids)
    return None if left == listed else checked.encode({"videos": sorted(left)})
