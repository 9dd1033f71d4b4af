"""Groups of similar embeddings, and how near a stored face must be to match one of them. Pure.

A query compares with every stored face, and a video asks for the neighbour of each of its faces,
most of which are alike. Angles between vectors obey the triangle inequality. So whatever is near
enough to a member of a group lies within a known angle of the middle of the group, and one query
for the middle finds all candidates, or shows that there are none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from registry.domain import Vectors

_ALIKE = 0.85
"""Cosine with the first member of a group from which an embedding belongs to it. A track has more.
Wider groups are fewer, but more stored faces lie within the angle of each."""
_ROWS = 1024
"""Embeddings whose distances are computed together: as float64 they take a megabyte."""
_MARGIN = 1e-4
"""What cosines may be off, since all values are rounded to float32 (relative error 6e-8)."""


@dataclass(frozen=True, slots=True)
class Group:
    """Embeddings that are alike."""

    rows: tuple[int, ...]
    """Their places among those that were grouped."""
    centre: Vectors
    """float32 (D,): their mean, L2-normalised."""
    reach: Vectors
    """For each row: a vector whose cosine with it is `least` or more has at least this cosine with
    the centre."""


def groups(embeddings: Vectors, least: Vectors) -> Iterator[Group]:
    """Divide embeddings into groups of similar ones.

    Args:
        embeddings: float32 (n, D), L2-normalised.
        least: (n,): how similar a stored face must be to each of them to count, -1 to 1.
    """
    left = np.arange(len(embeddings))
    while len(left):
        similar = embeddings[left] @ embeddings[left[0]] >= _ALIKE
        similar[0] = True
        members, left = left[similar], left[~similar]
        mean = embeddings[members].mean(axis=0)
        centre = (mean / np.linalg.norm(mean)).astype(np.float32)
        yield Group(
            tuple(members.tolist()), centre, _reach(embeddings[members], centre, least[members])
        )


def _reach(rows: Vectors, centre: Vectors, least: Vectors) -> Vectors:
    widest = np.arccos(np.clip(least, -1.0, 1.0)) + _angles(rows, centre)
    reach: Vectors = (np.cos(np.minimum(math.pi, widest)) - _MARGIN).astype(np.float32)
    return reach


def _angles(rows: Vectors, one: Vectors) -> Vectors:
    """Radians between each row and a vector, from their distance: near 0 it is exact to 1e-7.

    The arc cosine of a cosine that is rounded to float32 is off by up to 5e-4 there.
    """
    chords = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS].astype(np.float64) - one.astype(np.float64)
        chords[start : start + _ROWS] = np.linalg.norm(part, axis=1)
    return np.asarray(2 * np.arcsin(np.clip(chords / 2, 0.0, 1.0)))
