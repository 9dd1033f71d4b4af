"""Writing the page of a report to a file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from queries.page.asking import Asked
from queries.page.redaction import REDACTIONS
from queries.report import Report, make_selection
from queries.selections import ANY
from registry.core.exports import record_exports
from registry.core.registry import Registry
from registry.errors import UsageError
from registry.system.files import atomic_file, check_suffix
from registry.urls import printable

if TYPE_CHECKING:
    from queries.page.contents import Page


def write_page(
    registry: Registry,
    path: str | Path,
    metrics: str | Sequence[str] = (),
    *,
    sort: str = "",
    top: int | None = None,
    min_videos: int = 1,
    min_screen_time: float = 0.0,
    where: Sequence[str] = (),
    since: date | str | None = None,
    date_column: str = "",
    by: str = "",
    weight: str = "",
    log: bool = False,
    adjust: str | Sequence[str] = (),
    role: str = ANY,
    within: float | None = None,
    identity_range: bool = False,
    as_of: int | None = None,
    provisional: bool = False,
    stills: bool = False,
    redact: str | Sequence[str] = (),
) -> None:
    """Write the answer of `report` as one HTML page, which needs no network.

    Args:
        registry: an open registry that has ingested something.
        path: of the HTML file.
        metrics: names; by default the primary metric. The page is about the first one.
        sort: as for `report`; by default by verdict, and by shrunk mean within it.
        top: as for `report`.
        min_videos: as for `report`.
        min_screen_time: as for `report`.
        where: as for `report`.
        since: as for `report`.
        date_column: as for `report`.
        by: as for `report`.
        weight: as for `report`.
        log: as for `report`.
        adjust: as for `report`.
        role: as for `report`.
        within: as for `report`.
        identity_range: as for `report`.
        as_of: as for `report`.
        provisional: as for `report`.
        stills: as for `report`.
        redact: what is left out of the page: any of `names`, `faces` and `urls`.

    Raises:
        EmptyRegistry: nothing has been ingested.
        StoreCorrupt: a record or a crop that is needed is damaged or missing.
        UnknownError: there is no decision of this number.
        UsageError: a metric, attribute or other argument cannot be used.
    """
    hidden = frozenset((redact,) if isinstance(redact, str) else redact)
    if unknown := sorted(hidden - {*REDACTIONS}):
        raise UsageError(
            f"{printable(unknown[0])!r} cannot be redacted. Choose from {', '.join(REDACTIONS)}."
        )
    asked = Asked(
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
        selection=make_selection(
            where=where,
            since=since,
            date_column=date_column,
            role=role,
            within=within,
            min_screen_time=min_screen_time,
        ),
        sort=sort,
        top=top,
        min_videos=min_videos,
        by=by,
        weight=weight,
        log=log,
        adjust=(adjust,) if isinstance(adjust, str) else tuple(adjust),
        identity_range=identity_range,
        as_of=as_of,
        provisional=provisional,
        stills=stills,
        redact=hidden,
    )
    save_page(registry, Path(path), asked)


def save_page(registry: Registry, path: Path, asked: Asked, found: Report | None = None) -> Page:
    """Write the page that answers a question, completely or not at all.

    Args:
        registry: an open registry that has ingested something.
        path: of the HTML file.
        asked: the question.
        found: its report with all rows, where the caller made it already.

    Returns:
        What the page shows.

    Raises:
        EmptyRegistry: nothing has been ingested.
        StoreCorrupt: a record or a crop that is needed is damaged or missing.
        UnknownError: there is no decision of this number.
        UsageError: the question cannot be answered, or the path has the ending of another format.
    """
    check_suffix(path, "HTML")
    # Here, because every command of `report` loads this module, and templates are not for all.
    from queries.page.gathering import gather_page
    from queries.page.rendering import render_page

    page = gather_page(registry, asked, found)
    html = render_page(page)
    with atomic_file(path) as aside:
        Path(aside).write_text(html, encoding="utf-8")
    record_exports(registry, "html", [path])
    return page
