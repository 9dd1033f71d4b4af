"""A second face model for tests, small and real: it tells pictures apart by their bright and dark.

Nothing about faces, but an honest `FaceModel`: what it says follows from the pixels of the crops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from registry.core.registry import Registry
from registry.domain import Chips, Detection, Image, Lengths, ModelInfo, Vectors, Video
from tests.support.factories import video

SIZE = (96, 128)
"""px. Width and height of the crop of a face of `tests.support.factories`."""


class Pixels:
    """Finds no faces, and embeds what it is shown as 4 x 4 grey values around their mean."""

    info = ModelInfo("pixels", "e" * 64, 16, 0.4)
    device = "cpu"

    def detect(self, image: Image) -> list[Detection]:
        return []

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[] for _ in images]

    def align(self, image: Image, detections: Sequence[Detection]) -> Chips:
        image = image[: SIZE[1], : SIZE[0]]  # where the crop lies in its frame
        chip = cv2.resize(image, (112, 112), interpolation=cv2.INTER_AREA)
        return np.stack([np.asarray(chip, np.uint8)] * len(detections))

    def embed(self, chips: Chips) -> Vectors:
        return self.embed_with_lengths(chips)[0]

    def embed_with_lengths(self, chips: Chips) -> tuple[Vectors, Lengths]:
        grey = chips.mean(axis=3).reshape(len(chips), 4, 28, 4, 28).mean(axis=(2, 4))
        vectors = grey.reshape(len(chips), 16) - grey.mean(axis=(1, 2))[:, None]
        lengths = np.linalg.norm(vectors, axis=1)
        unit = vectors / lengths[:, None]
        return np.asarray(unit, dtype=np.float32), np.asarray(lengths, dtype=np.float32)


def portrait(who: int, lean: float = 0.0) -> bytes:
    """A JPEG of which `Pixels` makes another vector for each `who`, and a like one by `lean`."""
    rows = np.random.default_rng(who).uniform(60, 200, (4, 4))
    rows += lean * np.random.default_rng(1000 + who).uniform(-60, 60, (4, 4))
    image = cv2.resize(
        np.clip(rows, 0, 255).astype(np.uint8), SIZE, interpolation=cv2.INTER_NEAREST
    )
    done, buffer = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    assert done
    return buffer.tobytes()


def shown(
    name: str, *faces: tuple[Vectors, bytes], run: str = "run-1"
) -> tuple[Video, list[bytes]]:
    """A video of faces, each with an embedding of the old model and a picture."""
    one = video(name, [embedding for embedding, _ in faces])
    pictures = [picture for _, picture in faces]
    digests = [hashlib.sha256(picture).hexdigest() for picture in pictures]
    kept = zip(one.faces, digests, strict=True)
    return replace(
        one, run=run, faces=tuple(replace(f, crop_digest=digest) for f, digest in kept)
    ), pictures


def put(registry: Registry, *videos: tuple[Video, list[bytes]]) -> None:
    """Commit videos with their pictures."""
    for one, pictures in videos:
        with registry.writing():
            for face, picture in zip(one.faces, pictures, strict=True):
                registry.blobs.put(face.crop, picture)
            registry.commit(one)
