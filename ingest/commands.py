"""The command `face-registry ingest`, and what `videos retry` shares with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from functools import wraps
from pathlib import Path
from threading import Event
from typing import Any, Literal, TypeVar, cast, get_args

import click
from rich.table import Table

from ingest.api import ingest
from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.network import Network
from ingest.frames import MediaLimits
from ingest.printing import print_plan, print_summary
from ingest.progress import BarReporter, LineReporter, Reporter, SilentReporter
from ingest.stage_times import BESIDE_WORKERS, STAGES, Profile
from ingest.summary import NothingRead, Summary
from registry import events
from registry.core.registry import Registry
from registry.errors import RegistryError, UsageError
from registry.settings import (
    DEFAULT_METRIC,
    DEFAULT_URL_COLUMN,
    LARGEST_EVERY,
    MOST_WORKERS,
    Accuracy,
)
from registry.system.console import handling_stops
from registry.terminal import (
    Terminal,
    cosine,
    file_path,
    json_option,
    pass_terminal,
)
from registry.urls import printable

F = TypeVar("F", bound=Callable[..., Any])

workers_option = click.option(
    "--workers",
    type=click.IntRange(0, MOST_WORKERS),
    help="Worker processes; 0: this process, without limits.  [default: one per core, at most 8]",
)
accuracy_option = click.option(
    "--profile-accuracy", "accuracy", type=click.Choice(get_args(Accuracy)),
    help="fast: find faces in less time, with slightly different results (docs/MODELS.md).  "
    "[default: FACE_REGISTRY_ACCURACY; exact]",
)  # fmt: skip
max_memory_option = click.option(
    "--max-memory", type=click.IntRange(min=64), metavar="MIB",
    default=MediaLimits().max_memory >> 20, show_default=True,
    help="Memory limit for one video; a video that needs more fails.",
)  # fmt: skip
private_hosts_option = click.option(
    "--allow-private-hosts", is_flag=True, help="Accept URLs on this machine and its networks."
)


def network_options(function: F) -> F:
    """Add the options of proxy, headers, user agent and cookies, passed as `network`."""

    @wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        network = Network(
            proxy=options.pop("proxy") or "",
            no_proxy=options.pop("no_proxy") or "",
            headers=_headers(options.pop("headers")),
            user_agent=options.pop("user_agent") or "",
            cookies=options.pop("cookies"),
        )
        return function(*args, network=network, **options)

    decorated = cast(F, run)
    for option in reversed(
        (
            click.option(
                "--proxy", metavar="URL|env|none",
                help="HTTP proxy for downloads: its URL, or env for HTTP_PROXY, HTTPS_PROXY and "
                "NO_PROXY.  [default: FACE_REGISTRY_PROXY; none]",
            ),
            click.option(
                "--no-proxy", metavar="HOSTS",
                help="Hosts that are reached without the proxy, separated by commas.  "
                "[default: FACE_REGISTRY_NO_PROXY; NO_PROXY]",
            ),
            click.option(
                "--header", "headers", type=(str, str), multiple=True,
                metavar='HOST "NAME: VALUE"|@FILE',
                help="Header for one host, or a file with one header per line; repeat for several. "
                "What is on a command line can be seen by other users of the machine.",
            ),
            click.option("--user-agent", metavar="TEXT", help="User agent of downloads."),
            click.option(
                "--cookies", type=file_path(), metavar="FILE",
                help="Cookies in Netscape's format; each is sent to its own hosts only.",
            ),
        )
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated


def _headers(options: Sequence[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """The headers by host. Raises `UsageError`, which shows no value."""
    headers: dict[str, dict[str, str]] = {}
    for host, text in options:
        lines = [text]
        if text.startswith("@"):
            try:
                lines = Path(text[1:]).expanduser().read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError) as exc:
                reason = exc.strerror if isinstance(exc, OSError) else "it is not a text in UTF-8"
                raise UsageError(f"{printable(text[1:], 500)} cannot be read: {reason}.") from None
        for line in filter(str.strip, lines):
            name, colon, value = line.partition(":")
            if not colon:
                raise UsageError(
                    'A header has no colon. Write --header HOST "Name: value", or '
                    "--header HOST @FILE."
                )
            headers.setdefault(host, {})[name.strip()] = value.strip()
    return headers


@click.command("ingest")
@click.argument("table")
@click.option(
    "--metric", "metrics", multiple=True,
    help="Column of performance numbers; repeat for several. Reports average the first of a new "
    "registry by name. NAME:sum and NAME:mean@WEIGHT combine several rows of one video.  "
    f"[default: as last time; {DEFAULT_METRIC}]",
)  # fmt: skip
@click.option(
    "--url-column", help=f"Column of URLs.  [default: as last time; {DEFAULT_URL_COLUMN}]"
)
@click.option(
    "--url-template", metavar="URL",
    help="URL for cells that hold ids, with {} in the place of the cell: "
    "https://www.youtube.com/watch?v={}.",
)  # fmt: skip
@click.option(
    "--decimal", type=click.Choice([".", ","]), default=None,
    help="Decimal sign of numbers such as 1.250, where the table leaves it open.",
)  # fmt: skip
@click.option(
    "--unit", "units", multiple=True, metavar="METRIC=UNIT",
    help="Unit of the numbers of a metric that have none: %, plain, s or a currency.",
)  # fmt: skip
@click.option("--encoding", help="Encoding of a text file.  [default: as last time; detected]")
@click.option(
    "--sheet", help="Sheet of a workbook.  [default: as last time; the only one with the columns]"
)
@click.option(
    "--base-folder", type=file_path(),
    help="Folder where relative paths start.  [default: the folder of the table]",
)  # fmt: skip
@click.option(
    "--every", type=click.IntRange(1, LARGEST_EVERY),
    help="Sampling interval in frames.  [default: 10]",
)  # fmt: skip
@click.option(
    "--max-gap", type=click.FloatRange(min=0), metavar="S",
    help="Also sample a frame where more than S seconds would pass without one; 0: no limit.  "
    "[default: 1.0]",
)  # fmt: skip
@click.option(
    "--cuts/--no-cuts", default=None, help="Also sample a frame after each cut.  [default: cuts]"
)
@click.option(
    "--threshold", type=cosine(),
    help="Least cosine for a face to join its nearest neighbour's identity.  [default: 0.85]",
)  # fmt: skip
@click.option("--model", help="Model of a new registry: see `models list`.  [default: sface]")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "coreml"]), help="Where models run."
)
@accuracy_option
@workers_option
@click.option(
    "--ray", metavar="HOST:PORT|auto",
    help="Read the videos on the Ray cluster with this head, or with auto on one of this machine "
    "alone; --workers then counts its workers.",
)  # fmt: skip
@max_memory_option
@click.option("--retry-failed", is_flag=True, help="Also read videos that failed before.")
@click.option(
    "--consolidate/--no-consolidate", default=None,
    help="At the end, join identities that are one person.  [default: as last time; no]",
)  # fmt: skip
@click.option(
    "--blank-clears", is_flag=True,
    help="A blank cell removes the value that the metric has on record. By default it stays.",
)  # fmt: skip
@click.option(
    "--reread-changed", is_flag=True,
    help="Also read videos again whose files were replaced under the same name.",
)  # fmt: skip
@click.option(
    "--plan", is_flag=True, help="Show what an ingest would do with the table, and change nothing."
)
@click.option(
    "--purpose", metavar="TEXT",
    help="Why these people's faces are processed; kept with the run.",
)  # fmt: skip
@click.option(
    "--metrics-file", type=file_path(),
    help="At the end, write measurements here for node_exporter's textfile collector.",
)  # fmt: skip
@click.option(
    "--profile", is_flag=True, help="At the end, show in which stages the time was spent."
)
@click.option("--allow-local-files", is_flag=True, help="Accept files outside the table's folder.")
@private_hosts_option
@network_options
@click.option("--wait", is_flag=True, help="Wait for another process that uses the registry.")
@json_option
@pass_terminal
def ingest_command(
    terminal: Terminal,
    table: str,
    metrics: tuple[str, ...],
    url_column: str | None,
    url_template: str | None,
    decimal: Literal[".", ","] | None,
    units: tuple[str, ...],
    encoding: str | None,
    sheet: str | None,
    base_folder: Path | None,
    every: int | None,
    max_gap: float | None,
    cuts: bool | None,
    threshold: float | None,
    model: str | None,
    device: str | None,
    accuracy: Accuracy | None,
    workers: int | None,
    ray: str | None,
    max_memory: int,
    retry_failed: bool,
    consolidate: bool | None,
    blank_clears: bool,
    reread_changed: bool,
    plan: bool,
    purpose: str | None,
    metrics_file: Path | None,
    profile: bool,
    allow_local_files: bool,
    allow_private_hosts: bool,
    network: Network,
    wait: bool,
    as_json: bool,
) -> None:
    """Find and record the faces of every video in a table.

    TABLE is a file (CSV, TSV, Excel, OpenDocument, Parquet), the address of one or of a Google
    sheet, or - for standard input. It has a column of video URLs (http, https, or files in its
    folder) and columns of performance numbers. Recorded videos are not read again; changed numbers
    are updated. The options that describe the table (columns, metrics, decimal sign, encoding,
    sheet, template) and --consolidate are remembered, so next week's table needs no options.
    """
    with (
        terminal.open(device=device, wait=wait) as registry,
        nullcontext() if plan else as_writer(registry),
        _writing_metrics(registry, metrics_file),
        redirect_stdout(sys.stderr) if ray else nullcontext(),  # Ray prints there
        reporting(terminal) as reporter,
        stoppable(terminal) as stop,
        printing_failures(terminal, as_json, profile=profile),
    ):
        summary = ingest(
            registry,
            table,
            url_column=url_column,
            metrics=metrics or None,
            url_template=url_template,
            decimal=decimal,
            units=_units(units),
            encoding=encoding,
            sheet=sheet,
            base_folder=base_folder,
            every=every,
            max_gap=max_gap,
            cuts=cuts,
            threshold=threshold,
            model=model,
            accuracy=accuracy,
            workers=workers,
            ray=ray,
            retry_failed=retry_failed,
            consolidate=consolidate,
            blank_clears=blank_clears,
            reread_changed=reread_changed,
            plan=plan,
            purpose=purpose,
            allow_local_files=allow_local_files,
            policy=AddressPolicy(allow_private=allow_private_hosts),
            network=network,
            limits=MediaLimits(max_memory=max_memory << 20),
            reporter=reporter,
            stop=stop,
        )
    if summary.planned and not as_json:
        print_plan(terminal, summary, summary.planned)
    else:
        print_result(terminal, summary, as_json, profile=profile)
    sys.exit(summary.exit_code)


def print_result(
    terminal: Terminal, summary: Summary, as_json: bool, *, profile: bool = False
) -> None:
    """Print the summary of a run, with `profile` also the times of its stages."""
    if as_json:
        times = {"profile": summary.profile.as_dict()} if profile else {}
        terminal.json({**summary.as_dict(), **times})
        return
    print_summary(terminal, summary)
    if profile:
        _print_profile(terminal, summary.profile)


def _print_profile(terminal: Terminal, profile: Profile) -> None:
    """Print how many seconds each stage of a run took, and their share of the workers' time."""
    grid = Table()
    grid.add_column("stage")
    grid.add_column("seconds", justify="right")
    grid.add_column("share", justify="right")
    grid.add_column("what")
    whole = profile.workers * profile.elapsed_s
    stages = [(stage, profile.seconds.get(stage, 0.0), what) for stage, what in STAGES.items()]
    for stage, seconds, what in [*stages, ("idle", profile.idle_s, "workers have nothing to do")]:
        beside = stage in BESIDE_WORKERS
        share = "" if beside or not whole else f"{seconds / whole:.0%}"
        grid.add_row(stage, f"{seconds:.2f}", share, what)
    terminal.table(grid, drop=("what",))
    terminal.note(
        f"{profile.workers} at once for {profile.elapsed_s:.2f} s. Shares are of the workers' "
        "time; fetch and commit go on beside it."
    )


def _units(options: Sequence[str]) -> dict[str, str]:
    units = {}
    for option in options:
        metric, equals, unit = option.rpartition("=")
        if not equals or not metric.strip():
            raise UsageError(
                f'--unit "{printable(option)}" is not valid. Write --unit "METRIC=UNIT".'
            )
        units[metric.strip()] = unit.strip()
    return units


@contextmanager
def as_writer(registry: Registry) -> Iterator[None]:
    """Acquire the right to write first, while Ctrl-C still ends the process at once."""
    registry.hold()
    yield


@contextmanager
def printing_failures(
    terminal: Terminal, as_json: bool, *, profile: bool = False
) -> Iterator[None]:
    """Print the result of a run that could read nothing, before its error."""
    try:
        yield
    except NothingRead as exc:
        print_result(terminal, exc.summary, as_json, profile=profile)
        raise


@contextmanager
def _writing_metrics(registry: Registry, path: Path | None) -> Iterator[None]:
    """Write measurements to a file at the end, even if the run failed."""
    if path is None:
        yield
        return
    from registry.upkeep.monitoring import write_metrics

    try:
        yield
    except BaseException:
        with suppress(RegistryError):
            write_metrics(registry, path)
        raise
    write_metrics(registry, path)


@contextmanager
def reporting(terminal: Terminal) -> Iterator[Reporter]:
    """A progress bar on a terminal, lines elsewhere; nothing if events are logged to stderr."""
    if events.listening():
        yield SilentReporter()
    elif terminal.err.is_terminal:
        with BarReporter(terminal.err) as bar:
            yield bar
    else:
        yield LineReporter(terminal.err)


@contextmanager
def stoppable(terminal: Terminal) -> Iterator[Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets; the second one ends the process."""
    stop = Event()

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        terminal.note("Stopping after the current video. Press Ctrl-C again to stop at once.")

    with handling_stops(on_signal):
        yield stop
