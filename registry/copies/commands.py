"""The commands `backup` and `restore`."""

from __future__ import annotations

from pathlib import Path

import click

from registry.copies.backup import backup, restore
from registry.copies.previews import holds_something, preview_of_file, preview_of_restore
from registry.terminal import (
    Terminal,
    count,
    file_path,
    json_option,
    output_file,
    pass_terminal,
    yes_option,
)


@click.command("backup")
@click.argument("file", type=output_file("zip"))
@yes_option
@json_option
@pass_terminal
def backup_command(terminal: Terminal, file: Path, yes: bool, as_json: bool) -> None:
    """Save the registry in an archive: records with embeddings, crops and decisions.

    FILE is written as a zip file that only its owner can read. It is not encrypted and contains
    biometric data. If it exists, the command shows what it is and asks.
    """
    if file.exists():
        terminal.confirm(preview_of_file(file), "Replace the file?", yes=yes)
    with terminal.open_to_read(while_locked=False) as registry:
        head = backup(registry, file)
    if as_json:
        terminal.json(head)
    else:
        terminal.say(f"Saved {count(head['counts']['objects'], 'object')} in {file}.")


@click.command("restore")
@click.argument("file", type=file_path())
@click.option(
    "--overwrite", is_flag=True,
    help="Replace the registry that is there. Shows what is in it and asks.",
)  # fmt: skip
@click.option(
    "--bring-back-erased", "bring_back", is_flag=True,
    help="Restore even people and videos that were erased after the backup.",
)  # fmt: skip
@yes_option
@json_option
@pass_terminal
def restore_command(
    terminal: Terminal, file: Path, overwrite: bool, bring_back: bool, yes: bool, as_json: bool
) -> None:
    """Restore a registry from an archive that `backup` wrote, into the current home or servers.

    All of the archive is verified before anything is written.
    """
    with terminal.open() as registry:
        if overwrite and holds_something(registry):
            preview = preview_of_restore(registry, file)
            terminal.confirm(preview, "Replace the registry?", yes=yes)
        head = restore(registry, file, overwrite=overwrite, bring_back=bring_back)
    if as_json:
        terminal.json(head)
    else:
        objects = count(head["counts"]["objects"], "object")
        terminal.say(f"Restored {objects} from the backup of {head['created']}.")
