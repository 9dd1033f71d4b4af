"""The command `lookup`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from queries.answers import CloseSecond, LookupAnswer, Match, Probe
from queries.export import export_csv
from queries.folder_lookup import PhotoAnswer, answer_folder, answers_table, verdict
from queries.list_commands import all_option
from queries.lookup import Gallery, lookup, open_gallery
from registry.faces.quality import rates_hold
from registry.terminal import (
    Terminal,
    cosine,
    count,
    csv_options,
    file_path,
    json_option,
    number,
    pass_terminal,
    rate,
    short,
)


@click.command("lookup")
@click.argument("photo", type=file_path())
@click.option("--top", default=5, show_default=True, help="The most identities for each face.")
@click.option(
    "--threshold", type=cosine(),
    help="Least cosine similarity of a match.  [default: as calibrated, or the model's own]",
)  # fmt: skip
@csv_options("Write a table with a row for each face.  [default for a folder: lookup.csv]")
@all_option
@json_option
@pass_terminal
def lookup_command(
    terminal: Terminal,
    photo: Path,
    top: int,
    threshold: float | None,
    csv_path: Path | None,
    csv_for_excel: str | None,
    provisional: bool,
    as_json: bool,
) -> None:
    """Find out who is in a photo. A face that resembles nobody on record is unknown.

    PHOTO is a file, or a folder: then everyone in its photos and those of its subfolders is named.
    """
    with terminal.open_to_read() as registry:
        if photo.is_dir():
            gallery = open_gallery(registry, top=top, threshold=threshold, provisional=provisional)
            answers = _answer_folder(terminal, gallery, photo, as_json)
            csv_path = csv_path or (None if as_json else Path("lookup.csv"))
        else:
            answer = lookup(registry, photo, top=top, threshold=threshold, provisional=provisional)
            answers = [PhotoAnswer(photo.name, answer)]
            if as_json:
                terminal.json(answer.as_dict())
            else:
                print_answer(terminal, answer)
        if csv_path:
            table = answers_table(answers)
            export_csv(registry, table, csv_path, for_excel=csv_for_excel)
            rows, photos = count(len(table), "row"), count(len(answers), "photo")
            terminal.note(f"Wrote {csv_path} with {rows} on {photos}.")
    if last := next((one.answer for one in answers if one.answer), None):
        _print_notes(terminal, last)


def _answer_folder(
    terminal: Terminal, gallery: Gallery, folder: Path, as_json: bool
) -> list[PhotoAnswer]:
    answers = []
    for one in answer_folder(gallery, folder):
        answers.append(one)
        if not as_json:
            terminal.say(f"{one.photo}: {_in_photo(one)}")
    if as_json:
        terminal.json({"photos": [one.as_dict() for one in answers]})
    return answers


def _in_photo(one: PhotoAnswer) -> str:
    """Who is in a photo, in a line."""
    if one.answer is None:
        return f"not read. {one.problem}"
    if not one.answer.faces:
        return "no face"
    people = [probe.matches[0] for probe in one.answer.faces if verdict(probe) == "match"]
    named = [match.name or short(match.identity) for match in people]
    others = Counter(v for probe in one.answer.faces if (v := verdict(probe)) != "match")
    leads = [count(others["lead"], "lead")] if others["lead"] else []
    rest = [f"{others[word]} {word}" for word in ("unknown", "unclear") if others[word]]
    return ", ".join([*named, *leads, *rest])


def _print_notes(terminal: Terminal, answer: LookupAnswer) -> None:
    if answer.left_out:
        identities = count(answer.left_out, "provisional identity", "provisional identities")
        terminal.note(
            f"{identities} (a few poor faces, or hands taken for faces) cannot answer. "
            "--all lets them."
        )
    if answer.warning:
        terminal.note(f"warning: {answer.warning}")


_POOR = {
    "small": "too small",
    "blurred": "too blurred",
    "dark": "too dark",
    "flat": "too flat",
    "bright": "too bright",
    "profile": "turned too far",
    "cut_off": "too much cut off",
    "low_score": "too unlike a face",
    "pixelated": "too pixelated",
    "unclear": "too unclear",
}
"""What is wrong with a poor face, by the codes of `registry.faces.quality`."""


_COVERED = {"covered_eyes": "covered at the eyes", "covered_mouth": "covered at the mouth"}
"""What covers a face, by the same codes."""


def _too_poor(probe: Probe) -> str:
    """Why it cannot be told who a poor face is: `too small and too blurred to tell`."""
    reasons = [code for code in probe.quality.reasons if code not in _COVERED]
    return f"{' and '.join(_POOR.get(code, code) for code in reasons)} to tell"


def _condition(probe: Probe) -> str:
    """What covers a face, and why it is poor: `, covered at the eyes, too small to tell`."""
    parts = [words for code, words in _COVERED.items() if code in probe.quality.reasons]
    if not rates_hold(probe.quality):
        parts.append(_too_poor(probe))
    return "".join(f", {part}" for part in parts)


def print_answer(terminal: Terminal, answer: LookupAnswer) -> None:
    """Print who each face of the photo may be."""
    for place, probe in enumerate(answer.faces, start=1):
        box = probe.detection.box
        where = f"at x {box.x1:.0f}-{box.x2:.0f}, y {box.y1:.0f}-{box.y2:.0f}"
        terminal.say(f"face {place} of {len(answer.faces)}, {where}{_condition(probe)}:")
        if verdict(probe) == "unclear":
            terminal.say("  not compared: its similarity to faces on record means nothing")
        elif not probe.matches:
            nearest = "-" if probe.nearest is None else f"{probe.nearest:.3f}"
            terminal.say(
                f"  unknown, no match: the nearest face has {nearest}, below {answer.threshold:.3f}"
            )
        for match in probe.matches:
            _print_match(terminal, probe, match, answer)
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


def _print_match(terminal: Terminal, probe: Probe, match: Match, answer: LookupAnswer) -> None:
    rule = "same by the registry's rule" if match.same_by_rule else "likely the same person"
    if match.lead:
        rule = (
            f"a lead, not a match: the face is {_too_poor(probe)}"
            if not rates_hold(probe.quality)
            else "a lead, not a match: below the registry's threshold of "
            f"{answer.operating_point:.3f}"
        )
    name = f" {match.name}" if match.name else ""
    terminal.say(f"  {match.similarity:.3f}  {short(match.identity)}{name}  ({rule})")
    if match.provisional:
        terminal.say("         provisional: a few poor faces, which lists leave out")
    if match.still_picture:
        terminal.say("         a still picture (a logo, a poster, a cover), which has no average")
    terminal.say(f"         {_rates(match, answer)}")
    averages = ", ".join(f"{metric} {number(value)}" for metric, value in match.average.items())
    terminal.say(f"         in {count(match.videos, 'video')}; average {averages or '-'}")
    for evidence in match.evidence:
        terminal.say(
            f"         {evidence.similarity:.3f}  {evidence.video_url} at {evidence.time_s:.1f} s"
        )


def _rates(match: Match, answer: LookupAnswer) -> str:
    """How often strangers are as alike, in words."""
    far, fpir = match.false_accept_rate, match.false_positive_identification_rate
    if far is None or fpir is None:
        return "no error rate, since rates were measured on good faces"
    among = f"among {count(answer.identities, 'identity', 'identities')} (FPIR)"
    if match.rates_are_bounds:
        return (
            f"false-accept rate below 1 in {1 / far:,.0f} comparisons, the finest that was "
            f"measured; below {rate(fpir)} {among}"
        )
    return f"false-accept rate {rate(far)} a comparison, {rate(fpir)} {among}"
