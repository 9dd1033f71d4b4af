"""The page of the registry itself: state, metrics, likely copies of videos, retention, receipts."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from queries.metric_commands import metric_documents
from registry.calibration.thresholds import TARGET_FAR
from registry.core import retention
from registry.core.runs import runs
from registry.core.video_changes import make_first, rename_metric
from registry.erasure.receipts import load_receipts
from registry.errors import UsageError
from registry.footage.duplicates import duplicate_videos
from registry.terminal import count
from registry.upkeep.status import status
from registry.web.rendering import after_form, form_handler, page, text_field
from registry.web.site import site_of, tell
from registry.web.video_names import name_of

_RUNS = 20
"""Last runs that are shown."""


def overview(request: Request) -> Response:
    """What the registry holds, and the settings that are stored in it."""
    with site_of(request).workspace.reading() as registry:
        if registry.is_empty:
            return page(request, "welcome.html")
        return page(
            request, "registry.html", state=status(registry), metrics=metric_documents(registry),
            receipts=load_receipts(registry.blobs), runs=runs(registry)[-_RUNS:][::-1],
            target_far=TARGET_FAR,
        )  # fmt: skip


def copies(request: Request) -> Response:
    """Pairs of videos that are likely the same footage."""
    with site_of(request).workspace.reading() as registry:
        if registry.is_empty:
            return page(request, "welcome.html")
        pairs = [
            (pair, [(one.video_id, name_of(one.url)) for one in (pair.first, pair.second)])
            for pair in duplicate_videos(registry)
        ]
    return page(request, "copies.html", pairs=pairs)


@form_handler
def change_metric(request: Request, form: FormData) -> Response:
    """Make a metric the first one of reports, or give it another name."""
    metric, name = text_field(form, "metric"), text_field(form, "name")
    with site_of(request).workspace.changing() as registry:
        if name and name != metric:
            videos = rename_metric(registry, metric, name)
            tell(request, f"{metric} is {name} now, in {count(videos, 'video')}.")
        else:
            make_first(registry, metric)
            tell(request, f"Reports average {metric} by name.")
    return after_form("/registry")


@form_handler
def change_retention(request: Request, form: FormData) -> Response:
    """Set for how many days videos are kept; empty: for ever."""
    text = text_field(form, "days")
    if text and not (text.isdecimal() and 0 < int(text) < 100_000):
        raise UsageError(f"{text} is not a number of days. Give 1 or more, or nothing.")
    with site_of(request).workspace.changing() as registry:
        retention.set_days(registry, int(text) if text else None)
    kept = f"for {count(int(text), 'day')}" if text else "without a limit"
    tell(request, f"Videos are kept {kept}. Nothing is removed by itself.")
    return after_form("/registry")
