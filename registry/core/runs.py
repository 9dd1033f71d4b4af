"""The history of runs: who changed the registry as a whole, when, why, and how it ended.

A run is an ingest, a rebuild of the index, a restore, a migration or a repair. Decisions and
erasures are not runs: they have objects of their own (`decisions/`, `receipts/`).

Each run is one object, `runs/<run>.json`, written when the run begins and again when it ends, so
that a run that was killed can be recognised. It holds nothing about a person or a video, so that an
erasure need not change it: counts, but no failures by name, no URL, no id, and only the last part
of a path.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from registry import events
from registry.blobs.base import BlobStore
from registry.core import keys
from registry.core.home import in_use_since
from registry.core.registry import Registry
from registry.core.snapshot import snapshot_of
from registry.errors import RegistryError, StoreCorrupt, UsageError
from registry.system import checked_json as checked
from registry.system.process import user_at_host
from registry.urls import CONTROL

RUNNING, DONE, FAILED, INTERRUPTED = "running", "done", "failed", "interrupted"
DID_NOT_END, DAMAGED = "did not end", "damaged"
OUTCOMES = (RUNNING, DONE, FAILED, INTERRUPTED, DID_NOT_END, DAMAGED)
EXACT = "exact"
LONGEST_PURPOSE = 500
"""Characters; a chosen limit, enough for three sentences."""
_IDENTIFYING = re.compile(r"\S*[/\\@]\S*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\S*")
"""Paths, URLs, keys, addresses, and ids of videos and people."""
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as it is stored."""

    run: str
    kind: str
    """`ingest`, `reindex`, `restore`, `migrate` or `repair`."""
    started: str
    """ISO 8601, UTC."""
    ended: str = ""
    by: str = ""
    """user@host."""
    version: str = ""
    """Version of face-registry."""
    model: str = ""
    csv: str = ""
    """Name of the table's file, without its folder."""
    purpose: str = ""
    """Why these people's faces are processed, as given by the user who started the run."""
    outcome: str = RUNNING
    reason: str = ""
    """Why it failed."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    failures: int = 0
    seconds: float = 0.0
    lease: int = 0
    """Token of the lease that the run had, on servers; otherwise 0."""
    accuracy: str = EXACT
    """How the run extracted faces: `exact` or `fast`. Stored only if it is `fast`, so that earlier
    versions can read the history of a registry that never used it."""


@dataclass(slots=True)
class Recording:
    """What a run reports when it ends; the run itself fills it in."""

    counts: Mapping[str, Any] = field(default_factory=dict)
    failures: int = 0
    interrupted: bool = False


def new_run() -> str:
    """A new id for a run: the time in 1/65,536 s, so that ids sort by time."""
    now = datetime.now(UTC)
    return f"{now:{_STAMP}}-{now.microsecond * 2**16 // 10**6:04x}"


def began(run: str) -> datetime | None:
    """When the run of this id began; None if the id has no time in it."""
    try:
        return datetime.strptime(run.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def check_purpose(purpose: str) -> str:
    """The purpose, trimmed. Raises `UsageError` unless it is one line that is not too long."""
    text = purpose.strip()
    if len(text) > LONGEST_PURPOSE:
        raise UsageError(
            f"The purpose has {len(text)} characters, and {LONGEST_PURPOSE} are allowed. "
            "Shorten it."
        )
    if CONTROL.search(text):
        raise UsageError(
            "The purpose contains a line break or another control character. Write it on one line."
        )
    return text


@contextmanager
def recorded(
    registry: Registry,
    kind: str,
    *,
    run: str = "",
    csv: str = "",
    purpose: str = "",
    accuracy: str = EXACT,
) -> Iterator[Recording]:
    """Record a run in the history: that the block begins, and how it ends.

    Raises what the block raises, and `StoreError` if the run cannot be recorded.
    """
    with registry.writing():
        begun = Run(
            run or new_run(),
            kind,
            _now(),
            by=user_at_host(),
            version=version("face-registry"),
            model=registry.contract.model.name,
            csv=csv,
            purpose=check_purpose(purpose),
            lease=registry.lease.token if registry.lease else 0,
            accuracy=accuracy,
        )
        events.emit("run.begin", run=begun.run, kind=kind)
        _put(registry.blobs, begun)
    recording, started = Recording(), time.monotonic()
    try:
        yield recording
    except BaseException as exc:
        with suppress(RegistryError):  # what ended the run may prevent this, too
            _end(registry, begun, recording, started, exc)
        raise
    _end(registry, begun, recording, started, None)


def runs(registry: Registry) -> list[Run]:
    """All runs, newest first. Of a damaged one only the id and the start are known."""
    working = registry.lease.current_token() if registry.lease else None
    since = in_use_since(registry.settings.home) if snapshot_of(registry) else None
    newest_first = sorted((info.key for info in registry.blobs.list(keys.RUNS)), reverse=True)
    return [_with_outcome(_load(registry.blobs, key), working, since) for key in newest_first]


def impersonal(message: str) -> str:
    """A message without paths, URLs, keys and ids."""
    return _IDENTIFYING.sub("…", message)


def _end(
    registry: Registry,
    begun: Run,
    recording: Recording,
    started: float,
    error: BaseException | None,
) -> None:
    outcome, reason = _outcome(recording, error)
    ended = replace(
        begun,
        ended=_now(),
        outcome=outcome,
        reason=reason,
        counts=recording.counts,
        failures=recording.failures,
        seconds=round(time.monotonic() - started, 3),
    )
    events.emit(
        "run.end",
        logging.ERROR if outcome == FAILED else logging.INFO,
        run=ended.run,
        kind=ended.kind,
        outcome=outcome,
        reason=reason,
        counts=ended.counts,
        failures=ended.failures,
        seconds=ended.seconds,
    )
    with registry.writing():
        _put(registry.blobs, ended)


def _outcome(recording: Recording, error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return (INTERRUPTED if recording.interrupted else DONE), ""
    if isinstance(error, RegistryError):
        return FAILED, impersonal(str(error))
    if isinstance(error, Exception):
        return FAILED, f"internal error: {type(error).__name__}"
    return INTERRUPTED, ""


def _put(blobs: BlobStore, run: Run) -> None:
    fields = asdict(run)
    if run.accuracy == EXACT:
        del fields["accuracy"]
    blobs.put(keys.run(run.run), checked.encode(fields))


def _load(blobs: BlobStore, key: str) -> Run:
    try:
        return Run(**checked.decode(blobs.get(key)))
    except (ValueError, TypeError, StoreCorrupt):
        name = keys.name_in(key)
        at = began(name)
        started = at.isoformat() if at else ""
        return Run(name, "", started, outcome=DAMAGED, reason="its object is damaged")


def _with_outcome(run: Run, working: int | None, since: str | None) -> Run:
    """The run; as one that did not end, if it has no end and its process is not the writer.

    Args:
        run: as it is stored.
        working: token of the current lease.
        since: when the process took the lock that the registry, a snapshot, was read beside.
    """
    is_writer = run.lease == working or (since is not None and run.started >= since)
    if run.outcome == RUNNING and not is_writer:
        return replace(run, outcome=DID_NOT_END)
    return run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
