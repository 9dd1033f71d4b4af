"""The decisions about footage: that videos are the same, or that two videos are not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from registry.core.decisions import Decision, DecisionKind
from registry.core.points import IndexedVideo
from registry.core.registry import Registry
from registry.core.selectors import find_distinct
from registry.errors import UsageError


def join_videos(registry: Registry, keys: Sequence[str]) -> Decision:
    """Decide that videos are the same footage and count once, as the first, with its metrics.

    If the first one was joined to another video before, all count as that one.

    Args:
        registry: an open registry.
        keys: two or more URLs, ids or unique beginnings of ids.

    Raises:
        UnknownError: there is no such video.
        UsageError: fewer than two videos are given, one is given twice, all are joined already, or
            two are separated.
    """
    found = _distinct_videos(registry, keys)
    view = registry.view
    for one, other in combinations(found, 2):
        number = view.separated_videos(one.video_id, other.video_id)
        if number is not None:
            raise UsageError(
                f"Decision {number} says that {_label(one)} and {_label(other)} are not the same "
                f"footage. Run `face-registry videos undo {number}` to take that back."
            )
    if len({view.counted_video(video.video_id) for video in found}) == 1:
        counted = view.counted_video(found[0].video_id)
        raise UsageError(f"These videos are joined already. They count as {counted}.")
    videos = tuple(video.video_id for video in found)
    return registry.decide(Decision(0, DecisionKind.JOIN_VIDEOS, videos=videos))


def separate_videos(registry: Registry, one: str, other: str) -> Decision:
    """Decide that two videos are not the same footage: they are never listed or joined again.

    Raises:
        UnknownError: there is no such video.
        UsageError: both are one video, or they are joined or separated already.
    """
    first, second = _distinct_videos(registry, (one, other))
    pair = first.video_id, second.video_id
    number = registry.view.separated_videos(*pair)
    if number is not None:
        raise UsageError(
            f"Decision {number} says already that {_label(first)} and {_label(second)} are not the "
            "same footage."
        )
    return registry.decide(Decision(0, DecisionKind.SEPARATE_VIDEOS, videos=pair))


def _distinct_videos(registry: Registry, keys: Sequence[str]) -> list[IndexedVideo]:
    """The videos of these keys, two or more. Raises `UsageError` if two are the same."""
    if len(keys) < 2:
        raise UsageError("One video is not enough. Name two or more.")
    return find_distinct(keys, registry.video, lambda video: video.video_id, "video")


def _label(video: IndexedVideo) -> str:
    return f"{video.video_id} ({video.url})"
