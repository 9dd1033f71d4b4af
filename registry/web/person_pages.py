"""The page of one person: the name, every face by track, and every video with its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from queries.page.marks import Lane, clock, lane, place_of_opening
from registry.core.decisions import DecisionKind, in_effect
from registry.core.points import IndexedFace, IndexedVideo
from registry.core.registry import Registry
from registry.erasure.previews import preview_of_person
from registry.errors import UsageError
from registry.people import corrections
from registry.people.corrections import FaceSelection
from registry.terminal import count
from registry.web.media import local_file
from registry.web.people_pages import everybody
from registry.web.rendering import (
    after_form,
    form_handler,
    local_path,
    page,
    segment,
    text_field,
    text_fields,
)
from registry.web.site import alone, deciding, site_of, tell
from registry.web.video_names import address_of, name_of

_SHOWN = 12
"""Faces of a track that are shown at first, evenly spread."""
_TRACKS = 60
"""Tracks that are shown at first."""


@dataclass(frozen=True, slots=True)
class Track:
    """The faces of a person in one track of a video."""

    key: str
    """VIDEO:N, as `FaceSelection` takes it."""
    faces: tuple[IndexedFace, ...]
    """Those that are shown, by time."""
    count: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class VideoOfPerson:
    """One video with the person in it."""

    video: IndexedVideo
    name: str
    address: str
    """Where the video itself is; empty if it cannot be linked."""
    at_hand: bool
    """Whether its file is on this machine, so that the moment plays here."""
    lane: Lane | None
    third: float | None
    first_s: float
    screen_time_s: float
    tracks: tuple[Track, ...]


def person(request: Request) -> Response:
    """The page of one person."""
    everything = request.query_params.get("all") == "1"
    with site_of(request).workspace.reading() as registry:
        identity = registry.identity(request.path_params["person"])
        faces = list(registry.index.faces_of(identity.identity_id))
        videos = _videos(registry, identity.identity_id, faces, everything=everything)
        hidden_by = _hidden_by(registry, identity.identity_id)
        primary = registry.contract.primary_metric
    return page(
        request,
        "person.html",
        person=identity,
        row=everybody(request).get(identity.identity_id),
        videos=videos,
        metric=primary,
        hidden_by=hidden_by,
        everything=everything,
        tracks=sum(len(one.tracks) for one in videos),
    )


def _hidden_by(registry: Registry, identity_id: str) -> int:
    """Number of the decision that hides a person; 0: none does."""
    if identity_id not in registry.view.hidden:
        return 0
    return max(
        (
            one.number
            for one in in_effect(registry.decisions.entries())
            if one.kind is DecisionKind.HIDE and identity_id in one.identities
        ),
        default=0,
    )


def _videos(
    registry: Registry, identity_id: str, faces: Sequence[IndexedFace], *, everything: bool
) -> list[VideoOfPerson]:
    by_video: dict[str, dict[int, list[IndexedFace]]] = defaultdict(lambda: defaultdict(list))
    for face in sorted(faces, key=lambda face: (face.frame, face.face_id)):
        by_video[face.video_id][face.track].append(face)
    primary = registry.contract.primary_metric
    shown, left = [], len(faces) if everything else _TRACKS
    videos = sorted(
        registry.index.videos([identity_id]),
        key=lambda one: (-one.metrics.get(primary, float("-inf")), one.url.exposed()),
    )
    for video in videos:
        tracks = tuple(
            _track(video.video_id, number, seen, everything=everything)
            for number, seen in sorted(by_video[video.video_id].items())
        )
        shown.append(_video(video, identity_id, by_video[video.video_id], tracks[: max(0, left)]))
        left -= len(tracks)
    return shown


def _video(
    video: IndexedVideo,
    identity_id: str,
    seen: dict[int, list[IndexedFace]],
    tracks: tuple[Track, ...],
) -> VideoOfPerson:
    [appearance] = [one for one in video.appearances if one.identity_id == identity_id]
    duration = video.media.duration_s
    stretches = sorted((faces[0].time_s, faces[-1].time_s) for faces in seen.values())
    return VideoOfPerson(
        video,
        name_of(video.url),
        address_of(video.url),
        local_file(video) is not None,
        lane(identity_id, stretches, duration) if duration else None,
        place_of_opening(duration),
        appearance.first_s,
        appearance.screen_time_s,
        tracks,
    )


def _track(video_id: str, number: int, faces: Sequence[IndexedFace], *, everything: bool) -> Track:
    step = 1 if everything else max(1, -(-len(faces) // _SHOWN))
    return Track(
        f"{video_id}:{number}",
        tuple(faces[::step]),
        len(faces),
        clock(faces[0].time_s),
        clock(faces[-1].time_s),
    )


@form_handler
def rename(request: Request, form: FormData) -> Response:
    """Give a person a name, or take it away."""
    with deciding(request) as registry:
        decision = registry.name(request.path_params["person"], text_field(form, "name"))
    words = f"The name is {decision.name} now." if decision.name else "The name is removed."
    tell(request, words, decision=decision.number)
    back = text_field(form, "back")
    return after_form(local_path(back) if back else f"/people/{segment(decision.identity_id)}")


@form_handler
def split(request: Request, form: FormData) -> Response:
    """Split the selected tracks and faces off."""
    selection = FaceSelection(tracks=text_fields(form, "track"), faces=text_fields(form, "face"))
    if not selection.tracks and not selection.faces:
        raise UsageError("Select the tracks or faces that are somebody else.")
    with site_of(request).workspace.changing() as registry:
        decision = corrections.split(registry, request.path_params["person"], selection)
    named = f" The name {decision.name} goes along." if decision.name else ""
    were = "was" if len(decision.faces) == 1 else "were"
    tell(
        request,
        f"{count(len(decision.faces), 'face')} {were} split off: this is the new person.{named}",
        decision=decision.number,
    )
    return after_form(f"/people/{segment(decision.new_identity)}")


@form_handler
def separate(request: Request, form: FormData) -> Response:
    """Say that this person and another one are two people."""
    person, other = request.path_params["person"], text_field(form, "other")
    with deciding(request) as registry:
        decision = corrections.separate(registry, person, other)
    tell(request, "They are two people, and not suggested again.", decision=decision.number)
    return after_form(local_path(text_field(form, "back")))


@form_handler
def forget(request: Request, form: FormData) -> Response:
    """Erase a person for good, after a page that says what goes."""
    block = bool(text_field(form, "block"))
    key = request.path_params["person"]
    if not text_field(form, "sure"):
        with site_of(request).workspace.reading() as registry:
            identity = registry.identity(key)
            lines = list(preview_of_person(registry, identity, block=block))
        return page(request, "forget.html", person=identity, lines=lines)
    with alone(request, "Erase when it has finished.") as registry:
        receipt = registry.forget(key, block=block)
    removed = ", ".join(f"{number} {what}" for what, number in receipt["removed"].items())
    tell(request, f"Erased for good: {removed}. The receipt is kept with the registry.")
    return after_form("/")
