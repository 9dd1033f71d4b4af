"""Signing in with a password, an address for another browser, and signing out."""

from __future__ import annotations

from math import ceil

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from registry.web.rendering import after_form, form_handler, local_path, page, text_field
from registry.web.site import session_of, site_of


def login(request: Request) -> Response:
    """The form for the password."""
    if site_of(request).password is None:
        return after_form("/")
    return page(request, "login.html", problem="")


@form_handler
def sign_in(request: Request, form: FormData) -> Response:
    """Check the password. After some wrong ones, an address has to wait."""
    site, guard = site_of(request), site_of(request).guard
    if site.password is None or guard is None:
        return after_form("/")
    address = request.client.host if request.client else ""
    if wait := site.guesses.begin(address):
        return page(
            request, "login.html", status=429,
            problem=f"Too many wrong passwords. Try again in {ceil(wait)} seconds.",
        )  # fmt: skip
    if not site.password.matches(text_field(form, "password")):
        return page(request, "login.html", status=401, problem="That is not the password.")
    site.guesses.succeed(address)
    return guard.signed_in(RedirectResponse("/", 303), site.sessions.new_session())


@form_handler
def refresh(request: Request, form: FormData) -> Response:
    """Look at the registry again, if another process used it."""
    site_of(request).workspace.refresh()
    return after_form(local_path(text_field(form, "back")))


def sessions(request: Request) -> Response:
    """How to sign in elsewhere, and out here."""
    return page(request, "sessions.html", link="")


@form_handler
def new_link(request: Request, form: FormData) -> Response:
    """An address that signs another browser in, once."""
    del form
    return page(request, "sessions.html", link=site_of(request).one_time_address())


@form_handler
def sign_out(request: Request, form: FormData) -> Response:
    """End the session of this browser."""
    del form
    site_of(request).sessions.end(session_of(request))
    return PlainTextResponse("You are signed out.\n")
