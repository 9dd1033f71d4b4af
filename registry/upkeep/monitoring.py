"""What a registry tells a monitoring system: its size, its last runs, whether its stores answer.

Nothing here is of one person or one video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from registry.core import contract as contracts
from registry.core import keys, retention
from registry.core.backends import open_blobs, open_store
from registry.core.index import FACES
from registry.core.registry import Registry
from registry.core.runs import DONE, OUTCOMES, RUNNING, Run, runs
from registry.domain import Status
from registry.errors import StoreError
from registry.settings import Settings
from registry.system.files import placed

_READABLE = 0o644
"""node_exporter, which reads the file, is usually another user."""


def measured(registry: Registry) -> str:
    """The registry as Prometheus text. An index that cannot be read is said to be down."""
    up = _up(objects=True, index=True)
    try:
        families = list(_sizes(registry))
    except StoreError:
        registry.blobs.exists(keys.CONTRACT)  # else it is the objects
        up, families = _up(objects=True, index=False), []
    return _text([up, *families, *_history(registry)])


def unreachable(settings: Settings) -> str:
    """Which of the two stores of a registry that does not open can be read, as Prometheus text."""
    return _text([_up(objects=_answers(settings, _objects), index=_answers(settings, _index))])


def write(registry: Registry, path: Path) -> None:
    """Write `measured` to a file, whole or not at all, for node_exporter's textfile collector."""
    text = measured(registry)
    with placed(path) as aside:
        aside.write_text(text, encoding="utf-8")
        aside.chmod(_READABLE)


def _text(families: Iterable[GaugeMetricFamily]) -> str:
    """In Prometheus' text exposition format; a family without samples is left out."""
    told = CollectorRegistry()
    told.register(_Collected([family for family in families if family.samples]))
    return generate_latest(told).decode()


class _Collected(Collector):
    """Families that are measured already."""

    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> list[GaugeMetricFamily]:
        return self._families


def _family(
    name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> GaugeMetricFamily:
    """Samples of one gauge, each with the labels that tell it from the others."""
    family = GaugeMetricFamily(f"face_registry_{name}", text)
    for labels, value in samples:
        family.add_sample(family.name, dict(labels), float(value))
    return family


def _gauge(name: str, text: str, value: float, **labels: str) -> GaugeMetricFamily:
    return _family(name, text, [(labels, value)])


def _up(*, objects: bool, index: bool) -> GaugeMetricFamily:
    samples = [({"part": "objects"}, objects), ({"part": "index"}, index)]
    return _family("up", "Whether a store can be read.", samples)


def _sizes(registry: Registry) -> Iterator[GaugeMetricFamily]:
    yield _gauge("info", "The program.", 1, version=version("face-registry"))
    if registry.is_empty:
        return
    index, contract = registry.index, registry.contract
    yield _gauge("model_info", "The model.", 1, model=contract.model.name)
    yield _family(
        "videos",
        "Videos on record, by how far they came.",
        [({"status": str(s)}, index.count_videos(status=s)) for s in Status],
    )
    yield _gauge("faces", "Faces on record.", index.count_faces())
    if period := retention.days(registry.blobs):
        old = sum(1 for _ in retention.older_than(registry, period))
        yield _gauge("videos_past_retention", "Videos kept for too long.", old)
    identities = list(index.identities(provisional=False))
    yield _gauge("identities", "Identities.", len(identities))
    named, single = (sum(bool(i.name) for i in identities), sum(i.videos == 1 for i in identities))
    yield _gauge("identities_named", "Identities with a name.", named)
    yield _gauge("identities_in_one_video", "Identities in one video only.", single)


def _history(registry: Registry) -> Iterator[GaugeMetricFamily]:
    newest: dict[str, Run] = {}
    succeeded: dict[str, Run] = {}
    for run in runs(registry):
        if run.kind and run.outcome != RUNNING:
            newest.setdefault(run.kind, run)
            if run.outcome == DONE:
                succeeded.setdefault(run.kind, run)
    about = "of the last run of each kind"
    yield _of(newest, "last_run_timestamp_seconds", f"When it began, {about}.", _began)
    yield _of(newest, "last_run_duration_seconds", f"Its length, {about}.", lambda r: r.seconds)
    yield _of(newest, "last_run_failures", f"Rows that failed, {about}.", lambda r: r.failures)
    yield _of(
        succeeded, "last_success_timestamp_seconds",
        "When the last run of each kind that was done began.", _began,
    )  # fmt: skip
    yield _family(
        "last_run_outcome",
        f"1 for how it ended, {about}.",
        [
            ({"kind": kind, "outcome": outcome}, run.outcome == outcome)
            for kind, run in newest.items()
            for outcome in OUTCOMES
            if outcome != RUNNING
        ],
    )
    yield _family(
        "last_run_videos",
        f"Rows and videos by what came of them, {about}.",
        [
            ({"kind": kind, "result": result}, count)
            for kind, run in newest.items()
            for result, count in run.counts.get("videos", {}).items()
        ],
    )
    counted = {kind: run for kind, run in newest.items() if "faces" in run.counts}
    yield _of(counted, "last_run_frames", f"Frames read, {about}.", lambda r: r.counts["frames"])
    yield _of(counted, "last_run_faces", f"Faces found, {about}.", lambda r: r.counts["faces"])


def _of(
    by_kind: dict[str, Run], name: str, text: str, value: Callable[[Run], float]
) -> GaugeMetricFamily:
    return _family(name, text, [({"kind": kind}, value(run)) for kind, run in by_kind.items()])


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
        contracts.load_fields(blobs)
    finally:
        blobs.close()


def _index(settings: Settings) -> None:
    store = open_store(settings)
    try:
        store.has(FACES)
    finally:
        store.close()
