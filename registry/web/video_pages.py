"""The pages of videos: all with their strips, and one with its player and moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from queries.page.links import link_to_second
from queries.page.marks import Lane, clock, lane, place_of_opening
from queries.screen_time import timeline
from queries.timelines import PersonOnScreen
from queries.video_details import video_details
from registry.core.points import IndexedVideo
from registry.core.registry import Registry
from registry.domain import Identity, Status
from registry.erasure.previews import preview_of_videos
from registry.errors import UsageError
from registry.footage.joining import join_videos, separate_videos
from registry.terminal import count
from registry.web.media import local_file
from registry.web.rendering import (
    after_form,
    form_handler,
    local_path,
    page,
    page_number,
    segment,
    text_field,
)
from registry.web.site import alone, site_of, tell
from registry.web.video_names import address_of, name_of

_PAGE = 30
"""Videos on one page."""
_LANES = 6
"""Lanes of a strip in the list of videos."""
STATUSES = {"": "All", "done": "Read", "partial": "Read in part", "failed": "Failed"}


@dataclass(frozen=True, slots=True)
class OnScreen:
    """One person in a video."""

    identity: Identity
    seconds: float
    lane: Lane
    moments: tuple[tuple[float, str, str], ...]
    """When each stretch begins, in seconds and in words, and the link to it on the web or ""."""


@dataclass(frozen=True, slots=True)
class ShownVideo:
    """One video with who is in it."""

    video: IndexedVideo
    name: str
    address: str
    at_hand: bool
    third: float | None
    people: tuple[OnScreen, ...]
    counts_as: str
    """Name of the video that it counts as; empty: itself."""


def videos(request: Request) -> Response:
    """All videos, each with its strip."""
    status, query = request.query_params.get("status", ""), request.query_params.get("find", "")
    if status not in STATUSES:
        raise UsageError(f"There is no status {status!r}. Choose one of {', '.join(STATUSES)}.")
    number = page_number(request)
    workspace = site_of(request).workspace
    with workspace.reading() as registry:
        if registry.is_empty:
            return page(request, "welcome.html")
    everything = workspace.once("videos", lambda opened: sorted(opened.index.videos(), key=_order))
    with workspace.reading() as registry:
        matching = [
            one
            for one in everything
            if (not status or one.status == status)
            and (not query or query.lower() in str(one.url).lower())
        ]
        start = _PAGE * (number - 1)
        shown = [_shown(registry, one, most=_LANES) for one in matching[start : start + _PAGE]]
    counts = {key: sum(one.status == key for one in everything) for key in STATUSES if key}
    return page(
        request, "videos.html", videos=shown, total=len(matching), counts=counts, chosen=status,
        statuses=STATUSES, find=query, number=number, pages=max(1, -(-len(matching) // _PAGE)),
    )  # fmt: skip


def _order(video: IndexedVideo) -> tuple[bool, str]:
    return video.status is not Status.FAILED, video.url.exposed()


def _shown(registry: Registry, video: IndexedVideo, *, most: int | None = None) -> ShownVideo:
    duration, address = video.media.duration_s, address_of(video.url)
    counts_as = registry.view.same_as.get(video.video_id, "")
    other = registry.index.video(counts_as) if counts_as else None
    seen: list[PersonOnScreen] = []
    if video.status is not Status.FAILED:
        seen = timeline(registry, video.video_id)[:most]
    known = registry.index.get_identities([one.identity_id for one in seen])
    people = tuple(
        _on_screen(known[one.identity_id], one, duration, address) for one in seen if duration > 0
    )
    return ShownVideo(
        video, name_of(video.url), address, local_file(video) is not None,
        place_of_opening(duration), people, name_of(other.url) if other else "",
    )  # fmt: skip


def _on_screen(
    identity: Identity, seen: PersonOnScreen, duration_s: float, address: str
) -> OnScreen:
    stretches = [(one.start_s, one.end_s) for one in seen.intervals]
    return OnScreen(
        identity,
        seen.seconds,
        lane(identity.identity_id, stretches, duration_s),
        tuple(
            (start, f"{clock(start)}–{clock(end)}", link_to_second(address, start, exact=True))
            for start, end in stretches
        ),
    )


def video(request: Request) -> Response:
    """One video: player, strip, moments, numbers."""
    with site_of(request).workspace.reading() as registry:
        found = registry.video(request.path_params["video"])
        shown = _shown(registry, found)
        details: Mapping[str, Any] = video_details(registry, found.video_id)
        joined = [
            name_of(one.url)
            for other, counts in registry.view.same_as.items()
            if counts == found.video_id and (one := registry.index.video(other)) is not None
        ]
    return page(
        request, "one_video.html", shown=shown, details=details, joined=joined,
        start_s=_seconds(request.query_params.get("t", "")),
    )  # fmt: skip


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e6 else 0.0


@form_handler
def retry(request: Request, form: FormData) -> Response:
    """Read a video again that failed, is partial or was found damaged."""
    del form
    site_of(request).desk.retry((request.path_params["video"],))
    return after_form("/ingest/run")


@form_handler
def join(request: Request, form: FormData) -> Response:
    """Say that another video shows the same footage: both count once, as this one."""
    keys = (request.path_params["video"], text_field(form, "other"))
    with site_of(request).workspace.changing() as registry:
        decision = join_videos(registry, keys)
    tell(request, "They are the same footage, and count once.", decision=decision.number)
    return after_form(f"/videos/{segment(decision.videos[0])}")


@form_handler
def separate(request: Request, form: FormData) -> Response:
    """Say that another video does not show the same footage."""
    with site_of(request).workspace.changing() as registry:
        decision = separate_videos(
            registry, request.path_params["video"], text_field(form, "other")
        )
    tell(request, "They are not the same footage.", decision=decision.number)
    return after_form(local_path(text_field(form, "back")))


@form_handler
def remove(request: Request, form: FormData) -> Response:
    """Erase a video, and the people who are in no other, after a page that says so."""
    key = request.path_params["video"]
    if not text_field(form, "sure"):
        with site_of(request).workspace.reading() as registry:
            found = registry.video(key)
            lines = list(preview_of_videos(registry, [found.video_id]))
        return page(request, "remove.html", video=found, lines=lines)
    with alone(request, "Erase when it has finished.") as registry:
        receipt = registry.remove_videos([key])
    tell(request, f"Erased for good: {count(receipt['removed']['videos'], 'video')}.")
    return after_form("/videos")
