"""Whether two identities are known to be two people: separated, or seen side by side."""

from __future__ import annotations

from collections import defaultdict

from registry.core.registry import Registry
from registry.domain import Box
from registry.faces.boxes import SAME_FACE, overlap


def known_apart(registry: Registry, one: str, other: str) -> str:
    """A sentence on how two identities are known to be two people; empty if they are not."""
    number = registry.view.separated(one, other)
    if number:
        return f"Decision {number} separates them."
    return seen_side_by_side(registry, one, other)


def seen_side_by_side(registry: Registry, one: str, other: str) -> str:
    """A sentence on a frame that shows both of two identities; empty if there is none."""
    index = registry.index
    shared = set(index.video_ids([one])) & set(index.video_ids([other]))
    boxes: dict[tuple[str, int], list[Box]] = defaultdict(list)
    for face in index.faces_of(one) if shared else ():
        boxes[face.video_id, face.frame].append(face.box)
    for face in index.faces_of(other) if shared else ():
        here = boxes.get((face.video_id, face.frame), ())
        if any(overlap(box, face.box) <= SAME_FACE for box in here):
            return f"They are side by side in {face.video_url} at {face.time_s:.1f} s."
    return ""
