"""From what a person types to the identity or video that is meant."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from registry import ids
from registry.blobs.base import BlobStore
from registry.core.decisions import View, tidy
from registry.core.index import VIDEOS, VIDEOS_SPEC, Index
from registry.core.points import IndexedVideo, failed_video_in
from registry.domain import Identity, Video
from registry.errors import StoreCorrupt, UnknownError
from registry.store.base import Store
from registry.urls import Url, names, redacted

_SHORTEST = 4
"""Letters that the beginning of an id must have to stand for it."""


def find_identity(index: Index, view: View, key: str) -> Identity:
    """The identity of this id, unique beginning of an id, or name.

    Raises:
        UnknownError: there is none, or more than one. Of an id that joined another it says which
            one; it is not followed by itself, since whoever names it may not know that they joined.
    """
    found = index.get_identities([key]) if _is_uuid(key) else {}
    if found:
        return found[key]
    candidates: list[Identity] = []
    if tidy(key):  # else it is the name of all that have none
        candidates = index.named(key) or index.named(tidy(key))
    candidates = candidates or [i for i in index.identities() if _begins(i.identity_id, key)]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        some = ", ".join(i.identity_id for i in candidates[:5])
        raise UnknownError(f"{key!r} could be any of {len(candidates)} identities: {some}")
    joined = sorted({view.root(i) for i in view.parents if _begins(i, key)})
    if joined:
        raise UnknownError(
            f"identity {key!r} was joined to {' or '.join(joined[:5])} (`face-registry identities "
            "list --decisions` says when): name that one, or undo the decision"
        )
    raise UnknownError(
        f"there is no identity {key!r}; `face-registry identities list` shows those there are"
    )


def find_video(index: Index, key: str) -> IndexedVideo:
    """The video of this URL, file, id or unique beginning of an id. Raises `UnknownError`."""
    for video_id in [key] if _is_uuid(key) else map(ids.video_id, _names(key)):
        video = index.video(video_id)
        if video is not None:
            return video
    candidates = [video_id for video_id in index.video_ids() if _begins(video_id, key)]
    video = index.video(candidates[0]) if len(candidates) == 1 else None
    if video is not None:
        return video
    if candidates:
        raise UnknownError(f"{key!r} is the beginning of {len(candidates)} videos' ids")
    raise UnknownError(
        f"there is no video {redacted(key)!r}; `face-registry videos list` shows those there are"
    )


def _names(location: str) -> tuple[Url, ...]:
    """The names that records may give to a URL, or to a file by its path."""
    return names(location if "://" in location else Path(location).resolve().as_uri())


def _begins(identifier: str, key: str) -> bool:
    return len(key) >= _SHORTEST and identifier.startswith(key)


def _is_uuid(key: str) -> bool:
    return len(key) == 36 and key.count("-") == 4


def find_crop(blobs: BlobStore, key: str, digest: str) -> bytes:
    """The JPEG bytes of a crop. Raises `StoreCorrupt` if they are not what was stored."""
    picture = blobs.get(key)
    if hashlib.sha256(picture).hexdigest() != digest:
        raise StoreCorrupt(
            f"crop {key} is damaged: its bytes are not those that were stored; "
            "restore it from a backup, or remove its video and ingest it again"
        )
    return picture


def remembered_videos(store: Store, video_ids: Sequence[str]) -> dict[str, Video]:
    """Failed videos in the place of lost records, by id: what the index still says of them.

    The index may itself be damaged: a video of which it says nothing readable is left out.
    """
    if not store.has(VIDEOS):
        return {}
    videos: dict[str, Video] = {}
    with suppress(StoreCorrupt):
        for point in store.open(VIDEOS_SPEC).get(video_ids):
            with suppress(StoreCorrupt):
                videos[point.id] = failed_video_in(point.payload)
    return videos
