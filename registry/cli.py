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

_Where = dict[str, tuple[str, str]]
"""Where each command is written, and what it does in a line."""

_COMMANDS: _Where = {
    "backup": (
        "registry.copies.commands:backup_command",
        "Save the whole registry in one archive.",
    ),
    "calibrate": (
        "registry.calibration.commands:calibrate_command",
        "Set thresholds by what your own videos show.",
    ),
    "demo": ("registry.demo.command:demo_command", "Try it on sample videos."),
    "doctor": (
        "registry.commands:doctor_command",
        "Check that all is there and as it was written.",
    ),
    "ingest": ("ingest.commands:ingest_command", "Find and record the faces of a CSV's videos."),
    "lookup": ("queries.commands:lookup_command", "Ask who is in a photo."),
    "migrate": (
        "registry.commands:migrate_command",
        "Move to other servers, a folder or another model.",
    ),
    "reindex": (
        "registry.commands:reindex_command",
        "Rebuild the index in Qdrant from the objects.",
    ),
    "report": ("queries.commands:report_command", "Show how the videos with each person perform."),
    "retention": (
        "registry.erasure.commands:retention_command",
        "Show or set how long videos are kept.",
    ),
    "restore": (
        "registry.copies.commands:restore_command",
        "Bring back a registry from an archive.",
    ),
    "status": ("registry.commands:status_command", "Show what the registry holds and where."),
}
_IDENTITIES: _Where = {
    "consolidate": (
        "registry.people.commands:consolidate_command",
        "Join identities that are likely one person.",
    ),
    "forget": ("registry.erasure.commands:identities_forget", "Remove a person for good."),
    "list": ("queries.list_commands:identities_list", "List the identities."),
    "merge": ("registry.people.commands:merge_command", "Say that identities are one person."),
    "name": ("registry.commands:identities_name", "Give an identity a name, or take it back."),
    "separate": (
        "registry.people.commands:separate_command",
        "Say that two identities are two people.",
    ),
    "show": ("queries.list_commands:identities_show", "Show one identity: its videos and times."),
    "split": ("registry.people.commands:split_command", "Say that some faces are another person."),
    "suggest": (
        "registry.people.commands:suggest_command",
        "List identities that are likely one person.",
    ),
    "unblock": (
        "registry.erasure.commands:identities_unblock",
        "Lift the block of someone forgotten.",
    ),
    "undo": ("registry.people.commands:undo_command", "Take back a decision."),
}
_VIDEOS: _Where = {
    "duplicates": (
        "registry.footage.commands:duplicates_command",
        "List videos that are likely the same footage.",
    ),
    "join": (
        "registry.footage.commands:join_command",
        "Say that videos are the same footage and count once.",
    ),
    "list": ("queries.list_commands:videos_list", "List the videos."),
    "remove": ("registry.erasure.commands:videos_remove", "Remove videos for good."),
    "retry": (
        "ingest.retry_commands:retry_command",
        "Read videos again that failed or are partial.",
    ),
    "separate": (
        "registry.footage.commands:separate_command",
        "Say that two videos are not the same footage.",
    ),
    "show": ("queries.list_commands:videos_show", "Show one video, and who is in it."),
    "undo": ("registry.people.commands:undo_command", "Take back a decision."),
}
_MODELS: _Where = {
    "list": ("registry.commands:models_list", "List the models and what they may be used for."),
    "pull": ("registry.commands:models_pull", "Download an InsightFace pack."),
}


class _Group(click.Group):
    """A group that imports a command when it is asked for, so that others cost nothing."""

    def __init__(self, *args: Any, where: _Where, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._where = where

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._where, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._where:
            return super().get_command(ctx, cmd_name)
        module, name = self._where[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them, which would cost seconds."""
        rows = []
        for name in self.list_commands(ctx):
            own = self.commands.get(name)
            rows.append((name, own.get_short_help_str(100) if own else self._where[name][1]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


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
    """List, show, join, read again and remove the videos on record."""


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
