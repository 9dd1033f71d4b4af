"""Points of the index: what Qdrant holds of a record, and how it is read back.

`video_point`, `face_points` and `identity_point` compute what is written. `video_in`, `face_in` and
`identity_in` decode what is read, so that nothing above the index reads a payload by string key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from registry import ids
from registry.core.decisions import View, relabelled_faces
from registry.core.records import (
    attributes_as_json,
    attributes_from_json,
    weights_as_json,
    weights_from_json,
)
from registry.domain import (
    Appearance,
    Attribute,
    Box,
    Contract,
    Face,
    Identity,
    Media,
    Quality,
    Source,
    Status,
    Vectors,
    Video,
    Weighted,
)
from registry.errors import StoreCorrupt, UsageError
from registry.faces.appearances import appearances, exact, identity
from registry.faces.matching import Neighbour
from registry.store.base import Hit, Payload, Point
from registry.urls import Url, canonical

PROVISIONAL = "provisional"
VIDEO_ID = "video_id"
ALIASES, CONTENT = "aliases", "content"
"""Fields of a video's payload that filters find."""


@dataclass(frozen=True, slots=True)
class IndexedFace:
    """A face as the index holds it; fields as in `registry.domain.Face`."""

    face_id: str
    identity_id: str
    """Its identity after all decisions."""
    origin_id: str
    """Its identity before merges: what a nearest neighbour inherits from it."""
    video_id: str
    video_url: Url
    frame: int
    time_s: float
    box: Box
    det_score: float
    quality: Quality
    track: int
    crop: str
    crop_digest: str
    vector: Vectors | None = None
    """float32 (D,), L2-normalised; None where it was not asked for."""


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """A video as the index holds it; fields as in `registry.domain.Video`."""

    video_id: str
    url: Url
    metrics: Mapping[str, float]
    status: Status
    reason: str
    run: str
    faces: int
    """How many there are."""
    media: Media
    appearances: tuple[Appearance, ...]
    """By first sight, then id, after all decisions."""
    aliases: frozenset[str] = frozenset()
    """Ids of its other names."""
    content: str = ""
    """SHA-256; empty if unknown."""
    size: int = 0
    """Bytes of the content; 0 if unknown."""
    source: Source | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    weights: Mapping[str, Weighted] = field(default_factory=dict)
    """Rounded to 15 digits, as `metrics` are."""


class ReportedVideo(NamedTuple):
    """What reports need of a video; fields as in `IndexedVideo`. Thousands are read at once."""

    video_id: str
    url: Url
    status: Status
    duration_s: float
    run: str
    metrics: Mapping[str, float]
    weights: Mapping[str, Weighted]
    attributes: Mapping[str, Attribute]
    appearances: Sequence[Appearance]


@dataclass(frozen=True, slots=True)
class VideoPoints:
    """Everything in the index about one video, but for its share in the identities."""

    faces: tuple[Point, ...]
    """In the order of the record."""
    video: Point
    appearances: tuple[Appearance, ...]


# --- from a record to points ----------------------------------------------------------------------


def points_of(video: Video, view: View, contract: Contract) -> VideoPoints:
    """What the index must hold about a video whose record this is."""
    point, seen = video_point(video, view, contract)
    return VideoPoints(tuple(face_points(video, view, contract)), point, seen)


def face_points(video: Video, view: View, contract: Contract) -> Iterator[Point]:
    """The points of its faces, in the order of the record, one at a time."""
    for face in video.faces:
        origin = view.origin_of(face)
        yield _face_point(video, face, origin, view.root(origin), contract)


def video_point(
    video: Video, view: View, contract: Contract
) -> tuple[Point, tuple[Appearance, ...]]:
    """The point of the video itself, and the appearances in it."""
    seen = tuple(
        Appearance(**_kept(asdict(appearance)))
        for appearance in appearances(relabelled_faces(video.faces, view.identity_of))
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
        "video_url": video.url.exposed(),
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
        "url": video.url.exposed(),
        "metrics": dict(video.metrics),
        "status": str(video.status),
        "reason": video.reason,
        "run": video.run,
        "faces": len(video.faces),
        "media": asdict(video.media),
        "appearances": [_without_false_still(asdict(appearance)) for appearance in seen],
        **_details(video),
    }
    return Point(video.video_id, _kept(payload))


def _aliases(video: Video) -> list[str]:
    """The ids, other than its own, under which a row of a table may look for the video.

    These are the ids of its other names, and of the names that this version gives to its URLs, if
    an earlier version gave them others.
    """
    found: set[str] = set()
    for name in (video.url, *video.names):
        found.add(ids.video_id(name))
        with suppress(UsageError):
            found.add(ids.video_id(canonical(name.exposed())))
    return sorted(found - {video.video_id})


def _details(video: Video) -> dict[str, Any]:
    """The fields of a video's payload that are left out if they are empty."""
    fields: dict[str, Any] = {
        ALIASES: _aliases(video),
        CONTENT: video.content.sha256 if video.content else "",
        "size": video.content.size if video.content else 0,
        "source": asdict(video.source) if video.source else None,
        "attributes": attributes_as_json(video.attributes),
        "weights": weights_as_json(video.weights),
    }
    return {name: value for name, value in fields.items() if value}


def decided_identity(
    identity_id: str, seen: Iterable[tuple[str, Appearance]], view: View
) -> Identity | None:
    """An identity from its appearances by video id, with its name and all else that was decided.

    None if it appears nowhere.
    """
    return identity(identity_id, view.name_of(identity_id), seen, view.same_as, view.hidden)


def identity_point(known: Identity) -> Point:
    """What the index must hold about an identity."""
    standing = PROVISIONAL if known.provisional else "established"
    payload = _without_false_still(asdict(known))
    return Point(known.identity_id, {**payload, "standing": standing})


def _without_false_still(payload: dict[str, Any]) -> dict[str, Any]:
    """`still` is left out where it does not hold, so that an index of schema 2 needs no rebuild."""
    return payload if payload["still"] else {k: v for k, v in payload.items() if k != "still"}


def as_kept(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as payloads hold them: rounded, so that they compare equal to those of the index."""
    kept: dict[str, float] = _kept(dict(metrics))
    return kept


def _kept(value: Any) -> Any:
    """The value with every number in it rounded (`exact`)."""
    if isinstance(value, float):
        return exact(value)
    if isinstance(value, dict):
        return {name: _kept(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_kept(inner) for inner in value]
    return value


def indexed_faces(video: Video, view: View) -> Iterator[IndexedFace]:
    """The faces of a record as the index would return them, with their vectors."""
    for face in video.faces:
        origin = view.origin_of(face)
        yield IndexedFace(
            face_id=face.face_id,
            identity_id=view.root(origin),
            origin_id=origin,
            video_id=video.video_id,
            video_url=video.url,
            frame=face.frame,
            time_s=face.time_s,
            box=face.box,
            det_score=face.det_score,
            quality=face.quality,
            track=face.track,
            crop=face.crop,
            crop_digest=face.crop_digest,
            vector=face.embedding,
        )


# --- from points to values ------------------------------------------------------------------------


def face_in(payload: Payload, vector: Vectors | None = None) -> IndexedFace:
    """The face in a payload, with the vector of its point. Raises `StoreCorrupt`."""
    try:
        return IndexedFace(
            payload["face_id"],
            payload["identity_id"],
            payload["origin_id"],
            payload["video_id"],
            Url(payload["video_url"]),
            payload["frame"],
            payload["time_s"],
            Box(*payload["box"]),
            payload["det_score"],
            Quality(payload["quality"], tuple(payload["reasons"])),
            payload["track"],
            payload["crop"],
            payload["crop_digest"],
            vector,
        )
    except _DAMAGE as exc:
        raise _damaged("face", exc) from exc


_STATUS: Mapping[str, Status] = {str(status): status for status in Status}


def video_in(payload: Payload) -> IndexedVideo:
    """The video in a payload. Raises `StoreCorrupt`."""
    try:
        return IndexedVideo(
            payload["video_id"],
            Url(payload["url"]),
            payload["metrics"],
            _STATUS[payload["status"]],
            payload["reason"],
            payload["run"],
            payload["faces"],
            Media(**payload["media"]),
            tuple([Appearance(**appearance) for appearance in payload["appearances"]]),
            frozenset(payload.get(ALIASES, ())),
            payload.get(CONTENT, ""),
            payload.get("size", 0),
            Source(**payload["source"]) if "source" in payload else None,
            attributes_from_json(payload["attributes"]) if "attributes" in payload else {},
            weights_from_json(payload["weights"]) if "weights" in payload else {},
        )
    except _DAMAGE as exc:
        raise _damaged("video", exc) from exc


def reported_video_in(payload: Payload) -> ReportedVideo:
    """What reports need of the video in a payload. Raises `StoreCorrupt`."""
    try:
        return ReportedVideo(
            payload["video_id"],
            Url(payload["url"]),
            _STATUS[payload["status"]],
            payload["media"]["duration_s"],
            payload["run"],
            payload["metrics"],
            weights_from_json(payload["weights"]) if "weights" in payload else {},
            attributes_from_json(payload["attributes"]) if "attributes" in payload else {},
            [Appearance(**appearance) for appearance in payload["appearances"]],
        )
    except _DAMAGE as exc:
        raise _damaged("video", exc) from exc


_IDENTITY = tuple(field.name for field in fields(Identity))


def identity_in(payload: Payload) -> Identity:
    """The identity in a payload. Raises `StoreCorrupt`."""
    try:
        return Identity(**{name: payload[name] for name in _IDENTITY if name in payload})
    except _DAMAGE as exc:
        raise _damaged("identity", exc) from exc


NEIGHBOUR_FIELDS = ("origin_id", "quality", "reasons")
"""What `neighbour_in` reads of a payload."""


def video_id_in(payload: Payload) -> str:
    """The video of the face in a payload. Raises `StoreCorrupt`."""
    try:
        video_id: str = payload[VIDEO_ID]
    except _DAMAGE as exc:
        raise _damaged("face", exc) from exc
    return video_id


def neighbour_in(hit: Hit) -> Neighbour:
    """The stored face that a query returned. Raises `StoreCorrupt`."""
    try:
        payload = hit.payload
        quality = Quality(payload["quality"], tuple(payload["reasons"]))
        return Neighbour(hit.id, payload["origin_id"], hit.score, quality)
    except _DAMAGE as exc:
        raise _damaged("face", exc) from exc


def failed_video_in(payload: Payload) -> Video:
    """What remains of a video whose record is lost: a failed video with the URL and the metrics.

    It reads no more of the payload than that, so damage to the rest loses nothing.
    Raises `StoreCorrupt`.
    """
    try:
        return Video(
            video_id=payload["video_id"],
            url=Url(payload["url"]),
            metrics=dict(payload["metrics"]),
            status=Status.FAILED,
            reason=RECORD_LOST,
            run=payload["run"],
        )
    except _DAMAGE as exc:
        raise _damaged("video", exc) from exc


RECORD_LOST = "its record was damaged and given up; ingesting its URL reads it again"
_DAMAGE = (KeyError, TypeError, ValueError)


def _damaged(what: str, exc: Exception) -> StoreCorrupt:
    return StoreCorrupt(
        f"The index holds a damaged {what} ({type(exc).__name__}: {exc}). "
        "Run `face-registry reindex` to rebuild it."
    )
