"""Consolidation joins what is alike on average, and nothing that is known to be two."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.domain import Vectors
from registry.people.consolidation import BESIDE, ConsolidationResult, Group, consolidate


def _unit(rows: Any) -> Vectors:
    array = np.atleast_2d(np.asarray(rows, dtype=np.float32))
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), np.float32)


def _group(name: str, *tracks: list[float], videos: int = 1) -> Group:
    return Group(name, _unit(tracks), (0, videos))


def _sets(outcome: ConsolidationResult) -> set[frozenset[str]]:
    return {frozenset(group) for group in outcome.groups}


A, A2, B = [1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]


def test_alike_identities_are_joined_and_others_left() -> None:
    found = consolidate([_group("a", A), _group("a2", A2), _group("b", B)], [], threshold=0.5)
    assert found.groups == (("a", "a2"),) or found.groups == (("a2", "a"),)
    assert found.joins[0].similarity == np.float32(0.8)


def test_the_one_with_more_videos_stays() -> None:
    found = consolidate([_group("a", A), _group("z", A2, videos=3)], [], threshold=0.5)
    assert found.groups == (("z", "a"),)


def test_the_more_pairs_of_tracks_the_lower_the_threshold() -> None:
    """All pairs of a track of a and one of b have a cosine of 0.45."""
    for tracks, joined in ((1, 0), (2, 0), (3, 1), (4, 1)):
        others = [_at(0.45, axis) for axis in range(1, tracks + 1)]
        two = [_group("a", [1.0] + 5 * [0.0]), _group("b", *others)]
        found = consolidate(two, [], threshold=0.49, lower=(0.0, 0.02, 0.05))
        assert len(found.groups) == joined
        assert consolidate(two, [], threshold=0.49, lower=(0.0,)).groups == ()


def _at(cosine: float, axis: int) -> list[float]:
    """A track of this cosine to the first axis."""
    track = [cosine] + 5 * [0.0]
    track[axis] = (1 - cosine**2) ** 0.5
    return track


def test_a_lucky_pair_is_not_enough() -> None:
    """One track of each is the same picture; on average they are two people."""
    one = _group("a", A, [0.0, 1.0, 0.0], [0.0, 0.9, 0.1])
    two = _group("b", A, [0.0, -0.2, 1.0], [0.1, -0.1, 1.0])
    assert consolidate([one, two], [], threshold=0.4).groups == ()


def test_two_who_were_seen_together_are_never_joined_not_even_through_a_third() -> None:
    trio = [_group("a", A), _group("b", A), _group("c", A2)]
    found = consolidate(trio, [("a", "b")], threshold=0.5)
    assert not any({"a", "b"} <= group for group in _sets(found))
    assert any({d.first, d.second} == {"a", "b"} for d in found.doubts)


def test_a_join_that_a_rival_contests_waits_for_a_person() -> None:
    """c resembles both a and b, which are two people, almost equally."""
    a, b = [1.0, 0.2, 0.0], [1.0, -0.2, 0.0]
    found = consolidate(
        [_group("a", a), _group("b", b), _group("c", [1.0, 0.01, 0.0])], [("a", "b")], threshold=0.5
    )
    assert found.groups == ()
    assert any("somebody else" in doubt.reason for doubt in found.doubts)


def test_one_person_twice_in_a_frame_needs_no_likeness_elsewhere() -> None:
    three = [_group("a", A), _group("b", B), _group("c", B)]
    found = consolidate(three, [("b", "c")], threshold=0.5, linked=[("a", "b"), ("a", "c")])
    assert _sets(found) == {frozenset({"a", "b"})}  # b and c are two people
    assert [join.reason for join in found.joins] == [BESIDE]


def test_two_who_are_each_alike_inside_are_left_to_a_person_though_side_by_side() -> None:
    """Twins, as alike as one person twice in a frame, and never in any other."""
    one = _group("a", [1.0, 0.0, 0.0], [0.99, 0.1, 0.0], [0.99, 0.0, 0.1])
    other = _group("b", [0.5, 0.87, 0.0], [0.49, 0.87, 0.1], [0.5, 0.86, 0.1])
    found = consolidate([one, other], [], threshold=0.4, linked=[("a", "b")])
    assert found.groups == ()
    [doubt] = found.doubts
    assert "relatives" in doubt.reason


@pytest.mark.parametrize(
    ("tracks", "same_person", "joined"),
    [
        pytest.param(3, 1.0, True, id="three tracks"),
        pytest.param(6, 1.0, False, id="six tracks: one person would be more alike"),
        pytest.param(6, 0.8, True, id="six tracks of one session"),
    ],
)
def test_the_more_tracks_the_smaller_the_step_between_relatives(
    tracks: int, same_person: float, joined: bool
) -> None:
    """Inside each group tracks have a cosine of 0.95 and more, across 0.75 on average."""
    around = [[0.0, 0.0, 0.1 * np.cos(i), 0.1 * np.sin(i)] for i in range(tracks)]
    one = _group("a", *([1.0, 0.0, *noise[2:]] for noise in around))
    other = _group("b", *([0.77, 0.64, *noise[2:]] for noise in around))
    found = consolidate([one, other], [], threshold=0.4, same_person=same_person)
    assert bool(found.groups) is joined


def test_identities_of_poor_faces_only_are_left_alone() -> None:
    empty = Group("p", np.zeros((0, 3), dtype=np.float32))
    assert consolidate([empty, _group("a", A)], [], threshold=0.1) == ConsolidationResult(
        (), (), ()
    )


def _poor(name: str, track: list[float], along: tuple[str, ...] = ()) -> Group:
    return Group(name, np.zeros((0, 3), dtype=np.float32), (0, 1), _unit(track), along)


def test_poor_faces_go_to_the_person_they_clearly_resemble() -> None:
    found = consolidate([_group("a", A), _group("b", B), _poor("p", A2)], [], threshold=0.5)
    assert found.groups == (("a", "p"),)


def test_poor_faces_that_resemble_two_people_alike_stay_alone() -> None:
    between = _poor("p", [1.0, 0.0, 0.99])
    assert consolidate([_group("a", A), _group("b", B), between], [], threshold=0.5).groups == ()


def test_poor_faces_go_to_the_person_of_their_track_however_little_they_resemble() -> None:
    people = [_group("a", A), _group("b", B)]
    assert consolidate([*people, _poor("p", B, ("a",))], [], threshold=0.5).groups == (("a", "p"),)
    unclear = _poor("p", B, ("a", "b"))
    assert consolidate([*people, unclear], [], threshold=0.5).groups == ()


def test_poor_faces_never_join_two_people_nor_weigh_on_them() -> None:
    """p lies between a and c, which are too far from each other; with p they would be near."""
    c = [0.4, 0.9165, 0.0]
    p = _poor("p", [0.9, 0.44, 0.0])
    found = consolidate([_group("a", A), _group("c", c), p], [], threshold=0.5)
    assert _sets(found) == {frozenset({"a", "p"})}


def test_poor_faces_that_stood_in_frame_with_a_person_are_not_that_person() -> None:
    people = [_group("a", A), _group("b", B)]
    for poor in (_poor("p", A2), _poor("p", A2, ("a",))):
        assert consolidate([*people, poor], [("p", "a")], threshold=0.5).groups == ()


def test_of_two_poor_faces_in_one_frame_only_the_likelier_is_taken_in() -> None:
    two = [_poor("p", A2), _poor("q", A)]
    found = consolidate([_group("a", A), _group("b", B), *two], [("p", "q")], threshold=0.5)
    assert found.groups == (("a", "q"),)


def test_nothing_to_do() -> None:
    assert consolidate([], [], threshold=0.5) == ConsolidationResult((), (), ())


_vectors = st.lists(
    st.lists(st.integers(-4, 4), min_size=4, max_size=4).filter(any), min_size=2, max_size=14
)


@settings(deadline=None)
@given(_vectors, st.randoms(), st.sampled_from([0.15, 0.33, 0.51, 0.71]))
def test_the_order_of_identities_does_not_matter(
    vectors: list[list[float]], random: Any, threshold: float
) -> None:
    groups = [_group(f"id-{i:02d}", v) for i, v in enumerate(vectors)]
    apart = [(one.identity_id, two.identity_id) for one, two in pairwise(groups[:4])]
    first = consolidate(groups, apart, threshold=threshold)
    shuffled = groups[:]
    random.shuffle(shuffled)
    again = consolidate(shuffled, [(b, a) for a, b in apart], threshold=threshold)
    assert _sets(first) == _sets(again)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.4, 0.6]))
def test_without_constraints_it_is_average_linkage(seed: int, threshold: float) -> None:
    """Checked against scikit-learn's agglomerative clustering on random vectors, where no two
    similarities are equal."""
    random = np.random.default_rng(seed)
    vectors = _unit(random.normal(size=(20, 6)) + random.normal(size=(1, 6)))
    found = consolidate(
        [_group(f"{i:02d}", list(v)) for i, v in enumerate(vectors)],
        [],
        threshold=threshold,
        steps=(0.0,) * 3,
        lower=(0.0,),
    )
    from sklearn.cluster import AgglomerativeClustering

    labels = AgglomerativeClustering(
        n_clusters=None, distance_threshold=1 - threshold, metric="cosine", linkage="average"
    ).fit_predict(vectors)
    expected = {
        frozenset(f"{i:02d}" for i in np.flatnonzero(labels == label)) for label in set(labels)
    }
    assert _sets(found) == {group for group in expected if len(group) > 1}
