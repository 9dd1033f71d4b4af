"""The rules that requests of every engine share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.store.base import Filter, Hit
from registry.store.collection import batches, can_match, cosine, settle_ties, texts
from tests.support.points import uid

SCORES = st.lists(st.sampled_from([-1.0, 0.25, 0.5, 1.0]), max_size=60)


@given(
    weights=st.lists(st.integers(0, 12), max_size=40),
    most=st.integers(1, 7),
    most_weight=st.integers(1, 20),
)
def test_batches_keep_order_and_bounds(weights: list[int], most: int, most_weight: int) -> None:
    items = list(range(len(weights)))
    runs = list(batches(items, weights, most=most, most_weight=most_weight))
    assert [item for run, _ in runs for item in run] == items
    for run, weight in runs:
        assert 1 <= len(run) <= most
        assert weight == sum(weights[item] for item in run)
        assert weight <= most_weight or len(run) == 1
    for (run, weight), (following, _) in pairwise(runs):
        more = weights[following[0]]
        assert len(run) == most or weight + more > most_weight  # none is smaller than it must be


@given(
    rows=st.lists(SCORES, max_size=5),
    limit=st.integers(1, 70),
    spare=st.integers(1, 20),
    seed=st.randoms(),
)
def test_ties_are_settled_however_the_engine_breaks_them(
    rows: list[list[float]], limit: int, spare: int, seed: Random
) -> None:
    hits = [[Hit(uid(n), score, {}) for n, score in enumerate(scores)] for scores in rows]
    asked: list[Sequence[int]] = []

    def ask(numbers: Sequence[int], most: int) -> list[list[Hit]]:
        asked.append(numbers)
        answers = []
        for number in numbers:
            shuffled = seed.sample(hits[number], len(hits[number]))
            answers.append(sorted(shuffled, key=lambda hit: -hit.score)[:most])
        return answers

    expected = [sorted(row, key=lambda hit: (-hit.score, hit.id))[:limit] for row in hits]
    assert settle_ties(ask, len(rows), limit, spare) == expected
    best_first = [sorted(row, reverse=True) for row in rows]
    tied = [
        number
        for number, scores in enumerate(best_first)
        if len(scores) >= limit + spare and scores[limit - 1] == scores[limit + spare - 1]
    ]
    assert [list(numbers) for numbers in asked[1:2]] == ([tied] if tied else [])
    assert len(asked) <= 3


@pytest.mark.parametrize("value", [7, True, None, 1.5, b"a"])
def test_a_filter_compares_with_text_only(value: Any) -> None:
    assert texts(["a", "b"]) == ["a", "b"]
    with pytest.raises(TypeError, match="with text"):
        texts(["a", value])


@pytest.mark.parametrize(
    ("where", "possible"),
    [
        (None, True),
        (Filter(), True),
        (Filter(must={"a": ["x"]}), True),
        (Filter(must={"a": ["x"], "b": []}), False),
        (Filter(must_not={"a": []}), True),
    ],
)
def test_a_filter_without_values_can_match_nothing(where: Filter | None, possible: bool) -> None:
    assert can_match(where) is possible


def test_rounding_is_taken_off_a_cosine() -> None:
    assert [cosine(score) for score in (1.0000001, -1.0000001, 0.85)] == [1.0, -1.0, 0.85]
