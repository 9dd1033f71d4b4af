"""The hard set: every photographed person plain, small, dark, in sunglasses, masked and spoilt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import _hard_pictures as pictures
from benchmarks._extraction import Extractions, source_digest
from benchmarks._labelled import Labelled
from benchmarks._measures import Score
from benchmarks._methods import Grouping
from benchmarks._settings import judge
from benchmarks._slideshows import Photo, halves, photographs
from registry.domain import Face
from registry.models.base import FaceModel

FOUR = ("plain", "small", "dark", "glasses")
"""The kinds of the table; each person has a clip of each, of another photograph each."""


@dataclass(frozen=True, slots=True)
class HardClip:
    """One clip of one person."""

    person: str
    kind: str
    labelled: Labelled


@dataclass(frozen=True, slots=True)
class HardResult:
    """How well a grouping does on hard clips."""

    four: Score
    """Over the clips of `FOUR` kinds."""
    all: Score
    """Over all clips, spoilt faces included: only its precision and wrong merges mean anything."""
    found: dict[str, tuple[int, int]]
    """By kind: clips that are in the identity of most of their person's clips, and all clips."""


ORDERS = ((0, 1, 2, 3, 4, 5, 0), (0, 2, 4, 1, 3, 5, 2), (3, 0, 5, 2, 4, 1, 1))
"""Which photograph is shown in which kind, in three hard sets."""
TURNS = 6
"""Each order gives so many sets: in the next one, each kind shows the next photograph."""


class HardFootage:
    """Clips of each photograph in each kind, made and extracted when they are asked for."""

    def __init__(
        self, data: Path, cache: Path, extractions: Extractions, marker: FaceModel
    ) -> None:
        """`marker` says where eyes and mouth are in a photograph."""
        self._folder = cache / "videos" / source_digest("benchmarks/_hard_pictures.py")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._extractions, self._marker = extractions, marker
        self._photos: dict[str, list[Photo]] = defaultdict(list)
        for photo in photographs(data / "photos"):
            self._photos[photo.person].append(photo)
        self._clips: dict[str, HardClip] = {}

    def clips(self, order: Sequence[int] = ORDERS[0], turn: int = 0) -> list[HardClip]:
        """A clip of each kind of each person, of the photographs of this order."""
        return [
            self._clip(photos[(place + turn) % len(photos)], kind)
            for photos in self._photos.values()
            for place, kind in zip(order, pictures.KINDS, strict=True)
        ]

    def all_plain(self) -> list[HardClip]:
        """The plain clip of each photograph, and a small and a dark one of each person."""
        plain, small, dark = pictures.KINDS[:3]
        return [
            self._clip(photo, kind)
            for photos in self._photos.values()
            for photo, kind in (
                *((photo, plain) for photo in photos),
                (photos[0], small),
                (photos[-1], dark),
            )
        ]

    def _clip(self, photo: Photo, kind: pictures.Kind) -> HardClip:
        path = self._folder / f"{photo.path.stem}-{kind.name}.mp4"
        if path.name not in self._clips:
            if not path.is_file():
                _write(path, photo, kind, self._marker)
            name = f"hard-{self._folder.name}/{path.name}"
            video = self._extractions.of(path, name, every=pictures.EVERY)
            width, height = video.media.width, video.media.height
            people = tuple(
                photo.person if _is_labelled(face, kind.name, width, height) else None
                for face in video.faces
            )
            self._clips[path.name] = HardClip(photo.person, kind.name, Labelled(video, people))
        return self._clips[path.name]


@dataclass(frozen=True, slots=True)
class TurnedResult:
    """The same over many hard sets."""

    sets: int
    precision: float
    """Means over the sets, of the clips of `FOUR` kinds."""
    recall: float
    lowest: float
    """The lowest precision of a set."""
    wrong: int
    """Wrong merges in all sets together."""
    all_precision: float
    """With spoilt and masked faces: mean precision, and wrong merges in all sets."""
    all_wrong: int
    found: dict[str, float]
    """By kind: the share of clips that are in the identity of most of their person's clips."""

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def judge_turned(
    sets: Sequence[Sequence[HardClip]], group: Callable[[Sequence[Labelled]], Grouping]
) -> TurnedResult:
    """The mean result of a method over these sets; `group` as for `judge_hard`."""
    results = [judge_hard(clips, group) for clips in sets]
    four = [result.four for result in results]
    every = [result.all for result in results]
    return TurnedResult(
        sets=len(results),
        precision=float(np.mean([score.precision for score in four])),
        recall=float(np.mean([score.recall for score in four])),
        lowest=min(score.precision for score in four),
        wrong=sum(score.wrong for score in four),
        all_precision=float(np.mean([score.precision for score in every])),
        all_wrong=sum(score.wrong for score in every),
        found={
            kind: sum(r.found[kind][0] for r in results)
            / max(1, sum(r.found[kind][1] for r in results))
            for kind in results[0].found
        },
    )


def half_of(clips: Sequence[HardClip], *, tuning: bool) -> list[HardClip]:
    """The clips of the half of the people that settings are chosen on, or of the other one."""
    chosen, held = halves([clip.person for clip in clips])
    keep = set(chosen if tuning else held)
    return [clip for clip in clips if clip.person in keep]


def judge_hard(
    clips: Sequence[HardClip], group: Callable[[Sequence[Labelled]], Grouping]
) -> HardResult:
    """The result of a method.

    Args:
        clips: of all kinds; those of `FOUR` kinds are grouped alone, and then all together.
        group: groups the faces of videos.
    """
    four = [clip.labelled for clip in clips if clip.kind in FOUR]
    every = [clip.labelled for clip in clips]
    grouping = group(every)
    return HardResult(
        judge(four, group(four)), judge(every, grouping), dict(_found(clips, grouping))
    )


def main_group(labelled: Labelled, grouping: Grouping) -> str | None:
    """The group of most labelled faces of a video, the first of several; None without any."""
    faces = zip(labelled.video.faces, labelled.people, strict=True)
    seen = Counter(grouping[face.face_id] for face, person in faces if person)
    return seen.most_common(1)[0][0] if seen else None


def _found(clips: Iterable[HardClip], grouping: Grouping) -> Iterable[tuple[str, tuple[int, int]]]:
    identity: dict[str, dict[str, str]] = defaultdict(dict)
    for clip in clips:
        if group := main_group(clip.labelled, grouping):
            identity[clip.person][clip.kind] = group
    for kind in pictures.KINDS:
        with_person = [
            of_kind[kind.name] == Counter(of_kind.values()).most_common(1)[0][0]
            for of_kind in identity.values()
            if kind.name in of_kind
        ]
        yield kind.name, (sum(with_person), len(with_person))


def _write(path: Path, photo: Photo, kind: pictures.Kind, marker: FaceModel) -> None:
    image = pictures.read_photo(photo.path)
    random = pictures.random_of(path.name)
    picture = kind.spoil(image, pictures.landmarks_of(image, marker), random)
    pictures.write_clip(path, picture, crf=kind.crf, random=random)


def _is_labelled(face: Face, kind: str, width: int, height: int) -> bool:
    x, y = (face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2
    across, middles = float(height), [height / 2]
    if kind == "small":
        across = pictures.SMALL_SIDE
    elif kind == "ghost":  # the small picture is above or below
        across = pictures.INSET
        middles = [pictures.INSET_GAP + across / 2, height - pictures.INSET_GAP - across / 2]
    off = min(abs(y - middle) for middle in middles)
    return max(abs(x - width / 2), off) <= pictures.NEAR * across and face.box.height < across
