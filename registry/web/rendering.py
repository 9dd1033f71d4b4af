"""Templates to answers: pages, redirects after a form, and errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from urllib.parse import quote

from jinja2 import Environment, PackageLoader
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from queries.page.look import environment
from registry.errors import RegistryError, RegistryLocked, UnknownError, UsageError
from registry.web.site import session_of, site_of, tell

Handler = Callable[[Request], Awaitable[Response]]


@cache
def _templates() -> Environment:
    made = environment(PackageLoader("registry.web", "templates"))
    made.filters.update(seconds=seconds)
    return made


def page(request: Request, template: str, /, *, status: int = 200, **values: object) -> Response:
    """A page. Templates get `site`, `path`, `notices` and the values."""
    site = site_of(request)
    text = (
        _templates()
        .get_template(template)
        .render(
            site=site,
            path=request.url.path,
            questions=site.queue.known_count(),
            running=site.desk.is_running,
            notices=site.visits.take_notices(session_of(request)),
            **values,
        )
    )
    return HTMLResponse(text, status)


def fragment(template: str, /, **values: object) -> str:
    """A part of a page as HTML."""
    return _templates().get_template(template).render(**values)


def after_form(path: str) -> Response:
    """Show another page of this server after a form was handled."""
    return RedirectResponse(path, 303)


def form_handler(function: Callable[[Request, FormData], Response]) -> Handler:
    """A handler that is given the fields of the form. It runs in a thread, as it may wait.

    An error of the registry shows on the page that the form was on.
    """

    async def handle(request: Request) -> Response:
        async with request.form(max_files=4, max_fields=5000) as form:
            return await run_in_threadpool(_try, function, request, form)

    return handle


def _try(
    function: Callable[[Request, FormData], Response], request: Request, form: FormData
) -> Response:
    try:
        return function(request, form)
    except (UsageError, UnknownError, RegistryLocked) as exc:
        tell(request, str(exc), is_error=True)
        return after_form(local_path(text_field(form, "back")))


def text_field(form: FormData, name: str) -> str:
    """A field of a form as text; empty if it is not there or is a file."""
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def text_fields(form: FormData, name: str) -> tuple[str, ...]:
    """All values of a field."""
    return tuple(value for value in form.getlist(name) if isinstance(value, str))


def sent_file(form: FormData, name: str, missing: str) -> UploadFile:
    """The file in a field. Raises `UsageError` with the text `missing` if none was chosen."""
    file = form.get(name)
    if not isinstance(file, UploadFile) or not file.size:
        raise UsageError(missing)
    return file


def page_number(request: Request) -> int:
    """The number of the page in the address, from 1."""
    text = request.query_params.get("page", "1")
    return max(1, int(text)) if text.isdecimal() and len(text) < 6 else 1


def local_path(path: str) -> str:
    """The path, if it is one of this server; else that of the first page."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"


def segment(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")


def seconds(value: float) -> str:
    """Seconds in words: `3.5 s`, `42 s`, `4 min`, with a space that no line breaks at."""
    if value < 10:
        return f"{value:.1f}\N{NO-BREAK SPACE}s"
    if value < 120:
        return f"{value:.0f}\N{NO-BREAK SPACE}s"
    return f"{value / 60:,.0f}\N{NO-BREAK SPACE}min"


def error_page(request: Request, exc: RegistryError) -> Response:
    """What went wrong with the registry, as a page."""
    status = 404 if isinstance(exc, UnknownError) else 400 if isinstance(exc, UsageError) else 500
    return page(request, "error.html", status=status, title="This did not work", text=str(exc))
