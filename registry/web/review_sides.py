"""What the review shows of each of the two people, and what an answer would change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from queries.averages import average_of
from queries.figures import figure
from queries.page.marks import clock
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Identity
from registry.faces.appearances import mean
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
    """Of the metric, over the videos with this person."""
    faces: tuple[ShownFace, ...]


def side_of(registry: Registry, identity: Identity) -> Side:
    """What to show of a person."""
    faces = telling_faces(registry.index.faces_of(identity.identity_id))
    names = {
        video.video_id: name_of(video) for video in registry.index.videos([identity.identity_id])
    }
    metric = registry.contract.primary_metric
    return Side(
        identity,
        metric,
        average_of(registry, identity.identity_id).get(metric),
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


def effect_of_same(registry: Registry, both: tuple[Identity, Identity]) -> str:
    """What “same” would change in the table, in a sentence."""
    metric = registry.contract.primary_metric
    first, second = both
    videos = list(registry.index.videos([one.identity_id for one in both]))
    counted = {registry.view.counted_video(video.video_id) for video in videos}
    before = average_of(registry, first.identity_id).get(metric)
    values = [video.metrics[metric] for video in videos if metric in video.metrics]
    means = ""
    if before is not None and values:
        means = f", and {metric} {figure(before)} becomes {figure(mean(values))}"
    return (
        f"If they are the same, {first.name or 'this person'} has {count(len(counted), 'video')} "
        f"instead of {first.videos} and {second.videos}{means}."
    )
