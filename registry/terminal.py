"""What all commands share: settings, an open registry, and output.

Results go to stdout; progress, warnings and errors go to stderr. With `--json`, stdout is one JSON
document.
"""

from __future__ import annotations

import json
import math
import re
import sys
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
"""Columns: more than any table has."""
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Terminal:
    """The object that click passes to every command."""

    given: dict[str, Any]
    """Settings that global options set."""
    out: Console = field(default_factory=lambda: Console(markup=False, highlight=False))
    err: Console = field(default_factory=lambda: Console(stderr=True))

    @cached_property
    def settings(self) -> Settings:
        """The settings of global options and the environment."""
        return load_settings(**self.given)

    def start_log(self) -> None:
        """Start the log of events, if global options or the environment ask for it."""
        log = load_log_settings(**self.given)
        events.start(log.log_format, log.log_level)

    def open(self, *, wait: bool = False, **given: Any) -> Registry:
        """Open the registry. The settings in `given` override those of global options.

        With `wait`, waits until another process no longer uses it, and prints which one.
        """
        settings = load_settings(**{**self.given, **given})
        return open_registry(settings, wait=wait, say=self.note)

    def json(self, document: Any) -> None:
        """Print one JSON document; NaN and infinite numbers become null."""
        click.echo(json.dumps(finite(document), indent=2, ensure_ascii=False))

    def announce(self, text: str) -> None:
        """Print a line of the result at once, also into a pipe."""
        click.echo(text)
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print a line of the result to stdout."""
        self.out.print(clean(text), markup=False, highlight=False, soft_wrap=True)

    def table(self, grid: Table) -> None:
        """Print a table to stdout, without cutting or folding a cell.

        On a terminal that is too narrow, headings are folded and long lines wrap; pipes and files
        get one line for each row.
        """
        for column in grid.columns:
            column.min_width = max((cell_len(str(cell)) for cell in column.cells), default=0)
            column.overflow = "fold"
        if not self.out.is_terminal:
            widest = self.out.options.update_width(_WIDEST)
            grid.width = Measurement.get(self.out, widest, grid).maximum
        self.out.print(grid, crop=False)

    def note(self, text: str) -> None:
        """Print a line to stderr; if events are logged, log it as an event."""
        if events.listening():
            events.emit("note", message=text)
            return
        self.err.print(clean(text), markup=False, highlight=False, soft_wrap=True)


pass_terminal = click.make_pass_decorator(Terminal)


def json_option(function: F) -> F:
    """Add the flag `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        function
    )


def file_path() -> click.Path:
    """The type of an option or argument that is a path; whoever opens the file reports errors."""
    return click.Path(path_type=Path)


def clean(text: str) -> str:
    """The text with control characters and direction marks replaced: its source is untrusted."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def short(identity: str) -> str:
    """The first eight characters of an id; every command accepts any unique beginning of one."""
    return identity[:8]


def number(value: float | None) -> str:
    """Format a number with at most two decimals and a separator of thousands; `-` for None."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def rate(value: float) -> str:
    """Format a rate: `4.1 %`, `1.1e-4`, `below 1e-9`."""
    if value < 1e-9:
        return "below 1e-9"
    if value >= 1e-2:
        return f"{100 * value:.2g} %"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}e{int(power)}"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun: `1 face`, `2 faces`, `1,000 faces`.

    Args:
        number: how many.
        noun: the noun in the singular.
        plural: the plural; by default the singular with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def undo_note(decision: int) -> str:
    """Say how to take back the decision of this number."""
    return f"Decision {decision}. Run `face-registry identities undo {decision}` to take it back."


def cosine() -> click.FloatRange:
    """The type of an option that is a cosine similarity, -1 to 1."""
    return _Cosine(-1, 1)


class _Cosine(click.FloatRange):
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        cosine = float(super().convert(value, param, ctx))
        if math.isnan(cosine):  # it passes every comparison with a bound
            self.fail(f"{value} is not a number.", param, ctx)
        return cosine


def duplicates_note(duplicates: int, total: int) -> str:
    """Warn of identities that are likely the same person as others."""
    likely = "is likely a duplicate" if duplicates == 1 else "are likely duplicates"
    return (
        f"warning: {duplicates:,} of {total:,} identities {likely}: one person under several "
        "identities, each with an average of its own. Run `face-registry identities "
        "suggest` to see them and `face-registry identities consolidate` to join them."
    )


def finite(value: Any) -> Any:
    """A JSON value with None in the place of NaN and infinite numbers."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
