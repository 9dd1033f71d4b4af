"""Files to take away: reports as CSV, Excel or a page, all face images, and a backup."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from queries.export import export_csv, write_excel, write_zip
from queries.frames import appearances_frame, videos_frame
from queries.metric_commands import metric_documents
from queries.page.asking import Asked
from queries.page.writing import save_page
from queries.report import make_report, make_selection
from registry.copies.backup import backup
from registry.core.exports import record_exports, sending_from
from registry.core.registry import Registry
from registry.errors import RegistryLocked, UnknownError, UsageError
from registry.urls import printable
from registry.web.rendering import form_handler, page, text_field
from registry.web.site import site_of

if TYPE_CHECKING:
    import pandas as pd

_WRITING = Lock()
"""One file is written at a time: each changes the list of exports."""
_FIELDS = ("metric", "where", "since", "by", "min_videos", "top")
"""Fields of the form for a report."""
_LARGEST = 1_000_000
"""Largest number of videos or rows that the form takes."""


def _csv(registry: Registry, path: Path, asked: Asked) -> None:
    export_csv(registry, _report_table(registry, asked), path)


def _excel(registry: Registry, path: Path, asked: Asked) -> None:
    tables = {
        "people": _report_table(registry, asked),
        "appearances": appearances_frame(registry),
        "videos": videos_frame(registry),
    }
    write_excel(tables, path)
    record_exports(registry, "excel", [path])


def _report_table(registry: Registry, asked: Asked) -> pd.DataFrame:
    return make_report(
        registry, asked.metrics, asked.selection,
        top=asked.top, min_videos=asked.min_videos, by=asked.by,
    ).table  # fmt: skip


def _page(registry: Registry, path: Path, asked: Asked) -> None:
    save_page(registry, path, asked)


def _zip(registry: Registry, path: Path, asked: Asked) -> None:
    del asked
    write_zip(registry, path)


FILES: dict[str, tuple[str, str, Callable[[Registry, Path, Asked], None]]] = {
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
_REPORTS = {
    "csv": "influencer_performance.csv",
    "excel": "face-registry.xlsx",
    "html": "report.html",
}
"""The files that the form for a report makes, by format."""


def downloads(request: Request) -> Response:
    """What there is to take away."""
    return _downloads_page(request)


def _downloads_page(
    request: Request, values: dict[str, str] | None = None, error: str = ""
) -> Response:
    """The page, with what was entered into the form and why it cannot be used."""
    with site_of(request).workspace.reading() as registry:
        if registry.is_empty:
            return page(request, "welcome.html")
        metrics = [document["metric"] for document in metric_documents(registry)]
    files = {name: words for name, (_, words, _) in FILES.items()}
    return page(
        request, "downloads.html", status=422 if error else 200, files=files, metrics=metrics,
        values=values or dict.fromkeys(_FIELDS, ""), error=error,
    )  # fmt: skip


def download(request: Request) -> Response:
    """One file, made now and removed once it is sent."""
    name = request.path_params["name"]
    if name not in FILES:
        raise UnknownError("There is no such file to download.")
    kind, _, write = FILES[name]
    return _send(request, name, kind, lambda registry, path: write(registry, path, Asked()))


@form_handler
def download_report(request: Request, form: FormData) -> Response:
    """The report that answers the question of the form, as a file."""
    values = {field: text_field(form, field) for field in _FIELDS}
    try:
        name = _REPORTS.get(text_field(form, "format"))
        if name is None:
            raise UsageError(f"Choose one of these formats: {', '.join(_REPORTS)}.")
        asked = _question(values)
        kind, _, write = FILES[name]
        return _send(request, name, kind, lambda registry, path: write(registry, path, asked))
    except (UsageError, UnknownError) as exc:
        return _downloads_page(request, values, str(exc))


def _question(values: dict[str, str]) -> Asked:
    """The question in the fields of the form. Raises `UsageError`."""
    selection = make_selection(
        where=filter(str.strip, values["where"].splitlines()), since=values["since"] or None
    )
    return Asked(
        metrics=(values["metric"],) if values["metric"] else (),
        selection=selection,
        by=values["by"],
        min_videos=_whole_number(values["min_videos"], "videos") or 1,
        top=_whole_number(values["top"], "rows"),
    )


def _whole_number(text: str, of: str) -> int | None:
    """A number of 1 or more; None if the text is empty. Raises `UsageError`."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= _LARGEST):
        raise UsageError(
            f"'{printable(text)}' is not a number of {of}. Give 1 to {_LARGEST:,}, or nothing."
        )
    return int(text)


@form_handler
def download_backup(request: Request, form: FormData) -> Response:
    """The archive that `backup` writes."""
    del form
    workspace = site_of(request).workspace
    if workspace.taken_at is not None:
        raise RegistryLocked(
            "Another process uses the registry, so it cannot be saved now. Press Look again when "
            "that process has finished."
        )

    def write(registry: Registry, path: Path) -> None:
        backup(registry, path)

    return _send(request, "face-registry-backup.zip", "application/zip", write)


def _send(
    request: Request, name: str, kind: str, write: Callable[[Registry, Path], None]
) -> Response:
    """A file that is written to a temporary folder, sent, and removed afterwards."""
    folder = tempfile.TemporaryDirectory(prefix="face-registry-download-")
    path = Path(folder.name) / name
    try:
        # Pages can be read meanwhile: only the list of exports is changed, by one at a time.
        with (
            _WRITING,
            site_of(request).workspace.reading() as registry,
            sending_from(path.parent),
        ):
            write(registry, path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path, media_type=kind, filename=name, background=BackgroundTask(folder.cleanup)
    )
