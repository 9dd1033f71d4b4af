"""What a table does not tell and only its owner can: asked with every reading, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.errors import UsageError
from registry.urls import printable

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Example:
    """One cell, and what it is under each choice."""

    row: int
    """As a spreadsheet counts; 0: a number on record."""
    cell: str
    values: tuple[float, ...]
    """In the order of the question's choices."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer."""

    option: str
    """As it is typed: `--decimal ,`."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something about one column that can be answered in several ways, or in none."""

    column: str
    asks: str
    """What is not certain, as a sentence."""
    choices: tuple[Choice, ...]
    """Empty where no option can answer: the table has to be changed."""
    examples: tuple[Example, ...]

    def __str__(self) -> str:
        """One paragraph: what is asked, each choice with what the examples are under it."""
        said = [self.asks]
        for place, choice in enumerate(self.choices):
            numbers = "; ".join(
                f"{_place(example)} '{printable(example.cell)}' is {plain(example.values[place])}"
                for example in self.examples[:_EXAMPLES]
            )
            said.append(f"{choice.option} ({choice.meaning}): {numbers}.")
        return " ".join(said)


class QuestionError(UsageError):
    """The table can be read in several ways: its owner has to say which. Exit code 2."""

    def __init__(self, source: str, questions: Sequence[Question]) -> None:
        """`source` names the table in the message."""
        super().__init__(f"{source}: " + " ".join(str(question) for question in questions))
        self.questions = tuple(questions)


def plain(value: float) -> str:
    """A number without grouping, so that it can be read in one way only."""
    return f"{value:.15g}" if abs(value) < 1e15 else f"{value:.0f}"


def _place(example: Example) -> str:
    return f"row {example.row}" if example.row else "on record"
