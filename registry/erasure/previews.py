"""What an erasure is going to remove, as lines to show before the question. Reads the index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from registry.core.registry import Registry
from registry.core.selectors import list_some
from registry.domain import Identity
from registry.terminal import count, person

_SHOWN = 20
"""The most lines of each list."""


def preview_of_person(registry: Registry, identity: Identity, *, block: bool) -> Iterator[str]:
    """The lines for `identities forget`."""
    who = identity.identity_id
    videos = [str(video.url) for video in registry.index.videos([who])]
    faces = count(registry.index.count_faces_of(who), "face and picture", "faces and pictures")
    yield f"{person(who, identity.name)} would be removed for good:"
    yield f"  {faces} in {count(len(videos), 'video')}: {list_some(videos)}"
    merged = [other for other in registry.view.parents if registry.view.root(other) == who]
    if merged:
        were = "identity that was" if len(merged) == 1 else "identities that were"
        yield f"  {len(merged):,} {were} joined to this one"
    if identity.name:
        yield f"  the name {identity.name}, everywhere"
    if block:
        yield "  A template of the face is kept, so that the person is not recorded again."
    else:
        yield "  The person is recorded again when one of the videos is read again (see --block)."


def preview_of_videos(registry: Registry, video_ids: Sequence[str]) -> Iterator[str]:
    """The lines for `videos remove`: the videos, and who is in no other video."""
    going, here, elsewhere = [], set[str](), set[str]()
    wanted = set(video_ids)
    for video in registry.index.videos():
        seen = {appearance.identity_id for appearance in video.appearances}
        if video.video_id in wanted:
            going.append(video)
            here |= seen
        else:
            elsewhere |= seen
    faces = count(sum(video.faces for video in going), "face")
    yield f"{count(len(going), 'video')} with {faces} would be removed for good:"
    yield from _listed([str(video.url) for video in sorted(going, key=lambda v: v.url.exposed())])
    last = registry.index.get_identities(sorted(here - elsewhere)).values()
    people = sorted(
        (one for one in last if not one.provisional),
        key=lambda one: (not one.name, one.name, one.identity_id),
    )
    if people:
        are = "identity is" if len(people) == 1 else "identities are"
        yield f"{len(people):,} {are} in no other video and would be removed too:"
        yield from _listed([person(one.identity_id, one.name) for one in people])
    if provisional := len(last) - len(people):
        yield f"  and {count(provisional, 'provisional identity', 'provisional identities')}"


def _listed(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN:,} more"
