"""`backup`, `restore` and `migrate`: options to one call, and its answer to the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from registry.copies.saving import backup, restore
from registry.terminal import Terminal, file_path, json_option, pass_terminal


@click.command("backup")
@click.argument("file", type=file_path())
@json_option
@pass_terminal
def backup_command(terminal: Terminal, file: Path, as_json: bool) -> None:
    """Save the whole registry in one archive: records with vectors, crops, decisions.

    The archive is not encrypted, holds biometric data and is readable by its owner alone.
    """
    with terminal.open() as registry:
        head = backup(registry, file)
    if as_json:
        terminal.json(head)
    else:
        terminal.say(f"saved {head['counts']['objects']} objects in {file}")


@click.command("restore")
@click.argument("file", type=file_path())
@click.option("--overwrite", is_flag=True, help="Replace what the registry holds now.")
@click.option(
    "--bring-back-erased", "bring_back", is_flag=True,
    help="Even if it erased since what the archive still holds.",
)  # fmt: skip
@json_option
@pass_terminal
def restore_command(
    terminal: Terminal, file: Path, overwrite: bool, bring_back: bool, as_json: bool
) -> None:
    """Bring back a registry from an archive, wherever this one keeps its objects and index.

    All of the archive is verified before anything is written.
    """
    with terminal.open() as registry:
        head = restore(registry, file, overwrite=overwrite, bring_back=bring_back)
    if as_json:
        terminal.json(head)
    else:
        terminal.say(f"restored {head['counts']['objects']} objects, saved {head['created']}")
