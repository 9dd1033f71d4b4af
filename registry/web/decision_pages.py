"""The log of decisions: undo each, and the table as of any of them."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from queries.documents import decision_documents
from registry.core.registry import Registry
from registry.domain import Identity
from registry.errors import UnknownError, UsageError
from registry.people import corrections
from registry.people.answers import AnswersFile, apply_answers, load_answers, plan_answers
from registry.terminal import count
from registry.web.ingesting import Upload
from registry.web.people_rows import people_rows
from registry.web.rendering import after_form, form_handler, local_path, page, sent_file, text_field
from registry.web.site import site_of, tell

_PAGE = 100
"""Decisions on one page."""
_FACES = 4
"""People that are shown with a decision."""
ANSWERS_BYTES = 5 << 20
"""Largest file of answers: a little more than `registry.people.answers` reads."""


def decisions(request: Request) -> Response:
    """The log, the last decision first."""
    text = request.query_params.get("before", "")
    before = int(text) if text.isdecimal() and len(text) < 10 else None
    with site_of(request).workspace.reading() as registry:
        documents = decision_documents(registry.decisions.entries())
        shown = [one for one in reversed(documents) if before is None or one["decision"] < before]
        whom = {one["decision"]: _people_of(registry, one) for one in shown[:_PAGE]}
    return page(
        request, "decisions.html", decisions=shown[:_PAGE], total=len(documents), whom=whom,
        older=shown[_PAGE - 1]["decision"] if len(shown) > _PAGE else 0,
    )  # fmt: skip


def _people_of(registry: Registry, document: dict[str, Any]) -> list[Identity]:
    """The people whom a decision is about, as they are now; the first of many."""
    named = [document["identity"], *document["others"], document["new_identity"]]
    named += [group[0] for group in document["groups"]]
    ids = dict.fromkeys(registry.view.root(one) for one in named if one)
    known = registry.index.get_identities(list(ids)[:_FACES])
    return [known[one] for one in ids if one in known]


def as_of(request: Request) -> Response:
    """The table of people as it was after a decision."""
    number = request.path_params["number"]
    with site_of(request).workspace.reading() as registry:
        last = len(registry.decisions.entries())
        if number > last:
            raise UnknownError(f"There is no decision {number}. The last one is {last}.")
        people = people_rows(registry, as_of=number)
    return page(request, "as_of.html", people=people, number=number, last=last)


@form_handler
def undo(request: Request, form: FormData) -> Response:
    """Take a decision back."""
    with site_of(request).workspace.changing() as registry:
        target, decision = corrections.undo(registry, request.path_params["number"])
    tell(
        request, f"Decision {target.number} ({target.kind}) no longer counts.",
        decision=decision.number,
    )  # fmt: skip
    back = local_path(text_field(form, "back"))
    return after_form("/" if back.startswith("/people/") else back)


@form_handler
def send_answers(request: Request, form: FormData) -> Response:
    """Take a file of answers that was saved from a report page, and show what they would do."""
    missing = "No file was sent. Choose the file that the report page saved."
    file = sent_file(form, "answers", missing)
    upload = site_of(request).desk.take(file.filename or "answers.json", file.file)
    answers = _load(upload)
    with site_of(request).workspace.reading() as registry:
        planned = plan_answers(registry, answers)
    return page(request, "answers.html", upload=upload, planned=planned)


def _load(upload: Upload) -> AnswersFile:
    """The answers in a file that was sent. Errors name the file without its folder."""
    try:
        return load_answers(upload.path)
    except UsageError as exc:
        raise UsageError(upload.without_folder(str(exc))) from exc


@form_handler
def take_answers(request: Request, form: FormData) -> Response:
    """Make the decisions of a file of answers."""
    del form
    answers = _load(site_of(request).desk.upload(request.path_params["upload"]))
    with site_of(request).workspace.changing() as registry:
        made = apply_answers(registry, plan_answers(registry, answers))
    tell(request, f"{count(len(made), 'decision')} made.")
    return after_form("/decisions")
