"""The pages of people: the grid, searching by name or photo, merging and hiding several."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from registry.core.decisions import Decision
from registry.core.registry import Registry
from registry.errors import ImageError, UsageError
from registry.people import corrections
from registry.terminal import count, short
from registry.web.people_rows import SORTS, People, PersonRow, matching, metrics_of, people_rows
from registry.web.rendering import (
    after_form,
    form_handler,
    local_path,
    page,
    page_number,
    segment,
    sent_file,
    text_field,
    text_fields,
)
from registry.web.site import deciding, site_of, tell
from registry.web.workspace import Workspace

PHOTO_BYTES = 32 << 20
"""Largest photo that is searched for: no camera makes larger JPEG files."""
_PAGE = 120
"""People on one page of the grid."""


def people(request: Request) -> Response:
    """The grid of people."""
    workspace = site_of(request).workspace
    with workspace.reading() as registry:
        if registry.is_empty or not registry.index.count_videos():
            return page(request, "welcome.html")
    query, sort = request.query_params.get("q", ""), request.query_params.get("sort", "shrunk")
    metric, number = request.query_params.get("metric", ""), page_number(request)
    left_out = request.query_params.get("left_out") == "1"
    if sort not in SORTS:
        raise UsageError(f"There is no order {sort!r}. Choose one of {', '.join(SORTS)}.")

    found = _listed(workspace, metric, sort, left_out=left_out)
    metrics, hidden = workspace.once(
        "metrics and hidden people",
        lambda opened: (
            metrics_of(opened),
            sum(one.provisional or one.still for one in opened.index.identities()),
        ),
    )
    rows = matching(found.rows, query) if query else list(found.rows)
    start = _PAGE * (number - 1)
    return page(
        request,
        "people.html",
        people=found,
        rows=rows[start : start + _PAGE],
        total=len(rows),
        number=number,
        pages=max(1, -(-len(rows) // _PAGE)),
        query=query,
        sort=sort,
        sorts=SORTS,
        metric=found.metric,
        metrics=metrics,
        hidden=hidden,
        left_out=left_out,
    )


def everybody(request: Request) -> dict[str, PersonRow]:
    """All people with the numbers of the primary metric, by id."""
    rows = _listed(site_of(request).workspace).rows
    return {row.identity.identity_id: row for row in rows}


def _listed(
    workspace: Workspace, metric: str = "", sort: str = "shrunk", *, left_out: bool = False
) -> People:
    """The people as they are listed, computed once until the registry changes."""
    return workspace.once(
        f"people {sort} {left_out} {metric}",
        lambda registry: people_rows(registry, metric=metric, sort=sort, left_out=left_out),
    )


@form_handler
def merge(request: Request, form: FormData) -> Response:
    """Merge the selected people, after showing what speaks against it."""
    keys, back = text_fields(form, "person"), local_path(text_field(form, "back"))
    if len(keys) < 2:
        raise UsageError("Select two people or more to merge them.")
    with deciding(request) as registry:
        keys = _stays_first(registry, keys)
        warnings = corrections.merge_warnings(registry, keys)
        if not warnings or text_field(form, "sure"):
            decision = corrections.merge(registry, keys)
            person = registry.identity(decision.identity_id)
            name = person.name or short(person.identity_id)
            tell(
                request,
                f"{count(len(keys), 'person', 'people')} are one now: {name}, in "
                f"{count(person.videos, 'video')}.",
                decision=decision.number,
            )
            return after_form(f"/people/{segment(person.identity_id)}")
        everyone = registry.index.get_identities(keys)
    return page(
        request,
        "merge.html",
        warnings=warnings,
        identities=[everyone[key] for key in keys],
        back=back,
    )


def _stays_first(registry: Registry, keys: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of people; first the one whose id and name should stay."""
    people = {one.identity_id: one for one in map(registry.identity, keys)}.values()
    order = sorted(people, key=lambda one: (not one.name, -one.videos, one.identity_id))
    return tuple(one.identity_id for one in order)


@form_handler
def hide(request: Request, form: FormData) -> Response:
    """Hide the selected people."""
    keys = text_fields(form, "person")
    if not keys:
        raise UsageError("Select somebody to hide.")
    with deciding(request) as registry:
        decision = corrections.hide(registry, keys)
    _tell_hidden(request, decision)
    return after_form(local_path(text_field(form, "back")))


def _tell_hidden(request: Request, decision: Decision) -> None:
    hidden = count(1 + len(decision.others), "person", "people")
    verb = "are" if decision.others else "is"
    tell(request, f"{hidden} {verb} hidden now.", decision=decision.number)


@form_handler
def search_photo(request: Request, form: FormData) -> Response:
    """Who is in a photo. The photo is looked at and not kept."""
    missing = "No photo was sent. Choose a picture file, or drop one on the field."
    photo = sent_file(form, "photo", missing).file.read(PHOTO_BYTES + 1)
    try:
        answer = site_of(request).workspace.look_up(photo)
    except ImageError as exc:
        return page(request, "photo.html", status=400, answer=None, problem=str(exc), people={})
    return page(request, "photo.html", answer=answer, problem="", people=everybody(request))
