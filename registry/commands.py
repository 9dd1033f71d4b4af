"""Commands about the registry as a whole, and about models and names."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from registry.changing.commands import change_model
from registry.copies.migration import migrate
from registry.core.runs import recorded
from registry.core.selectors import find_named
from registry.models import catalogue, download
from registry.settings import load_target
from registry.terminal import (
    Terminal,
    count,
    file_path,
    identity_argument,
    json_option,
    pass_terminal,
    short,
    undo_note,
    yes_option,
)


@click.command("reindex")
@pass_terminal
def reindex_command(terminal: Terminal) -> None:
    """Rebuild the index in Qdrant from the objects. Results stay the same."""
    with terminal.open() as registry, recorded(registry, "reindex") as recording:
        videos = registry.reindex()
        recording.counts = {"videos": {"rows": videos}}
    terminal.say(f"The index was rebuilt from the records of {count(videos, 'video')}.")


@click.command("name")
@identity_argument()
@click.argument("name")
@pass_terminal
def identities_name(terminal: Terminal, identity: str, name: str) -> None:
    """Give an identity a name. An empty name ('') removes it.

    IDENTITY is an id, the beginning of one, or a name.
    """
    with terminal.open() as registry:
        identity_id = registry.identity(identity).identity_id
        decision = registry.name(identity_id, name)
        namesakes = find_named(registry.index, decision.name)
    name = decision.name
    text = f"{identity_id} is now named {name!r}." if name else f"{identity_id} has no name now."
    terminal.say(text)
    if others := [short(one.identity_id) for one in namesakes if one.identity_id != identity_id]:
        terminal.note(
            f"Other identities with this name: {', '.join(others)}. If they are the same person, "
            "run `face-registry identities merge`. If not, refer to them by their ids: the name is "
            "ambiguous."
        )
    terminal.note(undo_note(decision.number))


@click.command("list")
@json_option
@pass_terminal
def models_list(terminal: Terminal, as_json: bool) -> None:
    """List the face models: dimension, licence, source, and whether they are on this machine."""
    listing = catalogue.listing(terminal.settings.model_cache)
    if as_json:
        terminal.json({"models": [asdict(entry) for entry in listing]})
        return
    for entry in listing:
        present = "on this machine" if entry.present else "not on this machine"
        terminal.say(f"{entry.name:<12}{entry.dimension}-d, {present}")
        terminal.say(f"{'':<12}licence: {entry.licence}")
        terminal.say(f"{'':<12}source:  {entry.source}")
        terminal.say(f"{'':<12}thresholds: {entry.threshold_source}")


@click.command("pull")
@click.argument("name")
@click.option(
    "--accept-licence",
    is_flag=True,
    help="Confirm that its licence allows your use, where it allows research only.",
)
@pass_terminal
def models_pull(terminal: Terminal, name: str, accept_licence: bool) -> None:
    """Download a model: AuraFace, or a pack of InsightFace, for non-commercial research only."""
    cache = terminal.settings.model_cache
    terminal.say(download.pull(name, cache, accept_licence=accept_licence))


@click.command("migrate")
@click.option("--to-home", "home", type=file_path(), help="Copy everything into this folder.")
@click.option(
    "--to-qdrant", "qdrant", metavar="URL",
    help="Build the index on this Qdrant server.  [default: TARGET_QDRANT_URL]",
)  # fmt: skip
@click.option(
    "--to-minio", "minio", metavar="HOST:PORT",
    help="Copy the objects to this S3 server.  [default: TARGET_MINIO_ENDPOINT]",
)  # fmt: skip
@click.option("--model", help="Prepare a change to this model, and show what it would change.")
@click.option("--switch", "go", is_flag=True, help="Change to the new model now.")
@click.option("--discard", is_flag=True, help="Cancel the change: remove what --model prepared.")
@click.option(
    "--drop-blocks", is_flag=True,
    help="With --switch: remove all blocks, which the new model cannot use.",
)  # fmt: skip
@click.option(
    "--drop-faces", is_flag=True,
    help="With --switch: remove faces that cannot be embedded because their crops are damaged.",
)  # fmt: skip
@yes_option
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
    yes: bool,
    as_json: bool,
) -> None:
    """Copy the registry to another place, or change its model.

    To another place (--to-home, --to-qdrant, --to-minio): copies the objects and builds the index
    there. The registry here stays as it is. Credentials, bucket and other settings of the target
    come from TARGET_QDRANT_API_KEY, TARGET_QDRANT_PREFIX, TARGET_MINIO_ACCESS_KEY,
    TARGET_MINIO_SECRET_KEY, TARGET_MINIO_BUCKET and TARGET_MINIO_SECURE.

    To another model (--model): embeds all faces from their crops with the new model, then shows
    which identities would be joined or split and which averages would change. Until --switch, the
    registry stays as it is and may be used. Names, merges, splits and separations are kept.
    --switch shows the same and asks.

    An interrupted migration continues when the same command is run again.
    """
    if model or go or discard:
        if home or qdrant or minio:
            raise click.UsageError("Change the place and the model one after the other.")
        change_model(
            terminal, model, go=go, drop=discard,
            drop_blocks=drop_blocks, drop_faces=drop_faces, yes=yes, as_json=as_json,
        )  # fmt: skip
        return
    target = load_target(terminal.settings, home=home, qdrant=qdrant, minio=minio)
    with terminal.open() as registry:
        migration = migrate(registry, target)
    if as_json:
        terminal.json(asdict(migration))
        return
    if copied := migration.copied:
        kept = f" ({copied.kept:,} were there already)" if copied.kept else ""
        terminal.say(f"Copied {count(copied.written, 'object')} to {migration.objects}{kept}.")
    videos = count(migration.videos, "video")
    terminal.say(f"Built the index of {videos} in {migration.index}.")
