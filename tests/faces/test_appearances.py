"""Appearances and identities are sums that can be done again by hand."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from registry.domain import Appearance, Quality
from registry.faces.appearances import appearances, identity, mean
from tests.support.factories import face, person


def _seen(frame: int, who: str, *, position: int = 0, quality: float = 0.5) -> object:
    made = face("video", frame, person(0), position=position)
    return replace(made, identity_id=who, quality=Quality(quality))


def test_faces_of_one_identity_make_one_appearance() -> None:
    [found] = appearances([_seen(0, "a"), _seen(10, "a", quality=0.9), _seen(30, "a")])  # type: ignore[list-item]
    assert (found.faces, found.first_s, found.last_s) == (3, 0.0, 1.0)
    assert found.screen_time_s == 1.0
    assert found.best_crop == "crops/video/10_0.jpg"


def test_two_faces_in_one_frame_count_its_time_once() -> None:
    [found] = appearances([_seen(0, "a"), _seen(0, "a", position=1)])  # type: ignore[list-item]
    assert found.faces == 2
    assert found.screen_time_s == 0.333333


def test_appearances_come_by_first_sight() -> None:
    found = appearances([_seen(10, "a"), _seen(0, "b"), _seen(20, "b")])  # type: ignore[list-item]
    assert [a.identity_id for a in found] == ["b", "a"]


def test_a_video_without_faces_has_no_appearance() -> None:
    assert appearances([]) == ()


def test_an_identity_sums_its_appearances_and_takes_the_best_cover() -> None:
    first = Appearance("a", 3, 0.0, 1.0, 1.0, "face-1", "crop-1", 0.4)
    second = Appearance("a", 2, 5.0, 6.0, 0.5, "face-2", "crop-2", 0.8)
    found = identity("a", "Ann", [("v1", first), ("v2", second)])
    assert found is not None
    assert (found.videos, found.faces, found.screen_time_s) == (2, 5, 1.5)
    assert (found.cover, found.cover_face, found.name) == ("crop-2", "face-2", "Ann")


def test_an_identity_that_appears_nowhere_is_none() -> None:
    assert identity("a", "", []) is None


def test_a_mean_has_no_digits_of_binary_rounding() -> None:
    assert repr(mean([7.4, 6.2])) == "6.8"
    assert math.isnan(mean([]))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.randoms())
def test_a_mean_does_not_depend_on_the_order(values: list[float], random: object) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert mean(shuffled) == mean(values)
