"""`backup`, `restore` and `migrate`: options to one call, and its answer to the terminal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from registry.changing.commands import change_model
from registry.copies.moving import migrate
from registry.copies.saving import backup, restore
from registry.settings import load_target
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


@click.command("migrate")
@click.option("--to-home", "home", type=file_path(), help="Into this folder, all embedded.")
@click.option(
    "--to-qdrant", "qdrant", metavar="URL",
    help="Index to this Qdrant server.  [default: TARGET_QDRANT_URL]",
)  # fmt: skip
@click.option(
    "--to-minio", "minio", metavar="HOST:PORT",
    help="Objects to this S3 server.  [default: TARGET_MINIO_ENDPOINT]",
)  # fmt: skip
@click.option("--model", help="To this model instead: show what would change, and switch nothing.")
@click.option("--switch", "go", is_flag=True, help="Change the model now.")
@click.option("--discard", is_flag=True, help="Drop what --model has made so far.")
@click.option("--drop-blocks", is_flag=True, help="Lift all blocks: they are of the old model.")
@click.option("--drop-faces", is_flag=True, help="Leave faces out whose crop is damaged.")
@json_option
@pass_terminal
def migrate_command(
    terminal: Terminal,
    home: Path | None,
    qdrant: str | None,
    minio: str | None,
    model: str | None,
    go: bool,
    discard: bool,
    drop_blocks: bool,
    drop_faces: bool,
    as_json: bool,
) -> None:
    """Move the registry to another place, or to another model.

    To a place (--to-…): copies the objects and makes the index anew there; this one stays.

    Keys, bucket and the like of the target come from TARGET_QDRANT_API_KEY, TARGET_QDRANT_PREFIX,
    TARGET_MINIO_ACCESS_KEY, TARGET_MINIO_SECRET_KEY, TARGET_MINIO_BUCKET and TARGET_MINIO_SECURE.

    To a model: embeds the faces anew from their crops, beside the registry, which may be used and
    added to meanwhile; then shows which identities are joined or split and which averages move.
    With --switch it changes to the model. Names, merges, splits and separations stay.

    Run it again if it was cut off.
    """
    if model or go or discard:
        if home or qdrant or minio:
            raise click.UsageError("a place or a model, not both at once: one after the other")
        change_model(
            terminal, model, go=go, drop=discard,
            drop_blocks=drop_blocks, drop_faces=drop_faces, as_json=as_json,
        )  # fmt: skip
        return
    target = load_target(terminal.settings, home=home, qdrant=qdrant, minio=minio)
    with terminal.open() as registry:
        moved = migrate(registry, target)
    if as_json:
        terminal.json(asdict(moved))
        return
    if moved.copied:
        already = f", {moved.copied.kept} were there" if moved.copied.kept else ""
        terminal.say(f"{moved.copied.written} objects written to {moved.objects}{already}")
    terminal.say(f"{moved.videos} videos in the index, {moved.index}")
