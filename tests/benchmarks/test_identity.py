"""The measures give what their papers' definitions give by hand; the methods do what they say."""

from __future__ import annotations

import pytest

from benchmarks._measures import score
from benchmarks._methods import consolidated, immich, notebook, plain
from benchmarks._registry import same_as_registry
from benchmarks._settings import best
from registry.domain import Video
from tests.support.factories import MODEL, person, video


def test_b_cubed_by_hand() -> None:
    """Group x holds a, a, b; group y holds a. A face of nobody counts nowhere."""
    found = score(["a", "a", "b", "a", None], ["x", "x", "x", "y", "x"])
    assert found.precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1) / 4)
    assert found.recall == pytest.approx((2 / 3 + 2 / 3 + 1 + 1 / 3) / 4)
    assert (found.per_person, found.wrong, found.groups) == (1.5, 1, 2)


def test_a_right_grouping_is_perfect() -> None:
    found = score(["a", "a", "b"], ["1", "1", "2"])
    assert (found.f1, found.per_person, found.wrong) == (1.0, 1.0, 0)


def test_the_middle_of_the_plateau_is_chosen() -> None:
    scores = [score(["a", "a", "b", "b"], groups) for groups in ("wxyz", "xxyy", "xxyy", "xxyy")]
    assert best([0.1, 0.2, 0.3, 0.4], scores) == 0.3


def _videos() -> list[Video]:
    """Person 0 twice, a little different; person 1 once."""
    return [
        video("a", [person(0), person(0, 0.1)]),
        video("b", [person(0, 0.9)]),
        video("c", [person(1)]),
    ]


def _sizes(grouping: dict[str, str]) -> list[int]:
    groups = list(grouping.values())
    return sorted(groups.count(group) for group in set(groups))


def test_the_plain_rule_here_is_the_registrys() -> None:
    assert same_as_registry(_videos(), MODEL)
    assert _sizes(plain(_videos())) == [1, 1, 2]
    assert _sizes(notebook(_videos())) == [1, 1, 2]


@pytest.mark.parametrize("batches", [1, 3])
def test_consolidation_joins_what_the_rule_split(batches: int) -> None:
    assert _sizes(consolidated(_videos(), 0.5, batches=batches)) == [1, 3]


def test_immich_founds_a_person_on_three_faces_and_leaves_others_alone() -> None:
    assert _sizes(immich(_videos())) == [1, 3]
    assert _sizes(immich(_videos(), least=4)) == [1, 1, 1, 1]
