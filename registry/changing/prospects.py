"""How many people consolidation would make of records that are not yet the registry's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from registry.appearances import appearances, identity
from registry.domain import Appearance, Identity, ModelInfo, Vectors, Video
from registry.models.catalogue import linkage_threshold
from registry.people.evidence import weigh
from registry.people.joining import duplicates
from registry.registry import Registry


def likely_duplicates(registry: Registry, videos: Sequence[Video], model: ModelInfo) -> int:
    """How many identities would join others, if these were the records.

    Args:
        registry: says what people decided.
        videos: records with embeddings of `model`.
        model: whose linkage threshold counts.
    """
    view = registry.view
    shown = [
        replace(v, faces=tuple(replace(f, identity_id=view.identity_of(f)) for f in v.faces))
        for v in videos
    ]
    evidence = weigh(registry, _points(shown), _identities(registry, shown), model.dimension)
    groups = duplicates(registry, evidence, threshold=linkage_threshold(model))
    return sum(len(group) - 1 for group in groups)


def _points(videos: Sequence[Video]) -> Iterator[tuple[dict[str, Any], Vectors]]:
    for video in videos:
        for face in video.faces:
            payload = {
                "identity_id": face.identity_id,
                "video_id": video.video_id,
                "track": face.track,
                "frame": face.frame,
                "box": [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
                "quality": face.quality.score,
                "reasons": list(face.quality.reasons),
            }
            yield payload, face.embedding


def _identities(registry: Registry, videos: Sequence[Video]) -> list[Identity]:
    seen: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
    for video in videos:
        for appearance in appearances(video.faces):
            seen[appearance.identity_id].append((video.video_id, appearance))
    found = [identity(i, registry.view.name_of(i), where) for i, where in seen.items()]
    return [one for one in found if one is not None]
