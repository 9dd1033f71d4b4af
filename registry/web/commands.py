"""The command `serve`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from registry.core.opening import open_snapshot
from registry.core.registry import Registry
from registry.errors import RegistryLocked, UsageError
from registry.settings import MOST_WORKERS
from registry.terminal import Terminal, file_path, pass_terminal
from registry.web.passwords import Password, read_password
from registry.web.server import LOOPBACK, Listening, is_loopback, serve


@click.command("serve")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N",
    help="Port to listen at.  [default: a free one]",
)  # fmt: skip
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
@click.option(
    "--host", default=LOOPBACK, show_default=True,
    help="Address to listen at. For one that other machines reach, a password is asked for.",
)  # fmt: skip
@click.option(
    "--password-file", type=file_path(),
    help="File whose first line is the password, readable by its owner alone.  "
    "[default: FACE_REGISTRY_PASSWORD_FILE; asked on the terminal]",
)  # fmt: skip
@click.option("--tls-cert", type=file_path(), help="Certificate (PEM): speak TLS only.")
@click.option("--tls-key", type=file_path(), help="Key of the certificate (PEM).")
@click.option(
    "--workers", type=click.IntRange(0, MOST_WORKERS),
    help="Worker processes of an ingest.  [default: one per core, at most 8]",
)  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait for another process that uses the registry.")
@pass_terminal
def serve_command(
    terminal: Terminal,
    port: int,
    no_open: bool,
    host: str,
    password_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    workers: int | None,
    wait: bool,
) -> None:
    """Show the registry in a browser: people, videos, review, ingest, decisions.

    The first line of the output is the address to open. It works once; the browser then stays
    signed in until the server stops. Ctrl-C stops it. While another process uses the registry, the
    pages show what it has committed, and change nothing.
    """
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together. Give both.")
    password = _password(terminal, host, password_file or terminal.settings.password_file)
    if password is not None and tls_cert is None and not is_loopback(host):
        terminal.note(
            "warning: Without --tls-cert, everybody in the network can read the password and the "
            "pages on their way."
        )
    with _open(terminal, wait=wait) as registry:
        serve(
            registry,
            Listening(host, port, tls_cert, tls_key),
            reopen=lambda: _open(terminal),
            password=password,
            workers=workers,
            announce=terminal.announce,
            open_browser=not no_open,
        )


def _open(terminal: Terminal, *, wait: bool = False) -> Registry:
    """The registry, or a snapshot of it while another process uses it."""
    try:
        return terminal.open(wait=wait)
    except RegistryLocked as exc:
        reason = str(exc).partition(". ")[0]
        return open_snapshot(terminal.settings, reason=reason, say=terminal.note)


def _password(terminal: Terminal, host: str, path: Path | None) -> Password | None:
    """The password, if one is given or needed. It is never an argument, which others could see."""
    if path is not None:
        return Password.of(read_password(path))
    if is_loopback(host):
        return None
    if not sys.stdin.isatty():
        raise UsageError(
            f"Other machines can reach {host}, and there is no terminal to ask for a password. Use "
            "--password-file."
        )
    terminal.note(f"Other machines can reach {host}. Choose a password for these pages.")
    text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return Password.of(text)
