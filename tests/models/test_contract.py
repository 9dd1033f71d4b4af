"""What every face model does, asked of each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registry.domain import Detection, Image, Vectors
from registry.errors import ImageError, ModelError
from registry.models.base import DETECTION_THRESHOLD, FaceModel
from tests.models.conftest import largest

PEOPLE = ("Hugo_Chavez", "Jennifer_Aniston", "Tony_Blair", "Yao_Ming")

NO_FACES = {
    "no pixels": (0, 0),
    "no rows": (0, 640),
    "one pixel": (1, 1),
    "smaller than a face": (9, 9),
    "one column": (1000, 1),
    "thin": (20_000, 12),
    "a little less thin": (640, 11),
    "ordinary": (480, 640),
    "large": (4000, 6000),
}
NOT_IMAGES = {
    "grey": np.zeros((64, 64), np.uint8),
    "grey with an axis": np.zeros((64, 64, 1), np.uint8),
    "with alpha": np.zeros((64, 64, 4), np.uint8),
    "floats": np.zeros((64, 64, 3), np.float32),
    "not a number": np.full((64, 64, 3), np.nan),
    "a batch": np.zeros((1, 64, 64, 3), np.uint8),
}


def embed_all(model: FaceModel, image: Image) -> tuple[list[Detection], Vectors]:
    found = model.detect(image)
    return found, model.embed(model.align(image, found))


Six = tuple[list[Detection], Vectors]
_SIX: dict[str, Six] = {}


@pytest.fixture
def six(model: FaceModel, t1_image: Image) -> Six:
    """The faces of the photo of six people, and their embeddings; each model is asked once."""
    if model.info.digest not in _SIX:
        _SIX[model.info.digest] = embed_all(model, t1_image)
    return _SIX[model.info.digest]


def resized(image: Image, width: int, height: int) -> Image:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def around(image: Image, found: Detection, margin: float) -> Image:
    """The face alone, with so much of its width and height left around it."""
    box = found.box
    x, y = margin * box.width, margin * box.height
    top, left = max(0, round(box.y1 - y)), max(0, round(box.x1 - x))
    return np.ascontiguousarray(image[top : round(box.y2 + y), left : round(box.x2 + x)])


def test_six_people_are_found_from_left_to_right(six: Six) -> None:
    found, _ = six
    assert len(found) == 6
    lefts = [detection.box.x1 for detection in found]
    assert lefts == sorted(lefts)


def test_boxes_and_landmarks_are_pixels_of_the_image(six: Six, t1_image: Image) -> None:
    height, width = t1_image.shape[:2]
    for detection in six[0]:
        box, points = detection.box, detection.landmarks
        assert 0 <= box.x1 < box.x2 <= width
        assert 0 <= box.y1 < box.y2 <= height
        assert DETECTION_THRESHOLD <= detection.score <= 1
        assert points.shape == (5, 2)
        assert points.dtype == np.float32
        assert np.all((points >= [box.x1, box.y1]) & (points <= [box.x2, box.y2]))


def test_landmarks_are_named_as_one_sees_them(six: Six) -> None:
    for detection in six[0]:
        left_eye, right_eye, nose, left_mouth, right_mouth = detection.landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_a_face_at_the_edge_is_clipped_to_the_image(
    model: FaceModel, six: Six, t1_image: Image
) -> None:
    first = six[0][0].box
    cut = round(first.x1 + 0.25 * first.width)
    image = np.ascontiguousarray(t1_image[:, cut:])
    found = model.detect(image)[0].box
    assert found.x1 == 0
    assert abs(found.x2 - (first.x2 - cut)) < 0.2 * first.width


def test_embeddings_are_unit_vectors(model: FaceModel, six: Six) -> None:
    _, vectors = six
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, model.info.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_chips_are_upright_faces_of_one_size(model: FaceModel, six: Six, t1_image: Image) -> None:
    found, _ = six
    chips = model.align(t1_image, found)
    assert chips.dtype == np.uint8
    assert chips.shape == (6, 112, 112, 3)
    turned = np.ascontiguousarray(np.rot90(t1_image))
    again = model.embed(model.align(turned, [_rotated(one, t1_image) for one in found]))
    assert np.all(np.sum(again * model.embed(chips), axis=1) > 0.95)


def _rotated(detection: Detection, image: Image) -> Detection:
    """Where a detection lies after np.rot90: a quarter turn against the clock."""
    x, y = detection.landmarks.T
    landmarks = np.stack([y, image.shape[1] - 1 - x], axis=1)
    return Detection(detection.box, landmarks, detection.score)


def test_nothing_in_nothing_out(model: FaceModel, t1_image: Image) -> None:
    chips = model.align(t1_image, [])
    assert chips.shape == (0, 112, 112, 3)
    assert model.embed(chips).shape == (0, model.info.dimension)


def test_a_batch_equals_one_by_one(model: FaceModel, t1_image: Image, astronaut: Image) -> None:
    chips = np.concatenate(
        [model.align(image, model.detect(image)) for image in (t1_image, astronaut)] * 2
    )
    together = model.embed(chips)
    alone = np.concatenate([model.embed(chip[None]) for chip in chips])
    assert len(chips) == 14
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_one_photo_changed_is_one_face(model: FaceModel, six: Six, t1_image: Image) -> None:
    _, vectors = six
    brighter = cv2.convertScaleAbs(t1_image, alpha=1.15, beta=15).astype(np.uint8)
    for changed in (brighter, resized(t1_image, 960, 664)):
        _, again = embed_all(model, changed)
        assert np.all(np.sum(vectors * again, axis=1) > 0.85)


def test_different_people_are_far_apart(model: FaceModel, six: Six) -> None:
    _, vectors = six
    similar = vectors @ vectors.T
    pairs = [similar[a, b] for a, b in itertools.combinations(range(6), 2)]
    assert max(pairs) < model.info.verification_threshold
    assert np.mean(pairs) < 0.2


def test_known_people_verify(model: FaceModel, read_photo: Callable[..., Image]) -> None:
    """Fails for a network fed with the wrong scaling: everyone is alike then."""
    threshold = model.info.verification_threshold
    pairs: list[tuple[Vectors, Vectors]] = []
    for person in PEOPLE:
        images = [read_photo(person, number) for number in (1, 2)]
        chips = [model.align(image, [largest(model.detect(image))]) for image in images]
        one, other = model.embed(np.concatenate(chips))
        pairs.append((one, other))
    assert all(one @ other >= threshold for one, other in pairs)
    strangers = [a[0] @ b[1] for a, b in itertools.permutations(pairs, 2)]
    assert max(strangers) < threshold
    assert np.mean(strangers) < 0.2


@pytest.mark.parametrize("margin", [0.5, 0.2, 0.0, -0.1])
def test_a_face_that_fills_the_frame_is_found(
    model: FaceModel, astronaut: Image, margin: float
) -> None:
    whole = largest(model.detect(astronaut))
    filled = around(astronaut, whole, margin)
    scale = 1080 / filled.shape[0]
    filled = cv2.resize(filled, None, fx=scale, fy=scale).astype(np.uint8)
    found = model.detect(filled)
    assert len(found) == 1
    assert found[0].box.height > 0.5 * 1080
    seen = model.embed(model.align(filled, found)) @ model.embed(model.align(astronaut, [whole])).T
    assert seen.item() > (0.85 if margin > 0 else 0.6)


@pytest.mark.parametrize("shape", NO_FACES.values(), ids=NO_FACES)
@pytest.mark.parametrize("value", [0, 127])
def test_an_image_without_faces_gives_none(
    model: FaceModel, shape: tuple[int, int], value: int
) -> None:
    assert model.detect(np.full((*shape, 3), value, np.uint8)) == []


def test_noise_gives_no_faces(model: FaceModel) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    assert model.detect(noise) == []


@pytest.mark.parametrize("array", NOT_IMAGES.values(), ids=NOT_IMAGES)
def test_what_is_no_image_is_refused(model: FaceModel, array: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match=r"BGR uint8 \(H, W, 3\), not "):
        model.detect(array)


@pytest.mark.parametrize(
    "chips",
    [np.zeros((2, 96, 96, 3), np.uint8), np.zeros((2, 112, 112, 3), np.float32)],
    ids=["another size", "floats"],
)
def test_what_is_no_chip_is_refused(model: FaceModel, chips: NDArray[np.uint8]) -> None:
    with pytest.raises(ModelError, match="align the faces first"):
        model.embed(chips)


def test_any_memory_layout_will_do(model: FaceModel, t1_image: Image) -> None:
    mirrored = t1_image[:, ::-1]
    expected = model.detect(np.ascontiguousarray(mirrored))
    found = model.detect(mirrored)
    assert [one.box for one in found] == [one.box for one in expected]
    np.testing.assert_array_equal(
        model.align(mirrored, found), model.align(np.ascontiguousarray(mirrored), expected)
    )


def test_info_names_the_model(model: FaceModel) -> None:
    info = model.info
    assert len(info.digest) == 64
    assert int(info.digest, 16)
    assert info.verification_threshold == 0.40
    assert model.device == "cpu"
