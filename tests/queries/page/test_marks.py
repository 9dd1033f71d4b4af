"""Where marks are on the charts of a page."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from queries.page import marks

NAN = math.nan


def test_zero_is_on_the_shared_axis_and_sides_are_told_apart() -> None:
    axis = marks.axis_of_differences(
        [(2.0, 1.0, 3.0), (-1.0, -2.0, 0.2), (NAN, NAN, NAN)], ratios=False
    )
    zero = axis.place(0.0)
    assert [tick.text for tick in axis.ticks if tick.at == zero] == ["same"]
    row = marks.forest(axis, 2.0, 1.0, 3.0, "clearly above", "words")
    assert row is not None and zero < row.low < row.middle < row.high <= 100
    assert (row.kind, row.text) == ("a", "words")
    below = marks.forest(axis, -1.0, -2.0, 0.2, "leaning below", "")
    assert below is not None and below.low < below.middle < zero and below.kind == "b"
    assert marks.forest(axis, NAN, NAN, NAN, "too few", "") is None


def test_ratios_are_on_a_logarithmic_scale() -> None:
    axis = marks.axis_of_differences([(1.0, 0.2, 3.0), (-0.5, -0.7, 0.1)], ratios=True)
    doubled, halved, same = axis.place(1.0), axis.place(-0.5), axis.place(0.0)
    assert doubled - same == pytest.approx(same - halved, abs=0.2)
    assert {"same", "+100 %", "-50 %"} <= {tick.text for tick in axis.ticks}


def test_one_unsure_person_does_not_flatten_the_others() -> None:
    sure = [(0.1 * i, 0.1 * i - 0.5, 0.1 * i + 0.5) for i in range(-10, 11)]
    axis = marks.axis_of_differences([*sure, (0.0, -900.0, 900.0)], ratios=False)
    assert axis.place(1.0) - axis.place(-1.0) > 45
    assert (axis.place(-900.0), axis.place(900.0)) == (0.0, 100.0)
    unsure = marks.forest(axis, 0.0, -900.0, 900.0, "cannot tell", "")
    assert unsure is not None and unsure.cut_low and unsure.cut_high
    others = [marks.forest(axis, *one, "cannot tell", "") for one in sure]
    assert not any(row is None or row.cut_low or row.cut_high for row in others)


def test_an_axis_of_nothing_still_has_zero() -> None:
    assert any(tick.text == "same" for tick in marks.axis_of_differences([], ratios=False).ticks)


@pytest.mark.parametrize(
    ("values", "transform"),
    [([1.0, 900.0], math.log10), ([1.0, 4.0], float), ([0.0, 900.0], float), ([5.0], float)],
)
def test_far_apart_values_are_on_a_logarithmic_scale(
    values: list[float], transform: object
) -> None:
    axis = marks.axis_of_values(values)
    assert axis.transform is transform
    assert all(0 <= axis.place(value) <= 100 for value in values)
    assert math.isnan(axis.place(NAN))
    labels = [tick.at for tick in axis.ticks]
    assert labels == sorted(labels) and len(labels) >= 2
    assert all(b - a >= 13 for a, b in pairwise(labels))


def test_many_values_are_a_histogram() -> None:
    few = marks.dots([50.0, 10.0, 50.0], 36.7, "with (3)", own=True)
    assert [place for place, _ in few.dots] == [10.0, 50.0, 50.0]
    assert len({layer for _, layer in few.dots[1:]}) == 2, "equal values hide each other"
    many = marks.dots([10.0] * 300 + [90.0] * 100, None, "without (400)", own=False)
    assert many.dots == () and [height for *_, height in many.bars] == [1.0, 0.33]


def test_a_lane_is_in_percent_of_the_video() -> None:
    row = marks.lane("p1", [(0.0, 3.0), (9.0, 12.5)], 12.0)
    assert row.spans == ((0.0, 25.0), (75.0, 25.0))
    assert row.text == "0:00 to 0:03, 0:09 to 0:12"
    assert marks.lane("p1", [(1.0, 1.0)], 600.0).spans[0][1] >= 0.6, "too short to be seen"


def test_a_course_skips_periods_without_videos() -> None:
    drawn = marks.course(["a", "b", "c"], [1.0, NAN, 3.0], [2.0, 2.0, 2.0], [1, 0, 4])
    assert drawn is not None
    assert len(drawn.own) == 1 and len(drawn.every) == 2
    assert [text for *_, text in drawn.points] == ["a: 1.00, n 1", "c: 3.00, n 4"]
    assert marks.course(["a"], [1.0], [1.0], [1]) is None
    assert marks.course(["a", "b"], [NAN, NAN], [NAN, NAN], [0, 0]) is None


@pytest.mark.parametrize(("seconds", "shown"), [(4.9, "0:04"), (75, "1:15"), (3723, "1:02:03")])
def test_times_are_those_of_players(seconds: float, shown: str) -> None:
    assert marks.clock(seconds) == shown
