"""Ingesting from Python: what the command line does, for notebooks and schedulers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pandas as pd

from ingest.addresses import AddressPolicy
from ingest.download import Downloader, FetchLimits
from ingest.frames import MediaLimits
from ingest.pipeline import Parts, default_workers, run
from ingest.progress import Reporter, Silent
from ingest.retrying import again, explained
from ingest.sources import Table, read_csv, read_frame
from ingest.summary import Summary
from ingest.workers import Extractor, InlineExtractor, PoolExtractor
from registry.core import contract as contracts
from registry.core.backends import open_buckets
from registry.core.registry import Registry
from registry.core.runs import check_purpose, new_run, recorded
from registry.models.entries import CATALOGUE
from registry.settings import (
    DEFAULT_EVERY,
    DEFAULT_METRIC,
    DEFAULT_MODEL,
    DEFAULT_THRESHOLD,
    DEFAULT_URL_COLUMN,
)

VIDEO_TIMEOUT_S = 3 * 3600.0
"""Longest time that reading one video may take: half of the longest video allowed, which a single
slow processor passes several times over."""

_INLINE = (
    "0 workers: videos are read in this process, without a limit on memory or time; one that "
    "crashes the decoder ends the run."
)


def ingest(
    registry: Registry,
    videos: pd.DataFrame | str | Path,
    *,
    url_column: str = DEFAULT_URL_COLUMN,
    metrics: Sequence[str] = (DEFAULT_METRIC,),
    every: int | None = None,
    threshold: float | None = None,
    model: str | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    consolidate: bool = False,
    purpose: str | None = None,
    allow_local_files: bool = False,
    policy: AddressPolicy | None = None,
    limits: MediaLimits | None = None,
    fetch_limits: FetchLimits | None = None,
    reporter: Reporter | None = None,
    stop: Event | None = None,
) -> Summary:
    """Find the faces of every video of a table and put them on record.

    Args:
        registry: an open registry; a new one takes its model, threshold and sampling from here.
        videos: a DataFrame, or the path of a CSV file. Relative paths in a DataFrame are read from
            the working directory.
        url_column: the column of URLs.
        metrics: the columns of performance numbers; the first is what reports average by name.
        every: look at one frame in so many (10 in a new registry).
        threshold: cosine at and above which a face joins its nearest neighbour (0.85 in a new one).
        model: a catalogue name or the folder of a pack (sface in a new registry).
        workers: processes that decode and embed; 0 does it in this one, where nothing limits the
            memory and the time that a video takes.
        retry_failed: try videos again that failed before.
        consolidate: at the end, join identities that are one person, as one decision.
        purpose: why these people's faces are processed, kept with the run; by default
            FACE_REGISTRY_PURPOSE.
        allow_local_files: let the table name files outside its own folder.
        policy: which network addresses may be spoken to; by default public ones only.
        limits: what a video may be at most.
        fetch_limits: what a download may be at most.
        reporter: told of each step; silent by default.
        stop: set it to end the run at the next safe point.

    Raises:
        SourceError: the table cannot be read as a whole.
        ContractError: the registry was built with another model, threshold or sampling.
        RegistryLocked: another process writes to the registry.
        StoreError: a store failed; what was committed stays, and running again goes on from there.
    """
    why = check_purpose(registry.settings.purpose or "" if purpose is None else purpose)
    table = _read(videos, url_column, metrics, allow_local_files)
    registry.hold()
    _agree(registry, model, threshold, every, metrics)
    csv = "" if isinstance(videos, pd.DataFrame) else Path(videos).name
    reporter = _told(reporter, workers)
    with (
        _parts(registry, model, workers, len(table.rows), limits, policy, fetch_limits) as parts,
        _recorded(registry, parts.summary, "ingest", csv=csv, purpose=why),
    ):
        return run(
            parts,
            table,
            metrics=metrics,
            retry_failed=retry_failed,
            consolidate=consolidate,
            reporter=reporter,
            stop=stop or Event(),
        )


def retry(
    registry: Registry,
    videos: Sequence[str] = (),
    *,
    workers: int | None = None,
    purpose: str | None = None,
    policy: AddressPolicy | None = None,
    limits: MediaLimits | None = None,
    fetch_limits: FetchLimits | None = None,
    reporter: Reporter | None = None,
    stop: Event | None = None,
) -> Summary:
    """Read videos again that failed, are partial or were found damaged, from the URLs on record.

    A partial one that fails this time stays as it is. Metrics stay as they are.

    Args:
        registry: an open registry.
        videos: URLs, ids or unique beginnings of ids; without any, all that there are.

    The other arguments, and errors, are those of `ingest`. Raises `UnknownError` if a video is not
    on record and `UsageError` if it is whole.
    """
    why = check_purpose(registry.settings.purpose or "" if purpose is None else purpose)
    registry.hold()
    table = again(registry, videos)
    reporter = _told(reporter, workers)
    with (
        _parts(registry, None, workers, len(table.rows), limits, policy, fetch_limits) as parts,
        _recorded(registry, parts.summary, "retry", purpose=why),
    ):
        summary = run(
            parts,
            table,
            metrics=(),
            retry_failed=True,
            consolidate=False,
            reporter=reporter,
            stop=stop or Event(),
            read_again=True,
        )
    summary.failures = [explained(failure) for failure in summary.failures]
    return summary


def _told(reporter: Reporter | None, workers: int | None) -> Reporter:
    reporter = reporter or Silent()
    if workers == 0:
        reporter.warn(_INLINE)
    return reporter


@contextmanager
def _parts(
    registry: Registry,
    model: str | None,
    workers: int | None,
    videos: int,
    limits: MediaLimits | None,
    policy: AddressPolicy | None,
    fetch_limits: FetchLimits | None,
) -> Iterator[Parts]:
    """What a run works with; closed at the end."""
    settings, summary = registry.settings, Summary(new_run())
    workers = min(default_workers() if workers is None else workers, max(1, videos))
    buckets = open_buckets(settings)
    downloader = Downloader(
        settings.downloads,
        limits=fetch_limits or FetchLimits(),
        policy=policy or AddressPolicy(),
        buckets=buckets,
    )
    extractor = _extractor(registry, model, workers, limits or MediaLimits(), summary.run)
    try:
        yield Parts(registry, downloader, extractor, 2 * max(1, workers), summary)
    finally:
        extractor.close()
        downloader.close()
        if buckets is not None:
            buckets.close()


@contextmanager
def _recorded(
    registry: Registry, summary: Summary, kind: str, *, csv: str = "", purpose: str = ""
) -> Iterator[None]:
    """Keep the run in the registry's history."""
    with recorded(registry, kind, run=summary.run, csv=csv, purpose=purpose) as recording:
        try:
            yield
        finally:
            recording.counts, recording.failures = summary.counts(), len(summary.failures)
            recording.interrupted = summary.stopped


def _read(
    videos: pd.DataFrame | str | Path,
    url_column: str,
    metrics: Sequence[str],
    allow_local_files: bool,
) -> Table:
    if isinstance(videos, pd.DataFrame):
        return read_frame(
            videos,
            url_column=url_column,
            metrics=metrics,
            base=Path.cwd(),
            allow_local_files=allow_local_files,
        )
    return read_csv(
        Path(videos), url_column=url_column, metrics=metrics, allow_local_files=allow_local_files
    )


def _agree(
    registry: Registry,
    model: str | None,
    threshold: float | None,
    every: int | None,
    metrics: Sequence[str],
) -> None:
    """Check what is asked for against the contract, or write the contract of a new registry."""
    if not registry.is_empty:
        contracts.check_rule(registry.contract, threshold=threshold, every=every)
        if model or registry.settings.model:
            registry.model(model)
        return
    source = _source(registry, model)
    loaded = registry.model(source)
    registry.establish(
        contracts.new(
            loaded.info,
            source,
            threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
            every=DEFAULT_EVERY if every is None else every,
            primary_metric=metrics[0],
        )
    )


def _source(registry: Registry, model: str | None) -> str:
    """What to load: what was asked for, else what the registry has. A folder by its full path."""
    built_with = None if registry.is_empty else registry.contract.model_source
    source = model or registry.settings.model or built_with or DEFAULT_MODEL
    is_folder = source not in CATALOGUE and Path(source).expanduser().is_dir()
    return str(Path(source).expanduser().absolute()) if is_folder else source


def _extractor(
    registry: Registry, model: str | None, workers: int, limits: MediaLimits, run_id: str
) -> Extractor:
    every = registry.contract.every
    if workers == 0:
        model_here, blobs = registry.model(), registry.blobs
        return InlineExtractor(model_here, blobs, every=every, limits=limits, run=run_id)
    return PoolExtractor(
        registry.settings,
        registry.contract,
        _source(registry, model),
        workers=workers,
        every=every,
        limits=limits,
        timeout_s=VIDEO_TIMEOUT_S,
        run=run_id,
    )
