"""What a registry holds: counted (`status`), and in full, to compare registries (`dump`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from registry.core import clock, keys, retention
from registry.core import operating_point as operating
from registry.core.decisions import View
from registry.core.operating_point import current_thresholds
from registry.core.records import details_as_json
from registry.core.registry import Registry
from registry.core.staging import Staging
from registry.core.table_settings import load_table_settings
from registry.domain import Face, Status, Video
from registry.upkeep.index_comparison import comparable_payloads


def status(registry: Registry) -> dict[str, Any]:
    """Return the document of `status --json`; of an empty registry, only where it is."""
    places = {
        "home": str(registry.settings.home),
        "objects": registry.blobs.describe(),
        "index": registry.store.describe(),
    }
    if registry.is_empty:
        return {**places, "empty": True}
    contract, index = registry.contract, registry.index
    everyone = list(index.identities())
    identities = [one for one in everyone if not one.provisional]
    begun = Staging(registry.blobs).describe()
    lines = current_thresholds(registry)
    return {
        **places,
        "empty": False,
        "model": contract.model.name,
        "model_digest": contract.model.digest,
        "dimension": contract.model.dimension,
        "threshold": contract.threshold,
        "thresholds": {
            "lookup": round(lines.lookup, 4),
            "linkage": round(lines.linkage, 4),
            "source": lines.warning or lines.source,
        },
        "every": contract.every,
        "max_gap_s": contract.max_gap_s,
        "cuts": contract.cuts,
        "primary_metric": contract.primary_metric,
        "table": load_table_settings(registry.blobs).as_dict(),
        "retention_days": retention.days(registry.blobs),
        "clock": clock.doubts(registry.blobs) or None,
        "videos": {str(s): index.count_videos(status=s) for s in Status},
        # Each face has an identity. To count the faces themselves, they would have to be loaded.
        "faces": sum(one.faces for one in everyone),
        "identities": {
            "total": len(identities),
            "named": sum(bool(i.name) for i in identities),
            "in_one_video": sum(i.videos == 1 for i in identities),
            "provisional": len(everyone) - len(identities),
        },
        **({"change_begun": begun} if begun else {}),
    }


def dump(registry: Registry) -> dict[str, Any]:
    """Return the document of `status --dump`: records, index, crops and decisions.

    Two registries with the same content give the same document, wherever they are stored. It omits
    what may differ between them: times of runs and decisions, ids of runs and of the registry.
    Vectors and crops are given as digests, so it contains no biometric template. The order depends
    on the content alone. The `identity_id` of a face is what decisions made of it;
    `assigned_identity_id` is the one that the rule gave it, which its record holds.
    """
    if registry.is_empty:
        return {"contract": None}
    index, contract = registry.index, registry.contract.as_dict()
    contract.pop("registry_id")
    for earlier in contract.get("earlier_models", ()):
        earlier.pop("until")
    return {
        "contract": contract,
        "retention_days": retention.days(registry.blobs),
        "table": load_table_settings(registry.blobs).as_dict(),
        "rereads": registry.rereads.marked(),
        "videos": [_video(video, registry.view) for video in registry.records.all()],
        "appearances": [
            {"video_id": video.video_id, **asdict(appearance)}
            for video in index.videos()
            for appearance in video.appearances
        ],
        "identities": [asdict(identity) for identity in index.identities()],
        "index": comparable_payloads(index),
        "crops": [
            {"key": info.key, "sha256": hashlib.sha256(registry.blobs.get(info.key)).hexdigest()}
            for info in registry.blobs.list(keys.CROPS)
        ],
        "calibration": _calibration(registry),
        "decisions": [
            _without(decision.as_dict(), "at", "by") for decision in registry.decisions.entries()
        ],
    }


def _calibration(registry: Registry) -> dict[str, Any] | None:
    calibration = operating.load_calibration(registry.blobs)
    return None if calibration is None else _without(calibration.as_dict(), "at", "by")


def _video(video: Video, view: View) -> dict[str, Any]:
    return {
        "video_id": video.video_id,
        "url": video.url.exposed(),
        "metrics": dict(sorted(video.metrics.items())),
        "status": str(video.status),
        "reason": video.reason,
        "media": asdict(video.media),
        "faces": [_face(face, view) for face in video.faces],
        **_details(video),
    }


def _details(video: Video) -> dict[str, Any]:
    """What is known of file and rows, without the ids of runs."""
    details = details_as_json(video)
    for values in details.get("history", {}).values():
        for value in values:
            value[0] = ""
    return details


def _face(face: Face, view: View) -> dict[str, Any]:
    return {
        "face_id": face.face_id,
        "identity_id": view.identity_of(face),
        "assigned_identity_id": face.identity_id,
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


def _without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}
