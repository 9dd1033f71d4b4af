"""Cuts are found, and movement, zoom and light within a shot are not taken for cuts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ingest.frames import Sampling, VideoReader
from ingest.shots import ShotDetector, distance
from registry.domain import Image


def _cut(*images: Image) -> list[bool]:
    shots = ShotDetector()
    return [shots.update(image) for image in images]


def _window(image: Image, x: float, y: float, share: float) -> Image:
    """A part of the image, `share` of each side long; `x` and `y` (0 to 1) say how far in."""
    height, width = (round(side * share) for side in image.shape[:2])
    left = round((image.shape[1] - width) * x)
    top = round((image.shape[0] - height) * y)
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _lit(image: Image, gain: float) -> Image:
    return np.asarray(np.clip(np.rint(image * np.float32(gain)), 0, 255), np.uint8)


def test_the_first_frame_is_no_cut(astronaut: Image) -> None:
    assert _cut(astronaut) == [False]


def test_another_picture_is_a_cut_and_the_next_of_it_is_none(
    astronaut: Image, t1_image: Image
) -> None:
    assert _cut(astronaut, t1_image, t1_image, astronaut) == [False, True, False, True]


@pytest.mark.parametrize("gain", [0.5, 0.65, 0.8, 1.25])
def test_a_change_of_light_is_no_cut(t1_image: Image, gain: float) -> None:
    assert _cut(t1_image, _lit(t1_image, gain)) == [False, False]


def test_a_bright_thing_that_enters_a_dark_picture_is_no_cut(t1_image: Image) -> None:
    dark = _lit(t1_image, 0.3)
    lamp = dark.copy()
    lamp[:, : dark.shape[1] // 6] = 250
    assert _cut(dark, lamp, dark) == [False, False, False]


def test_a_pan_is_no_cut(t1_image: Image) -> None:
    """By 15 % of what is seen, a frame."""
    frames = [_window(t1_image, x, 0.5, 0.6) for x in np.arange(0, 1, 0.15 * 0.6 / 0.4)]
    assert not any(_cut(*frames))


def test_a_zoom_is_no_cut(t1_image: Image) -> None:
    assert not any(_cut(*(_window(t1_image, 0.5, 0.5, s) for s in (1, 0.85, 0.72, 0.61, 0.52))))


def test_the_size_of_the_frame_does_not_matter(astronaut: Image) -> None:
    small = cv2.resize(astronaut, (90, 90), interpolation=cv2.INTER_AREA).astype(np.uint8)
    large = cv2.resize(astronaut, (2000, 2000)).astype(np.uint8)
    assert _cut(astronaut, small, large, astronaut[:1, :1]) == [False, False, False, True]


def test_a_fade_through_black_is_one_cut_or_two_and_darkness_none(astronaut: Image) -> None:
    black = np.zeros_like(astronaut)
    assert _cut(astronaut, black, black, black, astronaut) == [False, True, False, False, True]


pictures = arrays(np.uint8, (3, 4, 3)).map(
    lambda small: np.asarray(cv2.resize(small, (64, 36), interpolation=cv2.INTER_LINEAR), np.uint8)
)


@settings(deadline=None)
@given(pictures, pictures)
def test_distance_is_symmetric_and_between_0_and_1(a: Image, b: Image) -> None:
    assert 0 <= distance(a, b) <= 1
    assert distance(a, b) == pytest.approx(distance(b, a), abs=1e-6)
    assert distance(a, a) == pytest.approx(0, abs=1e-3)


@settings(deadline=None)
@given(pictures, st.integers(0, 63))
def test_distance_does_not_depend_on_where_things_are(a: Image, shift: int) -> None:
    assert distance(a, np.roll(a, shift, axis=1)) == pytest.approx(0, abs=1e-3)


def test_the_cuts_of_a_real_clip_are_found_and_no_others(clip: Callable[[str], Path]) -> None:
    """A dark stage: a hand that waves, a camera that moves in the audience; three cuts."""
    shots = ShotDetector()
    with VideoReader(clip("short_hamilton_clip.mp4"), sampling=Sampling(every=10)) as reader:
        cuts = [frame.index for frame in reader if shots.update(frame.image)]
    assert cuts == [20, 90, 220]


def test_clips_without_a_cut_have_none(clip: Callable[[str], Path]) -> None:
    for name in ("asl_gestures/learn.mkv", "asl_gestures/want.mkv", "asl_gestures/walk.mkv"):
        shots = ShotDetector()
        with VideoReader(clip(name), sampling=Sampling(every=10)) as reader:
            assert not any([shots.update(frame.image) for frame in reader]), name


def test_one_clip_after_another_of_another_place_is_a_cut(clip: Callable[[str], Path]) -> None:
    names = (
        "asl_gestures/learn.mkv",
        "head-pose-face-detection-male.gif",
        "short_hamilton_clip.mp4",
        "face-demographics-walking-and-pause.gif",
        "asl_gestures/again.mkv",
    )
    shots = ShotDetector()
    for number, name in enumerate(names):
        with VideoReader(clip(name), sampling=Sampling(every=10)) as reader:
            first, *_ = [shots.update(frame.image) for frame in reader]
        assert first == (number > 0), name
