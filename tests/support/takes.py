"""Synthetic footage: a face that changes as faces do, sampled as any copy of the video samples it.

A take is a function of time, so that copies with another frame rate, start or scale show the same
changes at other moments. Everything follows from its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registry import ids
from registry.core import keys
from registry.domain import Box, Face, Media, Quality, Status, Vectors, Video
from registry.footage.alignment import FaceTrack
from registry.urls import Url

DIMENSION = 64
_WAVES = 12
_CHANGE = 0.3
"""Root mean square of the deviations of an embedding: 0.3 to 0.5 in real clips."""
_MOVE = 0.06
"""The same of the box, in its own sizes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Take:
    """One person before one camera."""

    number: int
    person: int = 0
    still: bool = False
    """Whether it is a photograph."""

    def embeddings(self, times: Floats, *, noise: float = 0.1, seed: int = 0) -> Vectors:
        """float32 (n, D), L2-normalised; `noise` is the root mean square of what encoding adds."""
        who = np.random.default_rng([1, self.person]).normal(size=DIMENSION)
        who /= np.linalg.norm(who)
        random = np.random.default_rng([2, self.number])
        changes = np.zeros((len(times), DIMENSION))
        if not self.still:
            directions = random.normal(size=(_WAVES, DIMENSION)) / np.sqrt(DIMENSION)
            changes = self._waves(times, random, _WAVES) @ directions * _CHANGE
        added = np.random.default_rng([3, seed]).normal(size=changes.shape) / np.sqrt(DIMENSION)
        vectors = who + changes + noise * added
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = vectors.astype(np.float32)
        return unit

    def boxes(self, times: Floats, *, scale: float = 1.0, mirrored: bool = False) -> Floats:
        """(n, 4): x1, y1, x2, y2 in px of a frame of 640 x 360, or of a scaled one."""
        random = np.random.default_rng([4, self.number])
        moves = np.zeros((len(times), 3))
        if not self.still:
            moves = self._waves(times, random, 3) * np.sqrt(3) * _MOVE
        x, y, size = 300 + 100 * moves[:, 0], 150 + 100 * moves[:, 1], 100 * (1 + moves[:, 2] / 4)
        x = 640 - x if mirrored else x
        return scale * np.column_stack([x - size / 2, y - size / 2, x + size / 2, y + size / 2])

    @staticmethod
    def _waves(times: Floats, random: np.random.Generator, count: int) -> Floats:
        """(n, count) of mean square 1 in all."""
        frequency, phase = random.uniform(0.2, 1.2, count), random.uniform(0, 2 * np.pi, count)
        waves = np.sin(2 * np.pi * frequency * times[:, None] + phase)
        found: Floats = waves * np.sqrt(2 / count)
        return found


@dataclass(frozen=True, slots=True)
class Shot:
    """A stretch of a take in a video."""

    take: Take
    start_s: float
    """In the take."""
    seconds: float


def tracks(
    shots: Sequence[Shot],
    *,
    step: float = 1 / 3,
    first: float = 0.0,
    scale: float = 1.0,
    mirrored: bool = False,
    noise: float = 0.1,
    seed: int = 0,
) -> tuple[FaceTrack, ...]:
    """A video of these shots, one after the other, each of them a track.

    Args:
        step: seconds between sampled frames.
        first: when the first one is sampled.
        scale: of the frame.
        mirrored: whether left is right.
        noise: as for `Take.embeddings`.
        seed: of the noise.
    """
    found, begin = [], 0.0
    sampled = np.arange(first, sum(shot.seconds for shot in shots) - 1e-9, step)
    for number, shot in enumerate(shots):
        at = sampled[(sampled >= begin) & (sampled < begin + shot.seconds - 1e-9)]
        times = at - begin + shot.start_s
        embeddings = shot.take.embeddings(times, noise=noise, seed=1000 * seed + number)
        boxes = shot.take.boxes(times, scale=scale, mirrored=mirrored)
        if len(at):
            found.append(FaceTrack.of(at, embeddings, boxes))
        begin += shot.seconds
    return tuple(found)


def recorded(name: str, shots: Sequence[Shot], views: float, **given: float) -> Video:
    """The same as a record; `given` as for `tracks`. The caller stores the crops."""
    url = f"https://example.com/{name}.mp4"
    video_id = ids.video_id(url)
    faces: list[Face] = []
    for number, track in enumerate(tracks(shots, **given)):  # type: ignore[arg-type]
        for time, embedding, place in zip(track.times, track.embeddings, track.places, strict=True):
            frame, (x, y, size) = round(30 * time), 100 * place
            faces.append(
                Face(
                    face_id=ids.face_id(video_id, "digest", frame, 0),
                    frame=frame,
                    position=0,
                    time_s=float(time),
                    span_s=1 / 3,
                    box=Box(x - size / 2, y - size / 2, x + size / 2, y + size / 2),
                    landmarks=np.zeros((5, 2), np.float32),
                    det_score=0.9,
                    quality=Quality(0.8),
                    track=number,
                    crop=keys.crop(video_id, frame, 0),
                    crop_digest="0" * 64,
                    embedding=embedding,
                )
            )
    seconds = sum(shot.seconds for shot in shots)
    media = Media(duration_s=seconds, width=640, height=360, frames_sampled=len(faces))
    return Video(video_id, Url(url), {"Views": views}, Status.DONE, tuple(faces), media, run="run")
