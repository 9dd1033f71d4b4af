"""What the faces of videos add up to, kept among the objects so that they need not be read again.

The look for likely duplicates needs sums over the faces of every video. Those of a video change
only if its record changes or a split moves one of its faces, so they are kept with the version that
the object store gives to the record. Whatever does not match is read from the index again. Merges
and hiding are applied afterwards.

These objects may be removed at any time. Backups and migrations leave them out, snapshots do not
read them, and an erasure removes those that may have something of the person.

Which means of identities were compared is kept too, as ids, digests and the pairs that are alike
(`SimilarMeans`).

There is one object for about `_VIDEOS` videos, by the first digits of their ids, so that an ingest
of a few videos writes little (`registry.people.checked_arrays`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from registry.core import keys
from registry.core.registry import Registry
from registry.core.snapshot import snapshot_of
from registry.errors import ObjectMissing
from registry.people import checked_arrays
from registry.people.face_sums import FaceSums, Ids, add_up, texts
from registry.people.similar_means import SimilarMeans

_FORMAT = 2
"""Raise it when `FaceSums` changes, or what a quality says of a face."""
_VIDEOS = 2048
"""Videos in an object, at most on average. A chosen value: 2,048 videos of two tracks and 512
values are 8 MB to write, and 20,000 videos are 16 objects to read."""


class _Part(NamedTuple):
    """What one object holds."""

    versions: Ids
    """Those of the videos (`_versions`), in the order of `faces.videos`."""
    faces: FaceSums

    def equals(self, other: _Part | None) -> bool:
        """Whether both hold the same versions of the same videos, so that all is the same."""
        return (
            other is not None
            and np.array_equal(self.faces.videos, other.faces.videos)
            and np.array_equal(self.versions, other.versions)
        )


_ARRAYS = tuple(field.name for field in fields(FaceSums))


def faces_of_videos(registry: Registry, *, keep: bool = False) -> FaceSums:
    """The faces of all videos, in order of id.

    With `keep`, they are kept for the next time; for the writer of the registry.
    """
    index, dimension = registry.index, registry.contract.model.dimension
    if snapshot_of(registry) is not None:  # during an erasure, versions are those of before it
        return add_up(index.faces(with_vectors=True), dimension)
    versions, meta = _versions(registry), _meta(registry)
    kept = [info.key for info in registry.blobs.list(keys.evidence_of_videos())]
    parts = {key: part for key in kept if (part := _part(registry, key, meta))}
    holds = [_holds(part, versions) for part in parts.values()]
    missing = versions.keys() - {
        video
        for part, held in zip(parts.values(), holds, strict=True)
        for video in texts(part.faces.videos[held])
    }
    if 2 * len(missing) > len(versions):
        faces = index.faces(with_vectors=True)
    else:
        faces = index.faces_in_videos(sorted(missing))
    read = add_up(faces, dimension, missing)
    holds.append(np.array([video in missing for video in texts(read.videos)], bool))
    found = FaceSums.joined([*(part.faces for part in parts.values()), read])
    places = np.flatnonzero(np.concatenate(holds))
    # After a crash, two objects may hold the same video.
    _, first = np.unique(found.videos[places], return_index=True)
    found = found.take(places[first])
    if keep:
        wanted = _parts(found, versions)
        changed = {key: part for key, part in wanted.items() if not part.equals(parts.get(key))}
        _write(registry, changed, meta, gone=sorted(set(kept) - wanted.keys()))
    return found


def kept_similar_means(registry: Registry) -> SimilarMeans:
    """Which means of identities were compared when `keep_similar_means` was last called."""
    if snapshot_of(registry) is None:
        with suppress(ObjectMissing):
            return SimilarMeans.decode(registry.blobs.get(keys.similar_means()))
    return SimilarMeans()


def keep_similar_means(registry: Registry, similar: SimilarMeans) -> None:
    """Keep which means of identities were compared; for the writer of the registry."""
    data = similar.encode()
    with suppress(ObjectMissing):
        if registry.blobs.get(keys.similar_means()) == data:
            return
    with registry.writing():
        if data:
            registry.blobs.put(keys.similar_means(), data)
        else:
            registry.blobs.delete(keys.similar_means())


def _versions(registry: Registry) -> dict[str, str]:
    """What must be the same for the evidence of a video to hold, by id of each video on record.

    That is the version of its record, and the identities that splits gave to faces of it.
    """
    listed = registry.blobs.list(keys.RECORDS)
    versions = {keys.name_in(info.key): f"{info.size} {info.version}" for info in listed}
    moved: dict[str, list[str]] = defaultdict(list)
    if registry.view.moved:  # only then does the index have to load its faces
        for face in registry.index.get_faces(sorted(registry.view.moved)):
            moved[face.video_id].append(f"{face.face_id} {registry.view.moved[face.face_id]}")
    for video_id in moved.keys() & versions.keys():
        digest = hashlib.sha256(" ".join(sorted(moved[video_id])).encode()).hexdigest()
        versions[video_id] += f" {digest[:32]}"
    return versions


def _meta(registry: Registry) -> str:
    """What must be the same for the evidence of any video to hold."""
    model = registry.contract.model
    return f"{_FORMAT} {model.digest} {model.dimension}"


def _part(registry: Registry, key: str, meta: str) -> _Part | None:
    """What one object holds; None if it is gone, damaged, or of another format."""
    try:
        data = registry.blobs.get(key)
    except ObjectMissing:
        return None
    arrays = checked_arrays.decode(data)
    if arrays is None or str(arrays["meta"]) != meta:
        return None
    return _Part(arrays["versions"], FaceSums(**{name: arrays[name] for name in _ARRAYS}))


def _holds(part: _Part, versions: Mapping[str, str]) -> NDArray[np.bool_]:
    """Which of its videos have these versions."""
    both = zip(texts(part.faces.videos), texts(part.versions), strict=True)
    return np.array([versions.get(video) == version for video, version in both], bool)


def _parts(faces: FaceSums, versions: Mapping[str, str]) -> dict[str, _Part]:
    """The objects that these videos belong in, by key. They are in order of id."""
    digits = 0
    while len(faces.videos) > _VIDEOS * 16**digits:
        digits += 1
    parts: dict[str, _Part] = {}
    start = 0
    for prefix, some in groupby(texts(faces.videos), key=lambda video: video[:digits]):
        own = np.array([versions[video] for video in some], "S")
        parts[keys.evidence(prefix)] = _Part(own, faces.between(start, start + len(own)))
        start += len(own)
    return parts


def _write(
    registry: Registry, changed: Mapping[str, _Part], meta: str, gone: Sequence[str]
) -> None:
    if changed or gone:
        with registry.writing():
            registry.blobs.put_many({key: _encode(part, meta) for key, part in changed.items()})
            for key in gone:
                registry.blobs.delete(key)


def _encode(part: _Part, meta: str) -> bytes:
    arrays = {name: getattr(part.faces, name) for name in _ARRAYS}
    return checked_arrays.encode({"meta": np.array(meta), "versions": part.versions, **arrays})
