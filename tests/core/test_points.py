"""What the index returns of a record, and what it says of a damaged payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import ids
from registry.core.decisions import View
from registry.core.index import VIDEOS_SPEC, Index
from registry.core.points import (
    face_in,
    face_points,
    identity_in,
    identity_point,
    indexed_faces,
    video_in,
    video_point,
)
from registry.core.selectors import remembered_videos
from registry.domain import (
    Box,
    Content,
    Face,
    Identity,
    Quality,
    Source,
    Status,
    Video,
    Weighted,
)
from registry.errors import StoreCorrupt
from registry.store.base import Filter, Payload
from registry.urls import Url
from tests.support.factories import contract, person, video
from tests.support.registries import new_registry, put

IDENTITY = Identity("i", "Ann", 1, 2, 3.5, "crops/c.jpg", "f", provisional=True)


def _video() -> Video:
    """A video all of whose values differ from each other, so that none can stand for another."""
    made = video("a", [person(0), person(1)], metrics={"Performance": 1 / 3, "Views": 7.0})

    def distinct(face: Face, number: int) -> Face:
        return replace(
            face,
            identity_id=f"identity {number}",
            time_s=0.1 + number,
            box=Box(1.5, 2.5 + number, 30.25, 41.125),
            det_score=0.91 + number / 100,
            quality=Quality(0.71 + number / 100, ("blurred", "dark")),
            track=5 + number,
        )

    faces = tuple(distinct(face, number) for number, face in enumerate(made.faces))
    return replace(
        made,
        faces=faces,
        status=Status.PARTIAL,
        reason="It ends early.",
        run="run-7",
        names=(OTHER_NAME,),
        content=Content("ab" * 32, 12345),
        source=Source(67, "2026-11-27T10:00:00.000000+00:00", "etag"),
        attributes={"Ad": "AD-006", "Campaign": ("One", "Two"), "Length": 31},
        weights={"Views": Weighted(70.5, 10.25)},
    )


OTHER_NAME = Url("https://example.com/other.mp4")
VIEW = View(parents={"identity 1": "Bea"})


def test_a_face_is_read_back_as_it_is_on_record() -> None:
    record = _video()
    read = [face_in(point.payload, point.vector) for point in face_points(record, VIEW, contract())]
    for indexed, face in zip(read, record.faces, strict=True):
        assert indexed.origin_id == face.identity_id
        assert indexed.identity_id == VIEW.identity_of(face)
        assert (indexed.video_id, indexed.video_url) == (record.video_id, record.url)
        for name in ("face_id", "frame", "time_s", "box", "det_score", "quality", "track", "crop"):
            assert getattr(indexed, name) == getattr(face, name), name
        assert indexed.crop_digest == face.crop_digest
        assert indexed.vector is not None
        assert np.array_equal(indexed.vector, face.embedding)


def test_faces_of_a_record_equal_those_that_the_index_returns() -> None:
    record = _video()
    read = [face_in(point.payload) for point in face_points(record, VIEW, contract())]
    assert read == [replace(face, vector=None) for face in indexed_faces(record, VIEW)]


def test_a_video_and_its_appearances_are_read_back() -> None:
    record = _video()
    point, appearances = video_point(record, VIEW, contract())
    read = video_in(point.payload)
    assert read.appearances == appearances
    assert {appearance.identity_id for appearance in appearances} == {"identity 0", "Bea"}
    for name in (
        *("video_id", "url", "status", "reason", "run"),
        *("source", "attributes", "weights"),
    ):
        assert getattr(read, name) == getattr(record, name), name
    assert read.metrics == pytest.approx(record.metrics, rel=1e-15)
    assert read.faces == 2
    assert read.aliases == {ids.video_id(OTHER_NAME)}
    assert (read.content, read.size) == ("ab" * 32, 12345)
    assert (read.media.width, read.media.codec) == (record.media.width, record.media.codec)
    assert read.media.duration_s == pytest.approx(record.media.duration_s, rel=1e-15)


def test_what_is_empty_is_not_stored() -> None:
    payload = video_point(video("a", [person(0)]), VIEW, contract())[0].payload
    assert payload.keys().isdisjoint({"aliases", "size", "source", "attributes", "weights"})
    read = video_in(payload)
    assert (read.aliases, read.size, read.source) == (frozenset(), 0, None)
    assert (read.attributes, read.weights) == ({}, {})


def test_an_identity_is_read_back() -> None:
    assert identity_in(identity_point(IDENTITY).payload) == IDENTITY


@pytest.mark.parametrize("damage", ["absent", None, 7])
def test_a_damaged_payload_names_what_to_do(damage: Any) -> None:
    record = _video()
    [face, _] = face_points(record, VIEW, contract())
    video_payload = video_point(record, VIEW, contract())[0].payload
    cases: list[tuple[Any, Payload, str, str]] = [
        (face_in, face.payload, "box", "damaged face"),
        (face_in, face.payload, "reasons", "damaged face"),
        (video_in, video_payload, "appearances", "damaged video"),
        (video_in, video_payload, "media", "damaged video"),
        (video_in, video_payload, "status", "damaged video"),
    ]
    for decode, payload, field, message in cases:
        with pytest.raises(StoreCorrupt, match=rf"{message} .*face-registry reindex"):
            decode(_damaged(payload, field, damage))
    with pytest.raises(StoreCorrupt, match=r"damaged identity .*face-registry reindex"):
        identity_in(_damaged(identity_point(IDENTITY).payload, "cover", "absent"))


def _damaged(payload: Payload, field: str, damage: Any) -> Mapping[str, Any]:
    if damage == "absent":
        return {name: value for name, value in payload.items() if name != field}
    return {**payload, field: damage}


def test_a_damaged_index_says_so_wherever_it_is_read(tmp_path: Path) -> None:
    with new_registry(tmp_path / "home") as registry:
        [record] = put(registry, video("a", [person(0)]))
        collection = registry.store.open(VIDEOS_SPEC)
        where = Filter(must={"video_id": [record.video_id]})
        collection.set_payload({"appearances": None}, where)
        index: Index = registry.index
        for read in (
            lambda: registry.video(record.url.exposed()),
            lambda: list(index.videos()),
            lambda: registry.commit(record),
        ):
            with pytest.raises(StoreCorrupt, match="face-registry reindex"):
                read()
        # The ids, and what replaces a lost record, need no more than is still there.
        assert list(index.video_ids()) == [record.video_id]
        [lost] = remembered_videos(registry.store, [record.video_id]).values()
        assert (lost.url, lost.metrics, lost.status) == (record.url, record.metrics, Status.FAILED)
        collection.set_payload({"url": None}, where)
        assert remembered_videos(registry.store, [record.video_id]) == {}
        registry.reindex()
        assert registry.video(record.url.exposed()).faces == 1
