"""Which metrics count: each video once, and videos that people joined as one video. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

Metrics = Mapping[str, float]
"""Performance by metric name."""


def combined_metrics(videos: Sequence[Metrics]) -> Metrics:
    """The metrics of videos that people joined, from those of each: those of the first one.

    Args:
        videos: at least one; first the video that the others count as.
    """
    return videos[0]


def counted_metrics(
    videos: Iterable[tuple[str, Metrics]], same_as: Mapping[str, str]
) -> dict[str, Metrics]:
    """The metrics of every video that counts, by its id.

    Args:
        videos: id and metrics of each video; of joined videos, all of them.
        same_as: the video that each joined video counts as (`registry.core.decisions.View`).
    """
    groups: dict[str, dict[str, Metrics]] = defaultdict(dict)
    for video_id, metrics in videos:
        groups[same_as.get(video_id, video_id)][video_id] = metrics
    return {
        counts: combined_metrics(
            [members[video] for video in sorted(members, key=lambda v: (v != counts, v))]
        )
        for counts, members in groups.items()
    }


def metrics_by_identity(
    videos: Iterable[tuple[str, Metrics, Iterable[str]]], same_as: Mapping[str, str]
) -> dict[str, list[Metrics]]:
    """The metrics of the distinct videos that show each identity, in the order of the videos.

    Args:
        videos: id, metrics, and the identities that it shows, of each video on record.
        same_as: as for `counted_metrics`.
    """
    found = [(video_id, metrics, tuple(shown)) for video_id, metrics, shown in videos]
    counted = counted_metrics(((video_id, metrics) for video_id, metrics, _ in found), same_as)
    seen: dict[str, dict[str, None]] = defaultdict(dict)
    for video_id, _, shown in found:
        for identity in shown:
            seen[identity][same_as.get(video_id, video_id)] = None
    return defaultdict(list, {i: [counted[video] for video in where] for i, where in seen.items()})
