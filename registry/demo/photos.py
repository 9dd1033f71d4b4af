"""Photographs of people that installed packages carry, so that the demo downloads nothing.

The project contains none of them: they are read from where insightface and scikit-image keep their
own sample images.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from registry.domain import Image
from registry.errors import ImageError

PhotoName = Literal["table", "astronaut", "rocket"]

_FILES: dict[str, tuple[str, str]] = {
    "table": ("insightface", "insightface/data/images/t1.jpg"),
    "astronaut": ("scikit-image", "skimage/data/astronaut.png"),
    "rocket": ("scikit-image", "skimage/data/rocket.jpg"),
}


@cache
def photo(name: PhotoName) -> Image:
    """One of the photographs, BGR uint8 (H, W, 3); read-only.

    `table`: six people side by side, 1280 x 886 px. `astronaut`: one person, 512 x 512 px.
    `rocket`: nobody, 640 x 427 px. Raises `ImageError` if the package has it no more.
    """
    image = read(*_FILES[name])
    image.setflags(write=False)
    return image


def read(package: str, path: str) -> Image:
    """An image file that an installed package carries, BGR uint8 (H, W, 3).

    Raises `ImageError` if it is not there or no image.
    """
    try:
        encoded = Path(str(distribution(package).locate_file(path))).read_bytes()
    except (PackageNotFoundError, OSError) as exc:
        raise ImageError(
            f"{package} carries no {path}: the demo is made from it; install the pinned versions "
            "in requirements/cpu.txt"
        ) from exc
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"{path} of {package} is no image: install {package} again")
    return np.asarray(image, np.uint8)
