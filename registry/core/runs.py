"""The history of runs: who did what to the registry as a whole, when, for what, and how it ended.

A run is an ingest, a rebuilding of the index, a restore, a migration or a repair. Decisions and
erasures are none: they have records of their own (`decisions/`, `receipts/`).

One object a run, `runs/<run>.json`, written when it begins and again when it ends, so a run that
was killed is there and did not end. It holds nothing of a person or a video, so that an erasure has
nothing to look for: counts, no failures by name, no URL, no id, and of a path its last name only.
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
from registry.core.registry import Registry
from registry.errors import RegistryError, StoreCorrupt, UsageError
from registry.system import checked_json as checked
from registry.system.process import user_at_host
from registry.urls import CONTROL

RUNNING, DONE, FAILED, INTERRUPTED = "running", "done", "failed", "interrupted"
DID_NOT_END, DAMAGED = "did not end", "damaged"
OUTCOMES = (RUNNING, DONE, FAILED, INTERRUPTED, DID_NOT_END, DAMAGED)
LONGEST_PURPOSE = 500
"""Letters: a sentence or three."""
_TELLING = re.compile(r"\S*[/\\@]\S*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\S*")
"""Paths, URLs, keys, addresses, and ids of videos and people."""
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as it is kept."""

    run: str
    kind: str
    """`ingest`, `reindex`, `restore`, `migrate` or `repair`."""
    started: str
    """ISO 8601, UTC."""
    ended: str = ""
    by: str = ""
    """user@host."""
    version: str = ""
    """Of face-registry."""
    model: str = ""
    csv: str = ""
    """Name of the table's file, without its folder."""
    purpose: str = ""
    """Why these people's faces are processed, in the words of whoever started it."""
    outcome: str = RUNNING
    reason: str = ""
    """Why it failed."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    failures: int = 0
    seconds: float = 0.0
    lease: int = 0
    """Token of the lease it ran under, on servers; else 0."""


@dataclass(slots=True)
class Recording:
    """What a run under way says of itself by the time it ends."""

    counts: Mapping[str, Any] = field(default_factory=dict)
    failures: int = 0
    interrupted: bool = False


def new_run() -> str:
    """An id for a run: when it began, to a 65,536th of a second, so that ids sort by time."""
    now = datetime.now(UTC)
    return f"{now:{_STAMP}}-{now.microsecond * 2**16 // 10**6:04x}"


def began(run: str) -> datetime | None:
    """When the run of this id began; None if it is not such an id."""
    try:
        return datetime.strptime(run.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def check_purpose(purpose: str) -> str:
    """The purpose, trimmed. Raises `UsageError` if it is not a line of text of usual length."""
    text = purpose.strip()
    if len(text) > LONGEST_PURPOSE or CONTROL.search(text):
        raise UsageError(
            f"a purpose is one line of at most {LONGEST_PURPOSE} letters; this one has {len(text)}"
        )
    return text


@contextmanager
def recorded(
    registry: Registry, kind: str, *, run: str = "", csv: str = "", purpose: str = ""
) -> Iterator[Recording]:
    """Keep a run in the history for as long as the block runs, and how it ended.

    Raises what the block raises; `StoreError` if the run cannot be written down.
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
        )
        events.emit("run.begin", run=begun.run, kind=kind)
        _put(registry.blobs, begun)
    recording, started = Recording(), time.monotonic()
    try:
        yield recording
    except BaseException as exc:
        with suppress(RegistryError):  # what ended the run may keep it from being written down
            _end(registry, begun, recording, started, exc)
        raise
    _end(registry, begun, recording, started, None)


def runs(registry: Registry) -> list[Run]:
    """All runs, newest first; those that were killed as such, a damaged one by its id."""
    working = registry.lease.working() if registry.lease else None
    newest_first = sorted((info.key for info in registry.blobs.list(keys.RUNS)), reverse=True)
    return [_seen(_load(registry.blobs, key), working) for key in newest_first]


def impersonal(message: str) -> str:
    """A message without paths, URLs, keys and ids."""
    return _TELLING.sub("…", message)


def _end(
    registry: Registry,
    begun: Run,
    recording: Recording,
    started: float,
    error: BaseException | None,
) -> None:
    outcome, reason = _how(recording, error)
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


def _how(recording: Recording, error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return (INTERRUPTED if recording.interrupted else DONE), ""
    if isinstance(error, RegistryError):
        return FAILED, impersonal(str(error))
    if isinstance(error, Exception):
        return FAILED, f"internal error: {type(error).__name__}"
    return INTERRUPTED, ""


def _put(blobs: BlobStore, run: Run) -> None:
    blobs.put(keys.run(run.run), checked.encode(asdict(run)))


def _load(blobs: BlobStore, key: str) -> Run:
    try:
        return Run(**checked.decode(blobs.get(key)))
    except (ValueError, TypeError, StoreCorrupt):
        name = keys.name_in(key)
        at = began(name)
        started = at.isoformat() if at else ""
        return Run(name, "", started, outcome=DAMAGED, reason="its object is damaged")


def _seen(run: Run, working: int | None) -> Run:
    """The run; one that is not at work and has no end did not end."""
    if run.outcome == RUNNING and (working is None or run.lease != working):
        return replace(run, outcome=DID_NOT_END)
    return run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
