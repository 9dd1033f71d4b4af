"""Ingesting from Python, as the command line does: for notebooks and schedulers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path, PurePosixPath
from threading import Event
from typing import TYPE_CHECKING, get_args
from urllib.parse import urlsplit

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.downloads import FetchLimits
from ingest.fetch.network import FetchRules, Network
from ingest.fetch.share_links import is_link
from ingest.frames import MediaLimits
from ingest.pipeline import Turn, run
from ingest.plan import plan as plan_table
from ingest.progress import Reporter, default_reporter
from ingest.retry_table import retry_table, with_hint
from ingest.run_setup import RunSetup
from ingest.summary import Summary
from ingest.table_arguments import (
    TableArguments,
    describe_changes,
    describe_new_metrics,
    load_settings,
    merge_settings,
    remember,
    table_options,
    with_renames,
)
from ingest.tables.files import MAX_FILE
from ingest.tables.numbers import DecimalSign
from ingest.tables.reading import STANDARD_INPUT, read_frame, read_table
from ingest.tables.table import Table, TableOptions
from registry.core import contract as contracts
from registry.core.backends import find_model
from registry.core.registry import Registry
from registry.core.runs import check_purpose, recorded
from registry.domain import ModelInfo
from registry.errors import UsageError
from registry.settings import (
    DEFAULT_EVERY,
    DEFAULT_MAX_GAP_S,
    DEFAULT_THRESHOLD,
    LARGEST_EVERY,
    Accuracy,
)

if TYPE_CHECKING:
    import pandas as pd


_INLINE = (
    "With 0 workers, videos are processed in this process, without limits on memory and time. A "
    "video that crashes the decoder ends the run."
)


def ingest(
    registry: Registry,
    videos: pd.DataFrame | str | Path,
    *,
    url_column: str | None = None,
    metrics: Sequence[str] | None = None,
    every: int | None = None,
    max_gap: float | None = None,
    cuts: bool | None = None,
    threshold: float | None = None,
    model: str | None = None,
    accuracy: Accuracy | None = None,
    workers: int | None = None,
    ray: str | None = None,
    retry_failed: bool = False,
    consolidate: bool | None = None,
    purpose: str | None = None,
    decimal: DecimalSign | None = None,
    units: Mapping[str, str] | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    url_template: str | None = None,
    blank_clears: bool = False,
    reread_changed: bool = False,
    plan: bool = False,
    base_folder: str | Path | None = None,
    allow_local_files: bool = False,
    policy: AddressPolicy | None = None,
    network: Network | None = None,
    limits: MediaLimits | None = None,
    fetch_limits: FetchLimits | None = None,
    reporter: Reporter | None = None,
    stop: Event | None = None,
    turn: Turn | None = None,
) -> Summary:
    """Find and record the faces of every video of a table.

    The registry remembers `url_column`, `metrics`, `decimal`, `units`, `encoding`, `sheet`,
    `url_template` and `consolidate`, and uses them for later tables where they are None.

    Args:
        registry: an open registry; a new one takes its model, threshold and sampling from here.
        videos: a DataFrame, the path of a table (CSV, TSV, Excel, OpenDocument, Parquet), the
            http(s) URL of one, or `-` for standard input. Relative paths in a DataFrame are read
            from the working directory.
        url_column: the column of URLs (`Video URL` at first).
        metrics: the columns of performance numbers (`Performance` at first); the first one of a new
            registry is what reports average by name.
            `NAME:sum` and `NAME:mean@WEIGHT` say how several rows of one video are combined.
        every: sampling interval in frames (10 in a new registry).
        max_gap: a frame is also looked at where more than so many seconds would pass without one
            (1.0 in a new registry); 0: no limit. In an existing registry, another value holds for
            videos that are read from now on.
        cuts: whether a frame is also looked at behind each cut (true in a new registry); changed
            as `max_gap`.
        threshold: least cosine at which a face joins the identity of its nearest neighbour (0.85 in
            a new registry).
        model: a catalogue name or the folder of a pack (sface in a new registry).
        accuracy: `fast` finds faces in less time, with slightly different results; by default
            FACE_REGISTRY_ACCURACY, else `exact`.
        workers: processes that decode and embed; 0: this process does, without limits on the
            memory and time of a video.
        ray: address of a Ray cluster (HOST:PORT) that fetches and processes the videos, or `auto`
            for a local one. `workers` is then the number of its workers, by default one for each
            processor of the cluster, or for each GPU with the device `cuda`.
        retry_failed: also process videos that failed before.
        consolidate: at the end, join identities that are one person, as one decision.
        purpose: why these people's faces are processed, kept with the run; by default
            FACE_REGISTRY_PURPOSE.
        decimal: `.` or `,`, for columns whose numbers can be read in two ways.
        units: by metric, what its numbers without a unit are: `%`, `plain`, `s`, a currency.
        encoding: of a text file; by default it is detected.
        sheet: of a workbook; by default the only one that has the columns.
        url_template: with one `{}`, where the cell of the URL column goes.
        blank_clears: take a metric's value away where its cell is blank; else the value stays.
        reread_changed: also process videos whose files were replaced since they were read.
        plan: write nothing and fetch no video; the summary says what an ingest would do.
        base_folder: where relative paths start; by default the folder of the table.
        allow_local_files: let the table name files outside its own folder.
        policy: which network addresses downloads may connect to; by default public ones only.
        network: proxy, headers, user agent and cookies of downloads, also of a table at a URL; not
            remembered. By default the proxy of FACE_REGISTRY_PROXY, and nothing else.
        limits: limits of a video.
        fetch_limits: limits of a download.
        reporter: receives the progress; by default a notebook shows a bar, and else nothing is
            reported.
        stop: set it to end the run at the next safe point.
        turn: held by the caller where other threads use the registry, too; the run releases it
            while it waits for a video.

    Raises:
        SourceError: the table as a whole cannot be read.
        QuestionError: its numbers can be read in several ways.
        ContractError: the registry was built with another model, threshold or sampling.
        RegistryLocked: another process writes to the registry.
        StoreError: a store failed. Committed videos stay, and the next run continues from there.
    """
    purpose = check_purpose(registry.settings.purpose or "" if purpose is None else purpose)
    accuracy = _accuracy(registry, accuracy)
    arguments = TableArguments(
        url_column=url_column,
        metrics=metrics,
        decimal=decimal,
        units=units,
        encoding=encoding,
        sheet=sheet,
        url_template=url_template,
        consolidate=consolidate,
        base_folder=Path(base_folder) if base_folder else None,
        allow_local_files=allow_local_files,
    )
    earlier = load_settings(registry)
    settings = merge_settings(arguments, earlier)
    rules = (network or Network()).fetch_rules(
        policy or AddressPolicy(), fetch_limits or FetchLimits(), registry.settings
    )
    folder = registry.settings.downloads
    table = _read_table(videos, table_options(arguments, settings), rules, folder)
    table = with_renames(table, settings.renames)
    notes = [
        *describe_changes(settings, earlier),
        *describe_new_metrics(registry, earlier, table),
    ]
    if plan:
        return plan_table(
            registry,
            table,
            Summary("", notes=notes),
            retry_failed=retry_failed,
            blank_clears=blank_clears,
            reread_changed=reread_changed,
        )
    registry.hold()
    names = [spec.name for spec in table.metrics]
    note = _check_contract(registry, model, threshold, every, max_gap, cuts, names)
    if note:
        notes.append(note)
    remember(registry, settings, table)
    csv = _table_name(videos) if isinstance(videos, (str, PathLike)) else ""
    reporter = _reporter(reporter, workers)
    setup = RunSetup(
        registry=registry,
        rules=rules,
        limits=limits or MediaLimits(),
        accuracy=accuracy,
        model=model,
        workers=workers,
        ray=ray,
        turn=turn,
    )
    with (
        setup.context(len(table.rows)) as context,
        _recorded(registry, context.summary, "ingest", csv=csv, purpose=purpose, accuracy=accuracy),
    ):
        context.summary.notes += notes
        return run(
            context,
            table,
            retry_failed=retry_failed,
            consolidate=settings.consolidate,
            reporter=reporter,
            stop=stop or Event(),
            blank_clears=blank_clears,
            reread_changed=reread_changed,
        )


def retry(
    registry: Registry,
    videos: Sequence[str] = (),
    *,
    accuracy: Accuracy | None = None,
    workers: int | None = None,
    purpose: str | None = None,
    policy: AddressPolicy | None = None,
    network: Network | None = None,
    limits: MediaLimits | None = None,
    fetch_limits: FetchLimits | None = None,
    reporter: Reporter | None = None,
    stop: Event | None = None,
    turn: Turn | None = None,
) -> Summary:
    """Process videos again that failed, are partial or were found damaged.

    They are fetched from the URLs on record. The record of a partial video that fails this time is
    kept. Metrics do not change.

    Args:
        registry: an open registry.
        videos: URLs, ids or unique beginnings of ids; by default, all such videos.

    The other arguments, and errors, are those of `ingest`. Raises `UnknownError` if a video is not
    on record and `UsageError` if it is complete.
    """
    purpose = check_purpose(registry.settings.purpose or "" if purpose is None else purpose)
    accuracy = _accuracy(registry, accuracy)
    rules = (network or Network()).fetch_rules(
        policy or AddressPolicy(), fetch_limits or FetchLimits(), registry.settings
    )
    registry.hold()
    table = retry_table(registry, videos)
    reporter = _reporter(reporter, workers)
    setup = RunSetup(
        registry=registry,
        rules=rules,
        limits=limits or MediaLimits(),
        accuracy=accuracy,
        workers=workers,
        turn=turn,
    )
    with (
        setup.context(len(table.rows)) as context,
        _recorded(registry, context.summary, "retry", purpose=purpose, accuracy=accuracy),
    ):
        summary = run(
            context,
            table,
            retry_failed=True,
            consolidate=False,
            reporter=reporter,
            stop=stop or Event(),
            read_again=True,
        )
    summary.failures = [with_hint(failure) for failure in summary.failures]
    return summary


def _accuracy(registry: Registry, accuracy: Accuracy | None) -> Accuracy:
    """The accuracy of a run. Raises `UsageError` if it is not valid."""
    if accuracy is None:
        return registry.settings.accuracy
    if accuracy not in get_args(Accuracy):
        raise UsageError(f"accuracy is {accuracy!r}. Give {' or '.join(get_args(Accuracy))}.")
    return accuracy


def _reporter(reporter: Reporter | None, workers: int | None) -> Reporter:
    """The reporter, after a warning if the run has no worker processes."""
    reporter = reporter or default_reporter()
    if workers == 0:
        reporter.warn(_INLINE)
    return reporter


@contextmanager
def _recorded(registry: Registry, summary: Summary, kind: str, **about: str) -> Iterator[None]:
    """Record the run in the registry's history; `about` it is what `recorded` takes."""
    with recorded(registry, kind, run=summary.run, **about) as recording:
        try:
            yield
        finally:
            recording.counts, recording.failures = summary.counts(), len(summary.failures)
            recording.interrupted = summary.stopped


def _read_table(
    videos: pd.DataFrame | str | Path, options: TableOptions, rules: FetchRules, folder: Path
) -> Table:
    if isinstance(videos, (str, PathLike)):
        return read_table(videos, options, lambda url: _download_table(url, rules, folder))
    return read_frame(videos, options, Path.cwd())


def _download_table(url: str, rules: FetchRules, folder: Path) -> bytes:
    """The bytes of the table at a URL, whose address the policy must allow."""
    limited = replace(rules, limits=FetchLimits(max_bytes=MAX_FILE))
    downloader = limited.downloader(folder, videos=False)
    try:
        download = downloader.fetch(url, "table")
        return download.path.read_bytes()
    finally:
        downloader.close()


def _table_name(source: str | Path) -> str:
    """The name of a table in the registry's history, without folder, host and query."""
    text = str(source)
    if text == STANDARD_INPUT:
        return text
    return PurePosixPath(urlsplit(text).path).name if is_link(text) else Path(source).name


def _check_contract(
    registry: Registry,
    model: str | None,
    threshold: float | None,
    every: int | None,
    max_gap: float | None,
    cuts: bool | None,
    metrics: Sequence[str],
) -> str:
    """Check the settings against the contract, or write the contract of a new registry.

    Returns a note if the contract changes.
    """
    if every is not None and not 1 <= every <= LARGEST_EVERY:
        raise UsageError(f"every is {every}. Give a number of frames, 1 to {LARGEST_EVERY:,}.")
    if max_gap is not None and not 0 <= max_gap < math.inf:
        raise UsageError(f"max_gap is {max_gap:g}. Give a number of seconds, or 0 for no limit.")
    if not registry.is_empty:
        contracts.check_rule(registry.contract, threshold=threshold, every=every)
        if model:
            contracts.check_model(registry.contract, _model_info(registry, model))
        changed, note = contracts.with_sampling(registry.contract, max_gap_s=max_gap, cuts=cuts)
        if note:
            registry.change_sampling(changed)
        return note
    registry.establish(
        contracts.new(
            _model_info(registry, model),
            registry.model_source(model),
            threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
            every=DEFAULT_EVERY if every is None else every,
            primary_metric=metrics[0],
            max_gap_s=DEFAULT_MAX_GAP_S if max_gap is None else max_gap or None,
            cuts=True if cuts is None else cuts,
        )
    )
    return ""


def _model_info(registry: Registry, model: str | None) -> ModelInfo:
    """What the model is. One of the catalogue is not loaded: the workers do that."""
    source = registry.model_source(model)
    return find_model(registry.settings, source) or registry.model(model).info
