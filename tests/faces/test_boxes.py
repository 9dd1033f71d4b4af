"""How far boxes overlap, one pair at a time and many at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain import Box
from registry.faces.boxes import overlap, overlaps

_side = st.floats(-100, 100).map(lambda value: round(value, 3))
_box = st.tuples(_side, _side, st.floats(0.5, 200), st.floats(0.5, 200)).map(
    lambda at: Box(at[0], at[1], at[0] + at[2], at[1] + at[3])
)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Box(0, 0, 10, 10), 1.0),
        (Box(5, 0, 15, 10), 1 / 3),
        (Box(10, 0, 20, 10), 0.0),
        (Box(30, 30, 40, 40), 0.0),
        (Box(2, 2, 4, 4), 0.04),
        (Box(5, 5, 5, 5), 0.0),
    ],
)
def test_intersection_over_union(other: Box, expected: float) -> None:
    box = Box(0, 0, 10, 10)
    assert overlap(box, other) == pytest.approx(expected)
    assert overlap(other, box) == pytest.approx(expected)


@given(st.lists(st.tuples(_box, _box), min_size=1, max_size=20))
def test_many_at_once_are_the_same_as_one_by_one(pairs: list[tuple[Box, Box]]) -> None:
    one, other = (
        np.array([(two[side].x1, two[side].y1, two[side].x2, two[side].y2) for two in pairs])
        for side in (0, 1)
    )
    expected = [overlap(a, b) for a, b in pairs]
    assert overlaps(one, other) == pytest.approx(expected, abs=1e-9)
