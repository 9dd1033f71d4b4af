"""Faces as arrays are the faces that went in."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from registry.domain import Face, Quality
from registry.faces.face_table import PART, FaceTable, embedding_parts, embeddings_of
from tests.support.factories import face, person

_QUALITIES = (Quality(0.9), Quality(0.4, ("blurred",)), Quality(0.3, ("dark", "small")))


def _faces(count: int) -> list[Face]:
    return [
        replace(
            face("video", 10 * number, person(number % 7, lean=number / 9000), position=number % 3),
            time_s=number / 3,
            det_score=1 / (number + 1),
            quality=_QUALITIES[number % 3],
            track=number // 4,
            still=number % 5 == 0,
            identity_id=("", "somebody", "ångström")[number % 3],
        )
        for number in range(count)
    ]


def _plain(faces: Sequence[Face]) -> list[tuple[object, ...]]:
    return [
        (replace(f, embedding=0, landmarks=0), f.embedding.tobytes(), f.landmarks.tolist())  # type: ignore[arg-type]
        for f in faces
    ]


@pytest.mark.parametrize("count", [0, 1, PART - 1, PART, PART + 1, 2 * PART + 5])
def test_the_faces_come_out_as_they_went_in(count: int) -> None:
    faces = _faces(count)
    table = FaceTable.of(iter(faces))
    assert len(table) == count
    assert _plain(list(table)) == _plain(faces)
    assert bool(table) == bool(faces)
    if faces:
        assert all(type(value) is float for value in (table[0].time_s, table[0].box.x1))
        assert np.array_equal(embeddings_of(table), embeddings_of(faces))
        assert table.tracks.tolist() == [one.track for one in faces]
    parts = zip(embedding_parts(table), embedding_parts(tuple(faces)), strict=True)
    assert all(np.array_equal(one, other) for one, other in parts)


def test_places_and_slices_are_those_of_a_list() -> None:
    faces = _faces(2 * PART + 5)
    table, plain = FaceTable.of(faces), _plain(faces)
    for place in (0, 1, PART - 1, PART, 2 * PART + 4, -1, -PART):
        assert _plain([table[place]]) == [plain[place]]
    for part in (
        slice(0, 10), slice(PART - 2, PART + 2), slice(5, 5), slice(PART, None), slice(-7, None),
        slice(None, None, 100), slice(None, None, -PART),
    ):  # fmt: skip
        assert _plain(table[part]) == plain[part]
    with pytest.raises(IndexError):
        table[len(faces)]


def test_identities_and_marks_are_given_without_changing_the_table() -> None:
    faces = _faces(PART + 2)
    table = FaceTable.of(faces)
    names = [f"identity {number % 4}" for number in range(len(faces))]
    stills = [number % 2 == 0 for number in range(len(faces))]
    changed = table.with_identities(names).with_stills(stills)
    expected = [
        replace(one, identity_id=name, still=still)
        for one, name, still in zip(faces, names, stills, strict=True)
    ]
    assert _plain(changed) == _plain(expected)
    assert _plain(table) == _plain(faces)


def test_a_table_can_be_saved_and_sent() -> None:
    table = FaceTable.of(_faces(PART + 2))
    file = io.BytesIO()
    table.save(file)
    file.seek(0)
    assert _plain(FaceTable.load(file, len(table))) == _plain(table)
    assert _plain(pickle.loads(pickle.dumps(table))) == _plain(table)
    torn = io.BytesIO(file.getvalue()[:-100])
    with pytest.raises(ValueError, match=r"reshape|read|data"):
        FaceTable.load(torn, len(table))
