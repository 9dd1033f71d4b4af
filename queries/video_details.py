"""What is on record of a video beside who is in it: names, attributes, and how its metrics went."""

from __future__ import annotations

from typing import Any

from queries.documents import shown_attributes
from registry.core.metric_history import history_of
from registry.core.registry import Registry


def video_details(registry: Registry, video_id: str) -> dict[str, Any]:
    """The fields that `videos show --json` has and `videos list --json` has not."""
    video = registry.records.get(video_id)
    if video is None:
        return {}
    metrics = sorted(video.metrics.keys() | video.history.keys())
    return {
        "names": [name.redacted(None) for name in video.names],
        "dropped_parameters": list(video.dropped),
        "content": video.content.sha256 if video.content else None,
        "size": video.content.size if video.content else None,
        "run": video.run,
        "attributes": shown_attributes(video.attributes),
        "weights": {
            name: {"numerator": one.numerator, "weight": one.weight}
            for name, one in sorted(video.weights.items())
        },
        "history": {
            name: [{"run": one.run, "value": one.value} for one in history_of(video, name)]
            for name in metrics
        },
    }
