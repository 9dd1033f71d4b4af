"""The command `identities answer`: answers from a report page become decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from registry.core.decisions import Decision
from registry.people.answers import PlannedAnswer, apply_answers, load_answers, plan_answers
from registry.terminal import (
    Terminal,
    count,
    file_path,
    json_option,
    pass_terminal,
    short,
    yes_option,
)


@click.command("answer")
@click.argument("file", type=file_path())
@yes_option
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be decided, and stop.")
@json_option
@pass_terminal
def answer_command(
    terminal: Terminal, file: Path, yes: bool, only_plan: bool, as_json: bool
) -> None:
    """Take in answers to open questions: a file that was saved from a page of `report --html`.

    Each answer becomes one decision, which `identities undo` takes back. Answers that no longer
    apply are left out, and the command says why. It shows what it will decide, and asks.
    """
    answers = load_answers(file)
    with terminal.open() as registry:
        planned = plan_answers(registry, answers)
        taken = [one for one in planned if not one.reason]
        decisions: list[Decision] = []
        if taken and not only_plan:
            question = f"Make {count(len(taken), 'decision')}?"
            terminal.confirm(_preview(planned), question, yes=yes, final=False)
            decisions = apply_answers(registry, planned)
    if as_json:
        terminal.json(_document(planned, decisions))
        return
    for one in planned:
        terminal.say(_line(one))
        if only_plan:
            for warning in one.warnings:
                terminal.note(f"warning: {warning}")
    left_out = len(planned) - len(taken)
    if only_plan:
        terminal.note(f"{count(len(taken), 'decision')} would be made, {left_out} left out.")
        return
    terminal.note(f"{count(len(decisions), 'decision')} made, {left_out} left out.")
    if decisions:
        numbers = f"{decisions[0].number}"
        if len(decisions) > 1:
            numbers += f" to {decisions[-1].number}"
        terminal.note(
            f"Decision {numbers}. Run `face-registry identities undo NUMBER` to take one back."
        )


def _preview(planned: Sequence[PlannedAnswer]) -> Iterator[str]:
    for one in planned:
        yield _line(one)
        yield from (f"  warning: {warning}" for warning in one.warnings)


def _line(one: PlannedAnswer) -> str:
    who = f"{short(one.given.first)} and {short(one.given.second)}"
    said = "one person" if one.same else "two people"
    return f"{who}: {said}" + (f", left out: {one.reason}" if one.reason else "")


def _document(planned: list[PlannedAnswer], decisions: list[Decision]) -> dict[str, Any]:
    numbers = iter([decision.number for decision in decisions])
    return {
        "answers": [
            {
                "first": one.given.first,
                "second": one.given.second,
                "answer": one.given.answer,
                "decision": None if one.reason else next(numbers, None),
                "left_out": one.reason or None,
                "warnings": list(one.warnings),
            }
            for one in planned
        ]
    }
