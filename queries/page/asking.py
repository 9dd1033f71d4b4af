"""The question that a page answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from queries.selections import Selection


@dataclass(frozen=True, slots=True)
class Asked:
    """The question of a page: the options of `report`."""

    metrics: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)
    sort: str = ""
    """"": by verdict, and by shrunk mean within it."""
    top: int | None = None
    min_videos: int = 1
    by: str = ""
    weight: str = ""
    log: bool = False
    adjust: tuple[str, ...] = ()
    identity_range: bool = False
    as_of: int | None = None
    provisional: bool = False
    stills: bool = False
    redact: frozenset[str] = frozenset()
