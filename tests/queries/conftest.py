"""A registry of chosen embeddings, on the real embedded parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Video
from registry.settings import load_settings
from tests.support.factories import contract, person, picture, video

VIDEOS = [
    video(
        "a", [person(0), person(0, 0.1), person(1)], metrics={"Performance": 10.0, "Views": 100.0}
    ),
    video("b", [person(0, 0.05)], metrics={"Performance": 20.0}),
    video("c", [person(1, 0.1), person(2)], metrics={"Views": 300.0}),
    video("d", [], metrics={"Performance": 1000.0}),
]


def put(registry: Registry, *videos: Video) -> list[Video]:
    """Commit videos with crops that stand for theirs."""
    with registry.writing():
        for one in videos:
            for face in one.faces:
                registry.blobs.put(face.crop, picture(face.crop))
        return [registry.commit(one) for one in videos]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(load_settings(home=tmp_path / "home")) as opened:
        opened.establish(contract())
        put(opened, *VIDEOS)
        yield opened
