"""What was found, as one page of Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks._hard import HardResult
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
    hard: dict[str, HardResult] = field(default_factory=dict)
    """On hard footage at the shipped threshold, by half of the people."""


def page(findings: Sequence[Finding]) -> str:
    """The page."""
    sets = findings[0].sets
    lines = [
        "# One person, one identity",
        "",
        f"`python -m benchmarks.identity`, {machine()}.",
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
            cells = " | ".join(_cell(score) for score in row.scores)
            setting = ", ".join(f"{value:g}" for value in row.setting)
            lines.append(f"| {finding.model} | {row.method} | {setting} ({row.how}) | {cells} |")
    lines += ["", "![F1 against threshold](identity.svg)", ""]
    if any(finding.hard for finding in findings):
        lines += _hard_table(findings)
    for finding in findings:
        lines += _details(finding)
    return "\n".join(lines) + "\n"


def _hard_table(findings: Sequence[Finding]) -> list[str]:
    kinds = list(next(iter(findings[0].hard.values())).found)
    lines = [
        "## Hard footage",
        "",
        "Each person in clips of different photographs: plain; face 48 px high and compressed;",
        "dark and noisy; turned and in sunglasses. Then in a mask, pixelated, and before a blurred",
        "copy of the picture (`ghost`). The first three columns are of the first four kinds alone;",
        "the others are of all together: clips of each kind that are with their person.",
        "",
        "| model | people | P / R / F1; identities per person; wrong | wrong, all kinds | "
        + " | ".join(kinds)
        + " |",
        "|---|---|---|---|" + "---|" * len(kinds),
    ]
    for finding in findings:
        for name, result in finding.hard.items():
            found = " | ".join(f"{n} of {of}" for n, of in result.found.values())
            head = f"| {finding.model} | {name} | {_cell(result.four)} | {result.all.wrong}"
            lines.append(f"{head} | {found} |")
    return [*lines, ""]


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


def _cell(score: Score) -> str:
    return (
        f"{score.precision:.3f} / {score.recall:.3f} / {score.f1:.3f}; "
        f"{score.per_person:.2f}; {score.wrong}"
    )


def machine() -> str:
    """When and where: date, processors, system."""
    cpu = Path("/proc/cpuinfo")
    names = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    model = next((n.partition(":")[2].strip() for n in names if n.startswith("model name")), "")
    where = f"{os.cpu_count()} processors {model or platform.machine()}, {platform.system()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {where}"
