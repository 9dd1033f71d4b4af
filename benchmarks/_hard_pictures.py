"""Photographs as they look on what people post: small, dark, covered, pixelated, repeated blurred.

Each photograph is spoilt in one way and becomes a short clip. How strongly, and in which shape and
colour, follows from the photograph's name, so that two runs write the same clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from registry.domain import Image, Landmarks
from registry.models.base import FaceModel

SIDE = 400
"""px. The side of a photograph before it is spoilt."""
SMALL_SIDE = 95
"""px. About the side of a photograph whose face is 48 px high."""
INSET, INSET_GAP = 190, 20
"""px. The side of a picture before its blurred copy, and its distance from above or below."""
NEAR = 0.2
"""Of a photograph's side: the labelled face is no further from its middle."""
FRAMES, EVERY, FPS = 7, 3, 10
"""Frames of a clip, one in so many is looked at, frames a second."""

Random = np.random.Generator
Spoil = Callable[[Image, Landmarks, Random], Image]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which a face is hard to recognise."""

    name: str
    spoil: Spoil
    """The photograph, BGR uint8 (SIDE, SIDE, 3), and its landmarks, to a picture of any size."""
    crf: int = 23
    """x264's constant rate factor: the larger, the more it is compressed."""


def _plain(image: Image, marks: Landmarks, random: Random) -> Image:
    return image


def _small(image: Image, marks: Landmarks, random: Random) -> Image:
    """The face 48 px high, in a frame of 320 x 320 px."""
    scale = 48 / (_FACE_HEIGHT * _eye_distance(marks))
    size = min(320, max(24, round(SIDE * scale)))
    picture = np.full((320, 320, 3), 110, np.uint8)
    at = (320 - size) // 2
    picture[at : at + size, at : at + size] = cv2.resize(
        image, (size, size), interpolation=cv2.INTER_AREA
    )
    return picture


def _dark(image: Image, marks: Landmarks, random: Random) -> Image:
    light = image * float(random.uniform(0.15, 0.3))
    return np.asarray(np.clip(light + random.normal(0, 7, image.shape), 0, 255), np.uint8)


def _glasses(image: Image, marks: Landmarks, random: Random) -> Image:
    """Sunglasses on a head that is turned and tilted a little."""
    return _turned(draw_glasses(image, marks, random), marks, random)


def _mask(image: Image, marks: Landmarks, random: Random) -> Image:
    return draw_mask(image, marks, random)


def _pixelated(image: Image, marks: Landmarks, random: Random) -> Image:
    """The face in blocks, ten to fourteen across."""
    across = _eye_distance(marks)
    x, y = marks.mean(axis=0)
    half = 1.25 * across
    top, bottom = max(0, round(y - 1.3 * half)), min(SIDE, round(y + 1.2 * half))
    left, right = max(0, round(x - half)), min(SIDE, round(x + half))
    face = image[top:bottom, left:right]
    blocks = int(random.integers(10, 15))
    small = cv2.resize(face, (blocks, round(blocks * 1.2)), interpolation=cv2.INTER_AREA)
    spoilt = image.copy()
    spoilt[top:bottom, left:right] = cv2.resize(
        small, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST
    )
    return spoilt


def _ghost(image: Image, marks: Landmarks, random: Random) -> Image:
    """A small picture before an enlarged, blurred copy of itself, as vertical videos have it."""
    height, width = 640, 360
    large = cv2.resize(image, (height, height), interpolation=cv2.INTER_CUBIC)
    left = (height - width) // 2
    blur = float(random.uniform(14, 45))
    picture = cv2.GaussianBlur(large[:, left : left + width], (0, 0), blur)
    size = INSET
    top = int(random.choice([INSET_GAP, height - size - INSET_GAP]))
    at = (width - size) // 2
    picture[top : top + size, at : at + size] = cv2.resize(
        image, (size, size), interpolation=cv2.INTER_AREA
    )
    return np.asarray(picture, np.uint8)


KINDS = (
    Kind("plain", _plain),
    Kind("small", _small, crf=34),
    Kind("dark", _dark, crf=28),
    Kind("glasses", _glasses),
    Kind("mask", _mask),
    Kind("pixelated", _pixelated),
    Kind("ghost", _ghost),
)
_FACE_HEIGHT = 2.75
"""Height of a detector's box, in distances between the eyes: 125 px to 45 px on LFW."""


def draw_glasses(image: Image, marks: Landmarks, random: Random) -> Image:
    """Sunglasses: of one of four shapes, dark to half transparent, some with a reflection."""
    across, angle = _eye_distance(marks), _angle(marks)
    half = (across * float(random.uniform(0.36, 0.48)), across * float(random.uniform(0.24, 0.36)))
    tone = random.integers(3, 70, 3).astype(float)
    opacity = float(random.uniform(0.82, 1.0))
    shape = int(random.integers(4))
    lens = np.zeros(image.shape[:2], np.uint8)
    for eye in marks[:2]:
        centre = (float(eye[0]), float(eye[1]) + 0.03 * across)
        if shape == 0:
            box = (centre, (2 * half[0], 1.7 * half[1]), angle)
            cv2.fillPoly(lens, [cv2.boxPoints(box).astype(np.int32)], 255, cv2.LINE_AA)
        else:
            size = half if shape < 3 else (half[0] * 0.9, half[0] * 0.8)
            box = (centre, (2 * size[0], 2 * size[1]), angle)
            cv2.ellipse(lens, box, 255, -1, cv2.LINE_AA)
    colour = np.empty_like(image, dtype=np.float64)
    colour[:] = tone
    if random.random() < 0.4:  # lighter below, as graduated lenses are
        rows = np.arange(image.shape[0])[:, None, None]
        middle = float(marks[:2, 1].mean())
        colour += np.clip((rows - middle) / half[1], 0, 1) * 50
    if random.random() < 0.35:  # the sky, a window
        for eye in marks[:2]:
            shine = np.zeros(image.shape[:2], np.uint8)
            at = (float(eye[0]) - 0.3 * half[0], float(eye[1]) - 0.3 * half[1])
            box = (at, (0.9 * half[0], 0.4 * half[1]), angle - 25)
            cv2.ellipse(shine, box, 255, -1, cv2.LINE_AA)
            colour += shine[:, :, None] / 255 * float(random.uniform(40, 130))
    share = opacity * lens[:, :, None] / 255
    worn = np.clip(image * (1 - share) + colour * share, 0, 255).astype(np.uint8)
    left, right = (tuple(int(v) for v in eye) for eye in marks[:2])
    rim = tuple(int(v) for v in tone)
    cv2.line(worn, left, right, rim, max(2, round(0.06 * across)), cv2.LINE_AA)
    return worn


def draw_mask(image: Image, marks: Landmarks, random: Random) -> Image:
    """A mask over mouth and nose: white, blue, black or patterned, with folds."""
    across = _eye_distance(marks)
    nose, mouth = marks[2], marks[3:].mean(axis=0)
    side = (marks[1] - marks[0]) / across
    down = np.array([-side[1], side[0]])
    wide = across * float(random.uniform(0.85, 1.05))
    bridge = nose - down * across * float(random.uniform(0.05, 0.3))
    chin = mouth + down * across * float(random.uniform(0.6, 0.8))
    outline = np.array(
        [
            nose - side * wide + down * 0.0 * across,
            bridge,
            nose + side * wide,
            mouth + side * wide * 0.85 + down * 0.25 * across,
            chin + side * 0.3 * across,
            chin - side * 0.3 * across,
            mouth - side * wide * 0.85 + down * 0.25 * across,
        ]
    )
    cover = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(cover, [outline.round().astype(np.int32)], 255, cv2.LINE_AA)
    tones = ((235, 235, 235), (235, 215, 190), (200, 150, 90), (30, 30, 30), (90, 60, 160))
    colour = np.empty_like(image, dtype=np.float64)
    colour[:] = tones[int(random.integers(len(tones)))]
    rows = (np.indices(image.shape[:2]).transpose(1, 2, 0)[:, :, ::-1] - nose) @ down
    if random.random() < 0.6:
        colour *= (1 - 0.12 * (np.sin(rows / across * 22) > 0.6))[:, :, None]
    if random.random() < 0.25:
        noise = random.normal(0, 45, (28, 28, 3))
        colour += cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    columns = (np.indices(image.shape[:2]).transpose(1, 2, 0)[:, :, ::-1] - nose) @ side
    colour *= (1.05 - 0.25 * np.abs(columns) / across).clip(0.5, 1.1)[:, :, None]
    share = cover[:, :, None] / 255
    return np.asarray(np.clip(image * (1 - share) + colour * share, 0, 255), np.uint8)


def _turned(image: Image, marks: Landmarks, random: Random) -> Image:
    """In perspective, as a head turned by 15 to 30 degrees, and tilted by up to 10."""
    yaw = np.radians(random.uniform(15, 30)) * random.choice([-1, 1])
    roll = np.radians(random.uniform(-10, 10))
    centre = marks.mean(axis=0)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * SIDE / 2
    depth = 2.2 * SIDE
    turned = []
    for across, down in corners:
        nearer = depth / (depth + across * np.sin(yaw))
        x, y = across * np.cos(yaw) * nearer, down * nearer
        turned.append(
            [
                x * np.cos(roll) - y * np.sin(roll) + centre[0],
                x * np.sin(roll) + y * np.cos(roll) + centre[1],
            ]
        )
    move = cv2.getPerspectiveTransform(
        (corners + centre).astype(np.float32), np.array(turned, np.float32)
    )
    size = (SIDE, SIDE)
    return np.asarray(
        cv2.warpPerspective(
            image, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )


def _eye_distance(marks: Landmarks) -> float:
    return float(np.linalg.norm(marks[1] - marks[0]))


def _angle(marks: Landmarks) -> float:
    across = marks[1] - marks[0]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def random_of(name: str) -> Random:
    """A generator that depends on a name only."""
    return np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:16], 16))


def landmarks_of(image: np.ndarray, marker: FaceModel) -> Landmarks:
    """Those of the face in the middle: LFW puts the labelled face there."""
    middle = np.array(image.shape[1::-1]) / 2
    near = [
        face
        for face in marker.detect(np.asarray(image, np.uint8))
        if np.abs(face.landmarks.mean(axis=0) - middle).max() < NEAR * image.shape[0]
    ]
    if not near:
        return np.array([[163, 184], [237, 184], [200, 226], [169, 270], [231, 270]], np.float32)
    return max(near, key=lambda face: face.box.height).landmarks


def read_photo(path: Path, *, enlarged: bool = True) -> Image:
    """A photograph at SIDE x SIDE px, or as it is. Raises `SystemExit` if it is no image."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{path} is not an image.")
    if enlarged:
        image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(image, np.uint8)


def moving(image: Image, random: Random) -> Iterator[Image]:
    """The frames of a clip: the camera sways by 3 degrees and 3 % of the size."""
    height, width = image.shape[:2]
    phase = float(random.uniform(0, 6))
    for k in range(FRAMES):
        sway = np.sin(phase + k / 4)
        move = cv2.getRotationMatrix2D((width / 2, height / 2), 3 * sway, 1 + 0.005 * k)
        yield np.asarray(
            cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
        )


def write_clip(path: Path, image: Image, *, crf: int, random: Random) -> None:
    """Encode a moving picture as H.264 in MP4."""
    options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = (side - side % 2 for side in image.shape[:2])
        stream.pix_fmt = "yuv420p"
        for number, view in enumerate(moving(image, random)):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(view[: stream.height, : stream.width]), format="bgr24"
            )
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
