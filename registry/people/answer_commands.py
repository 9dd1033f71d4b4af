"""The command `identities answer`: answers from a report page become decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from registry.core.decisions import Decision
from registry.errors import UsageError
from registry.people.answers import PlannedAnswer, apply_answers, load_answers, plan_answers
from registry.terminal import Terminal, count, file_path, json_option, pass_terminal, short


@click.command("answer")
@click.argument("file", type=file_path())
@click.option("--yes", is_flag=True, help="Do not ask before the decisions are made.")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be decided, and stop.")
@json_option
@pass_terminal
def answer_command(
    terminal: Terminal, file: Path, yes: bool, only_plan: bool, as_json: bool
) -> None:
    """Take in answers to open questions: a file that was saved from a page of `report --html`.

    Each answer becomes one decision, which `identities undo` takes back. Answers that no longer
    apply are said and left out.
    """
    answers = load_answers(file)
    with terminal.open() as registry:
        planned = plan_answers(registry, answers)
        taken = [one for one in planned if not one.reason]
        if not as_json:
            for one in planned:
                terminal.say(_line(one))
        for warning in dict.fromkeys(text for one in taken for text in one.warnings):
            terminal.note(f"warning: {warning}")
        decisions: list[Decision] = []
        if taken and not only_plan:
            if not yes:
                _ask(f"Make {count(len(taken), 'decision')}?")
            decisions = apply_answers(registry, planned)
    if as_json:
        terminal.json(_document(planned, decisions))
        return
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


def _ask(question: str) -> None:
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        raise UsageError("Nothing was changed. Repeat with --yes to make the decisions.")
