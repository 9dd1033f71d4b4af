"""From a table of videos to faces on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.api import ingest

__all__ = ["ingest"]


def __getattr__(name: str) -> Any:
    """Import `ingest` when it is first used: a process that reads one page does without it."""
    if name == "ingest":
        from ingest.api import ingest

        return ingest
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
