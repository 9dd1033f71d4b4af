"""Write the generated part of docs/CLI.md from the click commands (`make docs`).

What stands above the marker in that file is written by hand and kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from registry.cli import cli

PAGE = Path(__file__).parents[2] / "docs" / "CLI.md"
MARKER = "<!-- Below this line everything is generated from the commands: run `make docs`. -->"
PROGRAM = "face-registry"


def commands(
    group: click.Group = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it; groups are walked through."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif command is not None:
            yield (*path, name), command


def anchor(path: tuple[str, ...]) -> str:
    """The fragment that GitHub gives to the heading of a command."""
    return "-".join((PROGRAM, *path))


def reference() -> str:
    """The generated part: a table of the commands, the global options, then each command."""
    everything = list(commands())
    table = "\n".join(
        f"| [`{' '.join(path)}`](#{anchor(path)}) | {_cell(command.get_short_help_str(200))} |"
        for path, command in everything
    )
    return "\n\n".join(
        [
            f"## Commands\n\n| command | what it does |\n|---|---|\n{table}",
            "## Global options",
            f"Write these before the command, as in `{PROGRAM} --home DIR report`.",
            _options(cli, ()),
            "## Each command",
            *(_section(path, command) for path, command in everything),
        ]
    )


def page(before: str) -> str:
    """The whole page, given what it was before. Raises `ValueError` if it has lost its marker."""
    head, marker, _ = before.partition(MARKER)
    if not marker:
        raise ValueError(f"docs/CLI.md has no line {MARKER}")
    return f"{head}{MARKER}\n\n{reference()}\n"


def _section(path: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(path), parent=click.Context(cli))
    usage = " ".join([PROGRAM, *path, *command.collect_usage_pieces(context)])
    parts = [f"### {PROGRAM} {' '.join(path)}", f"```text\n{usage}\n```", _prose(command)]
    options = _options(command, path)
    return "\n\n".join([*parts, options] if options else parts)


def _prose(command: click.Command) -> str:
    """The help text: its paragraphs, each on one line."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _options(command: click.Command, path: tuple[str, ...]) -> str:
    """A table of the options, `--help` left out; nothing if there are none."""
    context = click.Context(command, info_name=" ".join(path))
    records = [
        parameter.get_help_record(context)
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts
    ]
    rows = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in filter(None, records)]
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) if rows else ""


def _cell(text: str) -> str:
    """Text that stays within its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
