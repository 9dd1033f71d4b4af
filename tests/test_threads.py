"""A registry and its model are used from several threads at once, and answer as from one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from face_registry import lookup, report
from registry import open_registry
from registry.domain import Image
from registry.errors import ImageError
from registry.models.base import FaceModel
from tests.models.conftest import model
from tests.support.factories import video
from tests.support.registries import open_empty, put

__all__ = ["model"]
THREADS = 8


@pytest.fixture
def images(astronaut: Image, t1_image: Image) -> list[Image]:
    """Images of several sizes, with no face, one and six."""
    sizes = [(512, 512), (300, 220), (640, 360), (90, 90)]
    resized = [cv2.resize(image, size) for image in (astronaut, t1_image) for size in sizes]
    return [np.asarray(image, np.uint8) for image in (*resized, np.zeros((200, 300, 3)))]


def test_a_model_answers_eight_threads_as_it_answers_one(
    model: FaceModel, images: list[Image]
) -> None:
    def ask(image: Image) -> tuple[list[float], bytes]:
        faces = model.detect(image)
        vectors = model.embed(model.align(image, faces))
        return [one.score for one in faces], np.asarray(vectors).tobytes()

    alone = [ask(image) for image in images]
    assert {len(scores) for scores, _ in alone} >= {0, 1}
    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(ask, images)) == alone


def test_lookups_and_reports_from_eight_threads_answer_as_from_one(
    tmp_path: Path, sface: FaceModel, images: list[Image], astronaut: Image
) -> None:
    [vector] = sface.embed(sface.align(astronaut, sface.detect(astronaut)))
    with open_empty(tmp_path / "home", sface) as registry:
        put(registry, *(video(str(number), [vector] * 4) for number in range(4)))
    with open_registry(home=tmp_path / "home") as registry:

        def ask(image: Image) -> str:
            people = report(registry).to_csv()
            try:
                return people + str(lookup(registry, image, channels="BGR").as_dict())
            except ImageError as exc:
                return people + str(exc)

        alone = [ask(image) for image in images]
        assert sum("matches" in answer for answer in alone) >= 4
        with ThreadPoolExecutor(THREADS) as threads:
            assert list(threads.map(ask, images)) == alone
