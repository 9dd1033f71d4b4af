"""People who are as alike as brothers and sisters: does consolidation keep them apart?

Nobody labelled siblings in the photographs. Two stand-ins are measured: the pairs of different
people who are most alike, and pairs that are made as alike as siblings were seen to be. For those,
the mean embedding of one of the two is turned towards that of the other, and everything in which
the photographs of a person differ stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from benchmarks._hard import HardClip, main_group
from benchmarks._labelled import Labelled
from benchmarks._measures import Score
from benchmarks._methods import Grouping
from benchmarks._settings import judge
from benchmarks._slideshows import halves
from registry.domain import Vectors
from registry.faces.quality import founds

MOST_ALIKE = 20
"""Pairs of different people, of 1,770, that are taken for the first stand-in."""
ACROSS = {"sface": 0.41, "buffalo_sc_int8": 0.36}
"""Average cosine of two siblings. SFace: seen on two pairs, 0.39 to 0.41; the pack: of the same
false-accept rate on the shipped curves."""
DRAWS = 3
"""Each person is paired with so many others."""


@dataclass(frozen=True, slots=True)
class SiblingResult:
    """What became of pairs of people who are alike."""

    pairs: int
    clips: int
    """Of both people of a pair, on average."""
    inside: float
    """Mean cosine of two clips of one person, and of two people of a pair."""
    across: float
    precision: float
    """B-cubed, mean over the pairs, each in a registry of its own."""
    recall: float
    joined: int
    """Pairs of whom most clips of both are in one identity."""
    strays: int
    """Clips in an identity of mostly the other person, in other pairs."""


def most_alike(clips: Sequence[HardClip]) -> list[tuple[list[Labelled], list[Labelled]]]:
    """The clips of the pairs of different people who are most alike."""
    means = _means(clips)
    pairs = list(combinations(sorted(means), 2))
    pairs.sort(key=lambda two: -_cosine(means[two[0]], means[two[1]]))
    of = _by_person(clips)
    return [(of[one], of[other]) for one, other in pairs[:MOST_ALIKE]]


def made_alike(
    clips: Sequence[HardClip], across: float, *, tuning: bool
) -> list[tuple[list[Labelled], list[Labelled]]]:
    """The clips of pairs of one half of the people, the second made as alike to the first."""
    of, means = _by_person(clips), _means(clips)
    people = halves(sorted(of))[0 if tuning else 1]
    found = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(people)).tolist()
        for i, j in zip(order[::2], order[1::2], strict=False):
            one, other = people[i], people[j]
            turn = _turn(means[one], means[other], across)
            found.append((of[one], [_turned(video, turn) for video in of[other]]))
    return found


def judge_pairs(
    pairs: Iterable[tuple[list[Labelled], list[Labelled]]],
    group: Callable[[Sequence[Labelled]], Grouping],
) -> SiblingResult:
    """Group the clips of each pair by themselves."""
    scores: list[Score] = []
    inside, across, clips, joined, strays = [], [], [], 0, 0
    for one, other in pairs:
        grouping = group([*one, *other])
        scores.append(judge([*one, *other], grouping))
        mine, theirs = _tracks(one), _tracks(other)
        inside += [_mean_inside(mine), _mean_inside(theirs)]
        across.append(float((mine @ theirs.T).mean()))
        clips.append(len(one) + len(other))
        mixed = _mixed(one, other, grouping)
        joined += mixed < 0
        strays += max(mixed, 0)
    return SiblingResult(
        pairs=len(scores),
        clips=round(float(np.mean(clips))),
        inside=float(np.mean(inside)),
        across=float(np.mean(across)),
        precision=float(np.mean([score.precision for score in scores])),
        recall=float(np.mean([score.recall for score in scores])),
        joined=joined,
        strays=strays,
    )


def _mixed(one: Sequence[Labelled], other: Sequence[Labelled], grouping: Grouping) -> int:
    """Clips in a group of mostly the other person; -1 if most clips of both are in one group."""
    where: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for side, videos in enumerate((one, other)):
        for labelled in videos:
            if group := main_group(labelled, grouping):
                where[group][side] += 1
    both = [min(2 * a / len(one), 2 * b / len(other)) for a, b in where.values()]
    return -1 if max(both) >= 1 else sum(min(a, b) for a, b in where.values())


def _by_person(clips: Sequence[HardClip]) -> dict[str, list[Labelled]]:
    found: dict[str, list[Labelled]] = defaultdict(list)
    for clip in clips:
        found[clip.person].append(clip.labelled)
    return found


def _means(clips: Sequence[HardClip]) -> dict[str, Vectors]:
    return {person: _tracks(videos).mean(axis=0) for person, videos in _by_person(clips).items()}


def _tracks(videos: Sequence[Labelled]) -> Vectors:
    """float32 (n, D): the normalised mean of the good labelled faces of each video."""
    means = []
    for labelled in videos:
        good = [
            face.embedding
            for face, person in zip(labelled.video.faces, labelled.people, strict=True)
            if person and founds(face.quality)
        ]
        if good:
            mean = np.sum(good, axis=0)
            means.append(mean / np.linalg.norm(mean))
    return np.array(means, np.float32)


def _mean_inside(tracks: Vectors) -> float:
    return float((tracks @ tracks.T)[np.triu_indices(len(tracks), 1)].mean())


def _cosine(one: Vectors, other: Vectors) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def _turn(towards: Vectors, mean: Vectors, across: float) -> Vectors:
    """What is added to the embeddings of a person for the given average to another person."""
    one, length = towards / np.linalg.norm(towards), float(np.linalg.norm(mean))
    cosine = min(1.0, across / (float(np.linalg.norm(towards)) * length))
    rest = mean - (mean @ one) * one
    rest /= np.linalg.norm(rest)
    turned = length * (cosine * one + (1 - cosine**2) ** 0.5 * rest)
    return np.asarray(turned - mean, np.float32)


def _turned(labelled: Labelled, turn: Vectors) -> Labelled:
    faces = []
    for face, person in zip(labelled.video.faces, labelled.people, strict=True):
        moved = face.embedding + turn if person else face.embedding
        faces.append(replace(face, embedding=moved / np.linalg.norm(moved)))
    return Labelled(replace(labelled.video, faces=tuple(faces)), labelled.people)
