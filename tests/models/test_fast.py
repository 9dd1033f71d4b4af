"""Models with the accuracy `fast`: the same faces, and nearly the same embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from registry.domain import Image
from registry.faces.boxes import overlap
from registry.models import catalogue
from registry.models.base import FaceModel


@pytest.fixture(scope="module", params=["sface", "pack"])
def models(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FaceModel, FaceModel]:
    """One model, exact and fast."""
    name = request.param
    source = str(request.getfixturevalue("pack_folder")) if name == "pack" else name
    cache = tmp_path_factory.mktemp("models")
    fast = catalogue.load(source, device="cpu", cache=cache, threads=1, accuracy="fast")
    return request.getfixturevalue(name), fast


@pytest.fixture(scope="module")
def images(astronaut: Image, t1_image: Image) -> list[Image]:
    """Wide, square, high, tilted, without faces, and smaller than the network's input."""
    tilted = np.ascontiguousarray(np.rot90(astronaut))
    return [
        t1_image,
        astronaut,
        t1_image[:, 300:700],
        astronaut[:300, 100:350],
        tilted,
        np.zeros((100, 90, 3), np.uint8),
        np.zeros((4, 4, 3), np.uint8),
    ]


def test_faces_and_embeddings_agree(
    models: tuple[FaceModel, FaceModel], images: list[Image]
) -> None:
    exact, fast = models
    assert fast.info == exact.info
    compared = 0
    for image in images:
        before, now = exact.detect(image), fast.detect(image)
        assert len(before) == len(now)
        for one, other in zip(before, now, strict=True):
            assert overlap(one.box, other.box) > 0.98
        if before:
            vectors = [
                model.embed(model.align(image, found))
                for model, found in ((exact, before), (fast, now))
            ]
            cosines = (vectors[0] * vectors[1]).sum(axis=1)
            assert cosines.min() > 0.98, cosines
            compared += len(cosines)
    assert compared > 8


def test_threads_and_batches_change_nothing(
    models: tuple[FaceModel, FaceModel], images: list[Image]
) -> None:
    """What a frame shows does not depend on the frames that were looked at before or with it."""
    _, fast = models
    alone = [fast.detect(image) for image in images]
    together = fast.detect_all(images)
    for one, other in zip(alone, together, strict=True):
        assert [face.box for face in one] == [face.box for face in other]
        for before, now in zip(one, other, strict=True):
            assert (before.landmarks == now.landmarks).all()


def test_exact_is_the_default(
    models: tuple[FaceModel, FaceModel], images: list[Image], tmp_path: Path
) -> None:
    """The landmarks of `fast` differ in their last bits; those without an accuracy do not."""
    exact, fast = models
    found = exact.detect(images[0])
    differ = [
        (one.landmarks != other.landmarks).any()
        for one, other in zip(found, fast.detect(images[0]), strict=True)
    ]
    assert any(differ)
    if exact.info.name == "sface":
        again = catalogue.load("sface", device="cpu", cache=tmp_path, accuracy="exact")
        for one, other in zip(found, again.detect(images[0]), strict=True):
            assert (one.landmarks == other.landmarks).all()
