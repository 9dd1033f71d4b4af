"""The pages of an ingest: choose a table, see the plan, watch the run, deal with failures."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ingest.summary import Failure
from ingest.tables.questions import QuestionError
from registry.core.table_settings import load_table_settings
from registry.errors import RegistryError, UsageError
from registry.settings import DEFAULT_METRIC, DEFAULT_URL_COLUMN
from registry.web.ingesting import Progress, TableQuestion
from registry.web.rendering import after_form, form_handler, fragment, page, sent_file, text_field
from registry.web.site import site_of


def table(request: Request) -> Response:
    """Choose a table."""
    site = site_of(request)
    with site.workspace.reading() as registry:
        known = load_table_settings(registry.blobs)
        purpose = registry.settings.purpose or ""
    return page(
        request, "ingest.html", settings=known, purpose=purpose, progress=site.desk.progress,
        values=dict.fromkeys(_FIELDS, ""),
        defaults={"url_column": DEFAULT_URL_COLUMN, "metrics": DEFAULT_METRIC},
    )  # fmt: skip


@form_handler
def send(request: Request, form: FormData) -> Response:
    """Take a table from the browser, and show its plan."""
    file = sent_file(form, "table", "No table was sent. Choose a file, or drop one on the page.")
    upload = site_of(request).desk.take(file.filename or "table.csv", file.file)
    return _plan(request, upload.key, form)


@form_handler
def plan(request: Request, form: FormData) -> Response:
    """Show the plan again, with other answers about the table."""
    return _plan(request, request.path_params["upload"], form)


def _plan(request: Request, key: str, form: FormData) -> Response:
    site = site_of(request)
    upload, question = site.desk.upload(key), _question(form, local_files=site.local_files)
    values = {name: text_field(form, name) for name in _FIELDS}
    try:
        summary = site.desk.plan(upload, question)
    except QuestionError as exc:
        return page(
            request, "ingest_questions.html", status=422, upload=upload, values=values,
            questions_of_table=exc.questions,
        )  # fmt: skip
    except RegistryError as exc:
        return page(
            request, "ingest_refused.html", status=422, upload=upload, values=values,
            text=upload.without_folder(str(exc)),
        )  # fmt: skip
    return page(
        request, "ingest_plan.html", upload=upload, values=values, summary=summary,
        planned=summary.planned, failures=advised(summary.failures),
    )  # fmt: skip


@form_handler
def start(request: Request, form: FormData) -> Response:
    """Ingest the table."""
    site = site_of(request)
    question = _question(form, local_files=site.local_files)
    site.desk.start(site.desk.upload(request.path_params["upload"]), question)
    return after_form("/ingest/run")


@form_handler
def retry(request: Request, form: FormData) -> Response:
    """Read all videos again that failed, are partial or were found damaged."""
    del form
    site_of(request).desk.retry()
    return after_form("/ingest/run")


@form_handler
def stop(request: Request, form: FormData) -> Response:
    """End the ingest after the current video."""
    del form
    site_of(request).desk.stop()
    return after_form("/ingest/run")


def run(request: Request) -> Response:
    """The ingest that is under way, or the last one."""
    progress = site_of(request).desk.progress
    if progress is None:
        return after_form("/ingest")
    return page(request, "ingest_run.html", **_shown(progress))


async def events(request: Request) -> Response:
    """The progress as server-sent events: each is a part of the page, as JSON."""
    desk = site_of(request).desk

    async def stream() -> AsyncIterator[str]:
        version = -1
        while not site_of(request).closing.is_set():
            seen, progress = await run_in_threadpool(desk.wait, version, 1.0)
            if seen == version or progress is None:
                if await request.is_disconnected():
                    return
                yield ": waiting\n\n"
                continue
            version = seen
            part = fragment("ingest_progress.html", **_shown(progress))
            body = {"html": part, "over": progress.is_over}
            yield f"data: {json.dumps(body)}\n\n"
            if progress.is_over:
                return

    return StreamingResponse(stream(), media_type="text/event-stream")


def _shown(progress: Progress) -> Mapping[str, Any]:
    return {"progress": progress, "failures": advised(progress.failures)}


def advised(failures: tuple[Failure, ...] | list[Failure]) -> list[tuple[Failure, str]]:
    """Failures, each with what to do about it."""
    return [(failure, _advice(failure.reason)) for failure in failures]


_ADVICE = (
    ("answered 404", "It is not at this address. Correct the URL in the table, and send it again."),
    ("answered 40", "The server refuses. Use a link that anybody can open, or one signed anew."),
    ("answered 5", "The server has a problem. Read it again later."),
    ("not a public address", "Send the table again, and allow addresses of private networks."),
    ("no file", "Check the path, and the folder where relative paths start."),
    ("allow-local-files", "Send the table again, and allow files anywhere on this computer."),
    ("certificate", "Have the server's certificate renewed, or use another address."),
    ("took longer", "Read it again later, when the machine or the network is less busy."),
    ("memory", "The command line reads it with a larger --max-memory."),
    ("not a video", "Give the URL of the video file itself."),
    ("the limit", "Cut the video, or give a smaller version of it."),
)  # fmt: skip
"""What a reason contains, in the order in which they are looked for, and what to do then."""


def _advice(reason: str) -> str:
    found = (advice for sign, advice in _ADVICE if sign in reason.lower())
    return next(found, "Open the video yourself to see whether it plays; then read it again.")


_FIELDS = (
    "url_column", "metrics", "url_template", "decimal", "units", "sheet", "encoding",
    "base_folder", "allow_local_files", "allow_private", "retry_failed", "blank_clears",
    "reread_changed", "consolidate", "purpose",
)  # fmt: skip
_LOCAL = ("base_folder", "allow_local_files", "allow_private")
"""Fields that only whoever sits at this computer may use."""


def _question(form: FormData, *, local_files: bool) -> TableQuestion:
    """What the form says about the table. Raises `UsageError` for what is not valid."""
    given = {name: text_field(form, name) for name in _FIELDS}
    if any(given[name] for name in _LOCAL) and not local_files:
        raise UsageError(
            "Tables cannot name files of this computer or its network, because other machines "
            "reach this server. Use `face-registry ingest` there."
        )
    units = {}
    for line in given["units"].splitlines():
        metric, equals, unit = line.rpartition("=")
        if not equals or not metric.strip():
            raise UsageError(f"The unit {line!r} is not valid. Write METRIC=UNIT, one a line.")
        units[metric.strip()] = unit.strip()
    decimals: dict[str, Literal[".", ","]] = {".": ".", ",": ","}
    consolidate = {"yes": True, "no": False}.get(given["consolidate"])
    return TableQuestion(
        url_column=given["url_column"] or None,
        metrics=tuple(name.strip() for name in given["metrics"].split(";") if name.strip()),
        url_template=given["url_template"] or None,
        decimal=decimals.get(given["decimal"]),
        units=units,
        sheet=given["sheet"] or None,
        encoding=given["encoding"] or None,
        base_folder=Path(given["base_folder"]) if given["base_folder"] else None,
        allow_local_files=bool(given["allow_local_files"]),
        allow_private=bool(given["allow_private"]),
        retry_failed=bool(given["retry_failed"]),
        blank_clears=bool(given["blank_clears"]),
        reread_changed=bool(given["reread_changed"]),
        consolidate=consolidate,
        purpose=given["purpose"] or None,
    )
