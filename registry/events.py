"""What happens, one event a line on stderr, for whoever collects logs: `--log-format json|text`.

An event has a name and a few of the fields below, and no others: no embedding, no name of a person,
no secret has a field to stand in. Each line is one write, so the lines of worker processes, which
share the stream, stay whole.

The events go through the standard library's logger `face_registry`, so that a notebook or a service
that embeds the registry takes them into its own log by adding a handler.
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
    """All that an event can say."""

    run: str
    kind: str
    """Of a run, a decision or an erasure: `ingest`, `merge`, `person` and so on."""
    video: str
    """Id of a video."""
    row: int
    """Of the table, as a spreadsheet counts."""
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
    """Of a run, as `ingest --json` has them; of an erasure, as its receipt has."""
    failures: int
    frames: int
    faces: int
    identities: int
    new: int
    """Identities founded."""


def emit(event: str, level: int = logging.INFO, **fields: Unpack[Fields]) -> None:
    """Log an event; nothing happens where nobody listens."""
    if not _LOG.isEnabledFor(level):
        return
    said: dict[str, Any] = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in fields.items()
        if value != ""
    }
    if "url" in said:
        said["url"] = str(said["url"])
    _LOG.log(level, "%s", _line(event, said), extra={"event": event, "fields": said})


def start(form: Format | None, level: Level | None) -> None:
    """Write events to stderr from now on; with neither given, write none.

    Libraries and Python itself, whose messages are not of this form, are silenced meanwhile.
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
    """Write no events to stderr any more."""
    for handler in [handler for handler in _LOG.handlers if isinstance(handler, _Stderr)]:
        _LOG.removeHandler(handler)
        _LOG.setLevel(logging.NOTSET)
        _LOG.propagate = True
        logging.captureWarnings(False)


def listening() -> tuple[Format, Level] | None:
    """What `start` was called with, for a worker process to do the same; None: no events."""
    for handler in _LOG.handlers:
        if isinstance(handler, _Stderr):
            level: Any = logging.getLevelName(_LOG.level).lower()
            return ("json" if isinstance(handler.formatter, _Json) else "text"), level
    return None


def masked(message: str) -> str:
    """A message without what it quotes: where somebody typed a name, it quotes the name."""
    return _QUOTED.sub("'…'", message)


class _Stderr(logging.Handler):
    """Writes to whatever stderr is at the time, one write a line."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # a reader that went away does not end the work
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()


class _Json(logging.Formatter):
    """One JSON object, in ASCII, so that nothing in it acts on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower()}
        return json.dumps({**head, "event": _event(record), **getattr(record, "fields", {})})


class _Text(logging.Formatter):
    """Time, level, event, then name=value."""

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
