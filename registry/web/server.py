"""Running the server: the socket, the address, the browser, and a clean stop."""

from __future__ import annotations

import html
import ipaddress
import os
import socket
import ssl
import webbrowser
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from registry.core.registry import Registry
from registry.errors import UsageError
from registry.web.access import Hosts
from registry.web.application import application, open_site
from registry.web.passwords import Password

LOOPBACK = "127.0.0.1"
_GRACE_S = 5
"""Seconds for answers that are under way when the server stops."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and how a server listens."""

    host: str = LOOPBACK
    port: int = 0
    """0: a free one."""
    certificate: Path | None = None
    """PEM file; with `key`, the server speaks TLS only."""
    key: Path | None = None

    @property
    def scheme(self) -> str:
        """`https` with TLS."""
        return "https" if self.certificate else "http"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `UsageError` if it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise UsageError(f"--host {host} is not an address of this machine: {exc}.") from exc
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
        made.listen(128)
    except OSError as exc:
        made.close()
        hint = "Choose another --port, or 0 for a free one." if port else "Choose another --host."
        raise UsageError(
            f"The server cannot listen at {host}, port {port} ({exc.strerror}). {hint}"
        ) from exc
    return made


def serve(
    registry: Registry,
    listening: Listening,
    *,
    reopen: Callable[[], Registry] | None = None,
    password: Password | None = None,
    workers: int | None = None,
    announce: Callable[[str], None],
    open_browser: bool = False,
) -> None:
    """Serve the pages of a registry until SIGINT or SIGTERM.

    Args:
        registry: open; it is closed at the end.
        listening: where.
        reopen: opens the registry again, if it is a snapshot because another process uses it.
        password: asked for at the login page; None: only one-time addresses sign in.
        workers: of ingests, as `ingest.api.ingest` takes them.
        announce: told the address with its one-time token, once the server listens.
        open_browser: whether to show the first page in the browser of this machine.

    Raises:
        UsageError: the server cannot listen there, or would be open to others without a password.
    """
    if not is_loopback(listening.host) and password is None:
        raise UsageError(
            f"Other machines can reach {listening.host}, so a password is needed. Use "
            "--password-file, or leave --host out."
        )
    context = _tls(listening)
    with listen(listening.host, listening.port) as listener:
        port = listener.getsockname()[1]
        site = open_site(
            registry,
            f"{listening.scheme}://{_shown_host(listening.host)}:{port}/",
            reopen=reopen,
            password=password,
            local_files=is_loopback(listening.host),
            workers=workers,
        )
        app = application(
            site, Hosts(_names(listening.host)), port=port, secure=context is not None
        )
        address = site.one_time_address()
        start_page = registry.settings.home / "open-pages.html" if open_browser else None

        def started() -> None:
            announce(address)
            if start_page is not None:
                _open(start_page, site.one_time_address())

        try:
            PageServer(app, context, started, site.closing.set).run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # uvicorn raises the signal again once it has stopped
        finally:
            site.close()
            if start_page is not None:
                start_page.unlink(missing_ok=True)


class PageServer(uvicorn.Server):
    """A server that says when it listens, and when it is asked to stop."""

    def __init__(
        self,
        app: ASGIApp,
        context: ssl.SSLContext | None,
        started: Callable[[], None],
        stopping: Callable[[], None],
    ) -> None:
        """`started` is called once it listens, `stopping` when a signal asks it to stop."""
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off",
            ws="none", proxy_headers=False, timeout_graceful_shutdown=_GRACE_S,
            limit_concurrency=200,
        )  # fmt: skip
        config.load()
        config.ssl = context
        super().__init__(config)
        self._on_start, self._on_stop = started, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As `uvicorn.Server.startup`."""
        await super().startup(sockets)
        if self.started:
            self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As `uvicorn.Server.handle_exit`."""
        self._on_stop()
        super().handle_exit(sig, frame)


def _tls(listening: Listening) -> ssl.SSLContext | None:
    if listening.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listening.certificate, listening.key)
    except (OSError, ssl.SSLError) as exc:
        raise UsageError(
            f"--tls-cert {listening.certificate} and --tls-key {listening.key} are not a "
            f"certificate and its key in PEM format ({exc})."
        ) from exc
    return context


def _names(host: str) -> Iterable[str]:
    """The names that a request may call the server by; addresses are always allowed."""
    if is_loopback(host):
        return ("localhost",)
    return ("localhost", host, socket.gethostname(), socket.getfqdn())


def _shown_host(host: str) -> str:
    """How to write the host in an address that opens on this machine."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _open(start_page: Path, address: str) -> None:
    """Show an address in the browser.

    Other users of the machine see the arguments of programs, so the browser gets a file that only
    its owner can read, and that leads on.
    """
    start_page.unlink(missing_ok=True)
    handle = os.open(start_page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(
            '<!doctype html><meta charset="utf-8"><title>face-registry</title>'
            f'<meta http-equiv="refresh" content="0;url={html.escape(address)}">'
            f'<p><a href="{html.escape(address)}">Open face-registry</a></p>\n'
        )
    webbrowser.open(start_page.as_uri())
