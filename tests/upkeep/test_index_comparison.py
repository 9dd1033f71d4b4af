"""Index and records in step: whatever the index holds otherwise is named, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core import keys
from registry.core.index import FACES, IDENTITIES, VIDEOS
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.errors import StoreCorrupt
from registry.store.base import Collection, CollectionSpec, Filter, Point
from registry.upkeep.index_comparison import (
    DifferenceKind,
    compare_index,
    different_fields,
    join_sorted,
    same_vector,
)
from tests.support.factories import DIMENSION, person, video
from tests.support.registries import new_registry, set_metrics

A = video("a", [person(0), person(1)])
B = video("b", [person(0, 0.1)])
FIRST = A.faces[0].face_id
KEYS = st.lists(st.integers(0, 30).map("{:02}".format), unique=True).map(sorted)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "home", A, B, video("empty", [])) as opened:
        opened.name(opened.view.identity_of(opened.records.get(B.video_id).faces[0]), "Ann")  # type: ignore[union-attr]
        yield opened


def found(
    registry: Registry, **options: Callable[..., None]
) -> list[tuple[DifferenceKind, str, str]]:
    differences = list(compare_index(registry.records, registry.index, registry.view, **options))
    assert all(str(difference.kind) in str(difference) for difference in differences)
    return [(d.kind, d.what, ",".join(d.fields)) for d in differences]


def raw(registry: Registry, name: str) -> Collection:
    """A collection as the index has it open."""
    return registry.store.open(CollectionSpec(name, DIMENSION if name == FACES else None))


def face_point(registry: Registry) -> Point:
    [point] = raw(registry, FACES).get([FIRST], with_vectors=True)
    return point


def of(field: str, value: str) -> Filter:
    return Filter(must={field: [value]})


def test_an_index_that_is_right_differs_in_nothing(registry: Registry) -> None:
    assert found(registry) == []
    registry.reindex()
    assert found(registry) == []


def test_numbers_that_the_index_reads_back_a_bit_off_are_no_difference(tmp_path: Path) -> None:
    chance = random.Random(1)
    values = {f"m{n}": chance.random() * 10 ** chance.randrange(-3, 14) for n in range(500)}
    with new_registry(tmp_path / "home", video("a", [person(0)], metrics=values)) as registry:
        registry.store.close()
    with open_registry(home=tmp_path / "home") as registry:
        assert found(registry) == []
        [indexed] = registry.index.videos()
        assert indexed.metrics == pytest.approx(values, rel=1e-14)
        set_metrics(registry, indexed.video_id, {"m0": values["m1"]})
        assert found(registry) == []


def test_a_lost_face_is_missing(registry: Registry) -> None:
    # Edge filters on indexed fields fastest and on others all the same.
    raw(registry, FACES).delete(of("face_id", FIRST))
    assert (DifferenceKind.MISSING, "face", "") in found(registry)


def test_a_lost_video_and_a_lost_identity_are_missing(registry: Registry) -> None:
    raw(registry, VIDEOS).delete(of("video_id", B.video_id))
    assert (DifferenceKind.MISSING, "video", "") in found(registry)
    registry.reindex()
    raw(registry, IDENTITIES).delete(of("name", "Ann"))
    assert found(registry) == [(DifferenceKind.MISSING, "identity", "")] * 2  # it is in both videos


def test_what_no_record_names_is_extra(registry: Registry) -> None:
    with registry.writing():
        registry.records.delete(B.video_id)
    assert found(registry)[:2] == [
        (DifferenceKind.EXTRA, "video", ""),
        (DifferenceKind.EXTRA, "face", ""),
    ]
    raw(registry, VIDEOS).delete(of("video_id", B.video_id))
    assert (DifferenceKind.EXTRA, "face", "") in found(
        registry
    )  # of a video that nothing else names


def test_an_identity_that_is_nowhere_is_extra(registry: Registry) -> None:
    points = registry.index.stored_identities()
    [payload] = [point.payload for point in points if point.payload["name"]]
    nobody = video("nobody", []).video_id
    raw(registry, IDENTITIES).upsert([Point(nobody, {**payload, "identity_id": nobody})])
    assert found(registry) == [(DifferenceKind.EXTRA, "identity", "")]


@pytest.mark.parametrize("field", ["metrics", "box", "crop", "identity_id"])
def test_another_payload_names_its_fields(registry: Registry, field: str) -> None:
    raw(registry, FACES).set_payload({field: "other"}, of("video_id", A.video_id))
    assert (DifferenceKind.PAYLOAD, "face", field) in found(registry)


def test_the_payload_of_a_video_and_of_an_identity_is_compared(registry: Registry) -> None:
    raw(registry, VIDEOS).set_payload({"appearances": None}, of("video_id", A.video_id))
    assert (DifferenceKind.PAYLOAD, "video", "appearances") in found(registry)
    registry.reindex()
    raw(registry, IDENTITIES).set_payload({"cover": "x", "faces": 9}, of("name", "Ann"))
    assert found(registry) == [(DifferenceKind.PAYLOAD, "identity", "cover,faces")]


def test_another_vector_is_found(registry: Registry) -> None:
    point = face_point(registry)
    raw(registry, FACES).upsert([replace(point, vector=person(0, 0.01))])
    assert found(registry) == [(DifferenceKind.VECTOR, "face", "")]


def test_a_damaged_record_is_told_and_its_video_left_out(registry: Registry) -> None:
    registry.blobs.unguarded.put(keys.record(A.video_id), b"PAR1 no more")
    with pytest.raises(StoreCorrupt):
        found(registry)
    told: list[str] = []
    assert found(registry, on_damaged=lambda video_id, _: told.append(video_id)) == []
    assert told == [A.video_id]


@given(KEYS, KEYS)
def test_two_series_are_paired_by_key(left: list[str], right: list[str]) -> None:
    steps = list(join_sorted([(k, k) for k in left], [(k, k) for k in right]))
    assert [key for key, _, _ in steps] == sorted({*left, *right})
    assert [ours for _, ours, _ in steps if ours is not None] == left
    assert [theirs for _, _, theirs in steps if theirs is not None] == right
    assert all({ours, theirs} <= {key, None} for key, ours, theirs in steps)


@given(st.permutations(["a", "b", "c", "d"]))
def test_a_series_out_of_order_is_not_taken_for_equal(right: list[str]) -> None:
    steps = list(join_sorted([(k, 1) for k in "abcd"], [(k, 1) for k in right]))
    assert sum(ours is not None for _, ours, _ in steps) == 4
    assert sorted(key for key, _, theirs in steps if theirs is not None) == ["a", "b", "c", "d"]
    alike = all(ours is not None and theirs is not None for _, ours, theirs in steps)
    assert alike == (right == ["a", "b", "c", "d"])


def test_fields_and_vectors_are_compared_as_engines_keep_them() -> None:
    assert different_fields({"a": 1, "b": [1.0], "c": 0}, {"a": 1.0, "b": [1], "d": 0}) == (
        "c",
        "d",
    )
    one = person(0, 0.3)
    assert same_vector(one, one * np.float32(1 + 1e-7))
    assert not same_vector(one, one * np.float32(1 + 1e-5))
    assert not same_vector(one, np.full_like(one, np.nan))
    assert not same_vector(one, None)
