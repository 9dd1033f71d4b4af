"""Several rows of one video, and how a metric says what to make of them."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.tables.placements import MOST_VALUES, combine
from ingest.tables.specs import Aggregation, MetricSpec, parse_spec
from ingest.tables.table import VideoRow
from registry.domain import Weighted
from registry.errors import UsageError
from registry.urls import Url
from tests.ingest.tables.conftest import Write
from tests.ingest.tables.tables import metrics, read

BREAKDOWN = (
    "Ad set,Day,Video URL,Spend,ROAS,Views\none,2026-06-01,a.mp4,10,9.0,100\n"
    "two,2026-06-01,a.mp4,5000,1.0,50000\nthree,2026-06-02,a.mp4,4000,1.2,40000\n"
    "one,2026-06-01,b.mp4,3000,2.0,900\n"
)


def test_rows_are_summed_and_averaged_as_asked(write: Write) -> None:
    table = read(write(BREAKDOWN), "Views:sum", "Spend:sum", "ROAS:mean@Spend")
    first, second = table.rows
    assert first.metrics["Views"] == 90_100
    assert first.metrics["Spend"] == 9_010
    assert first.metrics["ROAS"] == pytest.approx(1.0977, abs=5e-5)
    assert first.weights == {"ROAS": Weighted(9890.0, 9010.0)}
    assert first.rows == (2, 3, 4)
    assert first.attributes == {
        "Ad set": ("one", "two", "three"),
        "Day": (dt.date(2026, 6, 1), dt.date(2026, 6, 2)),
    }
    assert second.metrics == {"Views": 900, "Spend": 3000, "ROAS": 2}
    assert second.weights == {"ROAS": Weighted(6000.0, 3000.0)}
    assert table.warnings == ()
    assert "combined: Views:sum, Spend:sum, ROAS:mean@Spend" in table.notes[0]


def test_a_conflict_names_the_two_forms(write: Write) -> None:
    table = read(write(BREAKDOWN), "ROAS")
    assert table.rows[0].metrics == {"ROAS": 9.0}
    assert "Rows 2 and 3 are one video" in table.warnings[0]
    assert "differ in ROAS: 9 and 1. Row 2 is used." in table.warnings[0]
    assert '--metric "ROAS:sum"' in table.warnings[-1]
    assert '--metric "ROAS:mean@COLUMN"' in table.warnings[-1]


def test_a_repeated_video_counts_once_with_its_first_values(write: Write) -> None:
    path = write(
        "Video URL,Performance\nhttps://a.example/1,5\nHTTPS://A.example:443/x/../1#t,5\n"
        "https://u:p@a.example/%31,7\nhttps://a.example/2,1\nhttps://a.example/1,\n"
    )
    table = read(path)
    assert [(row.row, row.metrics["Performance"]) for row in table.rows] == [(2, 5), (5, 1)]
    assert table.total == 5
    assert len(table.warnings) == 3
    assert "Rows 2 and 4 are one video" in table.warnings[0]
    assert "Performance: 5 and 7. Row 2 is used." in table.warnings[0]
    assert "Rows 2 and 6" in table.warnings[1]
    assert "Performance: 5 and no value" in table.warnings[1]
    assert table.warnings[2].startswith("3 rows repeat URLs")


def test_a_value_counts_before_a_blank(write: Write) -> None:
    table = read(write("Video URL,Performance\na.mp4,\na.mp4,7\n"))
    assert metrics(table) == [{"Performance": 7.0}]
    assert "Rows 2 and 3" in table.warnings[0]
    assert "no value and 7. Row 3 is used." in table.warnings[0]


def test_equal_repeats_are_told_in_one_line(write: Write) -> None:
    table = read(write("Video URL,Performance\n" + "https://a.example/1,5\n" * 1000))
    assert len(table.rows) == 1
    assert [warning[:30] for warning in table.warnings] == ["999 rows repeat URLs of earlier"[:30]]


def test_many_differing_repeats_do_not_flood(write: Write) -> None:
    rows = "".join(f"https://a.example/1,{n}\n" for n in range(1000))
    assert len(read(write("Video URL,Performance\n" + rows)).warnings) == 22


def test_blanks_are_left_out_of_a_sum_and_unreadable_cells_empty_it(write: Write) -> None:
    text = "Video URL,Views\na.mp4,5\na.mp4,\na.mp4,7\nb.mp4,5\nb.mp4,many\nc.mp4,--\nc.mp4,\n"
    table = read(write(text), "Views:sum")
    assert metrics(table) == [{"Views": 12.0}, {}, {}]
    assert [row.unreadable for row in table.rows] == [set(), {"Views"}, set()]
    assert [(one.row, one.cell) for one in table.unreadable] == [(6, "many")]


def test_rows_without_a_weight_are_left_out_of_a_mean_and_told(write: Write) -> None:
    text = (
        "Video URL,ROAS,Spend\na.mp4,9,10\na.mp4,1,\na.mp4,,5\nb.mp4,4,\nc.mp4,4,\nc.mp4,5,\n"
        "d.mp4,3,0\nd.mp4,3,0\ne.mp4,2,0\ne.mp4,3,0\nf.mp4,1,x\nf.mp4,2,5\ng.mp4,1,-5\n"
    )
    table = read(write(text), "ROAS:mean@Spend")
    named = {row.location.exposed()[-5:]: row for row in table.rows}
    assert {name: row.metrics.get("ROAS") for name, row in named.items()} == {
        "a.mp4": 9, "b.mp4": 4, "c.mp4": None, "d.mp4": 3, "e.mp4": None, "f.mp4": None,
        "g.mp4": None,
    }  # fmt: skip
    assert named["a.mp4"].weights == {"ROAS": Weighted(90, 10)}
    assert named["b.mp4"].weights == {}
    assert named["f.mp4"].unreadable == named["g.mp4"].unreadable == {"ROAS"}
    said = "\n".join(table.warnings)
    assert "4 rows have a value of ROAS but no weight (rows 3, 5, 6, 7)" in said
    assert "Row 12, Spend: found 'x'" in said
    assert "Row 14, Spend: found '-5'; a weight cannot be negative" in said
    assert said.count("differ in ROAS and have no weight") == 2


def test_a_weight_that_is_a_metric_too_is_told_once(write: Write) -> None:
    table = read(write("Video URL,ROAS,Spend\na.mp4,1,x\n"), "ROAS:mean@Spend", "Spend:sum")
    assert len(table.unreadable) == 1
    assert table.rows[0].unreadable == {"ROAS", "Spend"}


def test_attributes_of_many_rows_are_cut_and_told(write: Write) -> None:
    rows = "".join(f"a.mp4,1,id{n}\n" for n in range(MOST_VALUES + 5))
    table = read(write(f"Video URL,Views,Ad\n{rows}"), "Views:sum")
    values = table.rows[0].attributes["Ad"]
    assert isinstance(values, tuple)
    assert len(values) == MOST_VALUES
    assert any("in Ad" in note for note in table.notes)


row = st.builds(
    lambda value, weight: VideoRow(
        2, Url("u"), Url("u"), {"S": value, "M": value}, {"M": Weighted(value * weight, weight)}
    ),
    st.floats(-1e6, 1e6),
    st.floats(0.5, 1e6),
)
SPECS = (MetricSpec("S", Aggregation.SUM), MetricSpec("M", Aggregation.MEAN, "W"))


@given(st.lists(row, min_size=1, max_size=8), st.integers(1, 7))
def test_parts_combine_to_the_same_as_the_whole(rows: list[VideoRow], cut: int) -> None:
    whole = combine(rows, SPECS).video
    parts = [part for part in (rows[:cut], rows[cut:]) if part]
    again = combine([combine(part, SPECS).video for part in parts], SPECS).video
    for name in ("S", "M"):
        assert math.isclose(whole.metrics[name], again.metrics[name], rel_tol=1e-9, abs_tol=1e-6)
    total = math.fsum(one.weights["M"].weight for one in rows)
    assert math.isclose(whole.weights["M"].weight, total)


# Specs


@pytest.mark.parametrize(
    ("text", "columns", "spec"),
    [
        ("Score", {"Score"}, MetricSpec("Score")),
        ("Views:sum", {"Views"}, MetricSpec("Views", Aggregation.SUM)),
        ("ROAS:mean@Spend", {"ROAS", "Spend"}, MetricSpec("ROAS", Aggregation.MEAN, "Spend")),
        ("Views:sum", {"Views", "Views:sum"}, MetricSpec("Views:sum")),
        ("Views:sum:sum", {"Views:sum"}, MetricSpec("Views:sum", Aggregation.SUM)),
        ("a:b@c:mean@d:e", {"a:b@c", "d:e"}, MetricSpec("a:b@c", Aggregation.MEAN, "d:e")),
        ("A:mean@B:mean@C", {"A:mean@B", "C"}, MetricSpec("A:mean@B", Aggregation.MEAN, "C")),
        ("A:mean@B:mean@C", {"A", "B:mean@C"}, MetricSpec("A", Aggregation.MEAN, "B:mean@C")),
        ("A:mean@B:sum", {"A", "B:sum"}, MetricSpec("A", Aggregation.MEAN, "B:sum")),
        (":sum", {":sum"}, MetricSpec(":sum")),
        ("Views:max", {"Views"}, None),
        ("ROAS:mean@Spend", {"ROAS"}, None),
        ("ROAS:mean@", {"ROAS"}, None),
    ],
)  # fmt: skip
def test_a_spec_is_read_by_the_columns_there_are(
    text: str, columns: set[str], spec: MetricSpec | None
) -> None:
    assert parse_spec(text, columns.__contains__) == spec
    if spec is not None:
        assert str(spec) == text


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("A:mean@B:mean@C", {"A", "B:mean@C", "A:mean@B", "C"}, 'weighted by "B:mean@C" or the'),
        ("A:mean@B:sum", {"A", "B:sum", "A:mean@B"}, 'sum of "A:mean@B" or the mean of "A"'),
        ("ROAS:mean", {"ROAS"}, '"ROAS:mean@COLUMN"'),
    ],
)
def test_a_spec_with_two_readings_or_none_is_wrong_usage(
    text: str, columns: set[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        parse_spec(text, columns.__contains__)
