"""Registries for tests: embedded parts, chosen embeddings, and everything that the index says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from registry.core import contract as contracts
from registry.core.decisions import in_effect
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.core.video_changes import revise
from registry.domain import Video
from registry.models.base import FaceModel
from registry.people.corrections import undo
from registry.settings import load_settings
from tests.support.factories import contract, picture


def new_registry(home: Path, *videos: Video, threshold: float = 0.85) -> Registry:
    """A registry of 8-d embeddings that holds these videos."""
    registry = open_registry(load_settings(home=home))
    registry.establish(contract(threshold))
    put(registry, *videos)
    return registry


def open_empty(home: Path, model: FaceModel, *, every: int = 10) -> Registry:
    """A registry of this model's embeddings that holds nothing yet."""
    registry = open_registry(load_settings(home=home))
    registry.establish(
        contracts.new(
            model.info, model.info.name, threshold=0.85, every=every, primary_metric="Performance"
        )
    )
    return registry


def put(registry: Registry, *videos: Video) -> list[Video]:
    """Commit videos with crops that stand for theirs."""
    with registry.writing():
        for one in videos:
            for face in one.faces:
                registry.blobs.put(face.crop, picture(face.crop))
        return [registry.commit(one) for one in videos]


@contextmanager
def undoing_decisions(registry: Registry) -> Iterator[None]:
    """Undo what is decided in the block, at its end."""
    before = len(registry.decisions.entries())
    yield
    for decision in reversed(in_effect(registry.decisions.entries())):
        if decision.number > before:
            undo(registry, decision.number)


def set_metrics(registry: Registry, video_id: str, metrics: Mapping[str, float]) -> None:
    """Give a video on record these metrics and no others."""
    known = registry.records.get(video_id)
    assert known is not None
    revise(registry, replace(known, metrics=dict(metrics)))


def dump(registry: Registry) -> dict[str, Any]:
    """All that the index says, vectors included."""
    index = registry.index
    return {
        "videos": [dict(point.payload) for point in index.stored_videos()],
        "identities": list(index.identities()),
        "faces": [
            (dict(point.payload), None if point.vector is None else point.vector.tobytes())
            for point in index.stored_faces(with_vectors=True)
        ],
    }


def who(registry: Registry, video: Video, face: int = 0) -> str:
    """The identity that a face of a video goes by now."""
    wanted = video.faces[face].face_id
    [indexed] = [one for one in registry.index.faces() if one.face_id == wanted]
    return indexed.identity_id
