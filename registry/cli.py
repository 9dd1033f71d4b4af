"""The command line. Each command is defined in the package that does its work."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import re
import sys
import traceback
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

import registry
from registry import events
from registry.errors import RegistryError, UnknownError
from registry.events import FORMATS, LEVELS
from registry.system.console import interrupt_when_ended, write_utf8_into_pipes

_SPECIAL, _ESCAPED = re.compile(r"([^\w@%+:,./-])"), r"\\\\\1"
_Commands = dict[str, tuple[str, str]]
"""Name of a command to where it is defined (`module:object`), and its summary."""

_COMMANDS: _Commands = {
    "backup": (
        "registry.copies.commands:backup_command",
        "Save the registry in an archive.",
    ),
    "calibrate": (
        "registry.calibration.commands:calibrate_command",
        "Measure thresholds on your own videos.",
    ),
    "demo": ("registry.demo.command:demo_command", "Try face-registry on sample videos."),
    "doctor": (
        "ingest.doctor_commands:doctor_command",
        "Check that the registry is complete and intact.",
    ),
    "ingest": ("ingest.commands:ingest_command", "Find the faces in the videos of a CSV file."),
    "lookup": ("queries.lookup_commands:lookup_command", "Show who is in a photo."),
    "migrate": (
        "registry.commands:migrate_command",
        "Copy the registry elsewhere, or change its model.",
    ),
    "reindex": (
        "registry.commands:reindex_command",
        "Rebuild the index in Qdrant from the objects.",
    ),
    "report": (
        "queries.report_commands:report_command",
        "Show how the videos with each person perform.",
    ),
    "retention": (
        "registry.erasure.commands:retention_command",
        "Show or set how long videos are kept.",
    ),
    "restore": (
        "registry.copies.commands:restore_command",
        "Restore a registry from an archive.",
    ),
    "serve": ("registry.web.commands:serve_command", "Show the registry in a browser."),
    "status": (
        "registry.upkeep.commands:status_command",
        "Show what the registry holds and where it is.",
    ),
}
_IDENTITIES: _Commands = {
    "answer": (
        "registry.people.answer_commands:answer_command",
        "Take in answers from a report page.",
    ),
    "consolidate": (
        "registry.people.commands:consolidate_command",
        "Join identities that are likely one person.",
    ),
    "forget": ("registry.erasure.commands:identities_forget", "Remove a person for good."),
    "hide": (
        "registry.people.commands:hide_command",
        "Leave identities out of lists and reports.",
    ),
    "list": ("queries.list_commands:identities_list", "List the identities."),
    "merge": ("registry.people.commands:merge_command", "Declare identities to be one person."),
    "name": ("registry.commands:identities_name", "Give an identity a name, or remove it."),
    "separate": (
        "registry.people.commands:separate_command",
        "Declare two identities to be two people.",
    ),
    "show": ("queries.list_commands:identities_show", "Show an identity and its videos."),
    "split": ("registry.people.commands:split_command", "Declare some faces to be another person."),
    "suggest": (
        "queries.suggest_commands:suggest_command",
        "List identities that are likely one person.",
    ),
    "together": (
        "queries.screen_commands:identities_together",
        "Show who is in the same videos.",
    ),
    "unblock": (
        "registry.erasure.commands:identities_unblock",
        "Remove the block of a forgotten person.",
    ),
    "undo": ("registry.people.commands:undo_command", "Undo a decision."),
}
_VIDEOS: _Commands = {
    "duplicates": (
        "registry.footage.commands:duplicates_command",
        "List videos that are likely the same footage.",
    ),
    "join": (
        "registry.footage.commands:join_command",
        "Declare videos to be the same footage.",
    ),
    "list": ("queries.list_commands:videos_list", "List the videos."),
    "remove": ("registry.erasure.commands:videos_remove", "Remove videos for good."),
    "retry": (
        "ingest.retry_commands:retry_command",
        "Read failed, partial and damaged videos again.",
    ),
    "separate": (
        "registry.footage.commands:separate_command",
        "Declare two videos not to be the same footage.",
    ),
    "show": ("queries.list_commands:videos_show", "Show a video and who is in it."),
    "timeline": (
        "queries.screen_commands:videos_timeline",
        "Show when each person of a video is on screen.",
    ),
    "undo": ("registry.people.commands:undo_command", "Undo a decision."),
}
_METRICS: _Commands = {
    "first": ("queries.metric_commands:metrics_first", "Choose the metric of reports."),
    "list": ("queries.metric_commands:metrics_list", "List the metrics."),
    "rename": ("queries.metric_commands:metrics_rename", "Give a metric another name."),
}
_RECEIPTS: _Commands = {
    "list": ("registry.erasure.receipt_commands:receipts_list", "List the receipts of erasures."),
    "show": ("registry.erasure.receipt_commands:receipts_show", "Show the receipt of an erasure."),
}
_MODELS: _Commands = {
    "compare": (
        "registry.changing.commands:models_compare",
        "Show what another model would change.",
    ),
    "list": ("registry.commands:models_list", "List the face models and their licences."),
    "pull": ("registry.commands:models_pull", "Download a model."),
}


class _BashComplete(BashComplete):
    """Completion of bash that also completes words with spaces, such as names."""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """As click does, with two backslashes before what is special: `read` takes one away."""
        return f"{item.type},{_SPECIAL.sub(_ESCAPED, item.value)}"


add_completion_class(_BashComplete)


class _Group(click.Group):
    """A group that imports a command when it is used: importing all would take seconds."""

    def __init__(self, *args: Any, lazy: _Commands, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._lazy, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, name = self._lazy[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a name that is not known comes with the commands that resemble it."""
        if self.get_command(ctx, args[0]) or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        own = {name: name for name in self.list_commands(ctx)}
        deeper = {
            inner: f"{name} {inner}"
            for name, group in self.commands.items()
            if isinstance(group, click.Group)
            for inner in group.list_commands(ctx)
            if inner not in ("list", "show")  # most groups have these
        }
        similar = get_close_matches(args[0], own) or get_close_matches(args[0], deeper)
        names = [f"`{ctx.command_path} {own.get(one) or deeper[one]}`" for one in similar]
        hint = f" Did you mean {' or '.join(names)}?" if names else ""
        ctx.fail(f"There is no command {args[0]!r}.{hint}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        rows = []
        for name in self.list_commands(ctx):
            own = self.commands.get(name)
            rows.append((name, own.get_short_help_str(100) if own else self._lazy[name][1]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=_Group,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Folder of the registry.  [default: FACE_REGISTRY_HOME, or the user's data folder]",
)
@click.option(
    "--log-format", type=click.Choice(FORMATS),
    help="Log events to stderr, one per line, instead of progress and notes.",
)  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(LEVELS), help="Lowest level of logged events.  [default: info]"
)
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.version_option(registry.__version__, prog_name="face-registry")
@click.pass_context
def cli(context: click.Context, /, home: Path | None, debug: bool, **log: Any) -> None:
    """Who is on screen, and how do the videos with that person perform?

    Ingest a CSV file of video URLs and performance numbers, then report averages, export face
    images, or look up who is in a photo.
    """
    from registry.terminal import Terminal

    os.umask(0o077)  # files are for their owner alone: faces are biometric data
    context.obj = Terminal(given={"home": home, **log})
    context.obj.start_log()
    if events.listening():
        # Also with --debug: all lines of the log have one format.
        logging.getLogger().setLevel(logging.CRITICAL)


@cli.group(cls=_Group, lazy=_IDENTITIES)
def identities() -> None:
    """List, name, correct and forget people."""


@cli.group(cls=_Group, lazy=_VIDEOS)
def videos() -> None:
    """List, show, join, read again and remove videos."""


@cli.group(cls=_Group, lazy=_METRICS)
def metrics() -> None:
    """List and rename metrics, and choose the one of reports."""


@cli.group(cls=_Group, lazy=_RECEIPTS)
def receipts() -> None:
    """List and show what was erased, without saying whom."""


@cli.group(cls=_Group, lazy=_MODELS)
def models() -> None:
    """List and download face models."""


_WITH_WORKERS = {"ingest", "retry", "demo"}
"""Commands that start worker processes, which get ready while this one imports the command."""
_WITHOUT_WORKERS = {"--help", "--plan", "--ray"}
"""Options with which they do not."""
_GARBAGE = 50_000
"""New objects after which Python looks for garbage: 700 to 2,000 by default."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit the process with its exit code: 0, 1, 2, 3, or 130 if stopped.

    SIGTERM stops it as Ctrl-C does, so that locks and leases are released and temporary files are
    removed.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    write_utf8_into_pipes()
    interrupt_when_ended()
    if _WITH_WORKERS.intersection(arguments) and not _WITHOUT_WORKERS.intersection(arguments):
        # The workers need all processors; threads of OpenBLAS would wait on one, and busily.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from registry.system.worker_context import prepare_workers  # other commands have no workers

        prepare_workers("ingest.worker_imports")
    # A report makes a million objects that all stay: looking for garbage among them takes as long.
    gc.set_threshold(_GARBAGE)
    atexit.register(gc.freeze)  # or Python looks for garbage twice more, and then ends anyway
    debug = "--debug" in arguments
    # Libraries log each retry; the command itself reports the result.
    logging.basicConfig(level=logging.WARNING if debug else logging.CRITICAL)
    try:
        sys.exit(cli.main(arguments, prog_name="face-registry", standalone_mode=False))
    except click.exceptions.Abort:
        _exit("Stopped.", 130)
    except click.ClickException as exc:
        if events.listening():
            _exit(exc.format_message(), exc.exit_code, exc)
        exc.show()
        sys.exit(exc.exit_code)
    except RegistryError as exc:
        _exit(f"error: {exc}", exc.exit_code, exc, debug=debug)
    except KeyboardInterrupt:
        _exit("Stopped.", 130)
    except BrokenPipeError:
        # The reader of a pipe has ended; Python would report that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as exc:
        text = f"internal error: {type(exc).__name__}: {exc}. Use --debug to see a traceback."
        _exit(text, 1, exc, debug=debug)


def _exit(
    message: str, code: int, error: Exception | None = None, *, debug: bool = False
) -> NoReturn:
    from registry.terminal import clean

    where = "".join(traceback.format_exception(error)) if debug and error else ""
    if events.listening():
        message = message.removeprefix("error: ")
        message = events.masked(message) if isinstance(error, UnknownError) else message
        fields = events.Fields(message=message, error=type(error).__name__ if error else "")
        if where:
            fields["traceback"] = where
        events.emit("error", logging.ERROR, **fields)
    else:
        click.echo(where + clean(message), err=True)
    sys.exit(code)
