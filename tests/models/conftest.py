"""The models at hand: the default one, and a real InsightFace pack where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from registry.domain import Detection, Image
from registry.models import catalogue
from registry.models.base import FaceModel


@pytest.fixture(scope="session")
def pack_folder(shared_data: Path) -> Path:
    """SCRFD-500M and w600k MobileFaceNet, int8: real files of InsightFace's kind."""
    folder = shared_data / "models" / "buffalo_sc_int8"
    if not folder.is_dir():
        pytest.skip("real InsightFace pack buffalo_sc_int8")
    return folder


@pytest.fixture(scope="session")
def pack(pack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    cache = tmp_path_factory.mktemp("models")
    return catalogue.load(str(pack_folder), device="cpu", cache=cache)


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
