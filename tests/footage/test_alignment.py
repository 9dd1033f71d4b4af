"""Copies are found wherever and however they were cut, and other takes are left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.footage.alignment import FaceTrack, Segment, Series, shared_segments
from registry.footage.overlap import (
    FURTHER,
    LIKELY,
    OverlapKind,
    Recording,
    are_same_footage,
    compare,
)
from tests.support.takes import Shot, Take, tracks

ONE, OTHER = Take(1), Take(2)


def _shared(one: Series, other: Series) -> tuple[Segment, ...]:
    return shared_segments(one, other, least=LIKELY, further=FURTHER)


def _highest(one: Series, other: Series) -> float:
    found = shared_segments(one, other, least=0.0, further=np.inf)
    return found[0].evidence if found else 0.0


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0, 20),
    st.floats(0, 0.33),
    st.sampled_from([0.2, 1 / 3, 0.4]),
    st.sampled_from([{}, {"scale": 0.5}, {"mirrored": True}]),
)
def test_a_cut_down_is_found_at_its_shift(
    start: float, first: float, step: float, how: dict[str, Any]
) -> None:
    whole = tracks([Shot(ONE, 0, 30)])
    part = tracks([Shot(ONE, start, 10)], first=first, step=step, seed=1, **how)
    [segment] = _shared(part, whole)
    assert segment.offset_s == pytest.approx(start, abs=0.1)
    assert segment.end_s - segment.start_s > 8
    assert segment.agreement > 0.5


@pytest.mark.parametrize("number", range(10))
def test_another_take_of_the_same_person_has_little_evidence(number: int) -> None:
    whole, other = tracks([Shot(ONE, 0, 60)]), tracks([Shot(Take(10 + number), 0, 20)], seed=1)
    assert _highest(other, whole) < 0.8 * LIKELY


def test_a_photograph_gives_no_evidence() -> None:
    photo = Take(3, still=True)
    assert _highest(tracks([Shot(photo, 0, 20)]), tracks([Shot(photo, 0, 20)], seed=1)) < 3


def test_a_scaled_and_cropped_frame_changes_nothing() -> None:
    whole, part = tracks([Shot(ONE, 0, 30)]), tracks([Shot(ONE, 4, 10)], seed=1)
    scaled = tracks([Shot(ONE, 4, 10)], scale=2.0, seed=1)
    moved = tuple(
        replace(track, places=track.places + np.array([5.0, -3.0, 0.0])) for track in scaled
    )
    assert _highest(moved, whole) == pytest.approx(_highest(part, whole))


def test_a_segment_ends_where_something_else_begins() -> None:
    """The cut is not seen, so that all of it is one track: two takes of one person."""
    whole = tracks([Shot(ONE, 0, 40)])
    [first, second] = tracks([Shot(OTHER, 0, 6), Shot(ONE, 10, 12)], seed=1)
    jump = FaceTrack(
        np.concatenate([first.times, second.times]),
        np.concatenate([first.embeddings, second.embeddings]),
        np.concatenate([first.places, second.places]),
    )
    [segment] = _shared((jump,), whole)
    assert segment.start_s == pytest.approx(6, abs=0.7)
    assert segment.end_s == pytest.approx(18, abs=0.7)


def test_parts_in_another_order_are_found_one_by_one() -> None:
    whole = tracks([Shot(ONE, 0, 40)])
    part = tracks([Shot(ONE, 25, 8), Shot(ONE, 5, 8)], seed=1)
    found = sorted(_shared(part, whole), key=lambda segment: segment.start_s)
    assert [round(segment.offset_s) for segment in found] == [25, -3]


def test_two_people_who_take_turns_as_in_another_episode_are_not_the_same() -> None:
    guests = Take(5, person=1), Take(6, person=1)
    one = tracks([Shot(ONE, 0, 4), Shot(guests[0], 0, 4), Shot(ONE, 9, 4), Shot(guests[0], 9, 4)])
    other = tracks(
        [Shot(OTHER, 0, 4), Shot(guests[1], 0, 4), Shot(OTHER, 9, 4), Shot(guests[1], 9, 4)], seed=1
    )
    assert _highest(one, other) < 0.8 * LIKELY


def test_single_faces_and_no_faces_are_compared_with_nothing() -> None:
    alone = tracks([Shot(ONE, 0, 0.3)])
    whole = tracks([Shot(ONE, 0, 30)])
    assert [len(track.times) for track in alone] == [1]
    assert _shared(alone, whole) == _shared((), whole) == _shared(whole, ()) == ()


# --- kinds --------------------------------------------------------------------------------------


def _recording(*shots: Shot, **given: Any) -> Recording:
    return Recording(sum(shot.seconds for shot in shots), tracks(shots, **given))


WHOLE = _recording(Shot(ONE, 0, 30))


def test_a_copy_is_of_the_same_length() -> None:
    found = compare(WHOLE, _recording(Shot(ONE, 0, 30), step=0.4, seed=1))
    assert found is not None
    assert found.kind is OverlapKind.SAME_LENGTH
    assert found.certain
    assert min(found.shares) == 1.0


def test_a_cut_down_is_part_of_the_other_whichever_comes_first() -> None:
    part = _recording(Shot(ONE, 10, 10), seed=1)
    found, swapped = compare(WHOLE, part), compare(part, WHOLE)
    assert found is not None
    assert swapped is not None
    assert found.kind is swapped.kind is OverlapKind.PART
    assert found.shares == swapped.shares[::-1]
    assert found.shares[1] == 1.0
    assert found.shares[0] == pytest.approx(1 / 3, abs=0.06)
    assert found.segments[0].start_s == pytest.approx(10, abs=0.5)
    assert swapped.segments[0].start_s == pytest.approx(0, abs=0.5)
    assert found.segments[0].offset_s == -swapped.segments[0].offset_s


def test_an_intro_makes_it_share_a_part() -> None:
    part = _recording(Shot(Take(7, person=3), 0, 6), Shot(ONE, 10, 12), seed=1)
    found = compare(WHOLE, part)
    assert found is not None
    assert found.kind is OverlapKind.SOME
    assert found.shares[1] == pytest.approx(2 / 3, abs=0.1)


def test_the_same_titles_do_not_make_two_episodes_one() -> None:
    titles = Shot(ONE, 0, 8)
    episodes = [_recording(titles, Shot(Take(20 + i), 0, 30), seed=i) for i in range(2)]
    assert _shared(episodes[0].faces, episodes[1].faces)
    assert compare(*episodes) is None


@given(
    number=st.integers(0, 40), start=st.floats(0, 20), seconds=st.floats(2, 30),
    step=st.sampled_from([0.2, 1 / 3, 0.4]), noise=st.sampled_from([0.05, 0.1, 0.3, 0.6]),
    intro=st.sampled_from([0.0, 5.0, 25.0]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_the_quick_answer_is_that_of_the_comparison(
    number: int, start: float, seconds: float, step: float, noise: float, intro: float
) -> None:
    """Take 1 is the same footage; the others are of the same person."""
    shots = [Shot(Take(number % 3), start, seconds)]
    if intro:
        shots.insert(0, Shot(Take(90), 0, intro))
    other = _recording(*shots, step=step, noise=noise, seed=number)
    for pair in ((WHOLE, other), (other, WHOLE)):
        assert are_same_footage(*pair) == (compare(*pair) is not None)


def test_nothing_is_the_same_footage_as_no_face() -> None:
    assert not are_same_footage(WHOLE, _recording(Shot(ONE, 0, 0)))
