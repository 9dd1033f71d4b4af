"""A registry as one document: what is on record, what the index says of it, and the crops.

Two registries that hold the same give the same document, wherever they lie and however they came
about. So it leaves out what differs without meaning anything: times of runs and decisions, the ids
of runs and of the registry itself. Vectors and crops are there as digests: the document tells
whether they are equal and holds no biometric template.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import numpy as np

from registry.core import operating_point as operating
from registry.core import retention
from registry.core.registry import Registry
from registry.domain import Face, Video
from registry.store.base import Payload


def dump(registry: Registry) -> dict[str, Any]:
    """The document of `status --dump`, in an order that depends on the content alone."""
    if registry.is_empty:
        return {"contract": None}
    index, contract = registry.index, registry.contract.as_dict()
    contract.pop("registry_id")
    for earlier in contract.get("earlier_models", ()):
        earlier.pop("until")
    return {
        "contract": contract,
        "retention_days": retention.days(registry.blobs),
        "rereads": registry.rereads.marked(),
        "videos": [_video(video) for video in registry.records.all()],
        "appearances": [
            {"video_id": payload["video_id"], **appearance}
            for payload in index.videos()
            for appearance in payload["appearances"]
        ],
        "identities": [asdict(identity) for identity in index.identities()],
        "index": {
            "videos": [_without(payload, "registry_id", "run") for payload in index.videos()],
            "faces": [_without(point.payload, "run") for point in index.faces()],
        },
        "crops": [
            {"key": info.key, "sha256": hashlib.sha256(registry.blobs.get(info.key)).hexdigest()}
            for info in registry.blobs.list("crops/")
        ],
        "calibration": _calibration(registry),
        "decisions": [
            _without(decision.as_dict(), "at", "by") for decision in registry.decisions.read()
        ],
    }


def _calibration(registry: Registry) -> dict[str, Any] | None:
    found = operating.read(registry.blobs)
    return None if found is None else dict(_without(found.as_dict(), "at", "by"))


def _video(video: Video) -> dict[str, Any]:
    return {
        "video_id": video.video_id,
        "url": video.url,
        "metrics": dict(sorted(video.metrics.items())),
        "status": str(video.status),
        "reason": video.reason,
        "media": asdict(video.media),
        "faces": [_face(face) for face in video.faces],
    }


def _face(face: Face) -> dict[str, Any]:
    return {
        "face_id": face.face_id,
        "identity_id": face.identity_id,
        "frame": face.frame,
        "position": face.position,
        "time_s": face.time_s,
        "span_s": face.span_s,
        "box": [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
        "landmarks": np.asarray(face.landmarks, dtype=np.float32).ravel().tolist(),
        "det_score": face.det_score,
        "quality": face.quality.score,
        "reasons": list(face.quality.reasons),
        "track": face.track,
        "crop": face.crop,
        "crop_digest": face.crop_digest,
        "embedding_sha256": hashlib.sha256(
            np.ascontiguousarray(face.embedding, dtype="<f4").tobytes()
        ).hexdigest(),
    }


def _without(payload: Payload, *names: str) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name not in names}
