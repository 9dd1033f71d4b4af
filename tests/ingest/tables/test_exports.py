"""Tables as people export them give what their owners meant: built here, and those handed to us."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ingest.tables.questions import QuestionError
from ingest.tables.table import Table
from tests.ingest.tables.exports import build_exports
from tests.ingest.tables.tables import read

SITE = "http://127.0.0.1:8000"
DATA = os.environ.get("FACE_REGISTRY_TEST_DATA", "")
MAKE = Path(DATA).parent / "cases" / "make.py"


@pytest.fixture(scope="module", params=["ours", "shared"])
def exports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("exports")
    if request.param == "ours":
        build_exports(folder, SITE)
        yield folder
        return
    if not DATA or not MAKE.is_file():
        pytest.skip("no shared cases: FACE_REGISTRY_TEST_DATA names no folder beside cases/make.py")
    tables_only = MAKE.read_text().partition("# --- videos")[0]
    script = tables_only.replace("__file__", repr(str(MAKE)))
    subprocess.run([sys.executable, "-c", script, str(folder), SITE], check=True, timeout=120)
    yield folder / "tables"


def values(table: Table, metric: str) -> list[float | None]:
    """Of the videos a, b and c, in this order."""
    assert table.failures == ()
    names = [row.url.exposed().partition("?")[0].rpartition("/")[2] for row in table.rows]
    assert names == ["a.mkv", "b.mkv", "c.mkv"][: len(names)]
    return [row.metrics.get(metric) for row in table.rows]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("signed_week1.csv", {}, {"Performance": [10, 4]}),
        ("signed_week2.csv", {}, {"Performance": [2, 5]}),
        ("counts_with_dots.csv", {"decimal": ","}, {"Views": [1250, 80, 12875]}),
        ("rates_with_commas.csv", {"decimal": ","}, {"CTR": [1.25, 2.375, 3.125]}),
        ("week_full.csv", {}, {"ROAS": [4.5, 2], "Views": [1500, 80]}),
        ("week_blank.csv", {}, {"ROAS": [None, 2.1], "Views": [1600, None]}),
        ("one_bad_metric.csv", {}, {"ROAS": [4.5, 2, None], "Views": [None, None, 7]}),
        (
            "search_ads.csv",
            {},
            {
                "Impr.": [12345, 980, 1020345],
                "CTR": [1.25, None, 2.75],
                "Conv. rate": [None, 0.5, None],
                "Cost": [1234.5, 88.1, 9001],
            },
        ),
        ("windows_1252.csv", {}, {"Vues": [5, 7]}),
        ("cells.csv", {}, {"ROAS": [9, 3, 2]}),
        ("quote.tsv", {}, {"Views": [7, 8]}),
        ("nbsp_header.csv", {}, {"Performance": [1]}),
        ("workbook.xlsx", {}, {"Performance": [4.5, 2]}),
    ],
)
def test_an_export_gives_what_its_owner_meant(
    exports: Path, name: str, options: dict[str, Any], expected: Mapping[str, list[float | None]]
) -> None:
    table = read(exports / name, *expected, **options)
    assert {metric: values(table, metric) for metric in expected} == expected


@pytest.mark.parametrize(
    ("name", "metric", "options", "said"),
    [
        ("counts_with_dots.csv", "Views", {}, ["'1.250' is 1.25;", "'1.250' is 1250;"]),
        ("rates_with_commas.csv", "CTR", {}, ["'1,250' is 1.25;", "'1,250' is 1250;"]),
        ("week_percent.csv", "ROAS", {"known_units": {"ROAS": ""}}, ["has been plain", "--unit"]),
    ],
)  # fmt: skip
def test_an_export_that_could_mean_either_is_a_question(
    exports: Path, name: str, metric: str, options: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(QuestionError) as caught:
        read(exports / name, metric, **options)
    assert all(part in str(caught.value) for part in said)
    assert all(choice.option.startswith("--") for choice in caught.value.questions[0].choices)


def test_the_links_of_two_weeks_keep_their_signatures_for_the_download(exports: Path) -> None:
    for week in "12":
        rows = read(exports / f"signed_week{week}.csv").rows
        assert "X-Amz-Signature" in rows[0].location.exposed()
        assert rows[0].url.exposed().endswith("/a.mkv")
        signature = rows[0].location.exposed().partition("X-Amz-Signature=")[2]
        assert signature
        assert signature not in repr(rows[0])


def test_links_with_trackers_are_rows_of_their_videos(exports: Path) -> None:
    table = read(exports / "tracking.csv", "ROAS")
    assert table.total == 4
    assert (table.rows[0].metrics, table.rows[-1].metrics) == ({"ROAS": 9.0}, {"ROAS": 2.0})


def test_a_breakdown_is_combined_as_asked(exports: Path) -> None:
    table = read(exports / "breakdown.csv", "Views:sum", "Spend:sum", "ROAS:mean@Spend")
    assert values(table, "Views") == [90_100, 900]
    assert values(table, "Spend") == [9_010, 3_000]
    assert values(table, "ROAS") == pytest.approx([1.0977, 2], abs=5e-5)


def test_what_cannot_be_read_is_said(exports: Path) -> None:
    table = read(exports / "one_bad_metric.csv", "ROAS", "Views")
    assert [(one.row, one.column, one.cell) for one in table.unreadable] == [
        (2, "Views", "about a thousand")
    ]
    assert any("1 cell without a value" in note for note in table.notes)


def test_totals_and_titles_are_skipped_and_said(exports: Path) -> None:
    table = read(exports / "search_ads.csv", "Impr.")
    assert (table.total, table.detected.header_row, table.detected.encoding) == (3, 3, "UTF-16 LE")
    assert [row.label for row in table.skipped] == ["Total: Campaigns", "Total: Account"]
    assert any("2 rows of totals or headers skipped" in note for note in table.notes)


def test_ids_become_pages(exports: Path) -> None:
    template = "https://www.youtube.com/watch?v={}"
    table = read(exports / "studio.csv", "Views", url_column="Content", url_template=template)
    assert [(row.url.exposed(), row.metrics) for row in table.rows] == [
        ("https://www.youtube.com/watch?v=AAAAAAAAAA1", {"Views": 8542}),
        ("https://www.youtube.com/watch?v=AAAAAAAAAA2", {"Views": 13782}),
    ]
    assert table.rows[0].attributes["Video title"] == 'Guide: "Part I"'
    assert [row.row for row in table.skipped] == [2]


def test_attributes_are_kept(exports: Path) -> None:
    def attribute(name: str, metric: str, column: str) -> list[object]:
        return [row.attributes[column] for row in read(exports / name, metric).rows]

    assert attribute("windows_1252.csv", "Vues", "Titre") == ["Été à Besançon", "Noël"]
    assert attribute("quote.tsv", "Views", "Title") == ['"Best" ad', 'Say "hi']
    assert attribute("workbook.xlsx", "Performance", "Published") == [
        dt.date(2026, 10, 1), dt.date(2026, 10, 2),
    ]  # fmt: skip
