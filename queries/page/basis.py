"""What the numbers of a page rest on: videos, model, thresholds, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from queries.documents import count_joined_videos
from queries.page.open_questions import Questions
from queries.page.redaction import REDACTIONS, Redaction
from queries.report import Report
from queries.selections import Selection
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.domain import Contract, Status
from registry.models.entries import CATALOGUE
from registry.terminal import count


def facts(
    registry: Registry,
    found: Report,
    questions: Questions,
    redaction: Redaction,
    as_of: int | None,
    failed: int,
    stills: bool,
) -> tuple[tuple[str, str], ...]:
    """Headings and sentences of the box of data quality."""
    return (
        ("Videos", _videos(registry, found, redaction, failed)),
        ("Open questions", _questions(questions, as_of)),
        ("Who is who", _identities(registry, as_of)),
        ("Model", model_text(registry.contract)),
        ("Left out", _left_out(registry, as_of, stills)),
        ("What is not shown", _hidden(redaction)),
    )


def asked_texts(
    found: Report,
    selection: Selection,
    redaction: Redaction,
    *,
    adjust: Sequence[str],
    min_videos: int,
    top: int | None,
    as_of: int | None,
) -> tuple[str, ...]:
    """What was asked for, besides the metric and the number of videos."""
    texts = [
        f"{redaction.text(one.column)} {one.sign} {redaction.text(one.value)}"
        for one in selection.where
    ]
    if selection.since:
        texts.append(f"since {selection.since.isoformat()}")
    if selection.role != "any":
        texts.append("counted where they are the main person")
    if selection.within_s is not None:
        texts.append(f"counted where seen in the first {selection.within_s:g} s")
    if selection.min_screen_time_s:
        texts.append(f"counted where at least {selection.min_screen_time_s:g} s on screen")
    if min_videos > 1:
        texts.append(f"in at least {min_videos} videos")
    if top is not None:
        texts.append(f"the first {top}")
    if found.by:
        texts.append(f"for each {redaction.text(found.by)}")
    if adjust:
        texts.append(f"adjusted for {', '.join(map(redaction.text, adjust))}")
    if found.log:
        texts.append("geometric means and ratios")
    if as_of is not None:
        texts.append(f"as of decision {as_of}")
    return tuple(texts)


def failed_videos(registry: Registry, redaction: Redaction) -> tuple[tuple[str, str], ...]:
    """The address and the reason of each video that could not be read."""
    failed = sorted(
        (video for video in registry.index.videos() if video.status is Status.FAILED),
        key=lambda video: video.url.exposed(),
    )
    return tuple(
        (redaction.address(video.url) or f"Failed video {number}", redaction.text(video.reason))
        for number, video in enumerate(failed, 1)
    )


def model_text(contract: Contract) -> str:
    """The model, its licence and its thresholds."""
    entry = next((one for one in CATALOGUE.values() if one.digest == contract.model.digest), None)
    licence = entry.licence if entry else "not known: it is not in the catalogue"
    return f"{contract.model.name}. Licence: {licence}."


def _videos(registry: Registry, found: Report, redaction: Redaction, failed: int) -> str:
    unread = (
        f" {count(failed, 'video')} could not be read and {'counts' if failed == 1 else 'count'} "
        "for nobody (listed below)."
        if failed
        else " All videos could be read."
    )
    partial = sum(video.status is Status.PARTIAL for video in found.selected)
    partly = f" {count(partial, 'video')} could be read in part." if partial else ""
    metric = found.metrics[0]
    without = sum(metric not in video.metrics for video in found.selected)
    valueless = (
        f" {count(without, 'video')} without a value of {redaction.text(metric)} did not count."
        if without
        else ""
    )
    weightless = (
        f" {count(found.weightless[0], 'video')} with a value and no "
        f"{redaction.text(found.weights[0])} did not count."
        if found.weightless[0]
        else ""
    )
    return f"{count(found.videos, 'video')} selected.{unread}{partly}{valueless}{weightless}"


def _questions(questions: Questions, as_of: int | None) -> str:
    if as_of is not None:
        return "Not given in a page as of an earlier decision."
    if not questions.total:
        return "None: no two people on record are likely to be one."
    some = count(questions.total, "question")
    shown = len(questions.shown)
    there = f"{shown} of them on this page" if shown else "not shown without faces"
    if shown == questions.total:
        there = "on this page"
    return (
        f"{some} about who is who ({there}). A person under two identities has two rows, each with "
        "too few videos."
    )


def _identities(registry: Registry, as_of: int | None) -> str:
    thresholds = current_thresholds(registry)
    kinds = [str(one.kind) for one in registry.decisions.entries()[:as_of]]
    consolidations = kinds.count("consolidate")
    return (
        f"A face joins a person at a cosine of {registry.contract.threshold:g}; people are joined "
        f"at {thresholds.linkage:.2f} on average ({thresholds.source}). "
        f"{count(len(kinds), 'decision')} on record, {consolidations} of them consolidations."
    )


def _left_out(registry: Registry, as_of: int | None, stills: bool) -> str:
    if as_of is not None:
        return "People of a few poor faces" + ("." if stills else ", and still pictures.")
    provisional = registry.index.count_identities(provisional=True)
    pictures = sum(one.still for one in registry.index.identities(provisional=False))
    joined = count_joined_videos(registry)
    texts = []
    if provisional:
        texts.append(
            f"{count(provisional, 'identity', 'identities')} of a few poor faces, or hidden"
        )
    if pictures and not stills:
        texts.append(
            f"{count(pictures, 'still picture')}: a logo, a poster, the cover of a podcast"
        )
    if joined:
        texts.append(f"{count(joined, 'video')} of the same footage as another, counted once")
    return ("; ".join(texts) or "Nobody") + "."


def _hidden(redaction: Redaction) -> str:
    hidden = [
        name
        for name, there in zip(
            REDACTIONS, (redaction.names, redaction.faces, redaction.urls), strict=True
        )
        if there
    ]
    asked = f" Left out on request: {', '.join(hidden)}." if hidden else ""
    masked = "" if redaction.faces else "Faces of other people in the pictures are grey. "
    return f"{masked}Links are shown without what signs them.{asked}"
