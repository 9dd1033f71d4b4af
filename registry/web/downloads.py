"""Files to take away: the table as CSV, Excel or Parquet, and all face images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from queries.export import write_csv, write_excel, write_zip
from queries.frames import appearances_frame, videos_frame
from queries.page.asking import Asked
from queries.page.writing import save_page
from queries.report import report
from registry.core.exports import record_exports
from registry.core.registry import Registry
from registry.errors import UnknownError
from registry.web.rendering import page
from registry.web.site import site_of

_EXPORTING = Lock()


def _csv(registry: Registry, path: Path) -> None:
    write_csv(report(registry), path)
    record_exports(registry, "csv", [path])


def _excel(registry: Registry, path: Path) -> None:
    tables = {
        "people": report(registry),
        "appearances": appearances_frame(registry),
        "videos": videos_frame(registry),
    }
    write_excel(tables, path)
    record_exports(registry, "excel", [path])


def _page(registry: Registry, path: Path) -> None:
    save_page(registry, path, Asked())
    record_exports(registry, "html", [path])


def _zip(registry: Registry, path: Path) -> None:
    write_zip(registry, path)


FILES: dict[str, tuple[str, str, Callable[[Registry, Path], None]]] = {
    "influencer_performance.csv": ("text/csv", "The table of people, for any program", _csv),
    "face-registry.xlsx": (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "People, appearances and videos as three sheets, for Excel",
        _excel,
    ),
    "report.html": (
        "text/html",
        "The report as one page, to mail, print and keep; questions can be answered in it",
        _page,
    ),
    "faces.zip": (
        "application/zip",
        "All face images by person, with the faces of others masked",
        _zip,
    ),
}
"""By name: type, what it is, and what writes it."""


def downloads(request: Request) -> Response:
    """What there is to take away."""
    with site_of(request).workspace.reading() as registry:
        if registry.is_empty:
            return page(request, "welcome.html")
    files = {name: words for name, (_, words, _) in FILES.items()}
    return page(request, "downloads.html", files=files)


def download(request: Request) -> Response:
    """One file, made now and removed once it is sent."""
    name = request.path_params["name"]
    if name not in FILES:
        raise UnknownError("There is no such file to download.")
    kind, _, write = FILES[name]
    folder = tempfile.TemporaryDirectory(prefix="face-registry-download-")
    path = Path(folder.name) / name
    try:
        # Pages go on meanwhile; only the list of exports is written, by one download at a time.
        with _EXPORTING, site_of(request).workspace.reading() as registry:
            write(registry, path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path, media_type=kind, filename=name, background=BackgroundTask(folder.cleanup)
    )
