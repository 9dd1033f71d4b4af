"""The registry as a whole, on the real embedded parts, with chosen embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry import ids
from registry.blobs.folder import FolderStore
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Video
from registry.errors import (
    ContractError,
    EmptyRegistry,
    StoreCorrupt,
    StoreError,
    UnknownError,
)
from registry.faces.matching import assign_video
from registry.settings import load_settings
from registry.store.edge import EdgeStore
from registry.urls import Url
from tests.support.factories import contract, person, picture, video
from tests.support.registries import set_metrics


def _open(home: Path) -> Registry:
    return open_registry(load_settings(home=home))


def _put(registry: Registry, *videos: Video) -> list[Video]:
    with registry.writing():
        for one in videos:
            for face in one.faces:
                registry.blobs.put(face.crop, picture(face.crop))
        return [registry.commit(one) for one in videos]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with _open(tmp_path / "home") as opened:
        opened.establish(contract())
        yield opened


def _answers(registry: Registry) -> dict[str, Any]:
    index = registry.index
    return {
        "videos": [dict(point.payload) for point in index.stored_videos()],
        "identities": list(index.identities()),
        "faces": [dict(point.payload) for point in index.stored_faces()],
    }


def test_nothing_ingested_is_an_answer_that_says_what_to_do(tmp_path: Path) -> None:
    with _open(tmp_path) as empty, pytest.raises(EmptyRegistry, match="face-registry ingest"):
        _ = empty.index


def test_the_home_is_for_its_owner_alone(registry: Registry) -> None:
    assert registry.settings.home.stat().st_mode & 0o777 == 0o700


def test_a_person_seen_in_two_videos_is_one_identity(registry: Registry) -> None:
    first, second = _put(registry, video("a", [person(0)]), video("b", [person(0, 0.1)]))
    assert first.faces[0].identity_id == second.faces[0].identity_id
    found = registry.identity(first.faces[0].identity_id)
    assert (found.videos, found.faces) == (2, 2)


def test_unlike_faces_are_two_identities(registry: Registry) -> None:
    _put(registry, video("a", [person(0), person(1)]))
    assert registry.index.count_identities() == 2


def test_each_face_carries_its_video_and_its_performance(registry: Registry) -> None:
    [put] = _put(registry, video("a", [person(0)], metrics={"Performance": 4.0}))
    [face] = [point.payload for point in registry.index.stored_faces()]
    assert face["video_url"] == put.url.exposed()
    assert face["metrics"] == {"Performance": 4.0}
    assert face["identity_id"] == put.faces[0].identity_id
    assert face["model"] == "test-model"


def test_the_same_videos_give_the_same_registry(registry: Registry, tmp_path: Path) -> None:
    videos = [video("a", [person(0), person(1)]), video("b", [person(1, 0.2), person(2)])]
    _put(registry, *videos)
    with _open(tmp_path / "other") as other:
        other.establish(contract())
        _put(other, *videos)
        here, there = _answers(registry), _answers(other)
    for payload in here["videos"] + there["videos"]:
        payload.pop("registry_id")
    assert here == there


def test_committing_again_replaces_and_counts_once(registry: Registry) -> None:
    _put(registry, video("a", [person(0), person(0)]), video("b", [person(1)]))
    before = _answers(registry)
    _put(registry, video("a", [person(0), person(0)]))
    assert _answers(registry) == before


def test_a_video_read_again_drops_the_crops_it_no_longer_has(registry: Registry) -> None:
    long, short = video("a", [person(0), person(1)]), video("a", [person(0)])
    _put(registry, long)
    _put(registry, short)
    assert [b.key for b in registry.blobs.list("crops/")] == [short.faces[0].crop]
    assert registry.index.count_identities() == 1


def test_metrics_reach_the_video_and_each_of_its_faces(registry: Registry) -> None:
    [put] = _put(registry, video("a", [person(0), person(1)], metrics={"Performance": 1.0}))
    set_metrics(registry, put.video_id, {"Performance": 9.0, "Views": 3.0})
    assert registry.video(put.url.exposed()).metrics == {"Performance": 9.0, "Views": 3.0}
    points = registry.index.stored_faces()
    assert all(point.payload["metrics"]["Performance"] == 9.0 for point in points)
    record = registry.records.get(put.video_id)
    assert record is not None
    assert record.metrics["Views"] == 3.0


def test_a_video_is_found_under_the_name_an_earlier_version_gave_it(registry: Registry) -> None:
    signed = "https://example.com/a.mp4?Expires=1&Signature=s&Key-Pair-Id=K"
    kept = replace(video("a", [person(0)]), video_id=ids.video_id(signed), url=Url(signed))
    _put(registry, kept)
    assert registry.video(signed).video_id == kept.video_id
    with pytest.raises(UnknownError, match=r"Signature=\*\*\*"):
        registry.video("https://example.com/b.mp4?Expires=1&Signature=s&Key-Pair-Id=K")


def test_reindex_gives_the_same_answers(registry: Registry) -> None:
    _put(registry, video("a", [person(0), person(1)]), video("b", [person(0, 0.1)]))
    [appearance] = registry.video("https://example.com/b.mp4").appearances
    registry.name(appearance.identity_id, "Ann")
    before = _answers(registry)
    assert registry.reindex() == 2
    assert _answers(registry) == before


def test_a_lost_index_is_said_and_rebuilt(registry: Registry, tmp_path: Path) -> None:
    _put(registry, video("a", [person(0)]))
    before = _answers(registry)
    for name in ("faces", "videos", "identities"):
        registry.store.drop(name)
    registry.close()
    with _open(tmp_path / "home") as again:
        with pytest.raises(StoreError, match="face-registry reindex"):
            _ = again.index
        again.reindex()
        assert _answers(again) == before


def test_what_a_crash_left_between_record_and_index_is_settled_at_the_next_opening(
    registry: Registry, tmp_path: Path
) -> None:
    """The record is written and its intent stands, but the index never heard of it."""
    _put(registry, video("a", [person(0)]))
    late = video("b", [person(0, 0.1)])
    with registry.writing():
        for face in late.faces:
            registry.blobs.put(face.crop, picture(face.crop))
        registry.blobs.put(f"intents/{late.video_id}", b"")
        registry.records.put(
            assign_video(late, None, registry.index.nearest, registry.view.origin_of, 0.85)
        )
    registry.close()
    with _open(tmp_path / "home") as again:
        assert again.index.count_videos() == 2
        assert next(iter(again.index.identities())).videos == 2
        assert list(again.blobs.list("intents/")) == []


def test_an_intent_without_a_record_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    registry.blobs.unguarded.put(f"intents/{ids.video_id('https://example.com/never.mp4')}", b"")
    registry.close()
    with _open(tmp_path / "home") as again:
        assert again.index.count_videos() == 0
        assert list(again.blobs.list("intents/")) == []


def test_a_name_is_found_again_and_can_be_taken_back(registry: Registry) -> None:
    [put] = _put(registry, video("a", [person(0)]))
    identity = put.faces[0].identity_id
    registry.name(identity, "Ann")
    assert registry.identity("Ann").identity_id == identity
    assert registry.identity(identity[:8]).name == "Ann"
    registry.name(identity, "")
    with pytest.raises(UnknownError, match="identities list"):
        registry.identity("Ann")


def test_a_name_survives_reading_the_video_again(registry: Registry) -> None:
    [put] = _put(registry, video("a", [person(0)]))
    registry.name(put.faces[0].identity_id, "Ann")
    _put(registry, video("a", [person(0)]), video("b", [person(0)]))
    assert registry.identity("Ann").videos == 2


def test_another_registrys_index_is_refused(registry: Registry, tmp_path: Path) -> None:
    _put(registry, video("a", [person(0)]))
    other = Registry(
        load_settings(home=tmp_path / "other"), FolderStore(tmp_path / "objects"), registry.store
    )
    with pytest.raises(ContractError, match="another registry"):
        other.establish(contract())


def test_a_crop_that_changed_is_not_served(registry: Registry) -> None:
    [put] = _put(registry, video("a", [person(0)]))
    face = put.faces[0]
    assert registry.crop(face.crop, face.crop_digest) == picture(face.crop)
    registry.blobs.unguarded.put(face.crop, b"something else")
    with pytest.raises(StoreCorrupt, match="damaged"):
        registry.crop(face.crop, face.crop_digest)


def test_the_parts_can_be_passed_in(tmp_path: Path) -> None:
    """No home, no lock: a registry is its parts."""
    settings = load_settings(home=tmp_path)
    with Registry(settings, FolderStore(tmp_path / "o"), EdgeStore(tmp_path / "i")) as own:
        own.establish(contract())
        _put(own, video("a", [person(3)]))
        assert own.index.count_faces() == 1
