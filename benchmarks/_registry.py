"""Whether the benchmark's quick plain rule is the registry's: the same videos, really ingested."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks._methods import plain
from registry.core import contract as contracts
from registry.core.opening import open_registry
from registry.domain import ModelInfo, Video


def same_as_registry(videos: Sequence[Video], info: ModelInfo) -> bool:
    """Whether a registry in a temporary home gives each face the identity that `plain` does."""
    with tempfile.TemporaryDirectory() as home, open_registry(home=Path(home)) as registry:
        registry.establish(
            contracts.new(info, info.name, threshold=0.85, every=10, primary_metric="Performance")
        )
        recorded = [registry.commit(video) for video in videos]
    found = {face.face_id: face.identity_id for video in recorded for face in video.faces}
    return found == plain(videos)
