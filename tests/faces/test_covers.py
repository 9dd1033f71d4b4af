"""What covers or spoils a face is told from its aligned picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from registry.domain import Detection, Image
from registry.faces import quality
from registry.faces.covers import measure_covers
from registry.faces.quality import assess, cover_bits, founds, is_comparable, is_spoilt
from registry.models.base import FaceModel


def _codes(chip: Image) -> tuple[str, ...]:
    return measure_covers(chip, np.asarray(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), np.uint8))


@pytest.fixture(scope="module")
def face(sface: FaceModel, astronaut: Image) -> tuple[Detection, Image]:
    """A detection and its chip."""
    detection = max(sface.detect(astronaut), key=lambda one: one.box.height)
    return detection, sface.align(astronaut, [detection])[0]


def _sunglasses(chip: Image) -> Image:
    worn = chip.copy()
    for x in (38, 74):
        cv2.ellipse(worn, (x, 53), (15, 10), 0, 0, 360, (30, 25, 20), -1, cv2.LINE_AA)
    cv2.line(worn, (38, 52), (74, 52), (30, 25, 20), 3, cv2.LINE_AA)
    return worn


def _mask(chip: Image) -> Image:
    worn = chip.copy()
    outline = [[20, 72], [56, 64], [92, 72], [88, 104], [56, 111], [24, 104]]
    cv2.fillPoly(worn, [np.array(outline)], (235, 215, 190), cv2.LINE_AA)
    return worn


def _pixelated(chip: Image) -> Image:
    small = cv2.resize(chip, (14, 14), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (112, 112), interpolation=cv2.INTER_NEAREST), np.uint8)


def test_a_bare_face_has_none(face: tuple[Detection, Image]) -> None:
    assert _codes(face[1]) == ()


def test_each_cover_is_named(face: tuple[Detection, Image]) -> None:
    chip = face[1]
    assert _codes(_sunglasses(chip)) == ("covered_eyes",)
    assert _codes(_mask(chip)) == ("covered_mouth",)
    assert _codes(_mask(_sunglasses(chip))) == ("covered_eyes", "covered_mouth")
    assert _codes(_pixelated(chip)) == ("pixelated",)


def test_a_covered_face_founds_nobody_and_is_comparable(
    face: tuple[Detection, Image], astronaut: Image
) -> None:
    detection, chip = face
    worn = assess(astronaut, detection, _sunglasses(chip), model="sface")
    assert not founds(worn)
    assert is_comparable(worn)
    assert not is_spoilt(worn)
    assert cover_bits(worn) == 1
    assert not quality.tells_apart(worn, worn)
    assert quality.tells_apart(worn, assess(astronaut, detection, chip, model="sface"))
    assert quality.tells_apart(worn, assess(astronaut, detection, _mask(chip), model="sface"))


def test_a_pixelated_face_tells_nothing(face: tuple[Detection, Image], astronaut: Image) -> None:
    detection, chip = face
    spoilt = assess(astronaut, detection, _pixelated(chip), model="sface")
    assert is_spoilt(spoilt)
    assert not is_comparable(spoilt)
    assert not quality.tells_apart(spoilt, assess(astronaut, detection, chip, model="sface"))


def test_a_short_embedding_is_of_no_face(face: tuple[Detection, Image], astronaut: Image) -> None:
    good = assess(astronaut, *face, model="sface")
    assert quality.with_length(good, 9.0, 7.0) is good
    assert quality.with_length(good, 6.9, 7.0).reasons == ("unclear",)
    assert is_spoilt(quality.with_length(good, 6.9, 7.0))


def test_a_blur_has_a_shorter_embedding(sface: FaceModel, face: tuple[Detection, Image]) -> None:
    blurred = np.asarray(cv2.GaussianBlur(face[1], (0, 0), 12), np.uint8)
    vectors, lengths = sface.embed_with_lengths(np.stack([face[1], blurred]))
    assert lengths[1] < 7.0 < lengths[0]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)
