"""The progress of a run: a bar on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
from html import escape as html
from time import monotonic
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ingest.summary import Summary


class Reporter(Protocol):
    """Receives the progress of a run."""

    def begin(self, videos: int) -> None:
        """The run starts with this number of videos to process."""

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        """One more video is finished; `summary` includes it."""

    def warn(self, message: str) -> None:
        """Report a message that the user should see; the run continues."""


class SilentReporter:
    """Reports nothing."""

    def begin(self, videos: int) -> None:
        """As `Reporter.begin`."""

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        """As `Reporter.advance`."""

    def warn(self, message: str) -> None:
        """As `Reporter.warn`."""


class LineReporter:
    """Prints one plain line for each video: for logs, pipes and schedulers."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._done = 0

    def begin(self, videos: int) -> None:
        """As `Reporter.begin`."""
        self._total = videos

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        """As `Reporter.advance`."""
        self._done += 1
        left = _time_left(summary.seconds, self._done, self._total)
        self._print(f"[{self._done}/{self._total}] {url}: {outcome}{left}")

    def warn(self, message: str) -> None:
        """As `Reporter.warn`."""
        self._print(f"warning: {message}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class BarReporter:
    """A live progress bar: videos, frames per second, faces, identities, time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("[bold]videos"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.0f} frames/s"),
            TextColumn("{task.fields[faces]} faces"),
            TextColumn("{task.fields[identities]} identities"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("videos", total=None, rate=0, faces=0, identities=0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, videos: int) -> None:
        """As `Reporter.begin`."""
        self._progress.update(self._task, total=videos)

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        """As `Reporter.advance`."""
        self._progress.update(
            self._task,
            advance=1,
            rate=summary.frames / summary.seconds if summary.seconds else 0,
            faces=summary.faces,
            identities=summary.total_identities,
        )

    def warn(self, message: str) -> None:
        """As `Reporter.warn`."""
        self._progress.console.print(f"[yellow]warning:[/] {escape(message)}", highlight=False)


class NotebookReporter:
    """A bar in the output of a notebook's cell, with what failed below it."""

    def __init__(self) -> None:
        self._total = self._done = 0
        self._shown_at = self._began = monotonic()
        self._notes: list[str] = []
        self._handle: Any = None

    def begin(self, videos: int) -> None:
        """As `Reporter.begin`."""
        self._total, self._began = videos, monotonic()
        self._show("")

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        """As `Reporter.advance`."""
        self._done += 1
        failed = len(summary.failures)
        if failed:
            last = summary.failures[-1]
            self._notes = [f"{failed:,} failed; the last: {last.url}: {last.reason}"]
        if monotonic() - self._shown_at >= _REFRESH_S or self._done >= self._total:
            spent = monotonic() - self._began
            left = spent / self._done * max(0, self._total - self._done)
            self._show(
                f"{summary.faces:,} faces, {summary.new_identities:,} new identities"
                + (f", about {left:.0f} s left" if left else f", {spent:.0f} s")
            )

    def warn(self, message: str) -> None:
        """As `Reporter.warn`."""
        _display(f"<p>Warning: {html(message)}</p>")

    def _show(self, text: str) -> None:
        self._shown_at = monotonic()
        notes = "".join(f"<p>{html(note)}</p>" for note in self._notes)
        said = f"{self._done:,} of {self._total:,} videos" + (f"; {text}" if text else "")
        body = (
            f'<p><progress max="{max(1, self._total)}" value="{self._done}"></progress> '
            f"{html(said)}</p>{notes}"
        )
        if self._handle is None:
            self._handle = _display(body)
        else:
            from IPython.display import HTML

            self._handle.update(HTML(body))  # type: ignore[no-untyped-call]


_REFRESH_S = 0.5
_WORTH_A_WORD_S = 60.0
"""A log says how long the rest of a run will take if it is at least a minute."""


def _time_left(seconds: float, done: int, total: int) -> str:
    """About how long the rest takes, at the speed so far."""
    left = seconds / done * max(0, total - done)
    if left < _WORTH_A_WORD_S:
        return ""
    minutes = round(left / 60)
    return f" (about {minutes // 60} h {minutes % 60:02} min left)"


def _display(body: str) -> Any:
    from IPython.display import HTML, display

    return display(HTML(body), display_id=True)  # type: ignore[no-untyped-call]


def default_reporter() -> Reporter:
    """A bar in a notebook; elsewhere nothing, as a library should."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return NotebookReporter() if hasattr(shell, "kernel") else SilentReporter()
