"""What all commands share: settings, an open registry, and output.

Results go to stdout; progress, warnings and errors go to stderr. With `--json`, stdout is one JSON
document.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from registry import events
from registry.core.opening import open_registry, open_to_read
from registry.core.registry import Registry
from registry.core.snapshot import snapshot_of
from registry.errors import ObjectMissing, SnapshotOutdated, StoreCorrupt, UsageError
from registry.settings import Settings, load_log_settings, load_settings

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WIDEST = 100_000
"""Columns: more than any table has."""
_ATTEMPTS = 5
"""A chosen value: each attempt fails only if a video was replaced or erased while it ran."""
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

    @contextmanager
    def open_to_read(self, *, while_locked: bool = True) -> Iterator[Registry]:
        """Open the registry for a command that only reads (`registry.core.opening.open_to_read`).

        Raises `SnapshotOutdated` from an error of the block whose cause is that another process has
        replaced or erased a crop since; see `repeat_if_outdated`.
        """
        settings = self.settings
        with open_to_read(settings, while_locked=while_locked, say=self.note) as registry:
            try:
                yield registry
            except (ObjectMissing, StoreCorrupt) as exc:
                snapshot = snapshot_of(registry)
                if snapshot is None or not snapshot.is_outdated():
                    raise
                raise SnapshotOutdated(
                    "The registry changed while it was read. Run the command again."
                ) from exc

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

    @property
    def interactive(self) -> bool:
        """Whether someone can answer a question: stdin and stderr are terminals, without a log."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not events.listening()

    def confirm(
        self,
        preview: Iterable[str],
        question: str,
        *,
        yes: bool,
        final: bool = True,
        required: bool = True,
    ) -> None:
        """Show on stderr what a command is about to do, and ask whether to do it.

        Args:
            preview: lines; computed only if they are shown.
            question: the question.
            yes: the value of `yes_option`: show nothing, and do not ask.
            final: whether the step cannot be undone, which is then said.
            required: whether the command fails where nobody can answer. Otherwise it goes on
                there without a word.

        Raises:
            UsageError: an answer is required, and nobody can give one.
            click.exceptions.Exit: the answer is no. The exit code is 1.
        """
        if yes or not (required or self.interactive):
            return
        for line in preview:
            self.note(line)
        if final:
            self.note("This cannot be undone.")
        if not self.interactive:
            raise UsageError(
                "Nothing was changed: there is no terminal to ask on. Repeat with --yes to do it."
            )
        try:
            agreed = Confirm.ask(Text(clean(question)), console=self.err, default=False)
        except EOFError:
            agreed = False
        if not agreed:
            self.note("Nothing was changed.")
            raise click.exceptions.Exit(1)


pass_terminal = click.make_pass_decorator(Terminal)


def repeat_if_outdated(function: F) -> F:
    """Run a command again if what it reads changed meanwhile, up to `_ATTEMPTS` times."""

    @wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        for _ in range(_ATTEMPTS - 1):
            with suppress(SnapshotOutdated):
                return function(*args, **options)
        return function(*args, **options)

    return cast(F, run)


def json_option(function: F) -> F:
    """Add the flag `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        function
    )


def yes_option(function: F) -> F:
    """Add the flag `--yes`, for `Terminal.confirm`."""
    return click.option("--yes", is_flag=True, help="Do not ask. Scripts need it.")(function)


def file_path() -> click.Path:
    """The type of an option or argument that is a path; whoever opens the file reports errors."""
    return click.Path(path_type=Path)


def clean(text: str) -> str:
    """The text with control characters and direction marks replaced: its source is untrusted."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def short(identity: str) -> str:
    """The first eight characters of an id; every command accepts any unique beginning of one."""
    return identity[:8]


def person(identity: str, name: str) -> str:
    """The short id of an identity, and its name if it has one."""
    return f"{short(identity)} {clean(name)}" if name else short(identity)


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
