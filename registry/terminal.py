"""What every command shares: the registry it works on, and how it speaks.

Results go to stdout; progress, warnings and errors to stderr; `--json` is one document on stdout.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from registry import events
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.settings import Settings, load_log_settings, load_settings

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WIDEST = 100_000
"""Columns; wider than any table."""
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Terminal:
    """The object that click hands to every command."""

    given: dict[str, Any]
    """Settings from global options."""
    out: Console = field(default_factory=lambda: Console(markup=False, highlight=False))
    err: Console = field(default_factory=lambda: Console(stderr=True))

    @cached_property
    def settings(self) -> Settings:
        """Settings from global options and the environment."""
        return load_settings(**self.given)

    def start_log(self) -> None:
        """Log events as the global options or the environment say."""
        log = load_log_settings(**self.given)
        events.start(log.log_format, log.log_level)

    def open(self, *, wait: bool = False, **given: Any) -> Registry:
        """Open the registry; a command's own settings go before the global ones.

        With `wait`, waits for another process that uses it, and says so.
        """
        settings = load_settings(**{**self.given, **given})
        return open_registry(settings, wait=wait, say=self.note)

    def json(self, document: Any) -> None:
        """Print one JSON document; a number that JSON cannot write becomes null."""
        click.echo(json.dumps(_finite(document), indent=2, ensure_ascii=False))

    def say(self, text: str) -> None:
        """Print a line of the result."""
        self.out.print(clean(text), markup=False, highlight=False, soft_wrap=True)

    def table(self, grid: Table) -> None:
        """Print a table of the result, every cell whole and on one line.

        Half an id or half a number is worse than a long line, so a terminal that is too narrow
        gets folded headings and then breaks the lines itself; pipes and files get one line a row.
        """
        for column in grid.columns:
            column.min_width = max((cell_len(str(cell)) for cell in column.cells), default=0)
            column.overflow = "fold"
        if not self.out.is_terminal:
            widest = self.out.options.update_width(_WIDEST)
            grid.width = Measurement.get(self.out, widest, grid).maximum
        self.out.print(grid, crop=False)

    def note(self, text: str) -> None:
        """Print a line for the person, not for the pipe; where events are logged, as an event."""
        if events.listening():
            events.emit("note", message=text)
            return
        self.err.print(clean(text), markup=False, highlight=False, soft_wrap=True)


pass_terminal = click.make_pass_decorator(Terminal)


def json_option(function: F) -> F:
    """The `--json` flag, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(
        function
    )


def file_path() -> click.Path:
    """A path as pathlib.Path; what is wrong with it is for the reader of the file to say."""
    return click.Path(path_type=Path)


def clean(text: str) -> str:
    """Text without control characters and direction marks: names and URLs come from strangers."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def short(identity: str) -> str:
    """The beginning of an id, which every command accepts in its place while it is unique."""
    return identity[:8]


def number(value: float | None) -> str:
    """A number as people read it: at most two decimals, thousands apart; a dash for none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def rate(value: float) -> str:
    """A rate as people read it: 4.1 %, 1.1e-4; below 1e-9 no more than that."""
    if value < 1e-9:
        return "below 1e-9"
    if value >= 1e-2:
        return f"{100 * value:.2g} %"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}e{int(power)}"


def undo_note(decision: int) -> str:
    """How to take back the decision of this number."""
    return f"decision {decision}: `identities undo {decision}` takes it back"


def cosine() -> click.FloatRange:
    """A cosine similarity, -1 to 1."""
    return _Cosine(-1, 1)


class _Cosine(click.FloatRange):
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = float(super().convert(value, param, ctx))
        if math.isnan(found):  # no bound is above it, nor below
            self.fail(f"{value} is no number.", param, ctx)
        return found


def duplicates_note(duplicates: int, total: int) -> str:
    """What a person should know of identities that are likely the same person as others."""
    return (
        f"warning: {duplicates} of {total} identities are likely duplicates, one person under "
        "several, and averages are over each one's videos alone: `face-registry identities "
        "consolidate` joins them (`identities suggest` shows them first)"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
