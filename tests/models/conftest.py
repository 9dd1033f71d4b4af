"""The models at hand: the default one, and a real InsightFace pack where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from registry.domain import Detection, Image
from registry.models.base import FaceModel


@pytest.fixture(params=["sface", "pack"])
def model(request: pytest.FixtureRequest) -> FaceModel:
    """Each implementation of `FaceModel` in turn."""
    loaded: FaceModel = request.getfixturevalue(request.param)
    return loaded


@pytest.fixture(scope="session")
def read_photo(photo: Callable[..., Path]) -> Callable[..., Image]:
    """The pixels of a real photo: `read_photo("Hugo_Chavez", 3)`."""

    def read(person: str, number: int = 1) -> Image:
        image = cv2.imread(str(photo(person, number)), cv2.IMREAD_COLOR)
        assert image is not None
        return image.astype(np.uint8, copy=False)

    return read


def largest(detections: list[Detection]) -> Detection:
    """The face that a photo is of."""
    return max(detections, key=lambda found: found.box.width * found.box.height)
