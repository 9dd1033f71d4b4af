"""What people say about footage: these videos are one, or are not. Each is a decision."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from registry import urls
from registry.core.decisions import Decision, Kind
from registry.core.registry import Registry
from registry.errors import UsageError
from registry.store.base import Payload


def join_videos(registry: Registry, keys: Sequence[str]) -> Decision:
    """These videos are the same footage, and count once: as the first one, with its metrics.

    If the first one was joined to another video before, all count as that one.

    Args:
        registry: an open registry.
        keys: two or more URLs, ids or unique beginnings of ids.

    Raises:
        UnknownError: there is no such video.
        UsageError: one is given twice, all are one video already, or two were separated.
    """
    found = _distinct(registry, keys)
    view = registry.view
    for one, other in combinations(found, 2):
        number = view.separated_videos(one["video_id"], other["video_id"])
        if number is not None:
            raise UsageError(
                f"Decision {number} says that {_called(one)} and {_called(other)} are not the same "
                f"footage. Run `face-registry videos undo {number}` to take that back."
            )
    if len({view.counted_video(payload["video_id"]) for payload in found}) == 1:
        counted = view.counted_video(found[0]["video_id"])
        raise UsageError(f"These videos are one already: they count as {counted}.")
    videos = tuple(payload["video_id"] for payload in found)
    return registry.decide(Decision(0, Kind.JOIN_VIDEOS, videos=videos))


def separate_videos(registry: Registry, one: str, other: str) -> Decision:
    """Two videos are not the same footage: they are never suggested or joined again.

    Raises:
        UnknownError: there is no such video.
        UsageError: they are one video, or separated already.
    """
    first, second = _distinct(registry, (one, other))
    pair = first["video_id"], second["video_id"]
    number = registry.view.separated_videos(*pair)
    if number is not None:
        raise UsageError(
            f"Decision {number} separates {_called(first)} and {_called(second)} already."
        )
    return registry.decide(Decision(0, Kind.SEPARATE_VIDEOS, videos=pair))


def _distinct(registry: Registry, keys: Sequence[str]) -> list[Payload]:
    if len(keys) < 2:
        raise UsageError("One video is not enough. Name two or more.")
    named: dict[str, str] = {}
    found: list[Payload] = []
    for key in keys:
        payload = registry.video(key)
        if payload["video_id"] in named:
            raise UsageError(
                f"{urls.redacted(named[payload['video_id']])!r} and {urls.redacted(key)!r} are "
                f"one video, {payload['video_id']}. Name others."
            )
        named[payload["video_id"]] = key
        found.append(payload)
    return found


def _called(payload: Payload) -> str:
    return f"{payload['video_id']} ({payload['url']})"
