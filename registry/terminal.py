"""What all commands share: settings, an open registry, and output.

Results go to stdout; progress, warnings and errors go to stderr. With `--json`, stdout is one JSON
document.
"""

from __future__ import annotations

import json
import locale
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem
from rich.cells import cell_len
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Column, Table
from rich.text import Text

from registry import events
from registry.core.opening import open_registry, open_to_read
from registry.core.registry import Registry
from registry.core.snapshot import snapshot_of
from registry.errors import ObjectMissing, SnapshotOutdated, StoreCorrupt, UsageError
from registry.settings import Settings, load_log_settings, load_settings
from registry.system.files import STANDARD_OUTPUT, check_suffix

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LOCALE = "locale"
DECIMALS = ("point", "comma")
"""Decimal signs of a CSV file for Excel."""
_NOTHING: Mapping[str, int] = MappingProxyType({})
_GAP = 2
"""Columns between two cells of a table."""
_ATTEMPTS = 5
"""A chosen value: each attempt fails only if a video was replaced or erased while it ran."""
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Terminal:
    """The object that click passes to every command."""

    given: dict[str, Any]
    """Settings that global options set."""
    out: Console = field(
        default_factory=lambda: Console(markup=False, highlight=False, emoji=False)
    )
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

    def table(
        self, grid: Table, *, drop: Sequence[str] = (), shorten: Mapping[str, int] = _NOTHING
    ) -> None:
        """Print a table to stdout, a line for each row.

        Pipes and files get all of it. On a terminal that is too narrow, headings are folded, then
        columns are left out, which is said on stderr, and cells are shortened.

        Args:
            grid: the table; its cells are text.
            drop: headings of the columns that may be left out, the least important one first.
            shorten: by heading of a column whose cells may be shortened, the least width.
        """
        columns = grid.columns
        if not self.out.is_terminal:
            self.out.file.writelines(_plain_lines(columns))
            self.out.file.flush()  # before the notes that follow on stderr
            return
        widths, left_out = _fit(columns, drop, shorten, self.out.width)
        shown = Table(box=None, pad_edge=False)
        cells = []
        for column in columns:
            if (wide := widths.get(str(column.header))) is not None:
                shown.add_column(column.header, justify=column.justify, width=wide, overflow="fold")
                cells.append([_shortened(str(cell), wide) for cell in column.cells])
        for row in zip(*cells, strict=True):
            shown.add_row(*row)
        shown.width = sum(widths.values()) + _GAP * (len(widths) - 1)
        self.out.print(shown, crop=False)
        if left_out:
            self.note(f"Left out on a terminal this narrow: {', '.join(left_out)}.")

    def working(self, text: str) -> AbstractContextManager[object]:
        """Show on stderr, while the block runs, what takes long: on a terminal, without a log."""
        if events.listening() or not self.err.is_terminal:
            return nullcontext()
        return self.err.status(Text(clean(text)))

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


def _fit(
    columns: Sequence[Column], drop: Sequence[str], shorten: Mapping[str, int], width: int
) -> tuple[dict[str, int], list[str]]:
    """The widths of the columns that stay, by heading, and the headings of those left out.

    What does not fit makes headings fold at spaces first. Then columns are left out. Room that is
    left over goes to shortened cells first, then to headings.
    """
    whole, least = {}, {}
    for column in columns:
        heading = str(column.header)
        content = max((cell_len(str(cell)) for cell in column.cells), default=0)
        whole[heading] = max(content, cell_len(heading))
        least[heading] = max([content, *map(cell_len, heading.split())])
        if heading in shorten:
            least[heading] = min(whole[heading], max(shorten[heading], cell_len(heading)))
    left_out: list[str] = []
    for heading in drop:
        if sum(least.values()) + _GAP * (len(least) - 1) <= width:
            break
        if heading in least:
            left_out.append(heading)
            del least[heading]
    spare = width - sum(least.values()) - _GAP * (len(least) - 1)
    for first in (True, False):
        growing = [one for one in least if (one in shorten) is first and least[one] < whole[one]]
        while spare > 0 and growing:
            for heading in growing[:spare]:
                least[heading] += 1
                spare -= 1
            growing = [one for one in growing if least[one] < whole[one]]
    return least, left_out


def _shortened(text: str, width: int) -> str:
    """The text in so many columns of the terminal: the end of a URL, the beginning of others."""
    if cell_len(text) <= width:
        return text
    if "://" not in text:
        short = Text(text)
        short.truncate(width, overflow="ellipsis")
        return short.plain
    while cell_len(text) >= width:
        text = text[1:]
    return f"…{text}"


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


def identity_argument(name: str = "identity", **options: Any) -> Callable[[F], F]:
    """Add an argument that is an identity, whose names and ids a shell completes."""
    return click.argument(name, shell_complete=_complete_identity, **options)


def _complete_identity(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Names that begin with a text, then ids; nothing where they cannot be read at once."""
    try:
        from registry.core.completion import known_identities

        known = known_identities(load_settings(home=context.find_root().params.get("home")))
    except Exception:  # a shell shows what is printed here in the middle of a line
        return []
    names = [
        CompletionItem(name, help=short(identity))
        for identity, name in known.items()
        if name and name.casefold().startswith(begun.casefold())
    ]
    ids = [
        CompletionItem(short(identity), help=name)
        for identity, name in known.items()
        if identity.startswith(begun.lower()) and (begun or not names)
    ]
    return names + ids


def yes_option(function: F) -> F:
    """Add the flag `--yes`, for `Terminal.confirm`."""
    return click.option("--yes", is_flag=True, help="Do not ask. Scripts need it.")(function)


def output_file(kind: str) -> click.Path:
    """The type of an option or argument that is a file to write.

    Args:
        kind: its format, one of `registry.system.files.SUFFIXES`; the ending of another is refused.
    """
    return _OutputFile(kind)


class _OutputFile(click.Path):
    def __init__(self, kind: str) -> None:
        super().__init__(path_type=Path)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = cast(Path, super().convert(value, param, ctx))
        try:
            check_suffix(path, self._kind)
        except UsageError as exc:
            self.fail(str(exc), param, ctx)
        return path


def csv_options(about: str) -> Callable[[F], F]:
    """Add the options `--csv` and `--csv-for-excel`, passed as `csv_path` and `csv_for_excel`.

    Args:
        about: the help of `--csv`.
    """

    def add(function: F) -> F:
        @wraps(function)
        def checked(*arguments: Any, **options: Any) -> Any:
            if options["csv_for_excel"] and not options["csv_path"]:
                raise click.UsageError("--csv-for-excel needs --csv PATH.")
            if options["csv_path"] == STANDARD_OUTPUT:
                if options["as_json"]:
                    raise click.UsageError("--csv - and --json both write to standard output.")
                terminal = click.get_current_context().find_object(Terminal)
                assert terminal is not None
                terminal.out = Console(stderr=True, markup=False, highlight=False)
            return function(*arguments, **options)

        decorated = click.option(
            "--csv-for-excel", is_flag=False, flag_value=_LOCALE, callback=_decimal_sign,
            type=click.Choice((_LOCALE, *DECIMALS)),
            help="Write the CSV file for Excel: with a byte-order mark, and with this locale's "
            "decimal sign if none is given. With a decimal comma, semicolons separate columns.",
        )(cast(F, checked))  # fmt: skip
        return click.option(
            "--csv", "csv_path", type=output_file("CSV"),
            help=f"{about} - writes to standard output, and everything else to standard error.",
        )(decorated)  # fmt: skip

    return add


def _decimal_sign(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    """`point` or `comma`; None without the option."""
    if value != _LOCALE:
        return value
    try:
        locale.setlocale(locale.LC_NUMERIC, "")
        return "comma" if locale.localeconv()["decimal_point"] == "," else "point"
    except locale.Error as exc:
        raise click.UsageError(
            "The locale of this terminal is not installed here, so its decimal sign is not known. "
            "Give --csv-for-excel point or --csv-for-excel comma."
        ) from exc
    finally:
        locale.setlocale(locale.LC_NUMERIC, "C")


def file_path() -> click.Path:
    """The type of an option or argument that is a path; whoever opens the file reports errors."""
    return click.Path(path_type=Path)


def _plain_lines(columns: Sequence[Column]) -> Iterator[str]:
    """The lines of a table without box and styles, with all of each cell.

    They are what Rich prints where there is room, which takes it seconds for thousands of rows.
    """
    padded = []
    for column in columns:
        cells = [str(column.header), *map(str, column.cells)]
        widths = list(map(cell_len, cells))
        widest = max(widths)
        gaps = [" " * (widest - width) for width in widths]
        pairs = zip(cells, gaps, strict=True)
        padded.append([gap + c if column.justify == "right" else c + gap for c, gap in pairs])
    for row in zip(*padded, strict=True):
        yield (" " * _GAP).join(row) + "\n"


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
