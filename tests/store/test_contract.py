"""What `registry/store/base.py` promises, held against every store."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.errors import StoreCorrupt, StoreError
from registry.store.base import CollectionSpec, Filter, Hit, Point, Store
from tests.store.conftest import Opener
from tests.support.points import (
    FACES,
    VIDEOS,
    face,
    numbers,
    random_units,
    uid,
    unit,
    vector_of,
    video,
)

SEEN = "appearances[].identity_id"


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.id for hit in hits]


# --- stores -------------------------------------------------------------------------------------


def test_a_collection_exists_from_its_opening_to_its_dropping(store: Store) -> None:
    assert not store.has("faces")
    faces = store.open(FACES)
    assert faces.name == "faces"
    assert store.has("faces")
    assert not store.has("videos")
    store.drop("faces")
    assert not store.has("faces")


def test_dropping_what_does_not_exist_does_nothing(store: Store) -> None:
    store.drop("faces")
    store.open(FACES)
    store.drop("videos")
    assert store.has("faces")


def test_a_dropped_collection_comes_back_empty_and_with_any_dimension(store: Store) -> None:
    store.open(FACES).upsert([face(1)])
    store.drop("faces")
    faces = store.open(CollectionSpec("faces", 3, FACES.keywords))
    assert faces.count() == 0
    faces.upsert([Point(uid(1), {}, unit(1, 2, 3))])
    assert faces.count() == 1


def test_what_was_flushed_is_there_after_reopening(reopen: Opener) -> None:
    store = reopen()
    faces, videos = store.open(FACES), store.open(VIDEOS)
    faces.upsert([face(1, 1, 2, 3, 4, video_id="a")])
    videos.upsert([video(2, video_id="a")])
    faces.flush()
    faces.flush()
    videos.flush()
    store = reopen()
    assert store.has("faces")
    assert store.has("videos")
    (found,) = store.open(FACES).get([uid(1)], with_vectors=True)
    assert found.payload == {"video_id": "a"}
    np.testing.assert_allclose(vector_of(found), unit(1, 2, 3, 4), atol=1e-6)
    assert numbers(store.open(VIDEOS), Filter(must={"video_id": ["a"]})) == [2]


def test_closing_flushes(reopen: Opener) -> None:
    reopen().open(FACES).upsert([face(1)])
    assert reopen().open(FACES).count() == 1


def test_closing_twice_is_fine_and_using_a_closed_store_is_refused(reopen: Opener) -> None:
    store = reopen()
    faces = store.open(FACES)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.open(FACES)
    with pytest.raises(StoreError, match="closed"):
        faces.count()


@pytest.mark.parametrize("dimension", [5, None])
def test_another_dimension_is_refused(reopen: Opener, dimension: int | None) -> None:
    other = CollectionSpec("faces", dimension, FACES.keywords)
    store = reopen()
    store.open(FACES)
    with pytest.raises(StoreCorrupt, match="reindex"):
        store.open(other)
    store = reopen()
    with pytest.raises(StoreCorrupt, match="reindex"):
        store.open(other)
    assert store.open(FACES).count() == 0


def test_vectors_are_refused_where_there_were_none(reopen: Opener) -> None:
    store = reopen()
    store.open(VIDEOS)
    with pytest.raises(StoreCorrupt, match="reindex"):
        reopen().open(CollectionSpec("videos", 4))


def test_opening_twice_gives_the_same_points_and_adds_keywords(store: Store) -> None:
    store.open(CollectionSpec("videos", None)).upsert([video(1, video_id="a"), video(2)])
    again = store.open(VIDEOS)
    assert numbers(again, Filter(must={"video_id": ["a"]})) == [1]


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "ä"])
def test_a_name_that_is_no_folder_name_is_a_mistake(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        store.open(CollectionSpec(name, 4))


def test_a_description_is_one_line(store: Store) -> None:
    assert store.describe().startswith(("Qdrant", "memory of this process"))
    assert "\n" not in store.describe()


# --- writing and reading ------------------------------------------------------------------------


def test_payloads_come_back_as_they_were(store: Store) -> None:
    payload: dict[str, Any] = {
        "text": 'Zoë ☃ 名前 \U0001f642 "quoted" \\ \n end',
        "ключ": "ü",
        "dotted.key": 1,
        "empty": "",
        "int": -(2**53),
        "float": 0.1,
        "true": True,
        "null": None,
        "list": [1, 2.5, "x", [], {"a": [None]}],
        "nested": {"a": {"b": []}},
    }
    videos = store.open(VIDEOS)
    videos.upsert([Point(uid(1), payload), Point(uid(2), {})])
    assert [point.payload for point in videos.get([uid(1), uid(2)])] == [payload, {}]
    assert next(videos.scroll()).payload == payload
    faces = store.open(FACES)
    faces.upsert([Point(uid(1), payload, unit(1, 1, 0, 0))])
    assert faces.query(unit(1, 1, 0, 0)[None], limit=1)[0][0].payload == payload


@pytest.mark.parametrize("equal", [1, 40])
def test_hits_carry_the_fields_that_are_asked_for(store: Store, equal: int) -> None:
    """Also where equal scores make a second request, which reads payloads at the end."""
    faces = store.open(FACES)
    payload = {"a": [1, {"b": "c"}], "b": {"a": 0.5}, "dotted.key": 1}
    faces.upsert([Point(uid(n), payload, unit(1, 1, 0, 0)) for n in range(equal)])
    faces.upsert([Point(uid(99), {"b": 1}, unit(0, 1, 0, 0))])
    for fields, expected, last in (
        (["a", "absent"], {"a": payload["a"]}, {}),
        (["b"], {"b": payload["b"]}, {"b": 1}),
        ([], {}, {}),
        (None, payload, {"b": 1}),
    ):
        [hits] = faces.query(unit(1, 1, 0, 0)[None], limit=2, fields=fields)
        assert hits[0].payload == expected
        assert hits[1].payload == (last if equal == 1 else expected)


def test_vectors_come_back_only_when_asked_for(store: Store) -> None:
    faces = store.open(FACES)
    faces.upsert([face(1, 1, 2, 3, 4)])
    assert faces.get([uid(1)])[0].vector is None
    assert next(faces.scroll()).vector is None
    for point in [faces.get([uid(1)], with_vectors=True)[0], *faces.scroll(with_vectors=True)]:
        assert vector_of(point).dtype == np.float32
        np.testing.assert_allclose(vector_of(point), unit(1, 2, 3, 4), atol=1e-6)


def test_writing_again_replaces_a_point_whole(store: Store) -> None:
    faces = store.open(FACES)
    faces.upsert([face(1, 1, 0, 0, 0, video_id="a", extra=1)])
    faces.upsert([face(1, 0, 1, 0, 0, video_id="b")])
    (found,) = faces.scroll(with_vectors=True)
    assert found.payload == {"video_id": "b"}
    np.testing.assert_allclose(vector_of(found), [0, 1, 0, 0], atol=1e-6)
    assert faces.count(Filter(must={"video_id": ["a"]})) == 0


def test_of_two_points_with_one_id_the_later_stays(store: Store) -> None:
    videos = store.open(VIDEOS)
    videos.upsert([video(1, video_id="a"), video(1, video_id="b")])
    assert [point.payload for point in videos.scroll()] == [{"video_id": "b"}]


def test_get_gives_what_exists_in_the_order_asked_for_each_once(store: Store) -> None:
    videos = store.open(VIDEOS)
    videos.upsert([video(n) for n in (3, 1, 2)])
    found = videos.get([uid(2), uid(9), uid(3), uid(2), uid(1)])
    assert [point.id for point in found] == [uid(2), uid(3), uid(1)]


def test_ids_may_be_spelt_in_any_way_and_come_back_in_one(store: Store) -> None:
    faces, usual = store.open(FACES), uid(0xABCDEF)
    faces.upsert([Point(usual.upper(), {}, unit(1, 0, 0, 0))])
    assert [point.id for point in faces.get([usual.replace("-", "")])] == [usual]
    assert ids(faces.query(unit(1, 0, 0, 0)[None], limit=1)[0]) == [usual]


def test_scrolling_goes_through_all_pages_in_order_of_id(store: Store) -> None:
    videos = store.open(VIDEOS)
    order = np.random.default_rng(0).permutation(2100)
    videos.upsert([video(int(n) + 1) for n in order])
    assert numbers(videos) == list(range(1, 2101))
    assert len(videos.get([uid(n) for n in range(1, 2101)])) == 2100
    for where in (None, Filter()):
        assert list(videos.payloads(where)) == [point.payload for point in videos.scroll(where)]


def test_scrolling_with_vectors_keeps_each_with_its_point(store: Store) -> None:
    rows = random_units(600, 4, seed=1)
    faces = store.open(FACES)
    faces.upsert([Point(uid(n), {"n": n}, row) for n, row in enumerate(rows)])
    found = list(faces.scroll(with_vectors=True))
    assert [point.payload["n"] for point in found] == list(range(600))
    np.testing.assert_allclose(np.stack([vector_of(point) for point in found]), rows, atol=1e-6)


def test_many_large_points_are_written_in_one_call(store: Store) -> None:
    rows = random_units(1100, 512, seed=2)
    faces = store.open(CollectionSpec("faces", 512, FACES.keywords))
    faces.upsert([Point(uid(n), {"text": "x" * 500}, row) for n, row in enumerate(rows)])
    assert faces.count() == 1100
    hits = faces.query(rows[::100], limit=1)
    assert [hit[0].id for hit in hits] == [uid(n) for n in range(0, 1100, 100)]


def test_nothing_in_gives_nothing_out(store: Store) -> None:
    faces = store.open(FACES)
    faces.upsert([])
    assert faces.count() == 0
    assert faces.get([]) == []
    assert list(faces.scroll()) == []
    assert faces.query(np.empty((0, 4), np.float32), limit=3) == []
    assert faces.query(random_units(2, 4, seed=0), limit=3) == [[], []]
    faces.set_payload({"a": 1}, Filter())
    faces.delete(Filter())
    faces.flush()
    faces.optimize()
    assert faces.count() == 0


BAD_POINTS = {
    "an id that is no UUID": Point("face-1", {}, unit(1, 0, 0, 0)),
    "no vector": Point(uid(2), {}),
    "a vector of another length": Point(uid(2), {}, unit(1, 0, 0)),
    "a vector that is not finite": Point(uid(2), {}, np.array([np.nan, 0, 0, 0], np.float32)),
    "a number that JSON has not": Point(uid(2), {"a": float("nan")}, unit(1, 0, 0, 0)),
    "an object that JSON has not": Point(uid(2), {"a": object()}, unit(1, 0, 0, 0)),
}


@pytest.mark.parametrize("bad", BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_a_point_that_does_not_fit_is_refused_before_any_is_written(
    store: Store, bad: Point
) -> None:
    faces = store.open(FACES)
    with pytest.raises((ValueError, TypeError)):
        faces.upsert([face(1), bad])
    assert faces.count() == 0


# --- filters ------------------------------------------------------------------------------------

FILTERS = {
    "one value": (Filter(must={"video_id": ["a"]}), [1, 2]),
    "any of several values": (Filter(must={"video_id": ["a", "b"]}), [1, 2, 3]),
    "all of several fields": (Filter(must={"video_id": ["a"], SEEN: ["y"]}), [2]),
    "an element of a nested array": (Filter(must={SEEN: ["x"]}), [1, 3]),
    "any of several elements": (Filter(must={SEEN: ["x", "y"]}), [1, 2, 3]),
    "none of the values": (Filter(must_not={"video_id": ["a"]}), [3, 4, 5]),
    "none of several values": (Filter(must_not={"video_id": ["a", "b"]}), [4, 5]),
    "none of several fields": (Filter(must_not={"video_id": ["b"], SEEN: ["y"]}), [1, 4, 5]),
    "no element of the nested array": (Filter(must_not={SEEN: ["z", "y"]}), [1, 4, 5]),
    "both": (Filter(must={SEEN: ["x"]}, must_not={"video_id": ["a"]}), [3]),
    "a value that no point has": (Filter(must={"video_id": ["A"]}), []),
    "a text where others have a number": (Filter(must={"n": ["seven", "7"]}), [4]),
    "not a text where others have a number": (Filter(must_not={"n": ["seven"]}), [1, 2, 3, 5]),
    "no value": (Filter(must={"video_id": []}), []),
    "no value in one of two fields": (Filter(must={"video_id": ["a"], SEEN: []}), []),
    "not no value": (Filter(must_not={"video_id": []}), [1, 2, 3, 4, 5]),
    "everything": (Filter(), [1, 2, 3, 4, 5]),
    "nothing asked": (None, [1, 2, 3, 4, 5]),
}


def _five(store: Store) -> Any:
    videos = store.open(VIDEOS)
    videos.upsert(
        [
            video(1, video_id="a", n=7, appearances=[{"identity_id": "x", "faces": 1}]),
            video(2, video_id="a", appearances=[{"identity_id": "y"}, {"identity_id": "z"}]),
            video(3, video_id="b", n=7, appearances=[{"identity_id": i} for i in "xyz"]),
            video(4, video_id="c", n="seven", appearances=[]),
            video(5),
        ]
    )
    return videos


@pytest.mark.parametrize(("where", "expected"), FILTERS.values(), ids=FILTERS.keys())
def test_a_filter_lets_pass(store: Store, where: Filter | None, expected: list[int]) -> None:
    videos = _five(store)
    assert numbers(videos, where) == expected
    assert videos.count(where) == len(expected)
    if where is not None:
        videos.set_payload({"mark": 1}, where)
        marked = [point.id for point in videos.scroll() if "mark" in point.payload]
        assert marked == [uid(n) for n in expected]
        videos.delete(where)
        assert numbers(videos) == [n for n in range(1, 6) if n not in expected]


@pytest.mark.parametrize("value", [7, True])
def test_what_is_not_text_is_nothing_to_filter_by(store: Store, value: Any) -> None:
    videos = _five(store)
    for where in (Filter(must={"n": [value]}), Filter(must_not={"n": ["seven", value]})):
        with pytest.raises(TypeError, match="True or False"):
            videos.delete(where)
    assert videos.count() == 5


def test_a_member_of_a_text_enum_counts_as_its_text(store: Store) -> None:
    class Letter(StrEnum):
        B = "b"

    assert numbers(_five(store), Filter(must={"video_id": [Letter.B]})) == [3]


def test_setting_payload_replaces_top_level_fields_and_leaves_the_others(store: Store) -> None:
    videos = store.open(VIDEOS)
    videos.upsert([video(1, video_id="a", metrics={"x": 1, "y": 2}, keep=[1]), video(2, keep=0)])
    videos.set_payload(
        {"metrics": {"x": 5}, "new": "ü", "a.b": 1}, Filter(must={"video_id": ["a"]})
    )
    assert [point.payload for point in videos.scroll()] == [
        {"video_id": "a", "metrics": {"x": 5}, "keep": [1], "new": "ü", "a.b": 1},
        {"keep": 0},
    ]


def test_setting_a_filtered_field_moves_the_point_to_its_new_value(store: Store) -> None:
    faces = store.open(FACES)
    faces.upsert([face(n, identity_id="old") for n in (1, 2, 3)])
    faces.set_payload({"identity_id": "new"}, Filter(must={"identity_id": ["old"]}))
    assert faces.count(Filter(must={"identity_id": ["old"]})) == 0
    assert numbers(faces, Filter(must={"identity_id": ["new"]})) == [1, 2, 3]
    (hits,) = faces.query(unit(1, 0, 0, 0)[None], limit=5)
    assert [hit.payload for hit in hits] == [{"identity_id": "new"}] * 3


def test_a_field_set_to_none_reads_as_none(store: Store) -> None:
    videos = store.open(VIDEOS)
    videos.upsert([video(1, video_id="a", name="n")])
    videos.set_payload({"name": None}, Filter())
    (found,) = videos.scroll()
    assert found.payload.get("name") is None
    assert found.payload["video_id"] == "a"


def test_setting_nothing_changes_nothing(store: Store) -> None:
    videos = store.open(VIDEOS)
    videos.upsert([video(1, a=1)])
    videos.set_payload({}, Filter())
    assert next(videos.scroll()).payload == {"a": 1}


def test_a_payload_that_is_no_json_is_not_set(store: Store) -> None:
    videos = store.open(VIDEOS)
    videos.upsert([video(1, a=1)])
    with pytest.raises(ValueError, match="JSON"):
        videos.set_payload({"a": float("inf")}, Filter())
    assert next(videos.scroll()).payload == {"a": 1}


# --- neighbours ---------------------------------------------------------------------------------


def test_the_nearest_come_best_first_with_their_payloads(store: Store) -> None:
    faces = store.open(FACES)
    faces.upsert([face(1, 0, 1, 0, 0, k=1), face(2, 1, 1, 0, 0, k=2), face(3, -1, 0, 0, 0, k=3)])
    (hits,) = faces.query(unit(1, 0, 0, 0)[None], limit=9)
    assert ids(hits) == [uid(2), uid(1), uid(3)]
    assert [hit.score for hit in hits] == pytest.approx([2**-0.5, 0, -1], abs=1e-6)
    assert [hit.payload["k"] for hit in hits] == [2, 1, 3]


def test_only_points_that_pass_the_filter_are_neighbours(store: Store) -> None:
    faces = store.open(FACES)
    faces.upsert([face(1, 1, 0, 0, 0, video_id="a"), face(2, 1, 1, 0, 0, video_id="b"), face(3)])
    probe = unit(1, 0, 0, 0)[None]
    assert ids(faces.query(probe, limit=9, where=Filter(must={"video_id": ["b"]}))[0]) == [uid(2)]
    others = Filter(must_not={"video_id": ["a"]})
    assert ids(faces.query(probe, limit=9, where=others)[0]) == [uid(3), uid(2)]
    assert faces.query(probe, limit=9, where=Filter(must={"video_id": []})) == [[]]


def test_no_neighbours_are_given_where_none_are_wanted(store: Store) -> None:
    faces = store.open(FACES)
    faces.upsert([face(1)])
    assert faces.query(random_units(2, 4, seed=0), limit=0) == [[], []]


def test_each_row_of_a_large_batch_gets_its_own_answer(store: Store) -> None:
    rows = random_units(300, 8, seed=3)
    faces = store.open(CollectionSpec("faces", 8))
    faces.upsert([Point(uid(n), {}, row) for n, row in enumerate(rows)])
    assert [ids(hits) for hits in faces.query(rows, limit=1)] == [[uid(n)] for n in range(300)]


def test_the_graph_finds_a_point_too(store: Store) -> None:
    rows = random_units(50, 8, seed=4)
    faces = store.open(CollectionSpec("faces", 8))
    faces.upsert([Point(uid(n), {}, row) for n, row in enumerate(rows)])
    faces.optimize()
    assert ids(faces.query(rows[7:8], limit=1, exact=False)[0]) == [uid(7)]


@pytest.mark.parametrize("limit", [1, 3, 8, 20, 40, 50])
def test_hits_of_equal_score_come_in_order_of_id_also_where_they_are_cut_off(
    store: Store, limit: int
) -> None:
    faces = store.open(FACES)
    order = [int(n) for n in np.random.default_rng(5).permutation(40)]
    faces.upsert([face(n, 1, 2, 0, 0) for n in order[:20]])
    faces.upsert([face(n, 1, 2, 0, 0) for n in order[20:]])
    faces.upsert([face(99, 1, 0, 0, 0)])
    first, other = faces.query(np.stack([unit(1, 2, 0, 0), unit(1, 0, 0, 0)]), limit=limit)
    assert ids(first) == [uid(n) for n in [*range(40), 99][:limit]]
    assert ids(other) == [uid(n) for n in [99, *range(40)][:limit]]


def test_scores_stay_between_minus_one_and_one(store: Store) -> None:
    rows = random_units(200, 128, seed=6)
    faces = store.open(CollectionSpec("faces", 128))
    faces.upsert([Point(uid(n), {}, row) for n, row in enumerate(rows)])
    same = [hits[0].score for hits in faces.query(rows, limit=1)]
    opposite = [hits[-1].score for hits in faces.query(-rows[:40], limit=200)]
    assert max(same) <= 1
    assert min(opposite) >= -1
    np.testing.assert_allclose(same, 1, atol=1e-5)
    np.testing.assert_allclose(opposite, -1, atol=1e-5)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    stored=st.integers(1, 60),
    asked=st.integers(1, 10),
    dimension=st.sampled_from([1, 2, 3, 64, 128, 512]),
    limit=st.integers(1, 70),
)
def test_exact_answers_agree_with_numpy(
    store: Store, seed: int, stored: int, asked: int, dimension: int, limit: int
) -> None:
    store.drop("random")
    collection = store.open(CollectionSpec("random", dimension))
    rows, probes = random_units(stored, dimension, seed), random_units(asked, dimension, seed + 1)
    collection.upsert([Point(uid(n), {"n": n}, row) for n, row in enumerate(rows)])
    true = probes.astype(np.float64) @ rows.T.astype(np.float64)
    for similarities, hits in zip(true, collection.query(probes, limit=limit), strict=True):
        found = [hit.score for hit in hits]
        best = np.sort(similarities)[::-1][:limit]
        np.testing.assert_allclose(found, best, atol=1e-5)
        np.testing.assert_allclose(
            found, similarities[[hit.payload["n"] for hit in hits]], atol=1e-5
        )
        assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.id))


@pytest.mark.parametrize("shape", [(4,), (1, 3), (2, 5), (1, 1, 4)])
def test_probes_of_another_shape_are_a_mistake(store: Store, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="takes vectors"):
        store.open(FACES).query(np.ones(shape, np.float32), limit=1)


# --- collections without vectors ----------------------------------------------------------------


def test_points_without_vectors_are_not_compared(store: Store) -> None:
    videos = store.open(VIDEOS)
    videos.upsert([video(1, video_id="a")])
    assert [point.vector for point in videos.scroll(with_vectors=True)] == [None]
    assert videos.get([uid(1)], with_vectors=True)[0].vector is None
    with pytest.raises(ValueError, match="holds no vectors"):
        videos.query(random_units(1, 4, seed=0), limit=1)
    with pytest.raises(ValueError, match="holds no vectors"):
        videos.upsert([face(2)])


# --- after optimising, and from several threads -------------------------------------------------


def test_nothing_changes_by_optimising(store: Store) -> None:
    rows = random_units(300, 16, seed=7)
    rows[200:220] = rows[0]
    faces = store.open(CollectionSpec("faces", 16, FACES.keywords))
    faces.upsert([Point(uid(n), {"video_id": f"v{n % 5}"}, row) for n, row in enumerate(rows)])
    where = Filter(must_not={"video_id": ["v1"]})
    before = (faces.query(rows[:50], limit=4, where=where), numbers(faces, where))
    faces.optimize()
    assert (faces.query(rows[:50], limit=4, where=where), numbers(faces, where)) == before
    faces.upsert([Point(uid(1000), {"video_id": "v0"}, rows[0])])
    faces.upsert([Point(uid(0), {"video_id": "v2"}, rows[0])])
    faces.delete(Filter(must={"video_id": ["v3"]}))
    expected = [n for n in range(300) if n % 5 != 3] + [1000]
    assert numbers(faces) == expected
    equal = [n for n in (0, *range(200, 220), 1000) if n in expected]
    assert ids(faces.query(rows[:1], limit=7)[0]) == [uid(n) for n in equal[:7]]


def test_threads_may_share_a_store(store: Store, in_memory: bool) -> None:
    if in_memory:
        pytest.skip("qdrant-client's own engine is not for threads")
    faces = store.open(CollectionSpec("faces", 16, FACES.keywords))
    rows = random_units(160, 16, seed=8)

    def work(worker: int) -> None:
        mine = range(worker * 20, worker * 20 + 20)
        where = Filter(must={"video_id": [f"v{worker}"]})
        for n in mine:
            faces.upsert([Point(uid(n), {"video_id": f"v{worker}"}, rows[n])])
        assert numbers(store.open(FACES_16), where) == list(mine)
        found = faces.query(rows[list(mine)], limit=1, where=where)
        assert [ids(hits) for hits in found] == [[uid(n)] for n in mine]
        faces.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert faces.count() == 160


FACES_16 = CollectionSpec("faces", 16, FACES.keywords)


def test_many_equal_points_and_rows_take_little_memory(store: Store) -> None:
    [row] = random_units(1, 4, seed=1)
    faces = store.open(FACES)
    faces.upsert([Point(uid(n), {"video_id": "still", "n": n}, row) for n in range(2000)])
    rows = np.repeat(row[None], 400, axis=0)
    tracemalloc.start()
    try:
        hits = faces.query(rows, limit=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [[hit.payload["n"] for hit in each] for each in hits] == [[0, 1]] * 400
    assert peak < 20e6  # one hit of each point and row would be 160 MB
