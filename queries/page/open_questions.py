"""The open questions that travel with a page: are these two identities one person?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from queries.identity_effects import effects
from queries.masking import frame_size
from queries.page.asking import Asked
from queries.page.contents import Moment, OpenQuestion, Side
from queries.page.links import link_to_second
from queries.page.pictures import QUESTION, FoundFace, data_url, found_face
from queries.page.redaction import Redaction
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Identity
from registry.people.joining import Suggestion
from registry.terminal import count, short

MOST = 40
"""Questions of a page: each has up to six pictures of 4 to 5 kB."""
_FACES = 3


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of a page, and how many there are in all."""

    shown: tuple[OpenQuestion, ...]
    total: int


def open_questions(
    registry: Registry,
    asked: Asked,
    metric: str,
    redaction: Redaction,
    titled: Callable[[str], tuple[str, str]],
) -> Questions:
    """The questions about people that lists show; first those that move a mean most.

    Args:
        registry: an open registry.
        asked: what the page answers: which videos count, and how they are weighted.
        metric: the one that the page is about.
        redaction: without faces nobody can answer, so none is shown.
        titled: given the id of a video, what it is called and its link.
    """
    found = [
        one
        for one in effects(
            registry,
            metric=metric,
            weight=asked.weight,
            selection=asked.selection,
            log=asked.log,
        )
        if not one.suggestion.joins.provisional
    ]
    if redaction.faces:
        return Questions((), len(found))
    shown = []
    for number, effect in enumerate(found[:MOST], 1):
        one = effect.suggestion
        stays = _side(registry, one.stays, redaction, titled)
        shown.append(
            OpenQuestion(
                key=f"q{number}",
                first=one.stays.identity_id,
                second=one.joins.identity_id,
                sides=(stays, _side(registry, one.joins, redaction, titled)),
                effect=redaction.text(effect.sentence_about(stays.label)),
                evidence=_evidence(one),
                reason=redaction.text(one.reason),
            )
        )
    return Questions(tuple(shown), len(found))


def _side(
    registry: Registry,
    identity: Identity,
    redaction: Redaction,
    titled: Callable[[str], tuple[str, str]],
) -> Side:
    moments = []
    for face in _best(registry, identity):
        title, link = titled(face.video_id)
        moments.append(
            Moment(
                picture=data_url(registry, face, QUESTION),
                time_s=face.time_s,
                video="",
                title=title,
                link=link_to_second(link, face.time_s),
            )
        )
    return Side(
        label=redaction.name(identity.name) or short(identity.identity_id),
        about=f"{count(identity.videos, 'video')}, {identity.screen_time_s:,.0f} s on screen",
        moments=tuple(moments),
    )


def _best(registry: Registry, identity: Identity) -> list[FoundFace]:
    """The best faces of an identity, each of another video where there are enough."""
    faces = sorted(
        registry.index.faces_of(identity.identity_id),
        key=lambda face: (
            face.face_id != identity.cover_face,
            bool(face.quality.reasons),
            -face.quality.score,
            face.face_id,
        ),
    )
    chosen = _first_of(faces, lambda face: face.video_id)
    chosen += [face for face in _first_of(faces, _track) if face not in chosen]
    return [_with_frame(registry, face) for face in chosen[:_FACES]]


def _track(face: IndexedFace) -> str:
    return f"{face.video_id} {face.track}"


def _first_of(faces: list[IndexedFace], group: Callable[[IndexedFace], str]) -> list[IndexedFace]:
    first: dict[str, IndexedFace] = {}
    for face in faces:
        first.setdefault(group(face), face)
    return list(first.values())


def _with_frame(registry: Registry, face: IndexedFace) -> FoundFace:
    frame = [one for one in registry.index.faces_in(face.video_id) if one.frame == face.frame]
    return found_face(face.video_id, frame_size(registry, face.video_id), face, frame)


def _evidence(one: Suggestion) -> str:
    parts = [
        f"Alike {one.similarity:.2f} on average",
        f"good faces in {one.tracks[0]} and {one.tracks[1]} tracks",
        f"{count(one.together, 'frame')} with both" if one.together else "never seen together",
    ]
    if one.repeated:
        parts.append(f"{count(one.repeated, 'frame')} in which both are too alike for two people")
    return " · ".join(parts)
