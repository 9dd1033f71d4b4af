"""Averages are over distinct videos, and pandas comes to the same."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from queries.averages import average_of, averages
from registry.core.registry import Registry
from tests.queries.conftest import put
from tests.support.factories import person, video


def _by_pandas(registry: Registry, metric: str) -> pd.Series[float]:
    rows = [
        {"video": one.video_id, "identity": a.identity_id, "value": one.metrics.get(metric)}
        for one in registry.index.videos()
        for a in one.appearances
    ]
    table = pd.DataFrame(rows).drop_duplicates(["video", "identity"])
    table["value"] = table["value"].astype(float)
    return table.groupby("identity")["value"].mean()


@pytest.mark.parametrize(
    ("metric", "column"), [("Performance", "average_performance"), ("Views", "average_Views")]
)
def test_averages_equal_a_pandas_computation(registry: Registry, metric: str, column: str) -> None:
    table = averages(registry).set_index("identity")[column]
    expected = _by_pandas(registry, metric)
    pd.testing.assert_series_equal(
        table.sort_index(), expected.sort_index(), check_names=False, check_dtype=False
    )


def test_a_video_counts_once_however_many_faces_it_has(registry: Registry) -> None:
    first = averages(registry).iloc[0]
    assert (first["average_performance"], first["videos"], first["faces"]) == (15.0, 2, 3)


def test_a_number_has_no_digits_of_binary_rounding(registry: Registry) -> None:
    one = person(6)
    put(registry, *(video(f"r{v}", [one], metrics={"Performance": v}) for v in (7.4, 6.2)))
    table = averages(registry)
    row = table[table["average_performance"].between(6.79, 6.81)].iloc[0]
    assert (repr(float(row["average_performance"])), len(repr(float(row["spread"]))) <= 17) == (
        "6.8",
        True,
    )


def test_the_columns_come_in_their_fixed_order(registry: Registry) -> None:
    assert list(averages(registry).columns) == [
        "identity", "name", "face_image", "average_performance", "videos", "faces",
        "screen_time_s", "average_Views", "spread", "interval_low", "interval_high",
    ]  # fmt: skip


def test_nobody_without_a_value_gets_a_number(registry: Registry) -> None:
    table = averages(registry)
    last = table.iloc[-1]
    assert math.isnan(last["average_performance"])
    assert last["average_Views"] == 300.0
    assert table["interval_low"].isna().all()


def test_spread_is_the_sample_standard_deviation(registry: Registry) -> None:
    assert averages(registry).iloc[0]["spread"] == pytest.approx(np.std([10, 20], ddof=1))


def test_from_ten_videos_on_there_is_an_interval(registry: Registry) -> None:
    values = [float(v) for v in range(1, 11)]
    put(registry, *(video(f"m{v}", [person(5)], metrics={"Performance": v}) for v in values))
    table = averages(registry)
    row = table[table["videos"] == 10].iloc[0]
    assert row["average_performance"] == 5.5
    assert row["interval_low"] == pytest.approx(5.5 - 2.1659, abs=1e-3)
    assert row["interval_high"] == pytest.approx(5.5 + 2.1659, abs=1e-3)


def test_the_average_of_one_identity_agrees_with_the_table(registry: Registry) -> None:
    row = averages(registry).iloc[0]
    assert average_of(registry, row["identity"]) == {"Performance": 15.0, "Views": 100.0}
