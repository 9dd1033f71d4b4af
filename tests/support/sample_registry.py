"""A registry of invented numbers and real pictures, for pages that are looked at.

People are the portraits of the demo, or others that are given; the embeddings are chosen, so no
model is needed. The same arguments give the same registry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import cv2
import numpy as np

from registry import ids
from registry.core import contract as contracts
from registry.core import keys
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.demo.videos import read_photo
from registry.domain import (
    Box,
    Face,
    Image,
    Media,
    ModelInfo,
    Quality,
    Status,
    Vectors,
    Video,
    Weighted,
)
from registry.faces.boxes import crop_area
from registry.faces.crops import encode_jpeg
from registry.models.entries import CATALOGUE
from registry.settings import load_settings
from registry.urls import Url

FRAME = (640, 360)
"""px."""
DIMENSION = 128
SECRET = "3f9ac0ffee5ec4e7b19d"
"""The signature in the URL of the first video."""
_WORDS = ("spring-launch", "unboxing", "q2-hook", "story", "behind-the-scenes", "summer")
_PLATFORMS = ("TikTok", "Meta", "YouTube")


@dataclass(frozen=True, slots=True)
class SamplePerson:
    """Somebody in the sample, with pictures of the face in the middle of a square."""

    name: str
    pictures: tuple[Image, ...]
    effect: float
    """By how much the metric is multiplied in videos with them."""
    share: float
    """Of the videos, 0 to 1."""
    twice: bool = False
    """Whether some of the videos have them under another identity: an open question."""


def demo_people() -> list[SamplePerson]:
    """The seven people of the photographs that installed packages carry."""
    table = read_photo("insightface", "insightface/data/images/t1.jpg")
    astronaut = read_photo("scikit-image", "skimage/data/astronaut.png")
    return [
        SamplePerson(name, (_around(photo, box),), effect, share, twice)
        for name, photo, box, effect, share, twice in (
            ("Presenter in orange", astronaut, (178, 63, 268, 176), 2.0, 0.3, False),
            ("", table, (52, 266, 171, 400), 1.5, 0.25, True),
            ("Kitchen host", table, (271, 147, 370, 276), 1.0, 0.4, False),
            ("", table, (462, 266, 576, 417), 1.1, 0.12, False),
            ("Founder", table, (751, 346, 845, 472), 0.95, 0.3, False),
            ("Goalkeeper", table, (899, 57, 1005, 197), 0.5, 0.28, False),
            ("", table, (1132, 274, 1227, 399), 1.0, 0.04, False),
        )
    ]


def _around(photo: Image, box: tuple[int, int, int, int]) -> Image:
    """A square of 1.7 sides of a box in px, with the box in the middle."""
    left, top, right, bottom = box
    half = round(0.85 * max(right - left, bottom - top))
    x, y = (left + right) // 2, (top + bottom) // 2
    return np.ascontiguousarray(photo[max(0, y - half) : y + half, max(0, x - half) : x + half])


def sample_registry(
    home: Path,
    people: Sequence[SamplePerson],
    *,
    videos: int = 60,
    seed: int = 7,
    faces_per_s: float = 2,
) -> Registry:
    """An open registry with these people in videos of invented numbers, and two that failed."""
    model = ModelInfo("sface", CATALOGUE["sface"].digest, DIMENSION, 0.4)
    registry = open_registry(load_settings(home=home))
    registry.establish(
        contracts.new(model, "sface", threshold=0.85, every=15, primary_metric="ROAS")
    )
    chance = np.random.default_rng(seed)
    with registry.writing():
        for number in range(videos):
            registry.records.put(_video(registry, number, people, faces_per_s, chance))
        for number in (1, 2):
            url = Url(f"https://cdn.example.com/ads/lost-{number}.mp4")
            registry.records.put(
                Video(
                    ids.video_id(url), url, {"ROAS": 2.0}, Status.FAILED,
                    reason="the server answered 404 Not Found. There is no such file.", run="r",
                )
            )  # fmt: skip
    registry.reindex()
    known = {one.identity_id for one in registry.index.identities()}
    for number, person in enumerate(people):
        if person.name and identity_of(number) in known:
            registry.name(identity_of(number), person.name)
    return registry


def identity_of(who: int, *, other: bool = False) -> str:
    """The identity of a person of the sample, or their other one."""
    return ids.identity_id(f"sample {who} {other}")


def _video(
    registry: Registry,
    number: int,
    people: Sequence[SamplePerson],
    faces_per_s: float,
    chance: np.random.Generator,
) -> Video:
    url = _url(number)
    video_id = ids.video_id(url)
    seconds = int(chance.integers(8, 40))
    value = 2.2 * float(np.exp(chance.normal(0, 0.5)))
    spend = float(np.exp(chance.normal(6, 0.7)))
    faces: list[Face] = []
    for who, person in enumerate(people):
        if chance.random() >= person.share:
            continue
        value *= person.effect
        other = person.twice and number % 3 == 0
        vector = _embedding(who, other)
        stretches = 2 if seconds > 20 and chance.random() < 0.5 else 1
        for stretch in range(stretches):
            start = float(chance.uniform(0, 0.25 if chance.random() < 0.5 else 0.7)) * seconds
            start = 0.45 * start + stretch * seconds / 2
            length = float(chance.uniform(1.5, 0.35 * seconds))
            track = 10 * who + stretch
            picture = person.pictures[int(chance.integers(len(person.pictures)))]
            faces += _faces(
                registry, video_id, who, other, track, start, min(length, seconds - start), vector,
                picture, faces_per_s,
            )  # fmt: skip
    day = date(2026, 1, 1) + timedelta(days=int(chance.integers(0, 272)))
    return Video(
        video_id=video_id,
        url=url,
        metrics={
            "ROAS": round(value, 2),
            "Spend": float(round(spend)),
            "Views": float(round(90 * spend)),
        },
        status=Status.DONE,
        faces=tuple(sorted(faces, key=lambda face: (face.frame, face.position))),
        media=Media(duration_s=float(seconds), width=FRAME[0], height=FRAME[1], codec="h264"),
        run="20261001T080000Z-0a1b",
        weights={"ROAS": Weighted(round(value * spend, 2), float(round(spend)))},
        attributes={
            "Platform": _PLATFORMS[int(chance.integers(3))],
            "Published": day.isoformat(),
        },
    )


def _url(number: int) -> Url:
    name = f"{_WORDS[number % len(_WORDS)]}-{number // len(_WORDS) + 1:02}"
    if number == 0:
        return Url(f"https://bucket.example.com/{name}.mp4?X-Amz-Signature={SECRET}")
    if number % 9 == 4:
        return Url(f"https://www.youtube.com/watch?v=vid{number:08}")
    if number % 9 == 7:
        return Url(f"https://vimeo.com/{90000000 + number}")
    return Url(f"https://cdn.example.com/ads/{name}.mp4")


def _embedding(who: int, other: bool) -> Vectors:
    """The embedding of a person; of their other identity, at a cosine of 0.75 with it."""
    own, aside = (np.random.default_rng(one).normal(size=DIMENSION) for one in (who, 10_000 + who))
    own /= np.linalg.norm(own)
    aside -= (aside @ own) * own
    aside /= np.linalg.norm(aside)
    vector = 0.75 * own + 0.6614 * aside if other else own
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _faces(
    registry: Registry,
    video_id: str,
    who: int,
    other: bool,
    track: int,
    start_s: float,
    seconds: float,
    vector: Vectors,
    picture: Image,
    faces_per_s: float,
) -> list[Face]:
    """The faces of one stretch of time; each track has one picture."""
    side = 50 + 10 * (who % 3)
    left = 20 + 90 * (who % 6)
    box = Box(float(left), 90.0, float(left + side), 90 + 1.2 * side)
    area = crop_area(box, *FRAME)
    shown = cv2.resize(picture, area.size, interpolation=cv2.INTER_AREA)
    content = encode_jpeg(np.asarray(shown, np.uint8))
    digest = hashlib.sha256(content).hexdigest()
    faces = []
    for place in range(max(1, round(faces_per_s * seconds))):
        frame = round(faces_per_s * start_s + place) * round(30 / faces_per_s)
        key = keys.crop(video_id, frame, who)
        registry.blobs.put(key, content)
        faces.append(
            Face(
                face_id=ids.face_id(video_id, "sample", frame, who),
                frame=frame,
                position=who,
                time_s=frame / 30,
                span_s=1 / faces_per_s,
                box=box,
                landmarks=np.arange(10, dtype=np.float32).reshape(5, 2),
                det_score=0.95,
                quality=Quality(0.7 + 0.001 * (frame % 100)),
                track=track,
                crop=key,
                crop_digest=digest,
                embedding=vector,
                identity_id=identity_of(who, other=other),
            )
        )
    return faces
