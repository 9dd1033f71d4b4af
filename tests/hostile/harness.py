"""Gives the corpus to the real commands and says what became of it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import select
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile import corpus
from tests.hostile.corpus import Case, Sandbox
from tests.support.web import Web, serve

LIMIT_S = 120.0
"""That one command may take, on a machine that does much else."""
_CRASHES = ("Traceback", "internal error", "unexpected error", "Error: ")


@dataclass
class Outcome:
    """What became of one input."""

    case: Case
    verdict: str
    """`refused`, `read`, `decoder died`, `crashed` or `over time`."""
    said: str


@dataclass
class Report:
    """What became of the corpus."""

    outcomes: list[Outcome] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    """Files outside the home that came, went or changed."""
    heard: int = 0
    """Connections to the canary."""
    good: list[str] = field(default_factory=list)
    """Runs in which the sound video was not read."""

    def bad(self) -> list[str]:
        """Everything that must not be."""
        wrong = [o for o in self.outcomes if o.verdict in {"crashed", "over time"}]
        found = [f"{o.verdict}: {o.case.kind}: {o.case.cell!r}: {o.said[-300:]}" for o in wrong]
        found += [f"outside: {path}" for path in self.outside] + self.good
        return found + [f"the canary was called {self.heard} times"] * bool(self.heard)

    def table(self) -> str:
        """As Markdown."""
        columns = ("refused", "read", "decoder died", "crashed", "over time")
        counts: dict[str, Counter[str]] = {}
        for outcome in self.outcomes:
            counts.setdefault(outcome.case.kind, Counter())[outcome.verdict] += 1
        counts["all"] = sum(counts.values(), Counter())
        lines = [
            "| kind | inputs | refused with a reason | read, whole or in part "
            "| decoder died, run went on | crashed | over time |",
            "|---|---|---|---|---|---|---|",
        ]
        for kind, count in counts.items():
            cells = (str(count[column]) for column in columns)
            lines.append(f"| {kind} | {count.total()} | {' | '.join(cells)} |")
        lines.append("")
        lines.append(
            f"Files outside the home that changed: {len(self.outside)}. Connections to the canary: "
            f"{self.heard}. Runs that missed the sound video: {len(self.good)}."
        )
        return "\n".join(lines)


class Runner:
    """A process that runs commands in a sandbox; ended and replaced when a command hangs."""

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self._log = (box.root.parent / f"{box.root.name}.log").open("wb")
        self._process: subprocess.Popen[str] | None = None

    def run(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """How a command ended; None if it was over time."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], LIMIT_S)[0]:
            process.kill()
            self.end()
            return None
        line = process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = process.wait()
        self.end()
        return {"code": code, "out": "", "err": f"Traceback: the process died ({code})"}

    def close(self) -> None:
        """End the process and close its log."""
        if self._process is not None:
            self._process.kill()
        self.end()
        self._log.close()

    def end(self) -> None:
        """Let the process end by itself; another one is started for the next command."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        ours = ("FACE_REGISTRY_", "QDRANT_", "MINIO_", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        root = self._box.root
        places = {"HOME": str(root / "user"), "TMPDIR": str(root / "tmp"), "PYTHONDEVMODE": ""}
        places |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.runner"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            cwd=root / "cwd", env=kept | places, text=True,
        )  # fmt: skip


@contextmanager
def sandbox(folder: Path) -> Iterator[tuple[Sandbox, bytes, Web, Runner]]:
    """A sandbox with a canary, a server and a runner."""
    with Web() as canary, Web() as web:
        box, good = corpus.prepare(folder / "sandbox", canary.url("").rstrip("/"))
        runner = Runner(box)
        try:
            yield box, good, web, runner
        finally:
            runner.close()
        box_heard[box.root] = canary.connections


box_heard: dict[Path, int] = {}


def strike(folder: Path, kinds: Sequence[str] = ("files", "servers", "tables", "photos")) -> Report:
    """Give these kinds of input to the real commands."""
    report = Report()
    with sandbox(folder) as (box, good, web, runner):
        batches: dict[str, list[Case]] = {"files": [], "servers": [], "tables": [], "photos": []}
        if "files" in kinds:
            batches["files"] = [*corpus.video_files(box, good), *corpus.addresses(box)]
        if "servers" in kinds:
            batches["servers"] = list(corpus.servers(box, good, web))
        if "tables" in kinds:
            batches["tables"] = list(corpus.tables(box))
        if "photos" in kinds:
            batches["photos"] = list(corpus.photos(box))
        for name in ("files", "servers"):
            _write(box.table / f"{name}.csv", batches[name], ["good.mp4"])
        web.on("/good.mp4", serve(good))
        before = listing(box)
        home = ["--home", str(box.home)]
        first = [*home, "ingest", str(box.table / "files.csv"), "--json", "--workers", "1"]
        _rows(report, batches["files"], runner.run({"argv": first}), "files")
        if batches["servers"]:
            given = {"home": str(box.home), "csv": str(box.table / "servers.csv"), "workers": 2}
            _rows(report, batches["servers"], runner.run({"ingest": given}), "servers")
        for case in batches["tables"]:
            argv = [*home, "ingest", case.cell, "--json", "--workers", "1"]
            report.outcomes.append(verdict_alone(case, runner.run({"argv": argv})))
        for case in batches["photos"]:
            argv = [*home, "lookup", case.cell, "--json"]
            report.outcomes.append(verdict_alone(case, runner.run({"argv": argv})))
        runner.end()
        after = listing(box)
        report.outside = sorted(
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        )
    report.heard = box_heard.pop(box.root)
    return report


def _write(path: Path, cases: Sequence[Case], good: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        # A NUL ends a table as a whole, so it is tried in a table of its own.
        cells = [case.cell.replace("\0", "␀") for case in cases]
        rows = [(cell, number) for number, cell in enumerate([*cells, *good])]
        csv.writer(file).writerows([("Video URL", "Performance"), *rows])


def _rows(report: Report, cases: Sequence[Case], answer: dict[str, Any] | None, name: str) -> None:
    if answer is None:
        report.outcomes += [Outcome(case, "over time", "") for case in cases]
        return
    said = answer["out"] + answer["err"]
    try:
        summary = json.loads(answer["out"])
    except ValueError:
        report.outcomes += [Outcome(case, "crashed", said) for case in cases]
        return
    reasons = {failure["row"]: failure["reason"] for failure in summary["failures"]}
    for row, case in enumerate(cases, start=2):
        report.outcomes.append(Outcome(case, verdict(reasons.get(row)), reasons.get(row, "")))
    last = len(cases) + 2
    if last in reasons or answer["code"] not in (0, 3):
        report.good.append(f"{name}: exit code {answer['code']}, {reasons.get(last)}")


def verdict(reason: str | None) -> str:
    """What a row's reason for failing says of the program; None: it did not fail."""
    if reason is None:
        return "read"
    if not reason or not reason.isprintable() or any(mark in reason for mark in _CRASHES):
        return "crashed"
    return "decoder died" if "the process that read the video" in reason else "refused"


def verdict_alone(case: Case, answer: dict[str, Any] | None) -> Outcome:
    """A command that is about one input alone."""
    if answer is None:
        return Outcome(case, "over time", "")
    said = answer["err"] + answer["out"]
    last = answer["err"].strip().rpartition("\n")[2]
    if answer["code"] not in (0, 1, 2, 3) or any(mark in said for mark in _CRASHES):
        return Outcome(case, "crashed", f"{answer['code']}: {said}")
    if "\x1b" in said:
        return Outcome(case, "crashed", f"an escape reached the terminal: {said!r}")
    if answer["code"] in (1, 2):
        return Outcome(case, "refused" if last.startswith("error: ") else "crashed", said)
    return Outcome(case, "read", said)


def listing(box: Sandbox) -> dict[str, str]:
    """Everything in the sandbox but the home, and what it holds."""
    found = {}
    for path in sorted(box.root.rglob("*")):
        if path.is_relative_to(box.home):
            continue
        kind = path.lstat()
        shown = f"{stat.filemode(kind.st_mode)} {kind.st_mtime_ns if path.is_file() else ''}"
        if stat.S_ISREG(kind.st_mode):
            shown += hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(box.root))] = shown
    return found
