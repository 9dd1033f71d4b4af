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
from registry.domain import Face, Landmarks
from registry.models.base import FaceModel

FOUR = ("plain", "small", "dark", "glasses")
"""The kinds of the table; each person has a clip of each, of another photograph each."""
_NEAR = 0.2
"""Of a photograph's side: the labelled face is no further from its middle."""


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


def hard_set(
    data: Path, cache: Path, extractions: Extractions, marker: FaceModel
) -> list[HardClip]:
    """The clips; `marker` says where eyes and mouth are in a photograph."""
    folder = cache / "videos" / source_digest("benchmarks/_hard_pictures.py")
    folder.mkdir(parents=True, exist_ok=True)
    of_person: dict[str, list[Photo]] = defaultdict(list)
    for photo in photographs(data / "photos"):
        of_person[photo.person].append(photo)
    clips = []
    for person, photos in of_person.items():
        for number, kind in enumerate(pictures.KINDS):
            photo = photos[number % len(photos)]
            path = folder / f"{photo.path.stem}-{kind.name}.mp4"
            if not path.is_file():
                _write(path, photo, kind, marker)
            video = extractions.of(path, f"hard/{path.name}", every=pictures.EVERY)
            people = tuple(
                person if _is_labelled(face, kind.name, video.media.width, video.media.height)
                else None
                for face in video.faces
            )  # fmt: skip
            clips.append(HardClip(person, kind.name, Labelled(video, people)))
    return clips


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


def _found(clips: Iterable[HardClip], grouping: Grouping) -> Iterable[tuple[str, tuple[int, int]]]:
    identity: dict[str, dict[str, str]] = defaultdict(dict)
    for clip in clips:
        labelled = zip(clip.labelled.video.faces, clip.labelled.people, strict=True)
        seen = Counter(grouping[face.face_id] for face, person in labelled if person)
        if seen:
            identity[clip.person][clip.kind] = seen.most_common(1)[0][0]
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
    picture = kind.spoil(image, _landmarks(image, marker), random)
    pictures.write_clip(path, picture, crf=kind.crf, random=random)


def _landmarks(image: np.ndarray, marker: FaceModel) -> Landmarks:
    """Those of the face in the middle: LFW puts the labelled face there."""
    middle = np.array(image.shape[1::-1]) / 2
    near = [
        face
        for face in marker.detect(np.asarray(image, np.uint8))
        if np.abs(face.landmarks.mean(axis=0) - middle).max() < _NEAR * image.shape[0]
    ]
    if not near:
        return np.array([[163, 184], [237, 184], [200, 226], [169, 270], [231, 270]], np.float32)
    return max(near, key=lambda face: face.box.height).landmarks


def _is_labelled(face: Face, kind: str, width: int, height: int) -> bool:
    x, y = (face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2
    across, middles = float(height), [height / 2]
    if kind == "small":
        across = pictures.SMALL_SIDE
    elif kind == "ghost":  # the small picture is above or below
        across = pictures.INSET
        middles = [pictures.INSET_GAP + across / 2, height - pictures.INSET_GAP - across / 2]
    off = min(abs(y - middle) for middle in middles)
    return max(abs(x - width / 2), off) <= _NEAR * across and face.box.height < across
