"""The JSON API under /api: what the pages do, for scripts.

`OPERATIONS` lists every operation once. Routes and the OpenAPI description are made from it, so
that neither says more than the other. Documents are those that the commands print with `--json`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from queries.documents import (
    decision_documents,
    identity_document,
    identity_documents,
    listed,
    report_head,
    track_documents,
    video_documents,
)
from queries.report import SORTS, report
from queries.screen_time import timeline
from queries.video_details import video_details
from registry.core.decisions import Decision
from registry.core.registry import Registry
from registry.errors import UsageError
from registry.people import corrections, joining
from registry.people.corrections import FaceSelection
from registry.web.site import site_of

Key = Annotated[str, Field(min_length=1, max_length=300)]
"""An id, a unique beginning of one, or a name."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Naming(_Body):
    """The name of a person."""

    name: Annotated[str, Field(max_length=200, description="Empty: take the name away.")]


class SeveralPeople(_Body):
    """Some people."""

    people: Annotated[list[Key], Field(min_length=1, max_length=1000)]


class Merge(_Body):
    """People who are one."""

    people: Annotated[list[Key], Field(min_length=2, max_length=1000)]
    sure: Annotated[bool, Field(description="Merge although something speaks against it.")] = False


class Split(_Body):
    """Faces that are somebody else."""

    tracks: Annotated[list[Key], Field(max_length=1000, description="VIDEO:N")] = []
    faces: Annotated[list[Key], Field(max_length=1000, description="Ids, or VIDEO:N:FRAME")] = []


class TwoPeople(_Body):
    """Two people who are not one."""

    one: Key
    other: Key


class Undo(_Body):
    """Which decision to take back."""

    number: Annotated[
        int | None, Field(ge=1, le=10**9, description="By default the last one that counts.")
    ] = None


class Listing(_Body):
    """Which people are listed."""

    provisional: Annotated[
        Literal["true", "false"], Field(description="Also hidden people and those of poor faces.")
    ] = "false"


class Question(_Body):
    """What the report is about."""

    metric: Annotated[str, Field(max_length=200, description="By default the primary one.")] = ""
    sort: Annotated[Literal[SORTS], Field(description="Order of the rows.")] = "shrunk"  # type: ignore[valid-type]


@dataclass(frozen=True, slots=True)
class Call:
    """A request as an operation sees it."""

    request: Request
    path: dict[str, str]
    body: Any
    """The model of the operation; for an upload, bytes."""
    query: Any


Work = Callable[[Registry, Call], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API."""

    method: str
    path: str
    summary: str
    work: Work
    changes: bool = False
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    upload: bool = False
    """The body is a picture."""

    @property
    def name(self) -> str:
        """Identifier of the operation in the description."""
        return self.work.__name__.strip("_")


class Refused(Exception):
    """A change that needs `sure`."""

    def __init__(self, warnings: list[str]) -> None:
        """`warnings` say what speaks against it."""
        super().__init__(" ".join(warnings))


def _status(registry: Registry, call: Call) -> dict[str, Any]:
    site = site_of(call.request)
    progress = site.desk.progress
    return {
        "empty": registry.is_empty,
        "videos": 0 if registry.is_empty else registry.index.count_videos(),
        "people": 0 if registry.is_empty else registry.index.count_identities(),
        "ingest": None
        if progress is None
        else {
            "table": progress.name,
            "total": progress.total,
            "done": progress.done,
            "failed": len(progress.failures),
            "over": progress.is_over,
            "error": progress.error,
        },
    }


def _people(registry: Registry, call: Call) -> dict[str, Any]:
    hidden_too = call.query.provisional == "true"
    identities = registry.index.identities(provisional=hidden_too)
    return {"identities": identity_documents(identities)}


def _person(registry: Registry, call: Call) -> dict[str, Any]:
    person = registry.identity(call.path["person"])
    tracks = track_documents(registry.index.faces_of(person.identity_id))
    videos = video_documents(
        registry.index.videos([person.identity_id]),
        keep=person.identity_id.__eq__,
        same_as=registry.view.same_as,
    )
    shown = [{**video, "tracks": tracks[video["video"]]} for video in videos]
    return {**identity_document(person), "appearances": shown}


def _name_person(registry: Registry, call: Call) -> dict[str, Any]:
    return _decided(registry, registry.name(call.path["person"], call.body.name))


def _merge_people(registry: Registry, call: Call) -> dict[str, Any]:
    warnings = corrections.merge_warnings(registry, call.body.people)
    if warnings and not call.body.sure:
        raise Refused(warnings)
    return _decided(registry, corrections.merge(registry, call.body.people))


def _split_person(registry: Registry, call: Call) -> dict[str, Any]:
    selection = FaceSelection(tracks=tuple(call.body.tracks), faces=tuple(call.body.faces))
    return _decided(registry, corrections.split(registry, call.path["person"], selection))


def _separate_people(registry: Registry, call: Call) -> dict[str, Any]:
    return _decided(registry, corrections.separate(registry, call.body.one, call.body.other))


def _hide_people(registry: Registry, call: Call) -> dict[str, Any]:
    return _decided(registry, corrections.hide(registry, call.body.people))


def _consolidate(registry: Registry, call: Call) -> dict[str, Any]:
    del call
    before = registry.index.count_identities()
    decision = joining.consolidate(registry)
    return joining.consolidation_document(decision, before, registry.index.count_identities())


def _undo(registry: Registry, call: Call) -> dict[str, Any]:
    _, decision = corrections.undo(registry, call.body.number)
    return _decided(registry, decision)


def _suggestions(registry: Registry, call: Call) -> dict[str, Any]:
    del call
    return {"suggestions": [one.as_dict() for one in joining.suggest(registry)]}


def _decisions(registry: Registry, call: Call) -> dict[str, Any]:
    del call
    return {"decisions": decision_documents(registry.decisions.entries())}


def _videos(registry: Registry, call: Call) -> dict[str, Any]:
    keep = listed(registry, provisional=call.query.provisional == "true")
    return {"videos": video_documents(registry.index.videos(), keep, registry.view.same_as)}


def _video(registry: Registry, call: Call) -> dict[str, Any]:
    found = registry.video(call.path["video"])
    keep = listed(registry, provisional=False)
    [document] = video_documents([found], keep, registry.view.same_as)
    people = [
        {
            "identity": one.identity_id,
            "seconds": one.seconds,
            "share": one.share,
            "intervals": [
                {"start_s": each.start_s, "end_s": each.end_s, "size": each.size}
                for each in one.intervals
            ],
        }
        for one in timeline(registry, found.video_id)
    ]
    return {**document, **video_details(registry, found.video_id), "timeline": people}


def _report(registry: Registry, call: Call) -> dict[str, Any]:
    metric = (call.query.metric,) if call.query.metric else ()
    table = report(registry, metric, sort=call.query.sort)
    return {**report_head(registry, None), "rows": table.to_dict(orient="records")}


def _lookup(registry: Registry, call: Call) -> dict[str, Any]:
    del registry
    if not call.body:
        raise UsageError("No picture was sent. Send the bytes of one as the body.")
    return site_of(call.request).workspace.look_up(call.body).as_dict()


def _decided(registry: Registry, decision: Decision) -> dict[str, Any]:
    [document] = [
        one
        for one in decision_documents(registry.decisions.entries())
        if one["decision"] == decision.number
    ]
    return document


OPERATIONS = (
    Operation("GET", "/api/status", "What the registry holds, and the ingest under way", _status),
    Operation("GET", "/api/people", "All people", _people, query=Listing),
    Operation("POST", "/api/people/merge", "Merge people who are one", _merge_people, True, Merge),
    Operation("POST", "/api/people/hide", "Hide people", _hide_people, True, SeveralPeople),
    Operation(
        "POST", "/api/people/separate", "Separate two people", _separate_people, True, TwoPeople
    ),
    Operation("POST", "/api/people/consolidate", "Join all certain pairs", _consolidate, True),
    Operation("GET", "/api/people/{person}", "One person with videos and tracks", _person),
    Operation("PUT", "/api/people/{person}/name", "Name a person", _name_person, True, Naming),
    Operation("POST", "/api/people/{person}/split", "Split faces off", _split_person, True, Split),
    Operation("GET", "/api/suggestions", "Pairs of people who may be one", _suggestions),
    Operation("GET", "/api/decisions", "The log of decisions", _decisions),
    Operation("POST", "/api/decisions/undo", "Take a decision back", _undo, True, Undo),
    Operation("GET", "/api/videos", "All videos", _videos, query=Listing),
    Operation("GET", "/api/videos/{video}", "One video and who is on screen when", _video),
    Operation(
        "GET", "/api/report", "How the videos with each person perform", _report, query=Question
    ),
    Operation("POST", "/api/lookup", "Who is in a photo", _lookup, upload=True),
)
"""Every operation. Fixed paths stand before those with a parameter that they would match."""
