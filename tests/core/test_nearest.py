"""The nearest stored faces are those that comparing with every face finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from registry import ids
from registry.core import nearest as module
from registry.core.nearest import nearest_faces
from registry.domain import Vectors
from registry.faces.neighbourhood import groups
from registry.store.base import Collection, CollectionSpec, Filter, Point
from registry.store.edge import EdgeStore

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


@pytest.mark.parametrize("candidates", [4, 128])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_neighbours_as_by_comparing_with_every_face(
    faces: Collection, seed: int, candidates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CANDIDATES", candidates)
    world = _World(seed)
    faces.upsert(list(world.stored()))
    others = Filter(must_not={"video_id": ["v3"]})
    matched = 0
    for _ in range(12):
        asked = np.concatenate([world.faces(int(p)) for p in world.random.integers(PEOPLE, size=2)])
        found = nearest_faces(faces, "v3", asked, THRESHOLD, exact=True)
        for near, [best] in zip(found, faces.query(asked, limit=1, where=others), strict=True):
            if best.score >= THRESHOLD:
                assert near is not None
                assert (near.face_id, near.similarity) == (best.id, best.score)
                matched += 1
            else:
                assert near is None or near.similarity < THRESHOLD
    assert 20 < matched < 12 * 2 * FACES


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


def test_whatever_matches_a_member_is_within_reach_of_the_group() -> None:
    random = np.random.default_rng(1)
    world = _World(2)
    asked = np.concatenate([world.faces(person) for person in range(PEOPLE)])
    divided = list(groups(asked, THRESHOLD))
    assert sorted(row for group in divided for row in group.rows) == list(range(len(asked)))
    assert len(divided) < len(asked) / 3
    for group in divided:
        for row in group.rows:
            anywhere = random.normal(size=(50, DIMENSION))
            aside = _unit(anywhere - np.outer(anywhere @ asked[row], asked[row]))
            edge = THRESHOLD * asked[row] + np.sqrt(1 - THRESHOLD**2) * aside
            assert (edge @ group.centre >= group.reach).all()
