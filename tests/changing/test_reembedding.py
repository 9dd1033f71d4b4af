"""Faces embedded anew from their crops: placed where they were, and near what the frame gives."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.extract import crop
from registry.blobs.folder import FolderStore
from registry.changing.reembedding import mosaic, reembed
from registry.domain import (
    Box,
    Chips,
    Detection,
    Face,
    Image,
    Lengths,
    Media,
    ModelInfo,
    Vectors,
    Video,
)
from registry.faces.boxes import MAX_SIDE, crop_area, overlap
from registry.models.base import FaceModel
from tests.support.factories import face, person, video


class Blind:
    """A model that finds no face by itself."""

    def __init__(self, model: FaceModel) -> None:
        self._model = model

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    @property
    def device(self) -> str:
        return self._model.device

    def detect(self, image: Image) -> list[Detection]:
        return []

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[] for _ in images]

    def align(self, image: Image, detections: Sequence[Detection]) -> Chips:
        return self._model.align(image, detections)

    def embed(self, chips: Chips) -> Vectors:
        return self._model.embed(chips)

    def embed_with_lengths(self, chips: Chips) -> tuple[Vectors, Lengths]:
        return self._model.embed_with_lengths(chips)


def _ruled(width: int, height: int) -> Image:
    """A frame that says at each pixel where it is: x in blue and green, y in red, as shares."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.dstack([x, x, y]).astype(np.uint8)


def _decoded(picture: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from([(640, 360), (97, 211), (1400, 1200)]), st.booleans())
def test_a_crop_goes_back_to_where_it_was_cut_out(
    data: st.DataObject, size: tuple[int, int], another_size: bool
) -> None:
    """Also at the frame's edges, shrunk, and where the record has another size of frame."""
    width, height = size
    x1, y1 = (data.draw(st.floats(0, 0.8 * n)) for n in size)
    side = data.draw(st.floats(8, 0.9 * max(size)))
    box = Box(x1, y1, min(width, x1 + side), min(height, y1 + side))
    frame = _ruled(width, height)
    picture = _decoded(crop(frame, box))
    media = Media(width=width, height=height)
    if another_size and max(picture.shape) < MAX_SIDE:
        media = Media(width=width // 2 + 7, height=height // 3)
    image = mosaic([replace(face("v", 0, person(0)), box=box)], [picture], media)
    place = crop_area(box, width, height)
    part = np.s_[place.top : place.bottom, place.left : place.right]
    assert np.abs(image[part].astype(int) - frame[part]).max() <= 8
    image[part] = 0
    assert not image.any()


def _video(faces: Sequence[Face], media: Media) -> Video:
    return replace(video("t1", []), faces=tuple(faces), media=media)


def _ids(faces: Sequence[Face]) -> set[str]:
    return {one.face_id for one in faces}


@pytest.fixture(scope="module")
def six(
    sface: FaceModel, t1_image: Image, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FolderStore, list[Face], Media]:
    """Six people as they would be on record, with their crops."""
    blobs = FolderStore(tmp_path_factory.mktemp("six"))
    found = sface.detect(t1_image)
    vectors = sface.embed(sface.align(t1_image, found))
    faces = []
    for position, (detection, vector) in enumerate(zip(found, vectors, strict=True)):
        picture = crop(t1_image, detection.box)
        one = face("t1", 0, vector, position=position)
        blobs.put(one.crop, picture)
        digest = hashlib.sha256(picture).hexdigest()
        faces.append(
            replace(one, box=detection.box, landmarks=detection.landmarks, crop_digest=digest)
        )
    return blobs, faces, Media(width=t1_image.shape[1], height=t1_image.shape[0])


def test_a_crop_gives_nearly_the_embedding_of_its_frame(
    six: tuple[FolderStore, list[Face], Media], sface: FaceModel
) -> None:
    blobs, faces, media = six
    # A head whose tilt is looked at in the one and not in the other differs most.
    for model, least in ((sface, 0.9), (Blind(sface), 0.97)):
        done = reembed(_video(faces, media), _ids(faces), model, blobs)
        assert len(done.by_landmarks) == (0 if model is sface else 6)
        for one in faces:
            assert float(done.embeddings[one.face_id] @ one.embedding) > least


def test_a_frame_that_was_half_done_gives_the_same_again(
    six: tuple[FolderStore, list[Face], Media], sface: FaceModel
) -> None:
    blobs, faces, media = six
    whole = reembed(_video(faces, media), _ids(faces), sface, blobs)
    rest = reembed(_video(faces, media), _ids(faces[4:]), sface, blobs)
    assert rest.embeddings.keys() == _ids(faces[4:])
    for face_id, embedding in rest.embeddings.items():
        np.testing.assert_allclose(embedding, whole.embeddings[face_id], atol=1e-4)


def test_a_face_is_not_taken_for_its_neighbour(
    six: tuple[FolderStore, list[Face], Media], sface: FaceModel, t1_image: Image
) -> None:
    """What was found beside somebody, a hand perhaps, is not given that person's face."""
    blobs, faces, media = six
    box = faces[0].box
    beside = replace(box, y1=box.y1 + box.height, y2=box.y2 + box.height)
    assert overlap(box, beside) == 0
    picture = crop(t1_image, beside)
    assert sface.detect(_decoded(picture)), "the crop shows the face, too"
    blobs.put("crops/hand/0_0.jpg", picture)
    digest = hashlib.sha256(picture).hexdigest()
    hand = replace(faces[0], box=beside, crop="crops/hand/0_0.jpg", crop_digest=digest)
    done = reembed(_video([hand], media), {hand.face_id}, sface, blobs)
    assert done.by_landmarks == {hand.face_id}


def test_a_face_without_a_whole_picture_is_told_of(
    six: tuple[FolderStore, list[Face], Media], sface: FaceModel
) -> None:
    blobs, faces, media = six
    gone = replace(faces[0], crop="crops/none/0_0.jpg")
    torn = replace(faces[1], crop_digest="0" * 64)
    blobs.put("crops/text/0_0.jpg", b"no picture")
    text = replace(
        faces[2], crop="crops/text/0_0.jpg", crop_digest=hashlib.sha256(b"no picture").hexdigest()
    )
    some = [gone, torn, text, faces[3]]
    done = reembed(_video(some, media), _ids(some), sface, blobs)
    assert set(done.unusable) == {one.face_id for one in (gone, torn, text)}
    assert set(done.embeddings) == {faces[3].face_id}


def test_windows_of_faces_begin_and_end_within_the_frame() -> None:
    shown_all = crop_area(Box(-5.0, -5.0, 700.0, 500.0), 640, 360)
    assert (shown_all.left, shown_all.top, shown_all.right, shown_all.bottom) == (0, 0, 640, 360)
    assert crop_area(Box(1000.0, 1000.0, 2900.0, 2300.0), 3000, 2400).size[0] == MAX_SIDE
