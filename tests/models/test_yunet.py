"""YuNet's two looks at a frame: what is found, how large, and where."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from registry.domain import Box, Detection, Image
from registry.faces.boxes import overlap
from registry.models.base import FaceModel
from registry.models.upright import HOPELESS, make_upright
from registry.models.yunet import LARGE_FACE
from tests.models.conftest import largest


def canvas(width: int, height: int, photo: Image, face: Box, *, size: int, at: float) -> Image:
    """A grey frame with the photo in it, shrunk or enlarged until its face is `size` px high."""
    scale = size / face.height
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    patch = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=way)[:height, :width]
    top, left = (
        int(at * (room - used)) for room, used in zip((height, width), patch.shape, strict=False)
    )
    frame = np.full((height, width, 3), 110, np.uint8)
    frame[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    return frame


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (640, 480, 28),
        (640, 480, 120),
        (1920, 1080, 80),
        (1080, 1920, 80),
        (3840, 2160, 160),
        (3840, 2160, 1000),
        (320, 180, 40),
    ],
)
def test_faces_are_found_in_frames_of_any_size(
    sface: FaceModel, astronaut: Image, width: int, height: int, size: int
) -> None:
    face = largest(sface.detect(astronaut))
    frame = canvas(width, height, astronaut, face.box, size=size, at=0.5)
    (found,) = sface.detect(frame)
    scale = size / face.box.height
    used = min(height, int(512 * scale)), min(width, int(512 * scale))
    top, left = int(0.5 * (height - used[0])), int(0.5 * (width - used[1]))
    box = face.box
    expected = Box(
        box.x1 * scale + left, box.y1 * scale + top, box.x2 * scale + left, box.y2 * scale + top
    )
    assert overlap(found.box, expected) > 0.6
    error = np.linalg.norm(found.landmarks - (face.landmarks * scale + (left, top)), axis=1)
    assert error.mean() < 0.1 * size


def test_a_large_face_is_one_face_though_seen_twice(sface: FaceModel, astronaut: Image) -> None:
    box = largest(sface.detect(astronaut)).box
    head = astronaut[: round(box.y2 + 60), round(box.x1) - 40 : round(box.x2) + 40]
    (found,) = sface.detect(np.ascontiguousarray(head))
    assert found.box.height > LARGE_FACE * min(head.shape[:2])


def test_a_face_that_overflows_the_frame_needs_the_second_look(
    sface: FaceModel, astronaut: Image
) -> None:
    """At 640 px alone this one is missed."""
    box = largest(sface.detect(astronaut)).box
    x, y = 0.2 * box.width, 0.2 * box.height
    inner = astronaut[round(box.y1 + y) : round(box.y2 - y), round(box.x1 + x) : round(box.x2 - x)]
    scale = 1080 / inner.shape[0]
    filled = cv2.resize(inner, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    (found,) = sface.detect(filled.astype(np.uint8))
    assert found.box.height > 0.9 * 1080


@pytest.mark.parametrize("degrees", [-50, -35, 20, 45])
def test_a_tilted_head_is_known_again(sface: FaceModel, astronaut: Image, degrees: int) -> None:
    """The landmarks follow the tilt, so that alignment undoes it."""
    upright = largest(sface.detect(astronaut))
    height, width = astronaut.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 0.7)
    turned = np.asarray(cv2.warpAffine(astronaut, turn, (width, height)), np.uint8)
    found = largest(sface.detect(turned))
    across = found.landmarks[1] - found.landmarks[0]
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(degrees, abs=12)
    [one] = sface.embed(sface.align(astronaut, [upright]))
    [other] = sface.embed(sface.align(turned, [found]))
    assert one @ other > 0.8
    assert found.score == pytest.approx(upright.score, abs=0.03)


def test_a_face_below_the_least_score_is_not_detected_again(
    sface: FaceModel, astronaut: Image
) -> None:
    face = replace(largest(sface.detect(astronaut)), score=HOPELESS - 0.01)
    asked = []

    def detect(squares: list[Image]) -> list[list[Detection]]:
        asked.extend(squares)
        return [sface.detect(square) for square in squares]

    assert make_upright([(astronaut, face)], detect, least_score=HOPELESS) == [face]
    assert not asked
    [again] = make_upright([(astronaut, face)], detect)
    assert asked
    assert again.score > 0.9


def test_no_square_is_looked_at_twice(sface: FaceModel, astronaut: Image) -> None:
    """Where a further look was worse, the square of the last tilt has been seen already."""
    turn = cv2.getRotationMatrix2D((256, 256), 25, 0.7)
    turned = np.asarray(cv2.warpAffine(astronaut, turn, (512, 512)), np.uint8)
    face = replace(largest(sface.detect(turned)), score=0.5)
    seen: list[bytes] = []

    def detect(squares: list[Image]) -> list[list[Detection]]:
        seen.extend(square.tobytes() for square in squares)
        worse = 0.1 * (len(seen) > 3)  # each look after the first three tilts
        found = [sface.detect(square) for square in squares]
        return [[replace(each, score=each.score - worse) for each in some] for some in found]

    [again] = make_upright([(turned, face)], detect)
    assert again.score > face.score
    assert len(seen) == 3 + 1 + 2
    assert len(set(seen)) == len(seen)
