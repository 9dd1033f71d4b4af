"""What a run works with: where its videos are fetched, and where they are processed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.fetch.network import FetchRules
from ingest.frames import MediaLimits, Sampling
from ingest.pipeline import RunContext, Turn, default_workers
from ingest.ray_node import NodeSetup
from ingest.summary import Summary
from ingest.workers import Extractor, InlineExtractor, PoolExtractor
from registry.core import contract as contracts
from registry.core.backends import load_model, open_buckets
from registry.core.registry import Registry
from registry.core.runs import new_run
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.settings import Accuracy, Settings

if TYPE_CHECKING:
    from ingest.ray_cluster import RayCluster

VIDEO_TIMEOUT_S = 3 * 3600.0
"""Time limit for processing one video: half the length of the longest video allowed. A single slow
processor is several times faster than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSetup:
    """The arguments of `ingest.api.ingest` that say how videos are fetched and processed."""

    registry: Registry
    """It has a contract, and this process writes to it."""
    rules: FetchRules
    limits: MediaLimits
    accuracy: Accuracy
    model: str | None = None
    workers: int | None = None
    ray: str | None = None
    turn: Turn | None = None

    @property
    def settings(self) -> Settings:
        """Those of the registry, with the accuracy of the run."""
        return self.registry.settings.model_copy(update={"accuracy": self.accuracy})

    @contextmanager
    def context(self, videos: int) -> Iterator[RunContext]:
        """The context of a run over so many videos, which is closed at the end."""
        summary = Summary(new_run(), notes=list(self._notes()))
        if self.ray is not None:
            with self._cluster(self.ray, videos, summary.run) as cluster:
                summary.profile.workers = cluster.workers
                ahead = cluster.ahead
                yield RunContext(self.registry, cluster, cluster, ahead, summary, turn=self.turn)
            return
        most = default_workers() if self.workers is None else self.workers
        workers = min(most, max(1, videos))
        summary.profile.workers = max(1, most)
        buckets = open_buckets(self.settings)
        downloader = self.rules.downloader(self.settings.downloads, buckets)
        extractor = self._extractor(workers, most, summary.run)
        ahead = 2 * max(1, workers)
        try:
            yield RunContext(self.registry, downloader, extractor, ahead, summary, turn=self.turn)
        finally:
            extractor.close()
            downloader.close()

    def _notes(self) -> Iterator[str]:
        if note := self.rules.proxies.note():
            yield note
        device = self.settings.device
        if self.accuracy == "fast" and not catalogue.is_faster(device):
            yield (
                f"Accuracy fast saves nothing with the device {device} here, so the faces are "
                "extracted as with exact."
            )

    def _extractor(self, workers: int, threads: int, run: str) -> Extractor:
        contract = self.registry.contract
        sampling, limits = Sampling.of(contract), self.limits
        if workers == 0:
            model, blobs = self._inline_model(), self.registry.blobs
            return InlineExtractor(model, blobs, sampling=sampling, limits=limits, run=run)
        return PoolExtractor(
            self.settings,
            contract,
            self.registry.model_source(self.model),
            workers=workers,
            threads=threads,
            sampling=sampling,
            limits=limits,
            timeout_s=VIDEO_TIMEOUT_S,
            run=run,
        )

    def _inline_model(self) -> FaceModel:
        """The model for extraction in this process: the registry's own, unless the run is fast."""
        registry = self.registry
        if self.accuracy == "exact":
            return registry.model(self.model)
        source = registry.model_source(self.model)
        model = load_model(self.settings, source, accuracy=self.accuracy)
        contracts.check_model(registry.contract, model.info)
        return model

    def _cluster(self, address: str, videos: int, run: str) -> RayCluster:
        from ingest.ray_cluster import RayCluster

        registry, settings = self.registry, self.settings

        def setup(marker: Path) -> NodeSetup:
            return NodeSetup(
                settings,
                registry.contract,
                registry.model_source(self.model),
                Sampling.of(registry.contract),
                self.limits,
                VIDEO_TIMEOUT_S,
                self.rules,
                marker,
            )

        return RayCluster(
            address,
            setup,
            settings,
            workers=self.workers,
            videos=videos,
            local_workers=default_workers(),
            run=run,
        )
