"""What a registry tells a monitoring system: its size, its last runs, whether its stores answer.

Nothing here is of one person or one video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import registry as package
from registry import contract as contracts
from registry.domain import Status
from registry.erasure import retention
from registry.errors import StoreError
from registry.index import FACES
from registry.opened import Opened
from registry.parts import open_blobs, open_store
from registry.placing import placed
from registry.settings import Settings
from registry.upkeep.exposition import Family, Sample, exposition, gauge
from registry.upkeep.history import DONE, OUTCOMES, RUNNING, Run, runs

_READABLE = 0o644
"""node_exporter, which reads the file, is usually another user."""


def measured(registry: Opened) -> str:
    """The registry as Prometheus text. An index that cannot be read is said to be down."""
    up = _up(objects=True, index=True)
    try:
        families = list(_sizes(registry))
    except StoreError:
        registry.blobs.exists(contracts.KEY)  # else it is the objects
        up, families = _up(objects=True, index=False), []
    return exposition([up, *families, *_history(registry)])


def unreachable(settings: Settings) -> str:
    """Which of the two stores of a registry that does not open can be read, as Prometheus text."""
    return exposition([_up(objects=_answers(settings, _objects), index=_answers(settings, _index))])


def write(registry: Opened, path: Path) -> None:
    """Write `measured` to a file, whole or not at all, for node_exporter's textfile collector."""
    text = measured(registry)
    with placed(path) as aside:
        aside.write_text(text, encoding="utf-8")
        aside.chmod(_READABLE)


def _up(*, objects: bool, index: bool) -> Family:
    samples = (Sample(objects, {"part": "objects"}), Sample(index, {"part": "index"}))
    return Family("face_registry_up", "Whether a store can be read.", samples)


def _sizes(registry: Opened) -> Iterator[Family]:
    yield gauge("face_registry_info", "The program.", 1, version=package.__version__)
    if registry.is_empty:
        return
    index, contract = registry.index, registry.contract
    yield gauge("face_registry_model_info", "The model.", 1, model=contract.model.name)
    yield Family(
        "face_registry_videos",
        "Videos on record, by how far they came.",
        tuple(Sample(index.count_videos(status=s), {"status": str(s)}) for s in Status),
    )
    yield gauge("face_registry_faces", "Faces on record.", index.count_faces())
    if period := retention.days(registry.blobs):
        old = sum(1 for _ in retention.older_than(registry, period))
        yield gauge("face_registry_videos_past_retention", "Videos kept for too long.", old)
    identities = list(index.identities(provisional=False))
    yield gauge("face_registry_identities", "Identities.", len(identities))
    named, single = (sum(bool(i.name) for i in identities), sum(i.videos == 1 for i in identities))
    yield gauge("face_registry_identities_named", "Identities with a name.", named)
    yield gauge("face_registry_identities_in_one_video", "Identities in one video only.", single)


def _history(registry: Opened) -> Iterator[Family]:
    newest: dict[str, Run] = {}
    succeeded: dict[str, Run] = {}
    for run in runs(registry):
        if run.kind and run.outcome != RUNNING:
            newest.setdefault(run.kind, run)
            if run.outcome == DONE:
                succeeded.setdefault(run.kind, run)
    about = "of the last run of each kind"
    name = "face_registry_last_run"
    yield _of(newest, f"{name}_timestamp_seconds", f"When it began, {about}.", _began)
    yield _of(newest, f"{name}_duration_seconds", f"Its length, {about}.", lambda r: r.seconds)
    yield _of(newest, f"{name}_failures", f"Rows that failed, {about}.", lambda r: r.failures)
    yield _of(
        succeeded, "face_registry_last_success_timestamp_seconds",
        "When the last run of each kind that was done began.", _began,
    )  # fmt: skip
    yield Family(
        f"{name}_outcome",
        f"1 for how it ended, {about}.",
        tuple(
            Sample(run.outcome == outcome, {"kind": kind, "outcome": outcome})
            for kind, run in newest.items()
            for outcome in OUTCOMES
            if outcome != RUNNING
        ),
    )
    yield Family(
        f"{name}_videos",
        f"Rows and videos by what came of them, {about}.",
        tuple(
            Sample(count, {"kind": kind, "result": result})
            for kind, run in newest.items()
            for result, count in run.counts.get("videos", {}).items()
        ),
    )
    counted = {kind: run for kind, run in newest.items() if "faces" in run.counts}
    yield _of(counted, f"{name}_frames", f"Frames read, {about}.", lambda r: r.counts["frames"])
    yield _of(counted, f"{name}_faces", f"Faces found, {about}.", lambda r: r.counts["faces"])


def _of(by_kind: dict[str, Run], name: str, text: str, value: Callable[[Run], float]) -> Family:
    samples = tuple(Sample(value(run), {"kind": kind}) for kind, run in by_kind.items())
    return Family(name, text, samples)


def _began(run: Run) -> float:
    return datetime.fromisoformat(run.started).timestamp()


def _answers(settings: Settings, ask: Callable[[Settings], None]) -> bool:
    try:
        ask(settings)
    except StoreError:
        return False
    return True


def _objects(settings: Settings) -> None:
    blobs = open_blobs(settings)
    try:
        contracts.body(blobs)
    finally:
        blobs.close()


def _index(settings: Settings) -> None:
    store = open_store(settings)
    try:
        store.has(FACES)
    finally:
        store.close()
