"""`migrate --model`: the preview of a change of the model, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote

import click

from registry.changing.change import Change, discard, prepare, switch, target_source
from registry.changing.comparing import Comparison, Moved, Shift, Standing
from registry.core.backends import load_model, model_choice
from registry.core.registry import Registry
from registry.domain import Video
from registry.terminal import Terminal, clean, count, duplicates_note, number, short

_LINES = 20
"""Of each list; `--json` has them all."""


def change_model(
    terminal: Terminal,
    name: str | None,
    *,
    go: bool,
    drop: bool,
    drop_blocks: bool,
    drop_faces: bool,
    as_json: bool,
) -> None:
    """What `migrate` does where `--model`, `--switch` or `--discard` is given."""
    if drop and (go or name):
        raise click.UsageError("--discard goes without --model and --switch")
    if (drop_blocks or drop_faces) and not go:
        raise click.UsageError("--drop-blocks and --drop-faces go with --switch")
    with terminal.open() as registry:
        if drop:
            terminal.say(f"{discard(registry)} objects of a change that was begun are removed")
            return
        change = _prepare(terminal, registry, name)
        if go:
            switch(registry, change, drop_blocks=drop_blocks, drop_faces=drop_faces)
    if as_json:
        terminal.json({**change.as_dict(), "switched": go})
        return
    _print(terminal, change, switched=go)
    _tell_next(terminal, change, switched=go)


def _prepare(terminal: Terminal, registry: Registry, name: str | None) -> Change:
    registry.contract  # noqa: B018  says that nothing was ingested before a model is loaded
    source = target_source(registry, name)
    model = load_model(terminal.settings, source)
    total = sum(1 for _ in registry.records.ids())

    def progress(done: int, video: Video, faces: int) -> None:
        terminal.note(f"[{done}/{total}] {video.url}: {count(faces, 'face')}")

    return prepare(registry, model, source, progress)


def _print(terminal: Terminal, change: Change, *, switched: bool) -> None:
    old, new, found = change.old.model, change.new.model, change.comparison
    terminal.say(
        f"{old.name} ({old.dimension}-d) to {new.name} ({new.dimension}-d): "
        f"{count(change.faces, 'face')} in {count(len(change.videos), 'video')}"
    )
    if change.by_landmarks:
        terminal.say(
            f"{change.by_landmarks} of {change.embedded} faces embedded now were not found again, "
            "and were aligned by the landmarks on record"
        )
    terminal.say(
        f"identities  {found.before} -> {found.after}, {found.unchanged} of them as they were "
        f"(cosine >= {change.new.threshold:g} as before)"
    )
    if found.provisional_before or found.provisional_after:
        terminal.say(
            f"besides     {found.provisional_before} -> {found.provisional_after} that may be no "
            "person (a few poor faces, hands): lists and reports leave them out"
        )
    before, after = found.before - change.duplicates[0], found.after - change.duplicates[1]
    terminal.say(f"people      {before} -> {after}, as far as consolidation would join them")
    if change.decided:
        terminal.say(f"kept        {change.decided}: decisions name them, so all their faces stay")
    terminal.say(f"named       {found.named_before} -> {found.named_after}")
    _print_shifts(terminal, "joined", "of", found.joined)
    _print_shifts(terminal, "split", "into", found.split)
    _print_moved(terminal, change.old.primary_metric, found)
    for why in change.hindrances:
        terminal.say(f"{'lost' if switched else 'in the way'}: {why}")
    if change.calibrated:
        terminal.say("the calibration was measured with the old model, and goes with it")


def _print_shifts(terminal: Terminal, title: str, word: str, shifts: Sequence[Shift]) -> None:
    if not shifts:
        return
    terminal.say(f"{title}: {len(shifts)}")

    def line(shift: Shift) -> str:
        sides = ", ".join(f"{short(i)} ({n})" for i, n in list(shift.others.items())[:6])
        more = f" and {len(shift.others) - 6} more" if len(shift.others) > 6 else ""
        return f"  {_called(shift.identity, shift.name)} {word} {sides}{more}"

    _print_lines(terminal, [line(shift) for shift in shifts[:_LINES]], len(shifts))


def _print_moved(terminal: Terminal, metric: str, found: Comparison) -> None:
    lasting = [line for line in found.moved if line.before and line.after]
    gone = [line for line in found.moved if not line.after]
    come = [line for line in found.moved if not line.before]
    if lasting:
        terminal.say(f"averages of {clean(metric)} or numbers of videos that move: {len(lasting)}")
        _print_lines(terminal, map(_moved, lasting[:_LINES]), len(lasting))
    if gone or come:
        terminal.say(f"no more: {len(gone)}, new: {len(come)} (--json has their averages, too)")


def _moved(line: Moved) -> str:
    def side(standing: Standing | None) -> str:
        if standing is None:
            return "-"
        return f"{number(standing.average)} ({count(standing.videos, 'video')})"

    return f"  {_called(line.identity, line.name)} {side(line.before)} -> {side(line.after)}"


def _print_lines(terminal: Terminal, lines: Iterable[str], total: int) -> None:
    for line in lines:
        terminal.say(line)
    if total > _LINES:
        terminal.say(f"  and {total - _LINES} more: --json has them all")


def _called(identity: str, name: str) -> str:
    return f"{short(identity)} {name}" if name else short(identity)


def _tell_next(terminal: Terminal, change: Change, *, switched: bool) -> None:
    source = change.new.model_source
    if not switched:
        terminal.note(
            "the registry is as it was. To switch: "
            f"`face-registry migrate --model {quote(source)} --switch`; "
            "to drop what was made beside it: `face-registry migrate --discard`"
        )
        return
    terminal.note(f"the registry is built with {change.new.model.name} now")
    if change.duplicates[1]:
        terminal.note(duplicates_note(change.duplicates[1], change.comparison.after))
    if warning := model_choice(terminal.settings, None, change.new).warning:
        terminal.note(f"warning: {warning}")
