"""Metrics for Prometheus: the size of a registry, its last runs, whether its stores can be read.

No metric is about one person or one video.
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
from registry.system.files import atomic_file

_READABLE = 0o644
"""Mode of the file: node_exporter, which reads it, usually runs as another user."""


def format_metrics(registry: Registry) -> str:
    """Return all metrics in Prometheus' text format. An index that cannot be read counts as down.

    Raises `StoreError` if the objects cannot be read.
    """
    up = _up(objects=True, index=True)
    try:
        families = list(_sizes(registry))
    except StoreError:
        registry.blobs.exists(keys.CONTRACT)  # raises if it is the objects that cannot be read
        up, families = _up(objects=True, index=False), []
    return _text([up, *families, *_history(registry)])


def format_availability(settings: Settings) -> str:
    """Return which of the two stores can be read, for a registry that cannot be opened."""
    return _text(
        [
            _up(
                objects=_is_readable(settings, _read_objects),
                index=_is_readable(settings, _read_index),
            )
        ]
    )


def write_metrics(registry: Registry, path: Path) -> None:
    """Write all metrics to a file, atomically, for node_exporter's textfile collector."""
    text = format_metrics(registry)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(_READABLE)


def _text(families: Iterable[GaugeMetricFamily]) -> str:
    """Format families; those without samples are omitted."""
    collectors = CollectorRegistry()
    collectors.register(_Families([family for family in families if family.samples]))
    return generate_latest(collectors).decode()


class _Families(Collector):
    """A collector of families that have their samples already."""

    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> list[GaugeMetricFamily]:
        return self._families


def _family(
    name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> GaugeMetricFamily:
    """Make one gauge with these samples, given as labels and value."""
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
        "Videos on record, by status.",
        [({"status": str(s)}, index.count_videos(status=s)) for s in Status],
    )
    yield _gauge("faces", "Faces on record.", index.count_faces())
    if period := retention.days(registry.blobs):
        old = sum(1 for _ in retention.older_than(registry, period))
        yield _gauge(
            "videos_past_retention",
            "Videos that are kept for longer than the retention period.",
            old,
        )
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
    last = "of the last run of each kind"
    yield _by_kind(newest, "last_run_timestamp_seconds", f"Start {last}, Unix time.", _started)
    yield _by_kind(newest, "last_run_duration_seconds", f"Duration {last}.", lambda r: r.seconds)
    yield _by_kind(newest, "last_run_failures", f"Failed rows {last}.", lambda r: r.failures)
    yield _by_kind(
        succeeded, "last_success_timestamp_seconds",
        "Start of the last successful run of each kind, Unix time.", _started,
    )  # fmt: skip
    yield _family(
        "last_run_outcome",
        f"Outcome {last}: 1 for the label that applies.",
        [
            ({"kind": kind, "outcome": outcome}, run.outcome == outcome)
            for kind, run in newest.items()
            for outcome in OUTCOMES
            if outcome != RUNNING
        ],
    )
    yield _family(
        "last_run_videos",
        f"Rows and videos {last}, by result.",
        [
            ({"kind": kind, "result": result}, count)
            for kind, run in newest.items()
            for result, count in run.counts.get("videos", {}).items()
        ],
    )
    counted = {kind: run for kind, run in newest.items() if "faces" in run.counts}
    yield _by_kind(counted, "last_run_frames", f"Frames read {last}.", lambda r: r.counts["frames"])
    yield _by_kind(counted, "last_run_faces", f"Faces found {last}.", lambda r: r.counts["faces"])


def _by_kind(
    runs_by_kind: dict[str, Run], name: str, text: str, value: Callable[[Run], float]
) -> GaugeMetricFamily:
    return _family(name, text, [({"kind": kind}, value(run)) for kind, run in runs_by_kind.items()])


def _started(run: Run) -> float:
    return datetime.fromisoformat(run.started).timestamp()


def _is_readable(settings: Settings, read: Callable[[Settings], None]) -> bool:
    try:
        read(settings)
    except StoreError:
        return False
    return True


def _read_objects(settings: Settings) -> None:
    blobs = open_blobs(settings)
    try:
        contracts.load_fields(blobs)
    finally:
        blobs.close()


def _read_index(settings: Settings) -> None:
    store = open_store(settings)
    try:
        store.has(FACES)
    finally:
        store.close()
