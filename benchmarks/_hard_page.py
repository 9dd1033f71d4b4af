"""What was found on hard footage, as tables of Markdown."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks._hard import HardResult, TurnedResult
from benchmarks._measures import Score
from benchmarks._siblings import SiblingResult

Result = HardResult | TurnedResult | SiblingResult


def machine() -> str:
    """When and where: date, processors, system."""
    cpu = Path("/proc/cpuinfo")
    names = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    model = next((n.partition(":")[2].strip() for n in names if n.startswith("model name")), "")
    where = f"{os.cpu_count()} processors {model or platform.machine()}, {platform.system()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {where}"


def score_cell(score: Score) -> str:
    """P / R / F1; identities per person; wrong merges."""
    return (
        f"{score.precision:.3f} / {score.recall:.3f} / {score.f1:.3f}; "
        f"{score.per_person:.2f}; {score.wrong}"
    )


@dataclass(slots=True)
class HardFinding:
    """What one part on hard footage found with one model."""

    rows: list[tuple[str, str, Result]] = field(default_factory=list)
    """What was grouped how, by whom it was measured, and the result."""
    when: str = field(default_factory=machine)


def hard_table(part: str, found: Sequence[tuple[str, HardFinding]]) -> list[str]:
    """The lines of one part's section.

    Args:
        part: a key of `TABLES`.
        found: names of models, and what this part found with them; one or more.
    """
    table = TABLES[part]
    titles = ["model", *table.titles]
    kinds = getattr(found[0][1].rows[0][2], "found", {})
    titles += kinds
    when = "; ".join(f"{model}: {finding.when}" for model, finding in found)
    lines = [
        f"## {table.name}",
        "",
        f"`python -m benchmarks.identity --part {part}`, {when}.",
        "",
        *textwrap.wrap(table.text, 96),
        "",
        f"| {' | '.join(titles)} |",
        "|" + "---|" * len(titles),
    ]
    for model, finding in found:
        lines += [
            f"| {model} | {' | '.join(table.cells(what, people, result))} |"
            for what, people, result in finding.rows
        ]
    return [*lines, ""]


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    text: str
    titles: tuple[str, ...]
    cells: Callable[[str, str, Result], list[str]]


def _hard_cells(what: str, people: str, result: Result) -> list[str]:
    assert isinstance(result, HardResult)
    every = f"{result.all.precision:.3f}; {result.all.wrong}"
    found = [f"{n} of {of}" for n, of in result.found.values()]
    return [what, people, score_cell(result.four), every, *found]


def _turned_cells(what: str, people: str, result: Result) -> list[str]:
    assert isinstance(result, TurnedResult)
    four = f"{result.precision:.4f} / {result.recall:.3f} / {result.f1:.3f}"
    rest = f"{result.lowest:.3f}; {result.wrong}"
    every = f"{result.all_precision:.4f}; {result.all_wrong}"
    shares = [f"{100 * share:.1f} %" for share in result.found.values()]
    return [people, f"{four}; {rest}", every, *shares]


def _sibling_cells(what: str, people: str, result: Result) -> list[str]:
    assert isinstance(result, SiblingResult)
    return [
        what,
        people,
        f"{result.inside:.2f}",
        f"{result.across:.2f}",
        f"{result.precision:.3f} / {result.recall:.3f}",
        f"{result.joined} of {result.pairs}",
        f"{result.strays} of {result.pairs * result.clips}",
    ]


TABLES: Mapping[str, _Table] = {
    "hard": _Table(
        "Hard footage",
        "Each person in clips of different photographs: plain; face 48 px high and compressed; "
        "dark and noisy; turned and in sunglasses. Then in a mask, pixelated, and before a blurred "
        "copy of the picture (`ghost`). P / R / F1, identities per person and wrong merges are of "
        "the first four kinds alone; all other columns are of all kinds together. The last "
        "columns: clips that are in the identity of most clips of their person. The other methods "
        "have the setting that is best on the first four kinds of the half that chose.",
        ("method", "people", "first four kinds", "P; wrong, all kinds"),
        _hard_cells,
    ),
    "turned": _Table(
        "Eighteen hard sets",
        "As above, consolidated at the shipped threshold. Each kind of a person shows each of the "
        "photographs in turn, in three orders. Means over the sets, the lowest P of a set, and "
        "wrong merges in all sets together.",
        ("people", "first four kinds: P / R / F1; lowest P; wrong", "P; wrong, all kinds"),
        _turned_cells,
    ),
    "siblings": _Table(
        "People who are alike",
        "Pairs of different people, consolidated at the shipped threshold, each pair in a registry "
        "of its own, with eight clips of each: six plain ones of different photographs, a small "
        "one and a dark one. `most alike`: of all pairs of people. `made alike`: the mean "
        "embedding of one is turned towards that of the other until they are as alike as siblings "
        "were seen to be. Inside, across: mean cosine of two clips of one person, of two people. "
        "Strays: clips that went to the other person.",
        ("pairs", "people", "inside", "across", "P / R", "became one", "strays"),
        _sibling_cells,
    ),
}
