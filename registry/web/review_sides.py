"""What the review shows of each of the two people, and what an answer would change."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from queries.averages import average_of
from queries.figures import figure
from queries.identity_effects import effect_of_joining
from queries.page.marks import clock
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Identity
from registry.people.joining import Suggestion
from registry.terminal import count
from registry.web.video_names import name_of

FACES = 6
"""Faces that are shown of each side."""


@dataclass(frozen=True, slots=True)
class ShownFace:
    """One face of a side."""

    crop: str
    video_id: str
    video: str
    """Name of the video."""
    time_s: float
    time: str


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two people of a question."""

    identity: Identity
    metric: str
    mean: float | None
    """Of the metric, over the videos with this person; None: no video counts."""
    faces: tuple[ShownFace, ...]


def side_of(registry: Registry, identity: Identity) -> Side:
    """What to show of a person."""
    faces = telling_faces(registry.index.faces_of(identity.identity_id))
    names = {
        video.video_id: name_of(video.url)
        for video in registry.index.videos([identity.identity_id])
    }
    metric = registry.contract.primary_metric
    mean = average_of(registry, identity.identity_id).get(metric, math.nan)
    return Side(
        identity,
        metric,
        None if math.isnan(mean) else mean,
        tuple(
            ShownFace(
                face.crop, face.video_id, names[face.video_id], face.time_s, clock(face.time_s)
            )
            for face in faces
        ),
    )


def telling_faces(faces: Iterable[IndexedFace], most: int = FACES) -> list[IndexedFace]:
    """The best faces of a person: from different videos first, then from different tracks."""
    best: dict[tuple[str, int], IndexedFace] = {}
    for face in faces:
        known = best.get((face.video_id, face.track))
        if known is None or face.quality.score > known.quality.score:
            best[face.video_id, face.track] = face
    ranked = sorted(best.values(), key=lambda face: (-face.quality.score, face.face_id))
    videos: dict[str, int] = {}
    turns = []
    for face in ranked:
        turns.append((videos.setdefault(face.video_id, 0), face))
        videos[face.video_id] += 1
    turns.sort(key=lambda turn: turn[0])
    return [face for _, face in turns[:most]]


def effect_of_same(registry: Registry, suggestion: Suggestion) -> str:
    """What “same” would change in the table, in a sentence.

    Args:
        registry: an open registry.
        suggestion: the pair, with its identities as they are now.
    """
    effect = effect_of_joining(registry, suggestion)
    stays, joins = suggestion.stays, suggestion.joins
    who = stays.name or "this person"
    sentence = (
        f"If they are the same, {who} has {count(effect.videos_after, 'video')} instead of "
        f"{effect.videos_before}"
    )
    before, after = figure(effect.before), figure(effect.after)
    if not math.isfinite(effect.after):
        return f"If they are the same, {stays.videos} and {joins.videos} videos are of one person."
    if not math.isfinite(effect.before):
        return f"{sentence}, and a {effect.metric} of {after}."
    change = "stays" if before == after else f"becomes {after}"
    return f"{sentence}, and {effect.metric} {before} {change}."
