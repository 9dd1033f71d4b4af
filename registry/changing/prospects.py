"""How many people consolidation would make of records that are not yet the registry's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from registry.appearances import identities
from registry.changing.comparing import shown
from registry.domain import ModelInfo, Vectors, Video
from registry.models.catalogue import linkage_threshold
from registry.people import joining
from registry.people.evidence import weigh
from registry.registry import Registry


def likely_duplicates(registry: Registry, videos: Sequence[Video], model: ModelInfo) -> int:
    """How many identities would join others, if these were the records, provisional ones aside.

    Args:
        registry: says what people decided.
        videos: records with embeddings of `model`.
        model: whose linkage threshold counts.
    """
    view = registry.view
    as_seen = [shown(video, view) for video in videos]
    everyone = identities(as_seen, view.name_of)
    evidence = weigh(registry, _points(as_seen), everyone, model.dimension)
    groups = joining.duplicates(registry, evidence, threshold=linkage_threshold(model))
    return joining.joining_others(groups, everyone)


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
