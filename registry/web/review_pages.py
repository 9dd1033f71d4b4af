"""The review: one question at a time. The address is the place, so that leaving loses nothing."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.domain import Identity
from registry.errors import UsageError
from registry.people import corrections, joining
from registry.people.side_by_side import known_apart
from registry.terminal import count
from registry.web.rendering import after_form, form_handler, local_path, page, segment, text_field
from registry.web.review_sides import effect_of_same, side_of, telling_faces
from registry.web.reviewing import ORDERS, Pair, still_there
from registry.web.site import deciding, session_of, site_of, tell

_WAIT_S = 1.5
"""How long a request waits for suggestions before it shows that they are being made."""


def start(request: Request) -> Response:
    """The first open question, or what there is to say if there is none."""
    site, order = site_of(request), _order(request.query_params.get("order", ""))
    with site.workspace.reading() as registry:
        if registry.is_empty:
            return page(request, "welcome.html")
    if not site.queue.prepare(_WAIT_S):
        return page(request, "review_waiting.html", order=order)
    with site.workspace.reading() as registry:
        is_empty = not site.queue.open(registry, order)
    if is_empty and site.queue.renew() and not site.queue.prepare(_WAIT_S):
        return page(request, "review_waiting.html", order=order)
    with site.workspace.reading() as registry:
        pairs = site.queue.open(registry, order)
        skipped = len(pairs) if "skipped" in request.query_params else 0
        if pairs and not skipped:
            return after_form(_address(pairs[0], order))
        decided = registry.decisions.entries()
    return page(
        request, "review_done.html", order=order, skipped=skipped, decided=len(decided),
        answered=site.visits.count_answers(session_of(request)),
    )  # fmt: skip


def question(request: Request) -> Response:
    """One question."""
    site, order = site_of(request), _order(request.query_params.get("order", ""))
    one, other = request.path_params["one"], request.path_params["other"]
    if not site.queue.prepare(_WAIT_S):
        return page(request, "review_waiting.html", order=order)
    with site.workspace.reading() as registry:
        pairs = site.queue.open(registry, order)
        both = still_there(registry, one, other)
        if both is None:
            tell(request, "That question was answered already.")
            return after_form(f"/review?{urlencode({'order': order})}")
        place = _place(pairs, both)
        pair = pairs[place] if place is not None else None
        sides = [side_of(registry, identity) for identity in both]
        following = _following(pairs, place)
        ahead = _ahead(registry, following)
        certain = sum(one.suggestion.certain for one in pairs)
        evidence = _evidence(registry, pair, both)
        effect = _effect(registry, pair, both)
    answered = site.visits.count_answers(session_of(request))
    return page(
        request, "review.html", order=order, orders=ORDERS, sides=sides,
        evidence=evidence, effect=effect, ahead=ahead, certain=certain, answered=answered,
        number=answered + (place or 0) + 1, total=answered + len(pairs),
    )  # fmt: skip


def _place(pairs: list[Pair], both: tuple[Identity, Identity]) -> int | None:
    ids = {identity.identity_id for identity in both}
    return next((i for i, one in enumerate(pairs) if {one.stays, one.joins} == ids), None)


def _following(pairs: list[Pair], place: int | None) -> Pair | None:
    """The question after this place; None at the end."""
    after = 0 if place is None else place + 1
    return pairs[after] if after < len(pairs) else None


def _ahead(registry: Registry, pair: Pair | None) -> list[str]:
    """Keys of the pictures of the next question, which the page loads in advance."""
    if pair is None:
        return []
    return [
        face.crop
        for identity in (pair.stays, pair.joins)
        for face in telling_faces(registry.index.faces_of(identity))
    ]


def _evidence(registry: Registry, pair: Pair | None, both: tuple[Identity, Identity]) -> list[str]:
    apart = known_apart(registry, both[0].identity_id, both[1].identity_id)
    if pair is None:
        return [apart] if apart else []
    one = pair.suggestion
    needed = current_thresholds(registry).linkage
    together = f"side by side in {count(one.together, 'frame')}" if one.together else ""
    return [
        f"Alike {one.similarity:.2f} on average over {one.tracks[0]} and "
        f"{count(one.tracks[1], 'shot')}; {needed:.2f} is enough to be joined",
        together or apart or "never seen side by side",
        *([f"in the same shot {one.shared_tracks} times"] if one.shared_tracks else []),
        *([one.reason.rstrip(".")] if one.reason else []),
    ]


def _effect(registry: Registry, pair: Pair | None, both: tuple[Identity, Identity]) -> str:
    if pair is None:
        return "This pair is not among the suggestions."
    stays, joins = both
    return effect_of_same(registry, replace(pair.suggestion, stays=stays, joins=joins))


@form_handler
def answer(request: Request, form: FormData) -> Response:
    """Take an answer, and go to the next question."""
    site, order = site_of(request), _order(text_field(form, "order"))
    one, other = request.path_params["one"], request.path_params["other"]
    given = text_field(form, "answer")
    if given not in ("same", "different", "skip", "hide-left", "hide-right"):
        raise UsageError("That is not an answer.")
    with site.workspace.reading() if given == "skip" else deciding(request) as registry:
        pairs = site.queue.open(registry, order)
        both = still_there(registry, one, other)
        place = None if both is None else _place(pairs, both)
        following = _following(pairs, place)
        if both is not None and given != "skip":
            stays, joins = (identity.identity_id for identity in both)
            if given == "same":
                decision = corrections.merge(registry, (stays, joins))
            elif given == "different":
                decision = corrections.separate(registry, stays, joins)
            else:
                decision = corrections.hide(registry, [stays if given == "hide-left" else joins])
            asked = f"/review/{segment(stays)}/{segment(joins)}"
            site.visits.answered(session_of(request), decision.number, asked)
        pairs = site.queue.open(registry, order)
        if following is not None and following not in pairs:
            following = _moved(registry, following, pairs)
    if following is None:
        end = {"order": order, "skipped": "1"} if pairs else {"order": order}
        return after_form(f"/review?{urlencode(end)}")
    return after_form(_address(following, order))


def _moved(registry: Registry, pair: Pair, pairs: list[Pair]) -> Pair | None:
    """The next question after an answer changed whom it is about."""
    ids = {registry.view.root(pair.stays), registry.view.root(pair.joins)}
    same = next((one for one in pairs if {one.stays, one.joins} == ids), None)
    return same or (pairs[0] if pairs else None)


@form_handler
def undo(request: Request, form: FormData) -> Response:
    """Take back the last answer of this session, and ask again."""
    site, order = site_of(request), _order(text_field(form, "order"))
    session = session_of(request)
    last = site.visits.take_answer(session)
    if last is None:
        tell(request, "There is no answer of yours to undo. The page Decisions lists all.")
        return after_form(local_path(text_field(form, "back")))
    number, asked = last
    with deciding(request) as registry:
        corrections.undo(registry, number)
    return after_form(f"{asked}?{urlencode({'order': order})}")


@form_handler
def join_certain(request: Request, form: FormData) -> Response:
    """Join all pairs that are certain, as one decision."""
    del form
    site = site_of(request)
    with site.workspace.changing() as registry:
        before = registry.index.count_identities()
        decision = joining.consolidate(registry)
        joined = before - registry.index.count_identities()
    if decision is None:
        tell(request, "No pair is certain enough.")
    else:
        tell(
            request, f"{count(joined, 'person', 'people')} joined others, as one decision.",
            decision=decision.number,
        )  # fmt: skip
    return after_form("/review")


def _order(text: str) -> str:
    return text if text in ORDERS else "effect"


def _address(pair: Pair, order: str) -> str:
    return f"/review/{segment(pair.stays)}/{segment(pair.joins)}?{urlencode({'order': order})}"
