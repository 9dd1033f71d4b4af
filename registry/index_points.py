"""Between records and points: what the index must hold of a record, and what its points say.

Qdrant, embedded or served, reads some numbers of a payload back one bit off: of 20,000 at random,
9 % with 16 or 17 significant digits and none with 15 (qdrant-edge-py 0.9.0). So payloads have 15,
and what is summed up from the index is what is summed up from the records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from registry.appearances import appearances
from registry.decisions import View
from registry.domain import Appearance, Contract, Face, Identity, Video
from registry.errors import StoreCorrupt
from registry.matching import Neighbour
from registry.store.base import Hit, Payload, Point

PROVISIONAL = "provisional"
_DIGITS = 15
"""Significant digits of a number in a payload: every decimal of so many is a double's own."""


@dataclass(frozen=True, slots=True)
class VideoPoints:
    """Everything in the index about one video, but for its share in the identities."""

    faces: tuple[Point, ...]
    """In the order of the record."""
    video: Point
    appearances: tuple[Appearance, ...]


def points_of(video: Video, view: View, contract: Contract) -> VideoPoints:
    """What the index must hold about a video whose record this is."""
    point, seen = video_point(video, view, contract)
    return VideoPoints(tuple(face_points(video, view, contract)), point, seen)


def face_points(video: Video, view: View, contract: Contract) -> Iterator[Point]:
    """The points of its faces, in the order of the record, made as they are asked for."""
    for face in video.faces:
        origin = view.origin_of(face)
        yield _face_point(video, face, origin, view.root(origin), contract)


def video_point(
    video: Video, view: View, contract: Contract
) -> tuple[Point, tuple[Appearance, ...]]:
    """The point of the video itself, and the appearances in it."""
    seen = tuple(
        Appearance(**_kept(asdict(appearance)))
        for appearance in appearances(
            [replace(face, identity_id=view.identity_of(face)) for face in video.faces]
        )
    )
    return _video_point(video, seen, contract), seen


def _face_point(
    video: Video, face: Face, origin: str, identity_id: str, contract: Contract
) -> Point:
    payload = {
        "face_id": face.face_id,
        "identity_id": identity_id,
        "origin_id": origin,
        "video_id": video.video_id,
        "video_url": video.url,
        "metrics": dict(video.metrics),
        "frame": face.frame,
        "time_s": face.time_s,
        "box": [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
        "det_score": face.det_score,
        "quality": face.quality.score,
        "reasons": list(face.quality.reasons),
        "track": face.track,
        "crop": face.crop,
        "crop_digest": face.crop_digest,
        "model": contract.model.name,
        "run": video.run,
    }
    return Point(face.face_id, _kept(payload), np.asarray(face.embedding, dtype=np.float32))


def _video_point(video: Video, seen: Sequence[Appearance], contract: Contract) -> Point:
    payload = {
        "registry_id": contract.registry_id,
        "video_id": video.video_id,
        "url": video.url,
        "metrics": dict(video.metrics),
        "status": str(video.status),
        "reason": video.reason,
        "run": video.run,
        "faces": len(video.faces),
        "media": asdict(video.media),
        "appearances": [asdict(appearance) for appearance in seen],
    }
    return Point(video.video_id, _kept(payload))


def identity_point(identity: Identity) -> Point:
    """What the index must hold about an identity."""
    standing = PROVISIONAL if identity.provisional else "established"
    return Point(identity.identity_id, {**asdict(identity), "standing": standing})


def as_kept(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as payloads have them: what to compare with those of the index."""
    kept: dict[str, float] = _kept(dict(metrics))
    return kept


def _kept(value: Any) -> Any:
    """Numbers to `_DIGITS`, however deep; everything else as it is."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {name: _kept(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_kept(inner) for inner in value]
    return value


def video_appearances(payload: Payload) -> list[Appearance]:
    """The appearances in the payload of a video. Raises `StoreCorrupt`."""
    try:
        return [Appearance(**appearance) for appearance in payload["appearances"]]
    except (KeyError, TypeError) as exc:
        raise _damaged("video", exc) from exc


def identity_in(payload: Payload) -> Identity:
    """The identity in its payload. Raises `StoreCorrupt`."""
    known: dict[str, Any] = {f.name: payload[f.name] for f in fields(Identity) if f.name in payload}
    try:
        return Identity(**known)
    except TypeError as exc:
        raise _damaged("identity", exc) from exc


def neighbour_in(hit: Hit) -> Neighbour:
    """The stored face that a query came back with. Raises `StoreCorrupt`."""
    try:
        return Neighbour(hit.id, hit.payload["origin_id"], hit.score)
    except KeyError as exc:
        raise _damaged("face", exc) from exc


def _damaged(what: str, exc: Exception) -> StoreCorrupt:
    return StoreCorrupt(
        f"the index holds a damaged {what} ({exc}): run `face-registry reindex` to rebuild it"
    )
