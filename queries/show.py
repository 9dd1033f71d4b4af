"""Videos and identities as the documents that `--json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from registry.domain import Identity
from registry.store.base import Payload

_APPEARANCE = (
    "identity_id",
    "faces",
    "first_s",
    "last_s",
    "screen_time_s",
    "best_face",
    "best_crop",
)


def identity_document(identity: Identity) -> dict[str, Any]:
    """One identity."""
    body = asdict(identity)
    return {"identity": body.pop("identity_id"), **body}


def video_documents(
    payloads: Iterable[Payload], identity_id: str | None = None
) -> list[dict[str, Any]]:
    """Videos by URL; with `identity_id`, only its appearances in them."""
    documents = [_document(payload, identity_id) for payload in payloads]
    return sorted(documents, key=lambda document: document["url"])


def _document(payload: Payload, identity_id: str | None) -> dict[str, Any]:
    return {
        "video": payload["video_id"],
        "url": payload["url"],
        "status": payload["status"],
        "reason": payload["reason"],
        "metrics": payload["metrics"],
        "frames": payload["media"]["frames_sampled"],
        "faces": payload["faces"],
        "media": payload["media"],
        "appearances": [
            {key: appearance[key] for key in _APPEARANCE}
            for appearance in payload["appearances"]
            if identity_id in (None, appearance["identity_id"])
        ],
    }
