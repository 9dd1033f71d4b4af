"""Answers to open questions, saved from a report page: a file that is taken in as decisions.

The file is one JSON object of `FORMAT`:

    format     this format
    registry   id of the registry that the page was made from
    model      digest of the model that it had
    decisions  how many decisions the log had when the page was made
    made       the day of the page, ISO 8601
    answers    a list of {first, second, answer}: ids of two identities, and `same` or `different`

Each answer is one decision, a merge or a separation, and can be undone by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.core.decisions import Decision, DecisionKind
from registry.core.registry import Registry
from registry.errors import UsageError
from registry.people import corrections
from registry.terminal import short

FORMAT = "face-registry answers 1"
SAME, DIFFERENT = "same", "different"
_LARGEST = 5_000_000
"""Bytes of a file of answers: 20,000 of them."""
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_CHANGING = {DecisionKind.SPLIT, DecisionKind.UNDO, DecisionKind.VOID}


class Answered(BaseModel):
    """One answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: str = Field(pattern=_UUID)
    """Id of an identity; it keeps its id if the answer is `same`."""
    second: str = Field(pattern=_UUID)
    answer: Literal["same", "different"]


class AnswersFile(BaseModel):
    """A file of answers."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal["face-registry answers 1"]
    registry: str
    model: str
    decisions: int = Field(ge=0)
    made: str = ""
    answers: tuple[Answered, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class PlannedAnswer:
    """What an answer would do, or why it does nothing."""

    given: Answered
    first: str
    """Identity that the first one is by now."""
    second: str
    reason: str
    """Why it is left out; empty if it will be a decision."""
    warnings: tuple[str, ...] = ()
    """What speaks against it."""

    @property
    def same(self) -> bool:
        """Whether both are one person."""
        return self.given.answer == SAME


def load_answers(path: Path) -> AnswersFile:
    """Read a file of answers.

    Raises:
        UsageError: the file cannot be read, or is not such a file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as exc:
        raise UsageError(
            f"{path} cannot be read ({exc.strerror}). Give the path of a file of answers that was "
            "saved from a report page."
        ) from exc
    if len(content) > _LARGEST:
        raise UsageError(f"{path} is larger than {_LARGEST:,} bytes, so it is not such a file.")
    try:
        answers = AnswersFile.model_validate_json(content)
    except ValidationError as exc:
        raise UsageError(
            f"{path} is not a file of answers: {_first_error(exc)}. Save it from the report page "
            "again."
        ) from exc
    _check_pairs(path, answers.answers)
    return answers


def plan_answers(registry: Registry, answers: AnswersFile) -> list[PlannedAnswer]:
    """What each answer would do now, in the order of the file. Nothing is changed.

    An answer is left out if one of the two identities is no longer on record, if it was split or
    one of its merges was undone since the page was made, or if it is decided already, by the log or
    by an earlier answer of the file.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UsageError: the page was made from another registry, or with another model.
    """
    contract = registry.contract
    if answers.registry != contract.registry_id:
        raise UsageError(
            f"The answers are for the registry {short(answers.registry)}, and this one is "
            f"{short(contract.registry_id)}. Choose the other one with --home."
        )
    if answers.model != contract.model.digest:
        raise UsageError(
            "The answers are about people as another model grouped them: this registry has "
            f"{contract.model.name} since. Make the report page again, and answer that one."
        )
    log = registry.decisions.entries()
    if answers.decisions > len(log):
        raise UsageError(
            f"The page was made after decision {answers.decisions}, and this registry has "
            f"{len(log)}: it was restored from an earlier backup. Make the report page again."
        )
    return _Plan(registry, log, answers.decisions).planned(answers.answers)


def apply_answers(registry: Registry, planned: Sequence[PlannedAnswer]) -> list[Decision]:
    """Make the decisions of a plan, one for each answer that is not left out."""
    decisions = []
    for one in planned:
        if one.reason:
            continue
        first, second = registry.view.root(one.first), registry.view.root(one.second)
        if one.same:
            decisions.append(corrections.merge(registry, (first, second)))
        else:
            decisions.append(corrections.separate(registry, first, second))
    return decisions


class _Plan:
    """Answers one after the other, each seeing what those before it would change."""

    def __init__(self, registry: Registry, log: Sequence[Decision], made_after: int) -> None:
        self._registry, self._view = registry, registry.view
        self._later = [one for one in log if one.number > made_after]
        self._by_number = {one.number: one for one in log}
        self._parents: dict[str, str] = {}
        self._apart: set[frozenset[str]] = set()

    def planned(self, answers: Iterable[Answered]) -> list[PlannedAnswer]:
        return [self._plan(one) for one in answers]

    def _plan(self, given: Answered) -> PlannedAnswer:
        first, second = self._view.root(given.first), self._view.root(given.second)
        reason = self._stale(given) or self._decided(given, first, second)
        if reason:
            return PlannedAnswer(given, first, second, reason)
        if given.answer == DIFFERENT:
            self._apart.add(frozenset((self._now(first), self._now(second))))
            return PlannedAnswer(given, first, second, "")
        keys = (first, second)
        warnings = tuple(corrections.merge_warnings(self._registry, keys))
        kept, joining = self._now(first), self._now(second)
        self._parents[joining] = kept
        self._apart = {frozenset(map(self._now, pair)) for pair in self._apart}
        return PlannedAnswer(given, first, second, "", warnings)

    def _now(self, identity: str) -> str:
        while identity in self._parents:
            identity = self._parents[identity]
        return identity

    def _stale(self, given: Answered) -> str:
        """Why the pictures that were judged no longer stand for these identities; else empty."""
        both = (given.first, given.second)
        roots = [self._view.root(one) for one in both]
        known = self._registry.index.get_identities(sorted(set(roots)))
        for one, root in zip(both, roots, strict=True):
            if root not in known:
                return f"{short(one)} is no longer on record"
        for decision in self._later:
            about = decision
            if decision.kind is DecisionKind.UNDO:
                about = self._by_number.get(decision.undoes, decision)
            changes = decision.kind in _CHANGING and about.kind is not DecisionKind.NAME
            for one, root in zip(both, roots, strict=True):
                if changes and {one, root} & about.identities:
                    return f"decision {decision.number} changed {short(one)} since"
        return ""

    def _decided(self, given: Answered, first: str, second: str) -> str:
        one, other = self._now(first), self._now(second)
        same = given.answer == SAME
        if one == other:
            decided = "are one person already" if first == second else "become one person by it"
            if same:
                return decided
            return (
                "were merged since; `face-registry identities undo` takes a merge back"
                if first == second
                else "become one person by an earlier answer of the file"
            )
        number = self._view.separated(first, second)
        if number is not None:
            if same:
                return (
                    f"decision {number} says that they are two people; `face-registry identities "
                    f"undo {number}` takes it back"
                )
            return f"decision {number} says so already"
        if frozenset((one, other)) in self._apart:
            return (
                "become two people by an earlier answer of the file" if same else "follows already"
            )
        return ""


def _check_pairs(path: Path, answers: Sequence[Answered]) -> None:
    """Raise `UsageError` for a pair of one identity, or one that is there twice."""
    seen: set[frozenset[str]] = set()
    for one in answers:
        pair = frozenset((one.first, one.second))
        if len(pair) == 1:
            raise UsageError(f"{path}: an answer names {one.first} twice. Save the file again.")
        if pair in seen:
            raise UsageError(
                f"{path}: the pair {one.first} and {one.second} has two answers. Keep one."
            )
        seen.add(pair)


def _first_error(error: ValidationError) -> str:
    """Where the first error is, and what it is, without the content of the file."""
    first: Any = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = re.sub(r"\s+", " ", str(first["msg"]))[:200].rstrip(".")
    return f"{where}: {message}" if where else message
