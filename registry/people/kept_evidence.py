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
of a few videos writes little. Each is the SHA-256 of the rest, followed by arrays in NumPy's NPZ.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from registry.core import keys
from registry.core.registry import Registry
from registry.core.snapshot import snapshot_of
from registry.errors import ObjectMissing
from registry.people.observed_faces import VideoFaces, add_up
from registry.people.similar_means import SimilarMeans

_FORMAT = 1
"""Raise it when `VideoFaces` changes, or what a quality says of a face."""
_VIDEOS = 2048
"""Videos in an object, at most on average. A chosen value: 2,048 videos of two tracks and 512
values are 8 MB to write, and 20,000 videos are 16 objects to read."""
_Versioned = dict[str, tuple[str, VideoFaces]]
"""The version of the record and the faces, by id of the video."""


def faces_of_videos(registry: Registry, *, keep: bool = False) -> dict[str, VideoFaces]:
    """The faces of all videos that have any, by id of the video, in order.

    With `keep`, they are kept for the next time; for the writer of the registry.
    """
    if snapshot_of(registry) is not None:  # during an erasure, versions are those of before it
        return dict(sorted(add_up(registry.index.faces(with_vectors=True)).items()))
    listed = registry.blobs.list(keys.RECORDS)
    versions = {keys.name_in(info.key): f"{info.size} {info.version}" for info in listed}
    meta = _meta(registry)
    parts = {
        info.key: _part(registry, info.key, meta)
        for info in registry.blobs.list(keys.evidence_of_videos())
    }
    known = {
        video_id: one
        for part in parts.values()
        for video_id, one in part.items()
        if versions.get(video_id) == one[0]
    }
    missing = sorted(versions.keys() - known.keys())
    if 2 * len(missing) > len(versions):
        read = add_up(registry.index.faces(with_vectors=True))
    else:
        read = add_up(registry.index.faces_in_videos(missing))
    for video_id in missing:
        known[video_id] = versions[video_id], read.get(video_id, VideoFaces())
    if keep:
        _keep(registry, known, parts, meta)
    return {video_id: faces for video_id, (_, faces) in sorted(known.items()) if faces.tracks}


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


def _meta(registry: Registry) -> str:
    """What must be the same for kept evidence to hold."""
    model, moved = registry.contract.model, sorted(registry.view.moved.items())
    splits = hashlib.sha256(json.dumps(moved).encode()).hexdigest()
    return f"{_FORMAT} {model.digest} {model.dimension} {splits}"


def _part(registry: Registry, key: str, meta: str) -> _Versioned:
    """What one object holds; nothing if it is gone, damaged, or of another format."""
    try:
        data = registry.blobs.get(key)
    except ObjectMissing:
        return {}
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return {}
    with np.load(io.BytesIO(data[32:]), allow_pickle=False) as arrays:
        return dict(_decode(arrays)) if str(arrays["meta"]) == meta else {}


def _keep(
    registry: Registry, videos: _Versioned, parts: Mapping[str, _Versioned], meta: str
) -> None:
    """Write the objects that hold something else, and remove those of other prefixes."""
    digits = 0
    while len(videos) > _VIDEOS * 16**digits:
        digits += 1
    wanted: dict[str, _Versioned] = {}
    for video_id in sorted(videos):
        wanted.setdefault(keys.evidence(video_id[:digits]), {})[video_id] = videos[video_id]
    changed = {
        key: _encode(part, meta)
        for key, part in wanted.items()
        if _versions(parts.get(key, {})) != _versions(part)
    }
    gone = parts.keys() - wanted.keys()
    if changed or gone:
        with registry.writing():
            registry.blobs.put_many(changed)
            for key in sorted(gone):
                registry.blobs.delete(key)


def _versions(part: _Versioned) -> dict[str, str]:
    return {video_id: version for video_id, (version, _) in part.items()}


def _encode(part: _Versioned, meta: str) -> bytes:
    versions, faces = zip(*part.values(), strict=True)
    beside = [one.side_by_side() for one in faces]
    sums = [vector for one in faces for vector in one.sums.values()]
    body = io.BytesIO()
    np.savez(
        body,
        meta=np.array(meta),
        videos=np.array([*part]).astype("S"),
        versions=np.array(versions).astype("S"),
        identities=np.array([who for one in faces for who, _ in one.tracks], "S"),
        tracks=np.array([track for one in faces for _, track in one.tracks], np.int64),
        scores=np.array([score for one in faces for score in one.scores], np.float64),
        keys=np.array([key for one in faces for key in one.sums], np.int64).reshape(-1, 2),
        counts=np.array([count for one in faces for count in one.counts.values()], np.int64),
        sums=np.array(sums, np.float32),
        frames=np.concatenate([frames for frames, _ in beside]),
        boxes=np.concatenate([boxes for _, boxes in beside]),
        sizes=np.array(
            [
                (len(one.tracks), len(one.sums), len(frames))
                for one, (frames, _) in zip(faces, beside, strict=True)
            ],
            np.int64,
        ),
    )
    return hashlib.sha256(body.getvalue()).digest() + body.getvalue()


def _decode(arrays: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, VideoFaces]]]:
    def texts(name: str) -> list[str]:
        return arrays[name].astype(str).tolist()  # type: ignore[no-any-return]

    tracks = list(zip(texts("identities"), arrays["tracks"].tolist(), strict=True))
    scores = arrays["scores"].tolist()
    of_sums = list(map(tuple, arrays["keys"].tolist()))
    counts, sums = arrays["counts"].tolist(), list(arrays["sums"])
    frames = list(map(tuple, arrays["frames"].tolist()))
    boxes = list(map(tuple, arrays["boxes"].tolist()))
    ends = np.cumsum(arrays["sizes"], axis=0).tolist()
    t = s = f = 0
    for video_id, version, (t_end, s_end, f_end) in zip(
        texts("videos"), texts("versions"), ends, strict=True
    ):
        faces = VideoFaces()
        faces.tracks = dict(zip(tracks[t:t_end], range(t_end - t), strict=True))
        faces.scores = scores[t:t_end]
        faces.sums = dict(zip(of_sums[s:s_end], sums[s:s_end], strict=True))
        faces.counts = dict(zip(of_sums[s:s_end], counts[s:s_end], strict=True))
        faces.frames, faces.boxes = frames[f:f_end], boxes[f:f_end]
        yield video_id, (version, faces)
        t, s, f = t_end, s_end, f_end
