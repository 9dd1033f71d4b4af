"""Commands that say who is who: merge, split, separate, undo, suggest, consolidate."""

from __future__ import annotations

import click

from registry.core.decisions import Decision
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.people import corrections, joining
from registry.people.joining import Suggestion
from registry.terminal import (
    F,
    Terminal,
    clean,
    cosine,
    json_option,
    pass_terminal,
    short,
    undo_note,
)


@click.command("merge")
@click.argument("identity")
@click.argument("others", nargs=-1, required=True)
@pass_terminal
def merge_command(terminal: Terminal, identity: str, others: tuple[str, ...]) -> None:
    """Say that identities are one person, who keeps the first one's id.

    The person keeps the first one's name, or takes one of the others' where it has none.
    """
    with terminal.open() as registry:
        decision = corrections.merge(registry, (identity, *others))
        found = registry.identity(decision.identity_id)
    name = f" {found.name}" if found.name else ""
    terminal.say(f"{found.identity_id}{name} has {found.videos} videos, {found.faces} faces now")
    _tell_undo(terminal, decision)


@click.command("split")
@click.argument("identity")
@click.option("--video", "videos", multiple=True, help="All its faces in this video: URL or id.")
@click.option("--track", "tracks", multiple=True, help="Its faces in one track: VIDEO:N.")
@click.option("--face", "faces", multiple=True, help="One face: its id, as in the zip's index.")
@pass_terminal
def split_command(
    terminal: Terminal,
    identity: str,
    videos: tuple[str, ...],
    tracks: tuple[str, ...],
    faces: tuple[str, ...],
) -> None:
    """Say that some faces of an identity are another person. Options may be repeated and mixed."""
    with terminal.open() as registry:
        decision = corrections.split(registry, identity, corrections.Part(videos, tracks, faces))
    terminal.say(f"{len(decision.faces)} faces are identity {decision.new_identity} now")
    _tell_undo(terminal, decision)


@click.command("separate")
@click.argument("one")
@click.argument("other")
@pass_terminal
def separate_command(terminal: Terminal, one: str, other: str) -> None:
    """Say that two identities are two people: they are never suggested or joined again."""
    with terminal.open() as registry:
        decision = corrections.separate(registry, one, other)
    terminal.say(f"{decision.identity_id} and {decision.others[0]} are two people")
    _tell_undo(terminal, decision)


@click.command("undo")
@click.argument("number", type=int, required=False)
@pass_terminal
def undo_command(terminal: Terminal, number: int | None) -> None:
    """Take back a decision: the last one that counts, or the one of this number."""
    with terminal.open() as registry:
        target, decision = corrections.undo(registry, number)
    terminal.say(f"decision {target.number} ({target.kind}) no longer counts")
    _tell_undo(terminal, decision)


def _threshold_option(function: F) -> F:
    return click.option(
        "--threshold",
        type=cosine(),
        help="Least average cosine of a join.  [default: as calibrated, or the model's own]",
    )(function)


@click.command("suggest")
@_threshold_option
@json_option
@pass_terminal
def suggest_command(terminal: Terminal, threshold: float | None, as_json: bool) -> None:
    """List identities that are likely one person, most alike first, with the evidence."""
    with terminal.open() as registry:
        found = joining.suggest(registry, threshold=threshold)
        _tell_stale(terminal, registry)
    if as_json:
        terminal.json({"suggestions": [suggestion.as_dict() for suggestion in found]})
        return
    for suggestion in found:
        print_suggestion(terminal, suggestion)
    certain = [suggestion for suggestion in found if suggestion.certain]
    poor = sum(suggestion.joins.provisional for suggestion in certain)
    besides = f" (and {poor} that lists leave out, of a few poor faces)" if poor else ""
    terminal.note(
        f"{len(certain) - poor} would be joined by `face-registry identities consolidate`{besides}"
        f"; {len(found) - len(certain)} are for you to say: "
        "`identities merge` or `identities separate`"
    )


@click.command("consolidate")
@_threshold_option
@json_option
@pass_terminal
def consolidate_command(terminal: Terminal, threshold: float | None, as_json: bool) -> None:
    """Join identities that are one person as far as their faces tell; `undo` parts them again."""
    with terminal.open() as registry:
        before = registry.index.count_identities()
        decision = joining.consolidate(registry, threshold=threshold)
        _tell_stale(terminal, registry)
        after = registry.index.count_identities()
    if as_json:
        terminal.json(joining.consolidation_document(decision, before, after))
        return
    for group in decision.groups if decision else ():
        terminal.say(f"{group[0]} takes in {', '.join(short(other) for other in group[1:])}")
    terminal.say(f"{before - after} identities joined others; {after} identities now")
    if decision:
        _tell_undo(terminal, decision)


def print_suggestion(terminal: Terminal, suggestion: Suggestion) -> None:
    """Print one suggestion and its evidence."""
    sides = (suggestion.stays, suggestion.joins)
    who = "  ".join(f"{short(i.identity_id)}{f' {i.name}' if i.name else ''}" for i in sides)
    verdict = "likely one person" if suggestion.certain else "for you to say"
    terminal.say(f"{suggestion.similarity:.3f}  {who}  {verdict}")
    if suggestion.reason:
        terminal.say(f"       {suggestion.reason}")
    terminal.say(
        f"       tracks of good faces {suggestion.tracks[0]} and {suggestion.tracks[1]}, "
        f"shared tracks {suggestion.shared_tracks}, frames with both {suggestion.together}"
    )
    terminal.say(f"       {clean(sides[0].cover)}  {clean(sides[1].cover)}")


def _tell_undo(terminal: Terminal, decision: Decision) -> None:
    terminal.note(undo_note(decision.number))


def _tell_stale(terminal: Terminal, registry: Registry) -> None:
    if warning := current_thresholds(registry).warning:
        terminal.note(f"warning: {warning}")
