"""The application: every route, and what is answered when something fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from queries.page.look import stylesheet
from registry import events
from registry.core.registry import Registry
from registry.errors import RegistryError, UnknownError
from registry.web import (
    api_routes,
    decision_pages,
    downloads,
    ingest_pages,
    media,
    people_pages,
    person_pages,
    registry_pages,
    review_pages,
    session_pages,
    upkeep_pages,
    video_pages,
)
from registry.web.access import Guard, Hosts, Sessions, TooLarge
from registry.web.api import Refused
from registry.web.decision_pages import ANSWERS_BYTES
from registry.web.ingesting import TABLE_BYTES, IngestDesk
from registry.web.passwords import Password
from registry.web.rendering import Handler, error_page, page
from registry.web.reviewing import ReviewQueue
from registry.web.site import Site, session_of, site_of
from registry.web.workspace import Workspace

_FORM_OVERHEAD = 1 << 16
"""Bytes that a form takes around the file in it."""
_STATIC = {
    "look.css": "text/css",
    "web.css": "text/css",
    "web.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def open_site(
    registry: Registry,
    address: str,
    *,
    reopen: Callable[[], Registry] | None = None,
    password: Password | None = None,
    local_files: bool = True,
    workers: int | None = None,
) -> Site:
    """The parts of a server.

    Args:
        registry: open; `Site.close` closes it.
        address: of the first page.
        reopen: as for `Workspace`.
        password: for signing in; None: one-time addresses only.
        local_files: whether tables may name files of this machine.
        workers: of ingests, as `ingest.api.ingest` takes them.
    """
    workspace = Workspace(registry, reopen)
    desk = IngestDesk(workspace, registry.settings.home / "web", workers=workers)
    queue = ReviewQueue(workspace)
    return Site(workspace, Sessions(), desk, queue, address, password, local_files)


def application(site: Site, hosts: Hosts, *, port: int, secure: bool) -> Guard:
    """The application of a site, behind its guard.

    Args:
        site: its parts.
        hosts: how requests may call it.
        port: where it listens; part of the cookie's name.
        secure: whether it speaks TLS.
    """
    app = Starlette(
        routes=_routes(),
        exception_handlers={
            RegistryError: _failed,
            Refused: _failed,
            TooLarge: _failed,
            HTTPException: _failed,
            Exception: _failed,
        },
    )
    app.state.site = site
    site.guard = Guard(
        app,
        site.sessions,
        hosts,
        cookie=f"face_registry_{port}",
        secure=secure,
        uploads={
            "/ingest": TABLE_BYTES + _FORM_OVERHEAD,
            "/decisions/answers": ANSWERS_BYTES + _FORM_OVERHEAD,
            "/search/photo": people_pages.PHOTO_BYTES + _FORM_OVERHEAD,
            "/api/lookup": people_pages.PHOTO_BYTES,
        },
        password=site.password is not None,
    )
    return site.guard


def _routes() -> list[Route]:
    return [
        Route("/", people_pages.people),
        _form("/people/merge", people_pages.merge),
        _form("/people/hide", people_pages.hide),
        _form("/search/photo", people_pages.search_photo),
        Route("/people/{person}", person_pages.person),
        _form("/people/{person}/name", person_pages.rename),
        _form("/people/{person}/split", person_pages.split),
        _form("/people/{person}/separate", person_pages.separate),
        _form("/people/{person}/forget", person_pages.forget),
        Route("/review", review_pages.start),
        _form("/review/undo", review_pages.undo),
        _form("/review/join", review_pages.join_certain),
        Route("/review/{one}/{other}", review_pages.question, methods=["GET"]),
        _form("/review/{one}/{other}/answer", review_pages.answer),
        Route("/videos", video_pages.videos),
        Route("/videos/copies", registry_pages.copies),
        Route("/videos/{video}", video_pages.video),
        Route("/videos/{video}/file", media.video_file),
        _form("/videos/{video}/retry", video_pages.retry),
        _form("/videos/{video}/join", video_pages.join),
        _form("/videos/{video}/separate", video_pages.separate),
        _form("/videos/{video}/remove", video_pages.remove),
        Route("/ingest", ingest_pages.table, methods=["GET"]),
        _form("/ingest", ingest_pages.send),
        Route("/ingest/run", ingest_pages.run),
        Route("/ingest/events", ingest_pages.events),
        _form("/ingest/stop", ingest_pages.stop),
        _form("/ingest/retry", ingest_pages.retry),
        _form("/ingest/{upload}", ingest_pages.plan),
        _form("/ingest/{upload}/start", ingest_pages.start),
        Route("/decisions", decision_pages.decisions),
        Route("/decisions/{number:int}", decision_pages.as_of),
        _form("/decisions/{number:int}/undo", decision_pages.undo),
        _form("/decisions/answers", decision_pages.send_answers),
        _form("/decisions/answers/{upload}", decision_pages.take_answers),
        Route("/downloads", downloads.downloads),
        Route("/downloads/report", downloads.downloads, methods=["GET"]),
        _form("/downloads/report", downloads.download_report),
        Route("/downloads/{name}", downloads.download),
        Route("/registry", registry_pages.overview),
        _form("/registry/metrics", registry_pages.change_metric),
        _form("/registry/retention", registry_pages.change_retention),
        _form("/registry/backup", downloads.download_backup),
        _form("/registry/checks", upkeep_pages.run_checks),
        _form("/registry/reindex", upkeep_pages.rebuild_index),
        _form("/registry/calibration", upkeep_pages.change_calibration),
        *(
            Route(f"/registry/{name}", upkeep_pages.overview, methods=["GET"])
            for name in ("checks", "calibration")
        ),
        Route("/sessions", session_pages.sessions, methods=["GET"]),
        _form("/sessions", session_pages.new_link),
        _form("/sessions/end", session_pages.sign_out),
        _form("/refresh", session_pages.refresh),
        Route("/login", session_pages.login, methods=["GET"]),
        _form("/login", session_pages.sign_in),
        Route("/crops/{video}/{name}", media.crop),
        Route("/static/{name}", static),
        *api_routes.routes(),
    ]


def _form(path: str, handler: Handler) -> Route:
    return Route(path, handler, methods=["POST"])


def static(request: Request) -> Response:
    """A file of the package: stylesheets, the script, the icon."""
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404, "There is no such file.")
    return Response(_static(name), media_type=_STATIC[name])


@cache
def _static(name: str) -> str:
    if name == "look.css":
        return stylesheet()
    return (files("registry.web") / "static" / name).read_text(encoding="utf-8")


async def _failed(request: Request, exc: Exception) -> Response:
    """An error as the page or the document that was asked for would say it."""
    if isinstance(exc, TooLarge):
        exc = HTTPException(413, "The request is too large.")
    if not isinstance(exc, (RegistryError, Refused, HTTPException)):
        events.emit("error", logging.ERROR, message="a page failed", error=type(exc).__name__)
    if request.url.path.startswith("/api/"):
        return api_routes.error_document(exc)
    if request.url.path.startswith(("/crops/", "/static/")):
        status = 404 if isinstance(exc, (UnknownError, HTTPException)) else 500
        return PlainTextResponse("There is no such file.\n", status)
    signed_in = site_of(request).sessions.is_valid(session_of(request))
    if not signed_in:  # a page would show something of the registry around the error
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        return PlainTextResponse("This did not work.\n", status)
    if isinstance(exc, HTTPException):
        title = "There is no such page" if exc.status_code == 404 else "This did not work"
        text = "The address is not one of this server." if exc.status_code == 404 else exc.detail
        return page(request, "error.html", status=exc.status_code, title=title, text=text)
    if isinstance(exc, RegistryError):
        return error_page(request, exc)
    text = "An unexpected error happened. Nothing more is known here; the terminal may say more."
    return page(request, "error.html", status=500, title="This did not work", text=text)
