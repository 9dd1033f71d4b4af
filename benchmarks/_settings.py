"""Which setting of a method is best: a sweep, and the middle of the plateau at its top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from benchmarks._labelled import Labelled
from benchmarks._measures import Score, score
from benchmarks._methods import Grouping

Setting = tuple[float, ...]
"""What a method is set to: a cosine, or a cosine and a count, or two counts."""
S = TypeVar("S")

GRID: tuple[float, ...] = tuple(np.arange(0.10, 0.801, 0.01).round(2).tolist())
"""Cosines that are tried."""
PLATEAU = 0.005
"""F1 that the edge of a plateau may lie below its top. Below a plateau F1 falls off a
cliff, where people become one, and above it down a slope: its middle is safer than its top."""


def judge(videos: Sequence[Labelled], grouping: Grouping) -> Score:
    """The score of a grouping over the labelled faces."""
    faces = [
        (person, grouping[face.face_id])
        for labelled in videos
        for face, person in zip(labelled.video.faces, labelled.people, strict=True)
    ]
    return score([person for person, _ in faces], [group for _, group in faces])


def sweep(
    videos: Sequence[Labelled], method: Callable[[S], Grouping], settings: Sequence[S]
) -> list[Score]:
    """The score at each setting."""
    return [judge(videos, method(setting)) for setting in settings]


def best(settings: Sequence[S], scores: Sequence[Score]) -> S:
    """The setting in the middle of the stretch around the highest F1."""
    f1 = [s.f1 for s in scores]
    top = int(np.argmax(f1))
    low = high = top
    while low > 0 and f1[low - 1] >= f1[top] - PLATEAU:
        low -= 1
    while high + 1 < len(f1) and f1[high + 1] >= f1[top] - PLATEAU:
        high += 1
    return settings[(low + high) // 2]


def highest(settings: Sequence[S], scores: Sequence[Score]) -> S:
    """The setting of the highest F1 itself."""
    return settings[int(np.argmax([s.f1 for s in scores]))]
