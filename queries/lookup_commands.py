"""The command `lookup`."""

from __future__ import annotations

from pathlib import Path

import click

from queries.answers import CloseSecond, LookupAnswer, Match
from queries.lookup import lookup
from registry.terminal import (
    Terminal,
    cosine,
    file_path,
    json_option,
    number,
    pass_terminal,
    rate,
    short,
)


@click.command("lookup")
@click.argument("image", type=file_path())
@click.option("--top", default=5, show_default=True, help="The most identities for each face.")
@click.option(
    "--threshold", type=cosine(),
    help="Least cosine similarity of a match.  [default: as calibrated, or the model's own]",
)  # fmt: skip
@json_option
@pass_terminal
def lookup_command(
    terminal: Terminal, image: Path, top: int, threshold: float | None, as_json: bool
) -> None:
    """Find out who is in a photo. A face that resembles nobody on record is unknown."""
    with terminal.open() as registry:
        answer = lookup(registry, image, top=top, threshold=threshold)
    if as_json:
        terminal.json(answer.as_dict())
    else:
        print_answer(terminal, answer)
    if answer.warning:
        terminal.note(f"warning: {answer.warning}")


def print_answer(terminal: Terminal, answer: LookupAnswer) -> None:
    """Print who each face of the photo may be."""
    for place, probe in enumerate(answer.faces, start=1):
        box = probe.detection.box
        where = f"at x {box.x1:.0f}-{box.x2:.0f}, y {box.y1:.0f}-{box.y2:.0f}"
        terminal.say(f"face {place} of {len(answer.faces)}, {where}:")
        if not probe.matches:
            nearest = "-" if probe.nearest is None else f"{probe.nearest:.3f}"
            terminal.say(
                f"  unknown, no match: the nearest face has {nearest}, below {answer.threshold:.3f}"
            )
        for match in probe.matches:
            _print_match(terminal, match, answer)
        if probe.close_second:
            _print_second(terminal, probe.close_second)


def _print_second(terminal: Terminal, second: CloseSecond) -> None:
    name = f" {second.name}" if second.name else ""
    advice = (
        f"They are two people. {second.apart} Look at both."
        if second.apart
        else "They may be one person under two identities. "
        "`face-registry identities suggest` lists such pairs."
    )
    terminal.say(
        f"  {short(second.identity)}{name} is a close second, {second.margin:.3f} behind. {advice}"
    )


def _print_match(terminal: Terminal, match: Match, answer: LookupAnswer) -> None:
    rule = "same by the registry's rule" if match.same_by_rule else "likely the same person"
    if match.similarity < answer.operating_point:
        rule = (
            f"a lead, not a match: below the registry's threshold of {answer.operating_point:.3f}"
        )
    name = f" {match.name}" if match.name else ""
    terminal.say(f"  {match.similarity:.3f}  {short(match.identity)}{name}  ({rule})")
    if match.provisional:
        terminal.say("         provisional: a few poor faces, which lists leave out")
    terminal.say(
        f"         false-accept rate {rate(match.false_accept_rate)} a comparison, "
        f"{rate(match.false_positive_identification_rate)} among {answer.identities} identities "
        "(FPIR)"
    )
    averages = ", ".join(f"{metric} {number(value)}" for metric, value in match.average.items())
    terminal.say(f"         in {match.videos} videos; average {averages or '-'}")
    for evidence in match.evidence:
        terminal.say(
            f"         {evidence.similarity:.3f}  {evidence.video_url} at {evidence.time_s:.1f} s"
        )
