"""The command `identities suggest`."""

from __future__ import annotations

import click

from queries.identity_effects import Effect, effects
from registry.errors import UsageError
from registry.people import joining
from registry.people.commands import print_calibration_warning, threshold_option
from registry.people.joining import Suggestion
from registry.terminal import Terminal, clean, json_option, pass_terminal, short

SIMILARITY, EFFECT = "similarity", "effect"


@click.command("suggest")
@threshold_option
@click.option(
    "--order", type=click.Choice((SIMILARITY, EFFECT)), default=SIMILARITY, show_default=True,
    help="effect: first the pairs whose join moves a reported mean most.",
)  # fmt: skip
@click.option(
    "--metric", default="",
    help="With --order effect: the metric of the means.  [default: the primary metric]",
)  # fmt: skip
@click.option(
    "--weight", default="", metavar="METRIC",
    help="With --order effect: weight means with this metric; none: do not weight.  [default: by "
    "the metric's kind]",
)  # fmt: skip
@json_option
@pass_terminal
def suggest_command(
    terminal: Terminal,
    threshold: float | None,
    order: str,
    metric: str,
    weight: str,
    as_json: bool,
) -> None:
    """List pairs of identities that are likely one person, most similar first, with evidence."""
    if order != EFFECT and (metric or weight):
        raise UsageError("--metric and --weight are for --order effect. Add it, or leave them out.")
    moved: list[Effect] = []
    with terminal.open_to_read() as registry:
        if order == EFFECT:
            moved = effects(registry, metric=metric, weight=weight, threshold=threshold)
            suggestions = [effect.suggestion for effect in moved]
        else:
            suggestions = joining.suggest(registry, threshold=threshold)
        print_calibration_warning(terminal, registry)
    if as_json:
        documents = [effect.as_dict() for effect in moved] or [one.as_dict() for one in suggestions]
        terminal.json({"suggestions": documents})
        return
    for place, suggestion in enumerate(suggestions):
        _print_suggestion(terminal, suggestion)
        if moved:
            terminal.say(f"       {clean(moved[place].sentence)}")
    certain = [suggestion for suggestion in suggestions if suggestion.certain]
    poor = sum(suggestion.joins.provisional for suggestion in certain)
    left_out = f", and {poor} of a few poor faces, which lists leave out" if poor else ""
    terminal.note(
        f"`face-registry identities consolidate` would join {len(certain) - poor}{left_out}. "
        f"{len(suggestions) - len(certain)} need your decision: "
        "`face-registry identities merge` or `face-registry identities separate`."
    )


def _print_suggestion(terminal: Terminal, suggestion: Suggestion) -> None:
    """Print one suggestion and its evidence."""
    sides = (suggestion.stays, suggestion.joins)
    who = "  ".join(f"{short(i.identity_id)}{f' {i.name}' if i.name else ''}" for i in sides)
    verdict = "likely one person" if suggestion.certain else "needs your decision"
    terminal.say(f"{suggestion.similarity:.3f}  {who}  {verdict}")
    if suggestion.reason:
        terminal.say(f"       {suggestion.reason}")
    terminal.say(
        f"       tracks of good faces {suggestion.tracks[0]} and {suggestion.tracks[1]}, "
        f"shared tracks {suggestion.shared_tracks}, frames with both {suggestion.together}"
    )
    if suggestion.repeated:
        terminal.say(
            f"       {suggestion.repeated} frames show both, too alike for two people: "
            "a mirror, a screen, or pictures of one person"
        )
    terminal.say(f"       {clean(sides[0].cover)}  {clean(sides[1].cover)}")
