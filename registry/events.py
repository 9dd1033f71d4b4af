"""Events for log collectors, one per line on stderr: `--log-format json|text`.

An event has a name and some of the fields in `Fields`, and no others: there is no field for an
embedding, the name of a person, or a secret. Each line is one write, so that lines of worker
processes, which share stderr, are not interleaved.

Events go through the standard library's logger `face_registry`. A notebook or a service that uses
the registry can add a handler to it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict, Unpack, get_args

from registry.redaction import Url

Format = Literal["json", "text"]
Level = Literal["debug", "info", "warning", "error"]
FORMATS, LEVELS = get_args(Format), get_args(Level)

_LOG = logging.getLogger("face_registry")
_LOG.addHandler(logging.NullHandler())
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")


class Fields(TypedDict, total=False):
    """All fields that an event can have."""

    run: str
    kind: str
    """Kind of a run, a decision or an erasure, such as `ingest`, `merge` or `person`."""
    video: str
    """Id of a video."""
    row: int
    """Row of the table; the header is row 1."""
    url: Url
    """Logged in its redacted form."""
    seconds: float
    outcome: str
    reason: str
    message: str
    error: str
    """Class of an error."""
    traceback: str
    counts: Mapping[str, Any]
    """Counts of a run, as in `ingest --json`, or of an erasure, as in its receipt."""
    failures: int
    frames: int
    faces: int
    identities: int
    new: int
    """New identities."""


def emit(event: str, level: int = logging.INFO, **fields: Unpack[Fields]) -> None:
    """Log an event, if its level is logged."""
    if not _LOG.isEnabledFor(level):
        return
    given: dict[str, Any] = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in fields.items()
        if value != ""
    }
    if "url" in given:
        given["url"] = str(given["url"])
    _LOG.log(level, "%s", _line(event, given), extra={"event": event, "fields": given})


def start(form: Format | None, level: Level | None) -> None:
    """Write events to stderr from now on. With neither argument given, write none.

    Warnings of Python and of libraries, which have another format, are not shown meanwhile.
    """
    stop()
    if form is None and level is None:
        return
    handler = _Stderr()
    handler.setFormatter(_Json() if form == "json" else _Text())
    _LOG.addHandler(handler)
    _LOG.setLevel((level or "info").upper())
    _LOG.propagate = False
    logging.captureWarnings(True)


def stop() -> None:
    """Stop writing events to stderr."""
    for handler in [handler for handler in _LOG.handlers if isinstance(handler, _Stderr)]:
        _LOG.removeHandler(handler)
        _LOG.setLevel(logging.NOTSET)
        _LOG.propagate = True
        logging.captureWarnings(False)


def listening() -> tuple[Format, Level] | None:
    """The arguments of `start`, for worker processes to pass; None if no events are written."""
    for handler in _LOG.handlers:
        if isinstance(handler, _Stderr):
            level: Any = logging.getLevelName(_LOG.level).lower()
            return ("json" if isinstance(handler.formatter, _Json) else "text"), level
    return None


def masked(message: str) -> str:
    """The message without quoted text, which may be the name of a person."""
    return _QUOTED.sub("'…'", message)


class _Stderr(logging.Handler):
    """Writes each line to the current stderr in one call."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # a closed pipe does not end the work
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()


class _Json(logging.Formatter):
    """One JSON object, in ASCII, so that it cannot control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower()}
        return json.dumps({**head, "event": _event(record), **getattr(record, "fields", {})})


class _Text(logging.Formatter):
    """Time, level, event, then `name=value` for each field."""

    def format(self, record: logging.LogRecord) -> str:
        line = _line(_event(record), getattr(record, "fields", {}))
        return f"{_time(record)} {record.levelname:<7} {line}"


def _event(record: logging.LogRecord) -> str:
    return str(getattr(record, "event", record.name))


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _line(event: str, fields: dict[str, Any]) -> str:
    return " ".join([event, *(f"{name}={_value(value)}" for name, value in fields.items())])


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
