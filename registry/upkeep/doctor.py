"""Is everything there that a registry needs, and is it what was written? One finding a part."""

from __future__ import annotations

from collections.abc import Iterator

from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.core.runs import recorded
from registry.errors import RegistryError, RegistryLocked
from registry.settings import Settings
from registry.upkeep.diagnosis import Finding, attempt
from registry.upkeep.inspection import Inspection
from registry.upkeep.machine import examine_machine


def examine(settings: Settings, *, fix: bool = False, deep: bool = False) -> Iterator[Finding]:
    """Look at the machine first, then at the registry that the settings describe.

    Args:
        settings: where the registry is.
        fix: repair what is safe: orphan crops are removed, an index that differs is rebuilt, modes
            are tightened, videos with damaged records or crops are marked to be read again.
        deep: read every crop.
    """
    yield from examine_machine(settings, fix=fix)
    try:
        registry = open_registry(settings)
    except RegistryError as exc:
        yield Finding("registry", "failed", str(exc))
        return
    with registry:
        yield attempt("model", lambda: _model(registry))
        yield from examine_registry(registry, Inspection(registry, fix, deep))


def examine_registry(registry: Registry, look: Inspection) -> Iterator[Finding]:
    """Look through an open registry, unless another process is changing it."""
    try:
        registry.hold()
        if registry.is_empty:
            yield attempt("objects", look.objects)
            yield attempt("index", look.probe)
            return
    except RegistryLocked as exc:
        advice = "run it again when that is done: only a registry that rests can be checked"
        yield Finding("registry", "warning", str(exc), advice)
        return
    except RegistryError as exc:
        yield Finding("registry", "failed", str(exc))
        return
    if not look.fix:
        yield from look.findings()
        return
    fixed = 0
    with recorded(registry, "repair") as recording:
        for finding in look.findings():
            fixed += finding.verdict == "fixed"
            recording.counts = {"fixed": fixed}
            yield finding


def _model(registry: Registry) -> Finding:
    model = registry.model()
    info = model.info
    return Finding(
        "model",
        "ok",
        f"{info.name} on {model.device}, {info.dimension}-d, digest {info.digest[:12]} checked",
    )
