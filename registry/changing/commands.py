"""The commands `migrate` (with `--model`, `--switch` or `--discard`) and `models compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from shlex import quote

import click

from registry.changing.change import (
    ModelChange,
    Progress,
    check_obstacles,
    compare,
    difference,
    discard,
    prepare,
    switch,
    target_source,
)
from registry.changing.preview import AverageChange, IdentitySummary, Preview, Regrouping
from registry.core.backends import load_model, model_choice
from registry.core.registry import Registry
from registry.domain import Video
from registry.errors import UsageError
from registry.models.base import FaceModel
from registry.terminal import (
    Terminal,
    clean,
    count,
    duplicates_note,
    json_option,
    number,
    pass_terminal,
    person,
    short,
)

_LINES = 20
"""The most lines of each list on the terminal; `--json` has all of them."""


def change_model(
    terminal: Terminal,
    name: str | None,
    *,
    go: bool,
    drop: bool,
    drop_blocks: bool,
    drop_faces: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Run `migrate` for a change of the model.

    Args:
        terminal: where the result goes.
        name: of the new model, or None for the one of the change that was begun.
        go: whether to make the change (`--switch`).
        drop: whether to remove what was staged (`--discard`).
        drop_blocks: see `registry.changing.change.switch`.
        drop_faces: see there.
        yes: whether to make the change without asking.
        as_json: whether to print one JSON document.
    """
    if drop and (go or name):
        raise click.UsageError("--discard cannot be combined with --model or --switch.")
    if (drop_blocks or drop_faces) and not go:
        raise click.UsageError("--drop-blocks and --drop-faces need --switch.")
    if go and not (yes or terminal.interactive):  # before the embedding, which may take hours
        raise UsageError(
            "The model was not changed: there is no terminal to ask on. Repeat with --yes to "
            "change it; without --switch, the command shows what would change."
        )
    with terminal.open() as registry:
        if drop:
            terminal.say(f"Removed {discard(registry)} objects of the change that was begun.")
            return
        change = _run(terminal, registry, prepare, name)
        if go:
            check_obstacles(change, drop_blocks=drop_blocks, drop_faces=drop_faces)
            if not yes:
                _print_change(replace(terminal, out=terminal.err), change, switched=False)
            terminal.confirm((), f"Change the model to {change.new.model.name}?", yes=yes)
            switch(registry, change, drop_blocks=drop_blocks, drop_faces=drop_faces)
    if as_json:
        terminal.json({**change.as_dict(), "switched": go})
        return
    if not go or yes or not terminal.out.is_terminal:  # else it was shown before the question
        _print_change(terminal, change, switched=go)
    _print_next_step(terminal, change, switched=go)


@click.command("compare")
@click.argument("model")
@click.argument("other", required=False)
@json_option
@pass_terminal
def models_compare(terminal: Terminal, model: str, other: str | None, as_json: bool) -> None:
    """Show what another model would change here: who would be joined or split, which averages.

    Embeds all faces from their crops with MODEL and compares it with the registry's own. It is the
    preview of `migrate --model`, but nothing is written. With OTHER, a second model is compared
    with MODEL, and neither need be the registry's own.
    """
    with terminal.open() as registry:
        change = _run(terminal, registry, compare, model)
        if other is not None:
            second = _run(terminal, registry, compare, other)
            change = difference(registry, change, second)
    if as_json:
        terminal.json(change.as_dict())
        return
    _print_change(terminal, change, switched=False)
    terminal.note(
        "The registry was not changed. "
        f"`face-registry migrate --model {quote(change.new.model_source)}` prepares the change."
    )


def _run(
    terminal: Terminal,
    registry: Registry,
    function: Callable[[Registry, FaceModel, str, Progress], ModelChange],
    name: str | None,
) -> ModelChange:
    """Call `prepare` or `compare` with the model of this name, and show the progress."""
    registry.contract  # noqa: B018  raises EmptyRegistry before a model is loaded
    source = target_source(registry, name)
    model = load_model(terminal.settings, source)
    total = sum(1 for _ in registry.records.ids())

    def progress(done: int, video: Video, faces: int) -> None:
        terminal.note(f"[{done}/{total}] {video.url}: {count(faces, 'face')}")

    return function(registry, model, source, progress)


def _print_change(terminal: Terminal, change: ModelChange, *, switched: bool) -> None:
    old, new, preview = change.old.model, change.new.model, change.preview
    terminal.say(
        f"{old.name} ({old.dimension}-d) to {new.name} ({new.dimension}-d): "
        f"{count(change.faces, 'face')} in {count(len(change.videos), 'video')}"
    )
    if change.by_landmarks:
        terminal.say(
            f"The new model did not detect {change.by_landmarks} of {change.embedded} faces "
            "embedded now. They were aligned by the landmarks on record."
        )
    terminal.say(
        f"identities  {preview.before} -> {preview.after}, {preview.unchanged} of them unchanged "
        f"(cosine >= {change.new.threshold:g} as before)"
    )
    if preview.provisional_before or preview.provisional_after:
        terminal.say(
            f"provisional {preview.provisional_before} -> {preview.provisional_after}, not counted "
            "above (a few poor faces, or hands taken for faces): lists and reports leave them out"
        )
    before, after = preview.before - change.duplicates[0], preview.after - change.duplicates[1]
    terminal.say(f"people      {before} -> {after}, counted after consolidation")
    if change.decided:
        terminal.say(f"kept        {change.decided}, with all faces, because decisions name them")
    terminal.say(f"named       {preview.named_before} -> {preview.named_after}")
    _print_regroupings(terminal, "joined", "of", preview.joined)
    _print_regroupings(terminal, "split", "into", preview.split)
    _print_averages(terminal, change.old.primary_metric, preview)
    for obstacle in change.obstacles:
        terminal.say(f"{'lost' if switched else 'in the way'}: {obstacle}")
    if change.calibrated:
        terminal.say(
            "The calibration was measured with the old model and "
            + ("was removed." if switched else "would be removed.")
        )


def _print_regroupings(
    terminal: Terminal, title: str, preposition: str, regroupings: Sequence[Regrouping]
) -> None:
    if not regroupings:
        return
    terminal.say(f"{title}: {len(regroupings)}")

    def line(one: Regrouping) -> str:
        others = ", ".join(f"{short(i)} ({n})" for i, n in list(one.others.items())[:6])
        more = f" and {len(one.others) - 6} more" if len(one.others) > 6 else ""
        return f"  {person(one.identity, one.name)} {preposition} {others}{more}"

    _print_lines(terminal, [line(one) for one in regroupings[:_LINES]], len(regroupings))


def _print_averages(terminal: Terminal, metric: str, preview: Preview) -> None:
    changed = [one for one in preview.averages if one.before and one.after]
    gone = [one for one in preview.averages if not one.after]
    new = [one for one in preview.averages if not one.before]
    if changed:
        terminal.say(f"changed averages of {clean(metric)} or numbers of videos: {len(changed)}")
        _print_lines(terminal, map(_average_line, changed[:_LINES]), len(changed))
    if gone or new:
        terminal.say(f"gone: {len(gone)}, new: {len(new)} (--json has their averages, too)")


def _average_line(change: AverageChange) -> str:
    def side(summary: IdentitySummary | None) -> str:
        if summary is None:
            return "-"
        return f"{number(summary.average)} ({count(summary.videos, 'video')})"

    label = person(change.identity, change.name)
    return f"  {label} {side(change.before)} -> {side(change.after)}"


def _print_lines(terminal: Terminal, lines: Iterable[str], total: int) -> None:
    for line in lines:
        terminal.say(line)
    if total > _LINES:
        terminal.say(f"  {total - _LINES} more are not shown. --json lists all of them.")


def _print_next_step(terminal: Terminal, change: ModelChange, *, switched: bool) -> None:
    source = change.new.model_source
    if not switched:
        terminal.note(
            "The registry was not changed. "
            f"`face-registry migrate --model {quote(source)} --switch` makes the change, "
            "`face-registry migrate --discard` removes what was prepared for it."
        )
        return
    terminal.note(f"The registry uses {change.new.model.name} now.")
    if change.duplicates[1]:
        terminal.note(duplicates_note(change.duplicates[1], change.preview.after))
    if warning := model_choice(terminal.settings, None, change.new).warning:
        terminal.note(f"warning: {warning}")
