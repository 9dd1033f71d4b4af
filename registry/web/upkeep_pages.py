"""Upkeep from the page of the registry: checks, rebuilding the index, and calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from registry.calibration.measurement import adopt, calibrate, supported
from registry.calibration.text import sentences
from registry.calibration.thresholds import TARGET_FAR
from registry.core import keys
from registry.core import operating_point as operating
from registry.core.registry import Registry
from registry.core.runs import recorded
from registry.errors import RegistryError, UsageError
from registry.terminal import count
from registry.upkeep.checks import Finding, check_machine
from registry.upkeep.doctor import Inspection, examine, examine_registry
from registry.urls import printable
from registry.web.rendering import after_form, form_handler, page, text_field
from registry.web.site import alone, site_of, tell


def overview(request: Request) -> Response:
    """Show the page of the registry, where a result is loaded again by its address."""
    del request
    return after_form("/registry")


@form_handler
def run_checks(request: Request, form: FormData) -> Response:
    """Run the checks of `doctor`, and show what they found."""
    deep, fix = bool(text_field(form, "deep")), bool(text_field(form, "fix"))
    findings: list[Finding] = []
    try:
        with alone(request) as registry:
            with registry.writing():
                pass  # of a snapshot nothing can be checked: this says why
            findings += _findings(registry, fix=fix, deep=deep)
    except RegistryError:
        if not findings:
            raise
        # The registry is too damaged to be shown; the findings say what is the matter.
    verdicts = [finding.verdict for finding in findings]
    return page(
        request, "checks.html", findings=findings, failed=verdicts.count("failed"),
        warned=verdicts.count("warning"), repaired=fix, deep=deep,
    )  # fmt: skip


def _findings(registry: Registry, *, fix: bool, deep: bool) -> Iterator[Finding]:
    if registry.settings.embedded:
        return examine(registry.settings, fix=fix, deep=deep)  # it gets this same registry
    # On servers, a second opening would be another writer, and this one has the lease.
    return chain(
        check_machine(registry.settings, fix=fix),
        examine_registry(registry, Inspection(registry, fix, deep)),
    )


@form_handler
def rebuild_index(request: Request, form: FormData) -> Response:
    """Rebuild the index, as `reindex` does."""
    del form
    with alone(request) as registry, recorded(registry, "reindex") as recording:
        videos = registry.reindex()
        recording.counts = {"videos": {"rows": videos}}
    tell(request, f"The index was rebuilt from the records of {count(videos, 'video')}.")
    return after_form("/registry")


@form_handler
def change_calibration(request: Request, form: FormData) -> Response:
    """Measure the thresholds that suit this registry; use them or the model's own, if asked to."""
    act = text_field(form, "act")
    if act == "reset":
        with alone(request) as registry:
            removed = operating.remove_calibration(registry)
        found = "Removed the calibration." if removed else "There is no calibration."
        tell(request, f"{found} The model's own thresholds are used.")
        return after_form("/registry")
    target = _rate(text_field(form, "target_far"))
    workspace = site_of(request).workspace
    written = False
    if act == "use":
        with alone(request) as registry:
            measurement = calibrate(registry, target=target)
            if written := supported(measurement):
                adopt(registry, measurement)
    else:
        with workspace.reading() as registry:
            measurement = calibrate(registry, target=target)
    return page(
        request, "calibration.html", lines=sentences(measurement), written=written,
        supported=supported(measurement), target_far=target,
        calibrated=workspace.blobs.exists(keys.CALIBRATION),
    )  # fmt: skip


def _rate(text: str) -> float:
    """The false-accept rate in a field; the default if it is empty. Raises `UsageError`."""
    try:
        rate = float(text) if text else TARGET_FAR
    except ValueError:
        rate = math.nan
    if math.isnan(rate):
        raise UsageError(f"'{printable(text)}' is not a rate. Give a number such as {TARGET_FAR}.")
    return rate
