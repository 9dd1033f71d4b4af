"""Videos on record as an ingest looks them up: by id, by another name, or by content.

`details` are the fields of a video's payload that these lookups and lists need; they are left out
where they have no content.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from registry import ids
from registry.core.records import (
    attributes_as_json,
    attributes_from_json,
    weights_as_json,
    weights_from_json,
)
from registry.domain import Attribute, Source, Status, Video, Weighted
from registry.errors import StoreCorrupt, UsageError
from registry.store.base import Payload
from registry.urls import Url, canonical

ALIASES, CONTENT = "aliases", "content"
"""Fields of a video's payload that filters find."""


@dataclass(frozen=True, slots=True)
class KnownVideo:
    """A video on record, without its faces; fields as in `registry.domain.Video`."""

    video_id: str
    url: Url
    status: Status
    reason: str
    run: str
    metrics: Mapping[str, float]
    """Rounded to 15 digits, as the index keeps them; `weights` too."""
    aliases: frozenset[str] = frozenset()
    """Ids of its other names."""
    content: str = ""
    """SHA-256; empty: unknown."""
    size: int = 0
    """Bytes of the content."""
    source: Source | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    weights: Mapping[str, Weighted] = field(default_factory=dict)


def aliases(video: Video) -> list[str]:
    """The ids, other than its own, under which a row may look a video up.

    Those of its other names, and of what this version calls the URLs that an earlier version named.
    """
    found: set[str] = set()
    for name in (video.url, *video.names):
        found.add(ids.video_id(name))
        with suppress(UsageError):
            found.add(ids.video_id(canonical(name.exposed())))
    return sorted(found - {video.video_id})


def details(video: Video) -> dict[str, Any]:
    """The fields of a video's payload beside those that every video has."""
    fields: dict[str, Any] = {
        ALIASES: aliases(video),
        CONTENT: video.content.sha256 if video.content else "",
        "size": video.content.size if video.content else 0,
        "source": asdict(video.source) if video.source else None,
        "attributes": attributes_as_json(video.attributes),
        "weights": weights_as_json(video.weights),
    }
    return {name: value for name, value in fields.items() if value}


def known_in(payload: Payload) -> KnownVideo:
    """The video in a payload. Raises `StoreCorrupt`."""
    try:
        return KnownVideo(
            video_id=payload["video_id"],
            url=Url(payload["url"]),
            status=Status(payload["status"]),
            reason=payload["reason"],
            run=payload["run"],
            metrics=payload["metrics"],
            aliases=frozenset(payload.get(ALIASES, ())),
            content=payload.get(CONTENT, ""),
            size=payload.get("size", 0),
            source=Source(**payload["source"]) if "source" in payload else None,
            attributes=attributes_from_json(payload.get("attributes", {})),
            weights=weights_from_json(payload.get("weights", {})),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise StoreCorrupt(
            f"The index holds a damaged video ({type(exc).__name__}: {exc}). "
            "Run `face-registry reindex` to rebuild it."
        ) from exc
