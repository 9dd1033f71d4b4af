"""The sample videos of the demo: photographs, camera movements, people and performance.

All numbers are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PhotoName = Literal["table", "astronaut", "rocket"]

FPS = 30

PORTRAIT = (360, 640)
"""Width and height in px, as of a telephone held upright."""
LANDSCAPE = (640, 360)
SQUARE = (480, 480)


@dataclass(frozen=True, slots=True)
class CameraView:
    """The part of a photograph that the camera shows: its centre and height in px."""

    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Shot:
    """One camera movement over a photograph, without a cut."""

    photo: PhotoName
    people: tuple[str, ...]
    """The people in it, from left to right."""
    start: CameraView
    end: CameraView
    seconds: float
    roll: float = 0.0
    """Degrees by which the photograph is rotated counter-clockwise. It makes a tilted head upright,
    whose landmarks detectors place more consistently."""


@dataclass(frozen=True, slots=True)
class DemoVideo:
    """One video of the demo, and its row in the table."""

    file: str
    size: tuple[int, int]
    """Width and height in px, even numbers."""
    shots: tuple[Shot, ...]
    performance: float
    """Engagement rate, per cent."""
    views: int
    crf: int
    """x264's constant rate factor: 18 looks like the original, 28 like a re-encoded video."""

    @property
    def people(self) -> tuple[str, ...]:
        """The people in it, each once, in order of appearance."""
        return tuple(dict.fromkeys(name for shot in self.shots for name in shot.people))


def _player(
    number: int,
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    seconds: float,
    roll: float = 0.0,
) -> Shot:
    return Shot("table", (f"player {number}",), CameraView(*start), CameraView(*end), seconds, roll)


def _astronaut(
    start: tuple[float, float, float], end: tuple[float, float, float], seconds: float
) -> Shot:
    return Shot("astronaut", ("astronaut",), CameraView(*start), CameraView(*end), seconds)


VIDEOS: tuple[DemoVideo, ...] = (
    DemoVideo(
        "morning-routine.mp4",
        PORTRAIT,
        (_player(1, (142, 380, 510), (138, 372, 478), 5, roll=-12),),
        performance=7.4,
        views=184_000,
        crf=23,
    ),
    DemoVideo(
        "card-tricks.mp4",
        PORTRAIT,
        (
            _player(2, (330, 270, 500), (326, 258, 465), 3, roll=-12),
            _player(3, (505, 345, 300), (520, 350, 350), 3),
        ),
        performance=5.1,
        views=61_500,
        crf=25,
    ),
    DemoVideo(
        "poker-night.mp4",
        LANDSCAPE,
        (
            Shot(
                "table",
                ("player 2", "player 3"),
                CameraView(442, 262, 335),
                CameraView(430, 266, 318),
                5,
                roll=-7,
            ),
        ),
        performance=8.8,
        views=402_000,
        crf=20,
    ),
    DemoVideo(
        "get-ready-with-me.mp4",
        PORTRAIT,
        (
            _player(1, (136, 374, 480), (140, 378, 500), 2.5, roll=-12),
            _player(5, (1172, 345, 340), (1174, 340, 290), 3),
        ),
        performance=6.2,
        views=97_300,
        crf=24,
    ),
    DemoVideo(
        "ask-an-astronaut.mp4",
        LANDSCAPE,
        (_astronaut((256, 150, 280), (236, 140, 250), 5),),
        performance=9.1,
        views=655_000,
        crf=22,
    ),
    DemoVideo(
        "after-the-landing.mp4",
        PORTRAIT,
        (
            _astronaut((232, 200, 390), (226, 170, 320), 3),
            _player(3, (520, 350, 345), (512, 342, 300), 2.5),
        ),
        performance=6.9,
        views=120_800,
        crf=25,
    ),
    DemoVideo(
        "launch-day.mp4",
        LANDSCAPE,
        (Shot("rocket", (), CameraView(320, 240, 340), CameraView(330, 205, 250), 4),),
        performance=3.0,
        views=38_900,
        crf=24,
    ),
    DemoVideo(
        "table-talk.mp4",
        SQUARE,
        (
            Shot(
                "table",
                ("player 4", "player 5"),
                CameraView(1066, 212, 420),
                CameraView(1070, 216, 408),
                5,
            ),
        ),
        performance=4.4,
        views=52_700,
        crf=23,
    ),
)

MISSING = ("taken-down.mp4", 5.0, 12_000)
"""A row of the table whose video does not exist: file name, performance, views."""

PROBES: dict[str, Shot] = {
    "player 3": _player(3, (525, 345, 260), (525, 345, 260), 0),
    "astronaut": _astronaut((228, 180, 350), (228, 180, 350), 0),
}
"""Photos to look up, each showing the person differently than any video."""
