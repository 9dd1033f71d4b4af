"""The command line, put together: every command is written where its work is done."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

import registry
from registry import events
from registry.errors import RegistryError, UnknownError
from registry.events import FORMATS, LEVELS

_COMMANDS = {
    "backup": "registry.copies.commands:backup_command",
    "calibrate": "registry.calibration.commands:calibrate_command",
    "demo": "registry.demo.command:demo_command",
    "doctor": "registry.commands:doctor_command",
    "ingest": "ingest.commands:ingest_command",
    "lookup": "queries.commands:lookup_command",
    "migrate": "registry.copies.commands:migrate_command",
    "reindex": "registry.commands:reindex_command",
    "report": "queries.commands:report_command",
    "retention": "registry.erasure.retention_commands:retention_command",
    "restore": "registry.copies.commands:restore_command",
    "status": "registry.commands:status_command",
}
_IDENTITIES = {
    "consolidate": "registry.people.commands:consolidate_command",
    "forget": "registry.erasure.commands:identities_forget",
    "list": "queries.list_commands:identities_list",
    "merge": "registry.people.commands:merge_command",
    "name": "registry.commands:identities_name",
    "separate": "registry.people.commands:separate_command",
    "show": "queries.list_commands:identities_show",
    "split": "registry.people.commands:split_command",
    "suggest": "registry.people.commands:suggest_command",
    "unblock": "registry.erasure.commands:identities_unblock",
    "undo": "registry.people.commands:undo_command",
}
_VIDEOS = {
    "list": "queries.list_commands:videos_list",
    "remove": "registry.erasure.commands:videos_remove",
    "retry": "ingest.retry_commands:retry_command",
    "show": "queries.list_commands:videos_show",
}
_MODELS = {
    "list": "registry.commands:models_list",
    "pull": "registry.commands:models_pull",
}


class _Group(click.Group):
    """A group that imports a command when it is asked for, so that others cost nothing."""

    def __init__(self, *args: Any, where: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._where = where

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._where, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._where:
            return super().get_command(ctx, cmd_name)
        module, name = self._where[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(
    cls=_Group,
    where=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Folder of the registry.  [default: FACE_REGISTRY_HOME, or the user's data folder]",
)
@click.option(
    "--log-format", type=click.Choice(FORMATS),
    help="Log events to stderr, one a line, in place of progress and notes.",
)  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(LEVELS), help="Least level of an event.  [default: info]"
)
@click.option("--debug", is_flag=True, help="Show where in the program an error arose.")
@click.version_option(registry.__version__, prog_name="face-registry")
@click.pass_context
def cli(context: click.Context, /, home: Path | None, debug: bool, **log: Any) -> None:
    """Who is on screen, and how do the videos with that person perform?

    Ingest a CSV of video URLs and performance numbers, then report, export, or look a face up.
    """
    from registry.terminal import Terminal

    os.umask(0o077)  # what is written is for its owner alone: faces are biometric data
    context.obj = Terminal(given={"home": home, **log})
    context.obj.start_log()
    if events.listening():
        logging.getLogger().setLevel(logging.CRITICAL)  # also with --debug: lines of one form


@cli.group(cls=_Group, where=_IDENTITIES)
def identities() -> None:
    """List, name, correct and forget the people that were found."""


@cli.group(cls=_Group, where=_VIDEOS)
def videos() -> None:
    """List, show, read again and remove the videos on record."""


@cli.group(cls=_Group, where=_MODELS)
def models() -> None:
    """List and fetch face models."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and end the process with its exit code: 0, 1, 2, 3, or 130 when stopped.

    SIGTERM stops it as Ctrl-C does, so that locks and leases are let go and half a file is removed.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    debug = "--debug" in arguments
    # Libraries log each retry; what comes of it is said by the command itself.
    logging.basicConfig(level=logging.WARNING if debug else logging.CRITICAL)
    try:
        sys.exit(cli.main(arguments, prog_name="face-registry", standalone_mode=False))
    except click.exceptions.Abort:
        _end("stopped", 130)
    except click.ClickException as exc:
        if events.listening():
            _end(exc.format_message(), exc.exit_code, exc)
        exc.show()
        sys.exit(exc.exit_code)
    except RegistryError as exc:
        _end(f"error: {exc}", exc.exit_code, exc, debug=debug)
    except KeyboardInterrupt:
        _end("stopped", 130)
    except BrokenPipeError:
        # The reader of a pipe went away; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as exc:
        text = f"internal error: {type(exc).__name__}: {exc} (run with --debug for more)"
        _end(text, 1, exc, debug=debug)


def _end(
    message: str, code: int, error: Exception | None = None, *, debug: bool = False
) -> NoReturn:
    from registry.terminal import clean

    where = "".join(traceback.format_exception(error)) if debug and error else ""
    if events.listening():
        message = message.removeprefix("error: ")
        message = events.masked(message) if isinstance(error, UnknownError) else message
        said = events.Fields(message=message, error=type(error).__name__ if error else "")
        events.emit("error", logging.ERROR, **said, **({"traceback": where} if where else {}))
    else:
        click.echo(where + clean(message), err=True)
    sys.exit(code)
