"""The commands that decide who is who: merge, split, separate, hide, undo, consolidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from registry.core.decisions import Decision
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.people import corrections, joining
from registry.terminal import (
    F,
    Terminal,
    cosine,
    count,
    identity_argument,
    json_option,
    pass_terminal,
    person,
    short,
    undo_note,
)

_SHOWN = 20
"""The most groups that the preview of a consolidation lists."""


@click.command("merge")
@identity_argument()
@identity_argument("others", nargs=-1, required=True)
@click.option(
    "--yes", is_flag=True,
    help="Do not ask, even if they were seen side by side or have different names.",
)  # fmt: skip
@pass_terminal
def merge_command(terminal: Terminal, identity: str, others: tuple[str, ...], yes: bool) -> None:
    """Decide that identities are one person, who keeps the first one's id.

    The person keeps the first one's name. If that has none, it takes one of the others'. If they
    were seen side by side, or have different names, this is said, and the command asks.
    """
    with terminal.open() as registry:
        warnings = corrections.merge_warnings(registry, (identity, *others))
        for warning in warnings:
            terminal.note(f"warning: {warning}")
        if warnings:
            terminal.confirm((), "Merge them?", yes=yes, final=False)
        decision = corrections.merge(registry, (identity, *others))
        merged = registry.identity(decision.identity_id)
    name = f" {merged.name}" if merged.name else ""
    terminal.say(
        f"{merged.identity_id}{name} has {count(merged.videos, 'video')} and "
        f"{count(merged.faces, 'face')} now."
    )
    _print_undo(terminal, decision)


@click.command("split")
@identity_argument()
@click.option("--video", "videos", multiple=True, help="All its faces in this video: URL or id.")
@click.option("--track", "tracks", multiple=True, help="Its faces in one track: VIDEO:N.")
@click.option("--face", "faces", multiple=True, help="One face: VIDEO:N:FRAME, or its id.")
@pass_terminal
def split_command(
    terminal: Terminal,
    identity: str,
    videos: tuple[str, ...],
    tracks: tuple[str, ...],
    faces: tuple[str, ...],
) -> None:
    """Decide that some faces of an identity are another person.

    Options may be repeated and combined. `identities show --faces` lists tracks and faces as they
    are given here. If these are all the faces that the identity's name was given to, the name goes
    along with them.
    """
    selection = corrections.FaceSelection(videos, tracks, faces)
    with terminal.open() as registry:
        before = registry.identity(identity).identity_id
        decision = corrections.split(registry, identity, selection)
        left = registry.identity(before)
    moved = count(len(decision.faces), "face")
    are = "is" if len(decision.faces) == 1 else "are"
    terminal.say(f"{moved} {are} identity {decision.new_identity} now.")
    if decision.name:
        stays = f"The others are named {left.name} now." if left.name else "The others have none."
        terminal.say(f"The name {decision.name} goes along: it was given to these faces. {stays}")
    _print_undo(terminal, decision)


@click.command("separate")
@identity_argument("one")
@identity_argument("other")
@pass_terminal
def separate_command(terminal: Terminal, one: str, other: str) -> None:
    """Decide that two identities are two people. They are never suggested or joined again."""
    with terminal.open() as registry:
        decision = corrections.separate(registry, one, other)
    terminal.say(f"{decision.identity_id} and {decision.others[0]} are two people.")
    _print_undo(terminal, decision)


@click.command("hide")
@click.argument("identities", nargs=-1, required=True)
@pass_terminal
def hide_command(terminal: Terminal, identities: tuple[str, ...]) -> None:
    """Leave identities out of lists, reports and suggestions: passers-by, or no faces at all.

    Their faces stay on record, and `--all` lists them with the provisional identities.
    """
    with terminal.open() as registry:
        decision = corrections.hide(registry, identities)
    hidden = count(1 + len(decision.others), "identity", "identities")
    terminal.say(f"{hidden} {'are' if decision.others else 'is'} hidden now.")
    _print_undo(terminal, decision)


@click.command("undo")
@click.argument("number", type=int, required=False)
@pass_terminal
def undo_command(terminal: Terminal, number: int | None) -> None:
    """Take back a decision: the one of this number, or the last one that counts."""
    with terminal.open() as registry:
        target, decision = corrections.undo(registry, number)
    terminal.say(f"Decision {target.number} ({target.kind}) no longer counts.")
    _print_undo(terminal, decision)


def threshold_option(function: F) -> F:
    """Add `--threshold`, the least average cosine of a join."""
    return click.option(
        "--threshold",
        type=cosine(),
        help="Least average cosine of a join.  [default: as calibrated, or the model's own]",
    )(function)


@click.command("consolidate")
@threshold_option
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@json_option
@pass_terminal
def consolidate_command(
    terminal: Terminal, threshold: float | None, yes: bool, as_json: bool
) -> None:
    """Join identities whose faces show that they are one person. `undo` takes it back.

    On a terminal, shows who would be joined and asks.
    """
    with terminal.open() as registry:
        before = registry.index.count_identities()
        groups = joining.duplicate_groups(registry, threshold=threshold)
        if groups:
            terminal.confirm(
                _joins(registry, groups), "Join them?", yes=yes, final=False, required=False
            )
        decision = joining.join(registry, groups)
        print_calibration_warning(terminal, registry)
        after = registry.index.count_identities()
    if as_json:
        terminal.json(joining.consolidation_document(decision, before, after))
        return
    for group in decision.groups if decision else ():
        terminal.say(f"{', '.join(short(other) for other in group[1:])} joined {group[0]}.")
    terminal.say(
        f"{count(before - after, 'identity', 'identities')} joined others. "
        f"There {'is' if after == 1 else 'are'} {count(after, 'identity', 'identities')} now."
    )
    if decision:
        _print_undo(terminal, decision)


def _joins(registry: Registry, groups: Sequence[Sequence[str]]) -> Iterator[str]:
    """Who would be joined: a line for each of the first groups."""
    shown = groups[:_SHOWN]
    known = registry.index.get_identities([member for group in shown for member in group])
    for group in shown:
        first, *others = (
            f"{person(one, known[one].name)} ({count(known[one].faces, 'face')} in "
            f"{count(known[one].videos, 'video')})"
            for one in group
        )
        yield f"  {first}: {', '.join(others)}"
    if len(groups) > len(shown):
        yield f"  and {count(len(groups) - len(shown), 'more person', 'more people')}"
    joining_in = sum(len(group) - 1 for group in groups)
    yield (
        f"{count(joining_in, 'identity', 'identities')} would join "
        f"{count(len(groups), 'person', 'people')}. `face-registry identities undo` takes it back."
    )


def _print_undo(terminal: Terminal, decision: Decision) -> None:
    terminal.note(undo_note(decision.number))


def print_calibration_warning(terminal: Terminal, registry: Registry) -> None:
    """Say it if there is a calibration that is not used."""
    if warning := current_thresholds(registry).warning:
        terminal.note(f"warning: {warning}")
