"""Labelled sets: whose each detected face is, known from how the video was made or by its place."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import _slideshows as slideshows
from benchmarks._extraction import Extractions, source_digest
from registry.demo import cast as demo
from registry.demo.videos import build_videos
from registry.domain import Face, Video

CLIP_EVERY, SLIDE_EVERY = 10, 4
"""One frame in so many is looked at: 10 is the registry's default; the slideshows are short."""
_REACH = 0.3
"""Of a panel's side: a labelled face lies no further from the middle of its photograph. People in
the background lie further; nobody knows who they are."""
LANES: dict[str, tuple[tuple[float, str], ...]] = {
    "face-demographics-walking-and-pause.gif": (
        (0.35, "intel_female"),
        (0.57, "intel_walk_other1"),
        (1.0, "intel_walk_other2"),
    ),
    "head-pose-face-detection-female-and-male.gif": ((0.5, "intel_female"), (1.0, "intel_male")),
}
"""Who stands where in clips of several people: up to which share of the width, by eye. Nobody
changes places."""
_STRAY, _GROWTH = 1.0, 2.0
"""How far a head strays from its usual place, in its own heights, and how much its size changes."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One video with the truth about it."""

    video: Video
    people: tuple[str | None, ...]
    """Who each of its faces is; None: nobody knows, and it counts in no score."""


def photo_set(data: Path, cache: Path, extractions: Extractions) -> list[Labelled]:
    """Slideshows of the labelled photographs, each in a video of its own or paired."""
    folder = cache / "videos" / source_digest("benchmarks/_slideshows.py")
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for show in slideshows.cast(slideshows.photographs(data / "photos")):
        path = folder / show.file
        if not path.is_file():
            slideshows.write(show, path)
        video = extractions.of(path, f"slideshows/{show.file}", every=SLIDE_EVERY)
        found.append(Labelled(video, _in_slideshow(show, video.faces)))
    return found


def _in_slideshow(show: slideshows.Slideshow, faces: Sequence[Face]) -> tuple[str | None, ...]:
    people: list[str | None] = [None] * len(faces)
    for frame in {face.frame for face in faces}:
        here = [i for i, face in enumerate(faces) if face.frame == frame]
        for photo, (x, y) in zip(show.panels, slideshows.centres(show, frame), strict=True):
            far = {i: _distance(faces[i], x, y) for i in here}
            nearest = min(far, key=lambda i: far[i])
            if far[nearest] <= _REACH * slideshows.SIDE:
                people[nearest] = photo.person
    return tuple(people)


def _distance(face: Face, x: float, y: float) -> float:
    at_x, at_y, _ = _box(face)
    return float(np.hypot(at_x - x, at_y - y))


def clip_set(data: Path, extractions: Extractions) -> list[Labelled]:
    """Clips and animated GIFs of `labels.tsv`; the people of one frame are told by their place."""
    who: dict[str, list[str]] = defaultdict(list)
    with (data / "videos" / "labels.tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            who[row["video"]].append(row["person"])
    found = []
    for name, people in sorted(who.items()):
        video = extractions.of(data / "videos" / name, f"clips/{name}", every=CLIP_EVERY)
        lanes = LANES[name] if len(people) > 1 else ((1.0, people[0]),)
        if {person for _, person in lanes} != set(people):
            raise SystemExit(f"{name}: labels.tsv names other people than LANES does")
        found.append(Labelled(video, _in_lanes(video, lanes)))
    return found


def _in_lanes(video: Video, lanes: Sequence[tuple[float, str]]) -> tuple[str | None, ...]:
    """Who each face is. What lies off a head's usual place, or is another size, is a hand."""
    people: list[str | None] = [None] * len(video.faces)
    left = 0.0
    for right, person in lanes:
        here = [i for i, f in enumerate(video.faces) if left < _across(f, video) <= right]
        left = right
        if not here:
            continue
        boxes = np.array([_box(video.faces[i]) for i in here])
        x, y, height = np.median(boxes, axis=0)
        for i, (at_x, at_y, size) in zip(here, boxes, strict=True):
            near = np.hypot(at_x - x, at_y - y) <= _STRAY * height
            if near and height / _GROWTH <= size <= height * _GROWTH:
                people[i] = person
    return tuple(people)


def _across(face: Face, video: Video) -> float:
    return _box(face)[0] / video.media.width


def _box(face: Face) -> tuple[float, float, float]:
    """Middle and height, px."""
    box = face.box
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, box.height


def demo_set(cache: Path, extractions: Extractions) -> list[Labelled]:
    """The demo's videos: who is in a shot is known, left to right, where all were detected."""
    folder = cache / "videos" / ("demo-" + source_digest("registry/demo"))
    if not folder.is_dir():
        build_videos(folder)
    found = []
    for made in demo.VIDEOS:
        video = extractions.of(folder / made.file, f"demo/{made.file}", every=CLIP_EVERY)
        found.append(Labelled(video, _in_shots(made, video.faces)))
    return found


def _in_shots(made: demo.DemoVideo, faces: Sequence[Face]) -> tuple[str | None, ...]:
    together: dict[int, int] = defaultdict(int)
    for face in faces:
        together[face.frame] += 1
    people: list[str | None] = []
    for face in faces:
        start = 0.0
        shot = made.shots[-1]
        for candidate in made.shots:
            if face.frame < start + round(candidate.seconds * demo.FPS):
                shot = candidate
                break
            start += round(candidate.seconds * demo.FPS)
        known = together[face.frame] == len(shot.people)
        people.append(shot.people[face.position] if known else None)
    return tuple(people)


def only(videos: Sequence[Labelled], keep: Callable[[str], bool]) -> list[Labelled]:
    """The videos that show a labelled person of whom `keep` holds, and no other."""
    return [v for v in videos if any(v.people) and all(keep(p) for p in v.people if p)]
