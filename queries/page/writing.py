"""Writing the page of a report to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from queries.page.asking import Asked
from registry.core.exports import record_exports
from registry.core.registry import Registry
from registry.system.files import atomic_file, check_suffix

if TYPE_CHECKING:
    from queries.page.contents import Page


def write_page(registry: Registry, path: Path, asked: Asked) -> Page:
    """Write the page that answers a question, completely or not at all.

    Args:
        registry: an open registry that has ingested something.
        path: of the HTML file.
        asked: the question.

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

    page = gather_page(registry, asked)
    html = render_page(page)
    with atomic_file(path) as aside:
        Path(aside).write_text(html, encoding="utf-8")
    record_exports(registry, "html", [path])
    return page
