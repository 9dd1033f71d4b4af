"""Single photographs to embeddings, once: the face in the middle of each, kept in the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks._extraction import source_digest
from benchmarks._slideshows import photographs
from registry.calibration.sample_size import Pairs
from registry.faces.quality import assess, founds
from registry.models.base import FaceModel


@dataclass(frozen=True, slots=True)
class Embedded:
    """Good faces and who they are."""

    vectors: np.ndarray
    """float64 (n, D), L2-normalised."""
    people: np.ndarray
    """(n,), numbers."""

    def strangers(self, among: np.ndarray, two: set[tuple[int, int]] | None = None) -> Pairs:
        """All pairs of faces of different people among these; or of these pairs of people only."""
        rows = np.flatnonzero(np.isin(self.people, among))
        i, j = np.triu_indices(len(rows), 1)
        one, other = rows[i], rows[j]
        who = np.sort(np.stack([self.people[one], self.people[other]], axis=1), axis=1)
        keep = who[:, 0] != who[:, 1]
        if two is not None:
            code = int(self.people.max()) + 1
            keep &= np.isin(who[:, 0] * code + who[:, 1], [a * code + b for a, b in two])
        one, other = one[keep], other[keep]
        return Pairs(np.einsum("ij,ij->i", self.vectors[one], self.vectors[other]), who[keep])


def embedded(data: Path, cache: Path, name: str, load: Callable[[], FaceModel]) -> Embedded:
    """The photographs of `data/photos` as one model sees them; `name` names the kept file."""
    kept = (
        cache / f"photos-{name}-{source_digest('registry/models', 'registry/faces/quality.py')}.npz"
    )
    if not kept.is_file():
        model = load()
        vectors, people = [], []
        for photo in photographs(data / "photos"):
            decoded = cv2.imread(str(photo.path), cv2.IMREAD_COLOR)
            if decoded is None:
                raise SystemExit(f"{photo.path} is not an image.")
            image = np.asarray(decoded, np.uint8)
            middle = np.array(image.shape[1::-1]) / 2
            found = model.detect(image)
            if not found:
                continue
            face = min(found, key=lambda d: float(np.abs(d.landmarks.mean(axis=0) - middle).sum()))
            chips = model.align(image, [face])
            if founds(assess(image, face, chips[0], model=model.info.name)):
                vectors.append(model.embed(chips)[0])
                people.append(photo.person)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=np.stack(vectors), people=np.array(people))
    with np.load(kept) as held:
        _, numbers = np.unique(held["people"], return_inverse=True)
        return Embedded(held["vectors"].astype(np.float64), numbers)
