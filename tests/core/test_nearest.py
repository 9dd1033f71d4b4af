"""The nearest stored faces are those that comparing with every face finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from registry import ids
from registry.core import nearest as module
from registry.core.nearest import nearest_by_graph, nearest_faces, videos_of_similar_faces
from registry.domain import Vectors
from registry.faces.matching import similarities_to_earlier
from registry.faces.neighbourhood import groups
from registry.store.base import Collection, CollectionSpec, Filter, Point
from registry.store.edge import EdgeStore
from tests.support.factories import video as made_video

DIMENSION, THRESHOLD = 16, 0.85
PEOPLE, VIDEOS, FACES = 12, 60, 9


def _unit(rows: np.ndarray) -> Vectors:
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


class _World:
    """Faces of people in videos: some are in one video only, one is in a third of them."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.people = _unit(self.random.normal(size=(PEOPLE, DIMENSION)))

    def faces(self, person: int) -> Vectors:
        lean = self.random.uniform(0, 0.8) * _unit(self.random.normal(size=(1, DIMENSION)))
        noise = self.random.uniform(0, 0.4) * _unit(self.random.normal(size=(FACES, DIMENSION)))
        return _unit(self.people[person] + lean + noise)

    def stored(self) -> Iterator[Point]:
        for video in range(VIDEOS):
            person = 0 if video % 3 == 0 else int(self.random.integers(PEOPLE))
            for place, row in enumerate(self.faces(person)):
                face_id = ids.identity_id(f"{video} {place}")
                payload = {
                    "face_id": face_id, "video_id": f"v{video}",
                    "identity_id": f"i{person}", "origin_id": f"i{person}",
                    "video_url": "https://example.com/a.mp4", "frame": place, "time_s": 0.0,
                    "box": [0.0, 0.0, 1.0, 1.0], "det_score": 1.0, "quality": 0.9, "reasons": [],
                    "track": 0, "crop": "c", "crop_digest": "d",
                }  # fmt: skip
                yield Point(face_id, payload, row)


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[Collection]:
    store = EdgeStore(tmp_path / "index", reserve_bytes=0)
    yield store.open(CollectionSpec("faces", DIMENSION, ("video_id", "identity_id")))
    store.close()


@pytest.mark.parametrize("video", ["v3", "none of the stored ones"])
@pytest.mark.parametrize("candidates", [4, 128])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_neighbours_as_by_comparing_with_every_face(
    faces: Collection, seed: int, candidates: int, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CANDIDATES", candidates)
    world = _World(seed)
    faces.upsert(list(world.stored()))
    others = Filter(must_not={"video_id": [video]})
    matched = 0
    for _ in range(12):
        asked = np.concatenate([world.faces(int(p)) for p in world.random.integers(PEOPLE, size=2)])
        own = similarities_to_earlier(asked, list(made_video("a", list(asked)).faces))
        answers = faces.query(asked, limit=1, where=others)
        for least in (None, own):
            found = nearest_faces(faces, video, asked, THRESHOLD, least, exact=True)
            for near, [best], earlier in zip(found, answers, own, strict=True):
                if best.score >= THRESHOLD and (least is None or best.score >= earlier):
                    assert near is not None
                    assert (near.face_id, near.similarity) == (best.id, best.score)
                    matched += 1
                else:
                    assert near is None or near.similarity <= best.score
    assert 20 < matched < 2 * 12 * 2 * FACES


class _Counted:
    """A collection that counts the vectors that are compared with all of its points."""

    def __init__(self, inner: Collection) -> None:
        self._inner, self.compared = inner, 0
        self.count = inner.count

    def query(self, vectors: Vectors, *, where: Filter | None = None, **how: Any) -> Any:
        self.compared += 0 if where and where.must else len(vectors)
        return self._inner.query(vectors, where=where, **how)


def test_a_steady_video_of_a_person_of_many_videos_is_compared_twice(
    faces: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its middle, and its first face: the others are more like that one than like any stored."""
    monkeypatch.setattr(module, "_CANDIDATES", 4)
    world = _World(6)
    faces.upsert(list(world.stored()))
    asked = _unit(world.faces(0)[0] + 0.02 * world.random.normal(size=(30, DIMENSION)))
    own = similarities_to_earlier(asked, list(made_video("a", list(asked)).faces))
    counted = [_Counted(faces), _Counted(faces)]
    found = [
        nearest_faces(cast(Collection, one), "new", asked, THRESHOLD, least, exact=True)
        for one, least in zip(counted, (None, own), strict=True)
    ]
    assert found[0][0] == found[1][0] is not None
    assert [one.compared for one in counted] == [1 + 30, 2]


def test_candidates_of_the_graph_are_compared_exactly(faces: Collection) -> None:
    world = _World(7)
    faces.upsert(list(world.stored()))
    faces.optimize()
    asked = np.concatenate([world.faces(person) for person in range(PEOPLE)])
    exact = nearest_faces(faces, "", asked, THRESHOLD, exact=True)
    graph = nearest_faces(faces, "", asked, THRESHOLD, exact=False)
    pairs = [(a, b) for a, b in zip(exact, graph, strict=True) if a and a.similarity >= THRESHOLD]
    assert len(pairs) > 30
    assert all(a == b for a, b in pairs)


@pytest.mark.parametrize("few", [0, 100])
def test_leaving_videos_out_gives_the_answers_of_a_filter(
    faces: Collection, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FEW", few)
    world = _World(9)
    faces.upsert(list(world.stored()))
    asked = np.concatenate([world.faces(person) for person in range(PEOPLE)])
    for without in (["v0", "v3"], ["unknown"], []):
        where = Filter(must_not={"video_id": without})
        expected: list[dict[str, float]] = []
        for hits in faces.query(asked, limit=7, where=where):
            expected.append({})
            for hit in hits:
                expected[-1].setdefault(hit.payload["video_id"], hit.score)
        assert videos_of_similar_faces(faces, asked, limit=7, without=without) == expected


class _Misled:
    """A collection whose graph leads to every face but the nearest."""

    def __init__(self, inner: Collection) -> None:
        self._inner = inner

    def query(self, vectors: Vectors, *, limit: int, exact: bool = True, **how: Any) -> Any:
        found = self._inner.query(vectors, limit=limit + 1 - exact, **how)
        return found if exact else [hits[1:] for hits in found]


def test_the_nearest_face_is_found_if_the_graph_leads_to_another_of_its_video(
    faces: Collection,
) -> None:
    world = _World(8)
    faces.upsert(list(world.stored()))
    asked = np.concatenate([world.faces(person) for person in range(PEOPLE)])
    misled = cast(Collection, _Misled(faces))
    for limit, where in ((1, None), (5, Filter(must_not={"video_id": ["v0", "v3"]}))):
        assert nearest_by_graph(misled, asked, limit, where) == faces.query(
            asked, limit=limit, where=where
        )


def test_whatever_matches_a_member_is_within_reach_of_the_group() -> None:
    random = np.random.default_rng(1)
    world = _World(2)
    asked = np.concatenate([world.faces(person) for person in range(PEOPLE)])
    least = np.where(random.random(len(asked)) < 0.5, THRESHOLD, 0.95)
    divided = list(groups(asked, least))
    assert sorted(row for group in divided for row in group.rows) == list(range(len(asked)))
    assert len(divided) < len(asked) / 3
    for group in divided:
        for row, reach in zip(group.rows, group.reach, strict=True):
            anywhere = random.normal(size=(50, DIMENSION))
            aside = _unit(anywhere - np.outer(anywhere @ asked[row], asked[row]))
            edge = least[row] * asked[row] + np.sqrt(1 - least[row] ** 2) * aside
            assert (edge @ group.centre >= reach).all()
