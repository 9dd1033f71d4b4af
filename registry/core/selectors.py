"""Selecting an identity or a video by what a person types: an id, its beginning, a name, a URL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from registry import ids
from registry.blobs.base import BlobStore
from registry.core.decisions import View, fold_name, normalize_name
from registry.core.index import VIDEOS, VIDEOS_SPEC, Index
from registry.core.points import IndexedVideo, failed_video_in
from registry.domain import Identity, Image, Video
from registry.errors import StoreCorrupt, UnknownError, UsageError
from registry.faces.crops import decode_jpeg
from registry.store.base import Store
from registry.urls import Url, names, printable, redacted

T = TypeVar("T")
_SHORTEST = 4
"""Characters of the shortest beginning of an id that selects it."""
_LISTED = 5
"""Candidates that a message lists."""


def find_identity(index: Index, view: View, key: str) -> Identity:
    """The identity of this id, unique beginning of an id, or name, without regard to case.

    A name is found without regard to accents, too; if some identities have exactly this name, only
    they are meant.

    Raises:
        UnknownError: there is none, or more than one, which are listed: also if the text is the
            name of one and the beginning of the id of another. If the identity was merged into
            another, the message names that one. It is not selected, since the user may not know of
            the merge.
    """
    named = _exactly_named(index, key)
    if _is_uuid(key):  # callers pass whole ids: no pass over all identities
        candidates = index.get_identities([key.lower()])
    else:
        by_id = ids.may_begin_id(key)
        everyone = list(index.identities()) if by_id or not named else []
        candidates = {i.identity_id: i for i in everyone if by_id and begins(i.identity_id, key)}
        named = named or _named(everyone, key)
    candidates |= {i.identity_id: i for i in named}
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    if candidates:
        raise UnknownError(
            f"{printable(key)!r} could be any of {len(candidates)} identities: "
            f"{list_some(map(label, candidates.values()))}. Use an id, or more of it."
        )
    roots = sorted({view.root(i) for i in view.parents if begins(i, key)})
    if roots:
        raise UnknownError(
            f"Identity {key!r} was merged into {' or '.join(roots[:5])}. Use that id, or undo the "
            "decision, which `face-registry identities list --decisions` shows."
        )
    raise UnknownError(
        f"There is no identity {key!r}. `face-registry identities list` shows all identities."
    )


def find_named(index: Index, name: str) -> list[Identity]:
    """The identities with this name, without regard to case and accents, in order of id."""
    return _named(index.identities(), name)


def _named(identities: Iterable[Identity], name: str) -> list[Identity]:
    folded = fold_name(name)
    return [i for i in identities if folded and fold_name(i.name) == folded]


def _exactly_named(index: Index, key: str) -> list[Identity]:
    name = normalize_name(key)
    if not name:  # it would select all identities without a name
        return []
    return index.named(key) or index.named(name)


def label(identity: Identity) -> str:
    """The id of an identity, with its name if it has one."""
    return f"{identity.identity_id} ({identity.name})" if identity.name else identity.identity_id


def list_some(texts: Iterable[str]) -> str:
    """The first five, with commas, and how many more there are."""
    listed = list(texts)
    more = len(listed) - _LISTED
    return ", ".join(listed[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def find_video(index: Index, key: str) -> IndexedVideo:
    """The video of this URL, file, id, unique beginning of an id, file name or attribute.

    A file name is the last part of a video's URL, such as `ad-7.mp4`; an attribute, such as the id
    of an ad, is compared as text. Both have to be unique. Raises `UnknownError`.
    """
    for video_id in [key.lower()] if _is_uuid(key) else map(ids.video_id, _names(key)):
        video = index.known(video_id)
        if video is not None:
            return video
    candidates = [video_id for video_id in index.video_ids() if begins(video_id, key)]
    video = index.video(candidates[0]) if len(candidates) == 1 else None
    if video is not None:
        return video
    if candidates:
        known = (index.video(video_id) for video_id in candidates[:_LISTED])
        urls = {video.video_id: str(video.url) for video in known if video}
        some = list_some(f"{i} ({urls[i]})" if i in urls else i for i in candidates)
        raise UnknownError(
            f"The ids of {len(candidates)} videos begin with {key!r}: {some}. Use more of the id."
        )
    name = f"/{quote(key, safe='')}"
    matching = [
        video
        for video in index.videos()
        if video.url.exposed().endswith(name) or key in _texts(video)
    ]
    if len(matching) == 1:
        return matching[0]
    if matching:
        some = ", ".join(str(video.url) for video in matching[:5])
        raise UnknownError(
            f"{printable(key)!r} is the file name or an attribute of {len(matching)} videos: "
            f"{some}. Use a URL or an id."
        )
    raise UnknownError(
        f"There is no video {redacted(key)!r}. `face-registry videos list` shows all videos."
    )


def find_distinct(
    keys: Sequence[str], find: Callable[[str], T], id_of: Callable[[T], str], noun: str
) -> list[T]:
    """What each key selects, in order. Raises `UsageError` if two keys select the same `noun`."""
    selected: dict[str, tuple[str, T]] = {}
    for key in keys:
        item = find(key)
        if (same := selected.get(id_of(item))) is not None:
            raise UsageError(
                f"{redacted(same[0])!r} and {redacted(key)!r} are one {noun}, {id_of(item)}. "
                "Name two different ones."
            )
        selected[id_of(item)] = key, item
    return [item for _, item in selected.values()]


def _names(location: str) -> tuple[Url, ...]:
    """The names that records may give to a URL, or to a file by its path."""
    return names(location if "://" in location else Path(location).resolve().as_uri())


def _texts(video: IndexedVideo) -> set[str]:
    """Its attributes as text."""
    return {
        str(value)
        for attribute in video.attributes.values()
        for value in (attribute if isinstance(attribute, tuple) else (attribute,))
    }


def begins(identifier: str, key: str) -> bool:
    """Whether an id begins with this text of four or more characters, in any case."""
    return len(key) >= _SHORTEST and identifier.startswith(key.lower())


def _is_uuid(key: str) -> bool:
    return len(key) == 36 and key.count("-") == 4


def read_crop(blobs: BlobStore, key: str, digest: str) -> bytes:
    """The JPEG bytes of a crop. Raises `StoreCorrupt` unless they have this SHA-256."""
    picture = blobs.get(key)
    if hashlib.sha256(picture).hexdigest() != digest:
        raise StoreCorrupt(
            f"Crop {key} is damaged: its bytes are not those that were stored. "
            "Restore it from a backup, or remove its video and ingest it again."
        )
    return picture


def read_picture(blobs: BlobStore, key: str, digest: str) -> Image:
    """A crop as BGR uint8 (H, W, 3).

    Raises `StoreCorrupt` unless its bytes have this SHA-256 and OpenCV reads them.
    """
    picture = decode_jpeg(read_crop(blobs, key, digest))
    if picture is None:
        raise StoreCorrupt(f"Crop {key} is not a picture that OpenCV reads.")
    return picture


def remembered_videos(store: Store, video_ids: Sequence[str]) -> dict[str, Video]:
    """Failed videos in the place of lost records, by id: what the index still says of them.

    The index may be damaged, too. A video of which it says nothing readable is left out.
    """
    if not store.has(VIDEOS):
        return {}
    videos: dict[str, Video] = {}
    with suppress(StoreCorrupt):
        for point in store.open(VIDEOS_SPEC).get(video_ids):
            with suppress(StoreCorrupt):
                videos[point.id] = failed_video_in(point.payload)
    return videos
