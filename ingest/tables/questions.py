"""Questions to the user, where a table can be read in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.errors import UsageError
from registry.urls import printable

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Example:
    """One cell, and its value under each choice."""

    row: int
    """As a spreadsheet counts; 0 for a number on record."""
    cell: str
    values: tuple[float, ...]
    """In the order of the question's choices."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One possible answer."""

    option: str
    """The option as typed: `--decimal ,`."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one column."""

    column: str
    asks: str
    """The question, as a sentence."""
    choices: tuple[Choice, ...]
    """Empty if no option can answer, so that the table has to be changed."""
    examples: tuple[Example, ...]

    def __str__(self) -> str:
        """One paragraph: the question, and each choice with the values of the examples."""
        sentences = [self.asks]
        for place, choice in enumerate(self.choices):
            numbers = "; ".join(
                f"{_place(example)} '{printable(example.cell)}' is {plain(example.values[place])}"
                for example in self.examples[:_EXAMPLES]
            )
            sentences.append(f"{choice.option} ({choice.meaning}): {numbers}.")
        return " ".join(sentences)


class QuestionError(UsageError):
    """The table can be read in several ways, and the user has to choose one. Exit code 2."""

    def __init__(self, source: str, questions: Sequence[Question]) -> None:
        """`source` names the table in the message."""
        super().__init__(f"{source}: " + " ".join(str(question) for question in questions))
        self.questions = tuple(questions)


def plain(value: float) -> str:
    """Format a number without grouping digits, so that it has only one reading."""
    return f"{value:.15g}" if abs(value) < 1e15 else f"{value:.0f}"


def _place(example: Example) -> str:
    return f"row {example.row}" if example.row else "on record"
