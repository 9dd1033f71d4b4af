"""What the index says of a record: its points, computed from the record and what people decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from registry.appearances import appearances
from registry.decisions import View
from registry.domain import Appearance, Contract, Face, Video
from registry.store.base import Point


@dataclass(frozen=True, slots=True)
class VideoPoints:
    """Everything in the index about one video, but for its share in the identities."""

    faces: tuple[Point, ...]
    """In the order of the record."""
    video: Point
    appearances: tuple[Appearance, ...]


def points_of(video: Video, view: View, contract: Contract) -> VideoPoints:
    """What the index must hold about a video whose record this is."""
    faces = [(face, view.origin_of(face)) for face in video.faces]
    seen = appearances([replace(face, identity_id=view.root(origin)) for face, origin in faces])
    return VideoPoints(
        tuple(
            _face_point(video, face, origin, view.root(origin), contract) for face, origin in faces
        ),
        _video_point(video, seen, contract),
        seen,
    )


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
    return Point(face.face_id, payload, np.asarray(face.embedding, dtype=np.float32))


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
    return Point(video.video_id, payload)
