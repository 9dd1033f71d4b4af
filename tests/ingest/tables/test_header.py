"""Title rows, names of columns, rows of totals."""

from __future__ import annotations

import pytest

from registry.errors import SourceError, UsageError
from tests.ingest.tables.conftest import Write
from tests.ingest.tables.tables import HEADER, metrics, read

TITLED = "Ad performance report,\n1 October 2026 - 31 October 2026\n\n"


def test_title_rows_above_the_header_are_skipped_and_said(write: Write) -> None:
    table = read(write(f"{TITLED}{HEADER}a.mp4,5\n"))
    assert [row.row for row in table.rows] == [5]
    assert table.detected.header_row == 4
    assert any("header is row 4; 2 rows above it" in note for note in table.notes)


@pytest.mark.parametrize(
    "label",
    [
        "Total", "Totals", "TOTAL", "Grand total", "Gesamt", "Gesamtergebnis", "Sum", "Summe",
        "Total: Account", "Total - 2 rows", "Total (2 videos)", "Total général", "Totale", "合計",
        "Subtotal", "Итого",
    ],
)  # fmt: skip
@pytest.mark.parametrize("url", ["", " --", "—"])
def test_rows_of_totals_are_skipped_and_said(write: Write, label: str, url: str) -> None:
    text = f"Campaign,Video URL,Views\nx,a.mp4,5\ny,b.mp4,7\n{label},{url},12\n"
    table = read(write(text), "Views")
    assert metrics(table) == [{"Views": 5.0}, {"Views": 7.0}]
    assert table.total == 2
    assert [(row.row, row.label) for row in table.skipped] == [(4, label)]
    assert any(
        "1 row of totals or headers skipped" in note and "row 4" in note for note in table.notes
    )


def test_a_total_in_the_url_column_is_skipped(write: Write) -> None:
    table = read(
        write("Content,Views\nTotal,12\nAAAAAAAAAA1,5\n"),
        "Views",
        url_column="Content",
        url_template="https://www.youtube.com/watch?v={}",
    )
    assert [row.url.exposed() for row in table.rows] == [
        "https://www.youtube.com/watch?v=AAAAAAAAAA1"
    ]


@pytest.mark.parametrize(
    "row", ["Total war,a.mp4,5", "Total,a.mp4,5", "Totally,a.mp4,5", "Sum: up,a.mp4,5"]
)
def test_a_row_with_a_url_is_never_a_total(write: Write, row: str) -> None:
    table = read(write(f"Campaign,Video URL,Views\n{row}\n"), "Views")
    assert metrics(table) == [{"Views": 5.0}]
    assert table.skipped == ()


def test_the_header_once_more_is_skipped(write: Write) -> None:
    """As files have it that were put together."""
    table = read(write(f"{HEADER}a.mp4,5\nVideo URL,Performance\nb.mp4,7\n"))
    assert metrics(table) == [{"Performance": 5.0}, {"Performance": 7.0}]
    assert [(row.row, row.label) for row in table.skipped] == [(3, "Video URL")]


def test_a_row_without_a_url_that_is_no_total_fails(write: Write) -> None:
    table = read(write("Campaign,Video URL,Views\nx,a.mp4,5\nTotal war,,7\n"), "Views")
    assert [failure.row for failure in table.failures] == [3]


def test_an_exact_name_is_meant_before_a_loose_one(write: Write) -> None:
    table = read(write("video url,Video URL,performance,Performance\na.mp4,b.mp4,1,2\n"))
    assert table.rows[0].location.exposed().endswith("b.mp4")
    assert metrics(table) == [{"Performance": 2.0}]
    assert table.attributes == ("video url", "performance")


def test_a_metric_is_called_as_it_was_asked_for(write: Write) -> None:
    table = read(write("VIDEO URL,PERFORMANCE\na.mp4,2\n"))
    assert metrics(table) == [{"Performance": 2.0}]
    assert table.detected.url_column == "VIDEO URL"
    assert table.detected.metric_columns == {"Performance": "PERFORMANCE"}


def test_two_columns_that_match_loosely_are_a_question(write: Write) -> None:
    with pytest.raises(UsageError, match='"video url" and "VIDEO URL" differ from it only in case'):
        read(write("video url,VIDEO URL,Performance\na.mp4,b.mp4,1\n"))


def test_a_missing_url_column_names_those_that_look_like_urls(write: Write) -> None:
    text = (
        "Report of October\nName,Link,Thumb,Performance\nx,https://a.example/1,a.mp4,1\n"
        "y,=HYPERLINK(\"https://a.example/2\"),b.mov,2\nz,,https://a.example/p.mp4,3\n"
    )  # fmt: skip
    with pytest.raises(SourceError) as caught:
        read(write(text.replace('=HYPERLINK("https://a.example/2")', "<https://a.example/2>")))
    assert (
        'has no column "Video URL". Its columns are "Name", "Link", "Thumb", "Performance". '
        "The cells of these columns look like URLs: "
        '--url-column "Link" or --url-column "Thumb".' in str(caught.value)
    )


def test_a_table_of_ids_is_told_of_the_template(write: Write) -> None:
    with pytest.raises(SourceError) as caught:
        read(write("Content,Video title,Performance\nAAAAAAAAAA1,Guide,1\n"))
    assert "No column has cells that look like URLs." in str(caught.value)
    assert "--url-template" in str(caught.value)
    assert "Did you mean" not in str(caught.value)


def test_a_missing_metric_says_how_metrics_are_named(write: Write) -> None:
    with pytest.raises(SourceError) as caught:
        read(write("Video URL,Views\na.mp4,1\n"), "Vews:sum", "ROAS:mean@Spend")
    message = str(caught.value)
    assert 'has no column "Vews" and no column "ROAS" and no column "Spend". Its' in message
    assert 'Did you mean "Views"?' in message
    assert "--metric" in message
    assert "--url-column" not in message


def test_blank_names_and_repeated_ones_are_attributes_of_their_own(write: Write) -> None:
    table = read(write("Video URL,Performance,Note,,Note,\na.mp4,1,x,y,z,\n"))
    assert table.rows[0].attributes == {"Note": "x", "Column 4": "y", "Note (2)": "z"}


@pytest.mark.parametrize(
    ("url_column", "named"),
    [
        ("Video URL", ["Video URL"]),
        ("Video URL", ["Views", "Views"]),
        ("Video URL", ["Views", "Views:sum"]),
        ("Video URL", ["Views", "views"]),
        ("Video URL", []),
        ("Video URL", [" "]),
        ("", ["Views"]),
        ("Video URL", "Views"),
    ],
)
def test_names_that_clash_are_wrong_usage(
    write: Write, url_column: str, named: list[str] | str
) -> None:
    with pytest.raises(UsageError):
        read(write("Video URL,Views\na.mp4,1\n"), url_column=url_column, metrics=named)
