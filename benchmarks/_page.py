"""What was found, as one page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks._hard_page import TABLES, hard_table, machine, score_cell
from benchmarks._measures import Score
from benchmarks._settings import Setting


@dataclass(frozen=True, slots=True)
class Cell:
    """One method at one setting on each set."""

    method: str
    setting: Setting
    how: str
    scores: tuple[Score, ...]


@dataclass(slots=True)
class Finding:
    """Everything measured with one model."""

    model: str
    sets: tuple[str, ...]
    """Names; the first is reported in detail."""
    rows: list[Cell] = field(default_factory=list)
    threshold: float = 0.0
    """The shipped linkage threshold: what orders, tables and nearness are measured at."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    near: list[Score] = field(default_factory=list)
    orders: dict[str, list[Score]] = field(default_factory=dict)
    tables: dict[str, Score] = field(default_factory=dict)
    counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Videos, labelled faces, faces of people unknown."""
    same: bool = False
    when: str = field(default_factory=machine)


@dataclass(frozen=True, slots=True)
class ModelFindings:
    """What is known of one model."""

    model: str
    parts: Mapping[str, Any]
    """A `Finding` for the part `clean`, a `HardFinding` for each other."""


def page(models: Sequence[ModelFindings]) -> str:
    """The page."""
    lines = ["# One person, one identity", ""]
    clean = [found.parts["clean"] for found in models if "clean" in found.parts]
    if clean:
        lines += _clean_table(clean)
    for part in TABLES:
        found = [(one.model, one.parts[part]) for one in models if part in one.parts]
        lines += hard_table(part, found) if found else []
    for finding in clean:
        lines += _details(finding)
    return "\n".join(lines).rstrip("\n") + "\n"


def _clean_table(findings: Sequence[Finding]) -> list[str]:
    sets = findings[0].sets
    when = "; ".join(f"{finding.model}: {finding.when}" for finding in findings)
    lines = [
        f"`python -m benchmarks.identity --part clean`, {when}.",
        "",
        "A cell: B-cubed precision / recall / F1 over faces, then identities per person, then",
        "wrong merges. `tuned`: the setting was chosen on the other half of the photographed",
        "people; `shipped`: the catalogue's threshold;",
        "`oracle`: chosen on the very set that it is judged by (the setting of the first set is",
        "shown). Faces of people whom nobody labelled are grouped too, and count nowhere.",
        "",
        "| model | method | setting | " + " | ".join(sets) + " |",
        "|---|---|---|" + "---|" * len(sets),
    ]
    for finding in findings:
        for row in finding.rows:
            cells = " | ".join(score_cell(score) for score in row.scores)
            setting = ", ".join(f"{value:g}" for value in row.setting)
            lines.append(f"| {finding.model} | {row.method} | {setting} ({row.how}) | {cells} |")
    return [*lines, "", "![F1 against threshold](identity.svg)", ""]


def _details(finding: Finding) -> list[str]:
    low, at, high = finding.near
    same = "the same" if finding.same else "NOT THE SAME"
    lines = [
        f"## {finding.model}, linkage threshold {finding.threshold:.2f}",
        "",
        f"- F1 on {finding.sets[0]} at the threshold {at.f1:.4f}; 0.05 lower {low.f1:.4f} "
        f"(precision {low.precision:.4f}), 0.05 higher {high.f1:.4f} (recall {high.recall:.4f}).",
        f"- A registry gives each face {same} identity as the plain rule computed here.",
    ]
    for name in finding.sets:
        videos, labelled, unknown = finding.counts[name]
        f1 = [score.f1 for score in finding.orders[name]]
        wrong = max(score.wrong for score in finding.orders[name])
        tables = finding.tables[name]
        lines.append(
            f"- {name}: {videos} videos, {labelled} labelled faces, {unknown} of people unknown. "
            f"F1 in {len(f1)} shuffled orders {min(f1):.4f} to {max(f1):.4f}, at most {wrong} "
            f"wrong merges; as 10 CSVs, consolidated after each, {tables.f1:.4f} "
            f"({tables.wrong} wrong)."
        )
    return [*lines, ""]
