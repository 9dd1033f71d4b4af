"""The command line, put together: every command is written where its work is done."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import registry
from registry.errors import RegistryError

_COMMANDS = {
    "backup": "registry.saving_commands:backup_command",
    "calibrate": "registry.calibrate_commands:calibrate_command",
    "demo": "registry.demo.command:demo_command",
    "doctor": "registry.commands:doctor_command",
    "ingest": "ingest.commands:ingest_command",
    "lookup": "queries.commands:lookup_command",
    "migrate": "registry.saving_commands:migrate_command",
    "reindex": "registry.commands:reindex_command",
    "report": "queries.commands:report_command",
    "restore": "registry.saving_commands:restore_command",
    "status": "registry.commands:status_command",
}
_IDENTITIES = {
    "consolidate": "registry.people_commands:consolidate_command",
    "forget": "registry.erasure_commands:identities_forget",
    "list": "queries.commands:identities_list",
    "merge": "registry.people_commands:merge_command",
    "name": "registry.commands:identities_name",
    "separate": "registry.people_commands:separate_command",
    "show": "queries.commands:identities_show",
    "split": "registry.people_commands:split_command",
    "suggest": "registry.people_commands:suggest_command",
    "unblock": "registry.erasure_commands:identities_unblock",
    "undo": "registry.people_commands:undo_command",
}
_VIDEOS = {
    "list": "queries.commands:videos_list",
    "remove": "registry.erasure_commands:videos_remove",
    "show": "queries.commands:videos_show",
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
@click.option("--debug", is_flag=True, help="Show where in the program an error arose.")
@click.version_option(registry.__version__, prog_name="face-registry")
@click.pass_context
def cli(context: click.Context, home: Path | None, debug: bool) -> None:
    """Who is on screen, and how do the videos with that person perform?

    Ingest a CSV of video URLs and performance numbers, then report, export, or look a face up.
    """
    from registry.terminal import Terminal

    context.obj = Terminal(given={"home": home})


@cli.group(cls=_Group, where=_IDENTITIES)
def identities() -> None:
    """List, name, correct and forget the people that were found."""


@cli.group(cls=_Group, where=_VIDEOS)
def videos() -> None:
    """List, show and remove the videos on record."""


@cli.group(cls=_Group, where=_MODELS)
def models() -> None:
    """List and fetch face models."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and end the process with its exit code: 0, 1, 2, 3, or 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    # Libraries log each retry; what comes of it is said by the command itself.
    logging.basicConfig(level=logging.WARNING if debug else logging.CRITICAL)
    try:
        sys.exit(cli.main(arguments, prog_name="face-registry", standalone_mode=False))
    except click.exceptions.Abort:
        _end("stopped", 130)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except RegistryError as exc:
        if debug:
            traceback.print_exc()
        _end(f"error: {exc}", exc.exit_code)
    except KeyboardInterrupt:
        _end("stopped", 130)
    except BrokenPipeError:
        # The reader of a pipe went away; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as exc:
        if debug:
            traceback.print_exc()
        _end(f"internal error: {type(exc).__name__}: {exc} (run with --debug for more)", 1)


def _end(message: str, code: int) -> None:
    from registry.terminal import clean

    click.echo(clean(message), err=True)
    sys.exit(code)
