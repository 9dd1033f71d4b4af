"""The one place a match is decided: the nearest-neighbour rule, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from registry import ids
from registry.domain import Vectors


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The nearest stored face of another video."""

    face_id: str
    identity_id: str
    """The identity that it passes on."""
    similarity: float
    """Cosine, -1 to 1."""


def same(similarity: float, threshold: float) -> bool:
    """Whether two faces of this cosine similarity are one identity by the rule."""
    return similarity >= threshold


def assign(
    face_ids: Sequence[str],
    embeddings: Vectors,
    stored: Sequence[Neighbour | None],
    threshold: float,
) -> list[str]:
    """The identity of each face of one video.

    Faces come in time order. A face's candidates are its nearest stored face (`stored`, same order)
    and the earlier faces of the same video. The best candidate at or above `threshold` passes its
    identity on; without one, the face founds a new identity. At equal similarity a stored face goes
    before one of this video, and an earlier face before a later one, so that the same input always
    gives the same answer.

    Args:
        face_ids: n ids, from which new identities take theirs.
        embeddings: float32 (n, D), L2-normalised.
        stored: n nearest neighbours, None where the registry holds no face yet.
        threshold: cosine similarity, inclusive.

    Returns:
        n identity ids.
    """
    identities: list[str] = []
    for i, face in enumerate(face_ids):
        best_similarity, best_identity = -np.inf, ""
        neighbour = stored[i]
        if neighbour is not None:
            best_similarity, best_identity = neighbour.similarity, neighbour.identity_id
        if i:
            similarities = embeddings[:i] @ embeddings[i]
            nearest = int(np.argmax(similarities))
            if similarities[nearest] > best_similarity:
                best_similarity = float(similarities[nearest])
                best_identity = identities[nearest]
        identities.append(
            best_identity if same(best_similarity, threshold) else ids.identity_id(face)
        )
    return identities
