"""Commands about the registry itself: its state, its models, its names, its index."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from registry.changing.commands import change_model
from registry.copies.moving import migrate
from registry.core.runs import recorded, runs
from registry.errors import StoreError
from registry.models import catalogue, download
from registry.settings import load_target
from registry.terminal import Terminal, file_path, json_option, pass_terminal, short, undo_note
from registry.upkeep import monitoring
from registry.upkeep.doctor import examine
from registry.upkeep.dump import dump
from registry.upkeep.status import status


@click.command("status")
@click.option(
    "--dump", "whole", is_flag=True,
    help="Print all that the registry holds as JSON, to compare registries by.",
)  # fmt: skip
@click.option("--runs", "history", is_flag=True, help="List the runs, newest first.")
@click.option("--metrics", is_flag=True, help="Print measurements as Prometheus reads them.")
@json_option
@pass_terminal
def status_command(
    terminal: Terminal, whole: bool, history: bool, metrics: bool, as_json: bool
) -> None:
    """Show what the registry holds and where."""
    if whole + history + metrics > 1:
        raise click.UsageError("choose one of --dump, --runs and --metrics")
    if history or metrics:
        (_tell_runs if history else _tell_metrics)(terminal, as_json)
        return
    with terminal.open() as registry:
        document = dump(registry) if whole else status(registry)
    if as_json or whole:
        terminal.json(document)
        return
    for key, value in _flat(document):
        terminal.say(f"{key:<24}{_worded(value)}")
    if document["empty"]:
        terminal.note("next: `face-registry ingest CSV`")


def _tell_runs(terminal: Terminal, as_json: bool) -> None:
    with terminal.open() as registry:
        found = runs(registry)
    if as_json:
        terminal.json({"runs": [asdict(run) for run in found]})
        return
    for run in found:
        ended = f"{run.seconds:.1f} s" if run.ended else ""
        words = (run.started, run.kind, run.outcome, ended, run.csv, run.by, run.run)
        terminal.say("  ".join(word for word in words if word))
        counted = ", ".join(f"{n} {what}" for what, n in run.counts.get("videos", {}).items() if n)
        for text in (counted, run.reason, run.purpose and f"for: {run.purpose}"):
            if text:
                terminal.say(f"    {text}")


def _tell_metrics(terminal: Terminal, as_json: bool) -> None:
    if as_json:
        raise click.UsageError("--metrics has a format of its own; leave --json out")
    try:
        with terminal.open() as registry:
            text = monitoring.measured(registry)
    except StoreError:
        click.echo(monitoring.unreachable(terminal.settings), nl=False)
        raise
    click.echo(text, nl=False)


def _flat(document: dict[str, Any]) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in document.items():
        if isinstance(value, dict):
            rows += [(f"{key} {inner}".replace("_", " "), v) for inner, v in value.items()]
        else:
            rows.append((key.replace("_", " "), value))
    return rows


def _worded(value: object) -> object:
    if value is None:
        return "-"
    return ("no", "yes")[value] if isinstance(value, bool) else value


@click.command("doctor")
@click.option("--deep", is_flag=True, help="Read every crop and check its digest.")
@click.option(
    "--fix", is_flag=True,
    help="Repair what is safe: remove crops of no record, rebuild an index that differs, tighten "
    "modes, mark videos with damaged records or crops to be read again.",
)  # fmt: skip
@json_option
@pass_terminal
def doctor_command(terminal: Terminal, deep: bool, fix: bool, as_json: bool) -> None:
    """Check that everything a registry needs is there, works, and is what was written.

    Exits with 1 while a part fails.
    """
    findings = []
    for finding in examine(terminal.settings, fix=fix, deep=deep):
        findings.append(finding)
        if not as_json:
            terminal.say(f"{finding.verdict:<8} {finding.part:<12} {finding.detail}")
            if finding.advice:
                terminal.say(f"{'':<21} {finding.advice}")
    if as_json:
        terminal.json({"findings": [asdict(finding) for finding in findings]})
    sys.exit(any(finding.verdict == "failed" for finding in findings))


@click.command("reindex")
@pass_terminal
def reindex_command(terminal: Terminal) -> None:
    """Rebuild the index in Qdrant from the objects: the same answers, anywhere."""
    with terminal.open() as registry, recorded(registry, "reindex") as recording:
        count = registry.reindex()
        recording.counts = {"videos": {"rows": count}}
    terminal.say(f"rebuilt the index from the records of {count} videos")


@click.command("name")
@click.argument("identity")
@click.argument("name")
@pass_terminal
def identities_name(terminal: Terminal, identity: str, name: str) -> None:
    """Give an identity a name; an empty one ('') takes it back."""
    with terminal.open() as registry:
        found = registry.identity(identity)
        decision = registry.name(found.identity_id, name)
        called = registry.index.named(decision.name) if decision.name else []
    who = found.identity_id
    terminal.say(f"{who} is {decision.name!r} now" if decision.name else f"{who} has no name now")
    if others := [short(one.identity_id) for one in called if one.identity_id != who]:
        terminal.note(
            f"{', '.join(others)} is called so, too: `identities merge` if it is the same person; "
            "else name them by their ids, since the name says no longer which is meant"
        )
    terminal.note(undo_note(decision.number))


@click.command("list")
@json_option
@pass_terminal
def models_list(terminal: Terminal, as_json: bool) -> None:
    """List the models: dimension, source, licence, and whether they are on this machine."""
    listing = catalogue.listing(terminal.settings.model_cache)
    if as_json:
        terminal.json({"models": [asdict(entry) for entry in listing]})
        return
    for entry in listing:
        present = "on this machine" if entry.present else "not on this machine"
        terminal.say(f"{entry.name:<12}{entry.dimension}-d, {present}")
        terminal.say(f"{'':<12}licence: {entry.licence}")
        terminal.say(f"{'':<12}source:  {entry.source}")


@click.command("pull")
@click.argument("name")
@click.option("--accept-licence", is_flag=True, help="Its licence covers what you do.")
@pass_terminal
def models_pull(terminal: Terminal, name: str, accept_licence: bool) -> None:
    """Download an InsightFace pack (its licence: non-commercial research only)."""
    cache = terminal.settings.model_cache
    terminal.say(download.pull(name, cache, accept_licence=accept_licence))


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
