"""Short videos made of still photographs: a camera pans and zooms, and a site compresses it all.

Every photograph is in exactly one video, so two videos never share a picture. In some videos two
people stand side by side. How the camera moves, the light and the compression follow from the
photograph's name: the same versions of NumPy, OpenCV and PyAV write the same videos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from registry.domain import Image

FRAMES, FPS, SIDE = 12, 10, 320
"""Frames of a video, frames a second, px of one panel's side."""
PAIRS = 20
"""Videos with two people in frame."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photograph."""

    person: str
    path: Path


@dataclass(frozen=True, slots=True)
class Slideshow:
    """One video and who stands in it, left to right."""

    panels: tuple[Photo, ...]

    @property
    def file(self) -> str:
        """File name."""
        return "+".join(photo.path.stem for photo in self.panels) + ".mp4"


def photographs(folder: Path) -> list[Photo]:
    """The photographs of `folder/PERSON/*.jpg`, in order of name."""
    return [Photo(path.parent.name, path) for path in sorted(folder.glob("*/*.jpg"))]


def halves(people: Sequence[str]) -> tuple[list[str], list[str]]:
    """People in two halves, tuning and held-out, by the hash of their names."""
    order = sorted(set(people), key=lambda name: hashlib.sha256(name.encode()).digest())
    return order[: len(order) // 2], order[len(order) // 2 :]


def cast(photos: Sequence[Photo]) -> list[Slideshow]:
    """Who is in which video: the last photographs of some people in pairs, all others alone.

    A pair is of one half, so that each half can be measured by itself.
    """
    last = {photo.person: photo for photo in photos}
    pairs: list[tuple[Photo, ...]] = []
    for half in halves([photo.person for photo in photos]):
        count = min(PAIRS // 2, len(half) // 2)
        pairs += [(last[half[2 * i]], last[half[2 * i + 1]]) for i in range(count)]
    paired = {photo for pair in pairs for photo in pair}
    return [Slideshow((photo,)) for photo in photos if photo not in paired] + [
        Slideshow(pair) for pair in pairs
    ]


def write(show: Slideshow, path: Path) -> None:
    """Encode one video: H.264 in MP4."""
    crf = int(_random(show.file).integers(20, 34))
    panels = [_Panel(photo) for photo in show.panels]
    options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = SIDE * len(panels), SIDE, "yuv420p"
        for number in range(FRAMES):
            picture = np.concatenate([panel.view(number) for panel in panels], axis=1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def centres(show: Slideshow, frame: int) -> list[tuple[float, float]]:
    """Where the middle of each photograph lies in a frame, px: LFW puts the labelled face there."""
    found = []
    for place, photo in enumerate(show.panels):
        x, y = _Panel(photo).centre(frame)
        found.append((x + place * SIDE, y))
    return found


class _Panel:
    """A camera over one photograph."""

    def __init__(self, photo: Photo) -> None:
        self._path = photo.path
        random = _random(photo.path.name)
        self._zoom = random.uniform(1.0, 1.35, size=2)
        self._shift = random.uniform(-0.1, 0.1, size=(2, 2)) * SIDE
        self._roll = random.uniform(-8, 8, size=2)
        self._light = random.uniform(0.6, 1.25) * random.uniform(0.9, 1.1, size=2)
        self._seed = int(random.integers(2**32))
        self._image: Image | None = None

    def centre(self, frame: int) -> tuple[float, float]:
        x, y = SIDE / 2 + self._at(self._shift, frame)
        return float(x), float(y)

    def view(self, frame: int) -> Image:
        image = self._photo()
        height, width = image.shape[:2]
        scale = SIDE / max(height, width) * float(self._at(self._zoom, frame))
        roll = float(self._at(self._roll, frame))
        move = cv2.getRotationMatrix2D((width / 2, height / 2), roll, scale)
        move[:, 2] += np.array(self.centre(frame)) - np.array([width / 2, height / 2])
        seen = cv2.warpAffine(
            image, move, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        grain = np.random.default_rng(self._seed + frame).normal(0, 2.0, seen.shape)
        lit = seen * float(self._at(self._light, frame)) + grain
        return np.asarray(np.clip(lit, 0, 255), np.uint8)

    def _photo(self) -> Image:
        if self._image is None:
            image = cv2.imread(str(self._path), cv2.IMREAD_COLOR)
            if image is None:
                raise SystemExit(f"{self._path} is no image")
            self._image = image.astype(np.uint8)
        return self._image

    @staticmethod
    def _at(ends: np.ndarray, frame: int) -> np.ndarray:
        return np.asarray(ends[0] + (ends[1] - ends[0]) * frame / (FRAMES - 1))


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:16], 16))
