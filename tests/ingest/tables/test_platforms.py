"""Exports in the forms of the big platforms: `docs/TABLES.md` lists what is tried here.

The files are written from memory in the form of these exports, not taken from accounts: title
rows, columns, encodings, totals. They are not exports of anybody's account.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import openpyxl
import pytest

from ingest.tables.table import Table
from tests.ingest.tables.conftest import Write
from tests.ingest.tables.tables import metrics, read, reasons


def text(*rows: Sequence[object], delimiter: str = ",", before: str = "") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return before + out.getvalue()


def book(*rows: Sequence[object]) -> bytes:
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.worksheets[0].append(list(row))
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def numbers(table: Table, *names: str) -> list[list[float | None]]:
    return [[row.get(name) for name in names] for row in metrics(table)]


def test_google_ads_as_csv(write: Write) -> None:
    data = text(
        ["Video", "Video URL", "Impr.", "View rate", "Avg. CPV", "Cost", "Currency code"],
        ["Ad 1", "https://a.example/1", "12,345", "31.25%", "0.05", "617.25", "USD"],
        ["Ad 2", "https://a.example/2", "1,234,567", "< 10%", " --", "1,061.73", "USD"],
        ["Total: Filtered videos", " --", "1,246,912", "8.97%", "0.05", "1,678.98", "USD"],
        before='Video report\r\n"October 1, 2026 - October 31, 2026"\r\n',
    )
    table = read(write(data), "Impr.", "View rate", "Avg. CPV", "Cost")
    assert numbers(table, "Impr.", "View rate", "Avg. CPV", "Cost") == [
        [12345, 31.25, 0.05, 617.25], [1234567, None, None, 1061.73],
    ]  # fmt: skip
    assert len(table.skipped) == 1
    assert table.rows[0].attributes == {"Video": "Ad 1", "Currency code": "USD"}


def test_google_ads_for_excel(write: Write) -> None:
    data = text(
        ["Vidéo", "URL de la vidéo", "Impr.", "Taux", "Coût"],
        ["Pub été", "https://a.example/1", "12\u00a0345", "31,25\u00a0%", "617,25\u00a0€"],
        ["Total : compte", " --", "12\u00a0345", "31,25\u00a0%", "617,25\u00a0€"],
        delimiter="\t", before="Rapport\r\n1 octobre 2026 - 31 octobre 2026\r\n",
    )  # fmt: skip
    table = read(
        write(data.encode("utf-16")), "Impr.", "Taux", "Coût", url_column="URL de la vidéo"
    )
    assert numbers(table, "Impr.", "Taux", "Coût") == [[12345, 31.25, 617.25]]
    assert table.units == {"Impr.": "", "Taux": "%", "Coût": "EUR"}


def test_meta_ads(write: Write) -> None:
    data = text(
        ["Reporting starts", "Ad name", "Link", "Impressions", "Amount spent (USD)",
         "Purchase ROAS (return on ad spend)", "Video average play time"],
        ["2026-10-01", "one", "https://a.example/1", "1200", "100.5", "2.125", "00:00:07"],
        ["2026-10-02", "one", "https://a.example/1", "800", "899.5", "1.5", "00:00:05"],
        ["2026-10-01", "two", "https://a.example/2", "50", "3", "", ""],
    )  # fmt: skip
    roas = "Purchase ROAS (return on ad spend)"
    table = read(
        write("\ufeff" + data), "Impressions:sum", f"{roas}:mean@Amount spent (USD)",
        "Video average play time:mean@Impressions", url_column="Link",
    )  # fmt: skip
    assert numbers(table, "Impressions", roas, "Video average play time") == [
        [2000, (2.125 * 100.5 + 1.5 * 899.5) / 1000, (7 * 1200 + 5 * 800) / 2000],
        [50, None, None],
    ]


ADS = ["2026-10-01", "x", "a.mp4", "15", "1.5"], ["2026-10-02", "y", "b.mp4", "1.005", "2"]


@pytest.mark.parametrize("first", [True, False])
def test_the_summary_row_of_meta_ads_has_no_label_and_adds_up_the_others(
    write: Write, first: bool
) -> None:
    total = ["2026-10-01", "", "", "1.020", "1.75"]
    rows = [total, *ADS] if first else [*ADS, total]
    data = text(["Reporting starts", "Ad name", "Video URL", "Views", "Frequency"], *rows)
    table = read(write(data), "Views", decimal=",")
    assert (numbers(table, "Views"), table.failures) == ([[15], [1005]], ())
    assert any("1 row of totals" in n and "without a label (row" in n for n in table.notes)


@pytest.mark.parametrize(
    "row",
    [["2026-10-01", "", "", "17", "1.75"], ["", "z", "", "1.020", ""], ["", "", "", "", ""],
     ["", "", "", "0", "0"]],
)  # fmt: skip
def test_a_row_without_a_url_that_adds_nothing_up_is_a_missing_url(
    write: Write, row: list[str]
) -> None:
    data = text(["Reporting starts", "Ad name", "Video URL", "Views", "Frequency"], row, *ADS)
    table = read(write(data), "Views", decimal=",")
    assert table.skipped == ()
    if any(row):
        assert [why for at, why in reasons(table) if at == 2 and "the URL is missing" in why]


def test_meta_business_suite(write: Write) -> None:
    data = text(
        ["Post ID", "Permalink", "Title", "Publish time", "Duration (sec)", "Views"],
        ["120211234567890123", "https://www.instagram.com/reel/Cx_1/", "Hi", "10/01/2026 08:00",
         "31", "1532"],
    )  # fmt: skip
    table = read(write("\ufeff" + data), "Views", url_column="Permalink")
    assert table.rows[0].url.exposed() == "https://www.instagram.com/p/Cx_1/"
    assert table.rows[0].attributes == {
        "Post ID": "120211234567890123", "Title": "Hi", "Publish time": "10/01/2026 08:00",
        "Duration (sec)": 31,
    }  # fmt: skip


def test_tiktok_ads(write: Write) -> None:
    data = book(
        ["Ad name", "Video link", "Cost", "Impressions", "CTR (destination)", "2-second views"],
        ["one", "https://a.example/1", "617.25", "12,345", "1.25%", 5000],
        ["two", "https://a.example/2", "3.00", "980", "0.00%", 4],
        ["Total of 2 results", "-", "620.25", "13,325", "1.16%", 5004],
    )  # fmt: skip
    table = read(
        write(data, "t.xlsx"), "Cost", "Impressions", "CTR (destination)", url_column="Video link"
    )
    assert numbers(table, "Cost", "Impressions", "CTR (destination)") == [
        [617.25, 12345, 1.25], [3, 980, 0],
    ]  # fmt: skip
    assert [row.label for row in table.skipped] == ["Total of 2 results"]


def test_tiktok_posts(write: Write) -> None:
    data = book(
        ["Time", "Video title", "Video link", "Post time", "Total likes", "Total views"],
        ["October 28", "Hi", "https://www.tiktok.com/@a/video/71", "October 1", "1.2K", "3.4M"],
    )
    table = read(write(data, "t.xlsx"), "Total views", "Total likes", url_column="Video link")
    assert numbers(table, "Total views", "Total likes") == [[3_400_000, 1200]]
    assert table.skipped == ()


def test_youtube_studio(write: Write) -> None:
    data = text(
        ["Content", "Video title", "Video publish time", "Duration", "Views",
         "Watch time (hours)", "Average view duration", "Estimated revenue (USD)",
         "Impressions click-through rate (%)"],
        ["Total", "", "", "", "22324", "1250.5", "0:03:21", "", "4.52"],
        ["dQw4w9WgXcQ", "One", "Oct 1, 2026", "212", "8542", "476.1842", "0:03:21", "", "5.1"],
        ["aaaaaaaaaaa", "Two", "Oct 2, 2026", "60", "13782", "774.3158", "0:00:41", "", "3.9"],
    )  # fmt: skip
    table = read(
        write(data, "Table data.csv"), "Views", "Watch time (hours)", "Average view duration",
        url_column="content", url_template="https://www.youtube.com/watch?v={}",
    )  # fmt: skip
    assert numbers(table, "Views", "Watch time (hours)", "Average view duration") == [
        [8542, 476.1842, 201], [13782, 774.3158, 41],
    ]  # fmt: skip
    assert table.units["Average view duration"] == "s"


def test_linkedin(write: Write) -> None:
    titles = (
        "Ad Performance Report (in UTC)\r\nReport Start: October 1, 2026, 12:00 AM\r\n"
        "Report End: October 31, 2026, 11:59 PM\r\nDate Generated: 11/1/26\r\n\r\n"
    )
    data = text(
        ["Start Date (in UTC)", "Ad Headline", "Click URL", "Total Spent", "Impressions",
         "Average CTR"],
        ["10/1/2026", 'The "best" ad', "https://a.example/1", "617.25", "12,345", "1.25%"],
        ["10/1/2026", "Zwei", "https://a.example/2", "0", "0", "-"],
        delimiter="\t", before=titles,
    )  # fmt: skip
    table = read(
        write(data.encode("utf-16")), "Impressions", "Average CTR", "Total Spent",
        url_column="Click URL",
    )  # fmt: skip
    assert numbers(table, "Impressions", "Average CTR", "Total Spent") == [
        [12345, 1.25, 617.25], [0, None, 0],
    ]  # fmt: skip
    assert table.rows[0].attributes["Ad Headline"] == 'The "best" ad'
    assert table.detected.header_row == 6


def test_x(write: Write) -> None:
    data = text(
        ["Post id", "Date", "Post text", "Post Link", "Impressions", "Engagement rate"],
        ["1712345678901234567", "Wed, Oct 1, 2026", "two\nlines, and 😀", "https://x.com/a/status/20",
         "532", "0.0451"],
    )  # fmt: skip
    table = read(write(data), "Impressions", "Engagement rate", url_column="Post Link")
    assert numbers(table, "Impressions", "Engagement rate") == [[532, 0.0451]]
    assert table.rows[0].url.exposed() == "https://x.com/i/status/20"
    assert table.rows[0].attributes["Post id"] == "1712345678901234567"
    assert table.rows[0].attributes["Post text"] == "two\nlines, and 😀"


def test_google_analytics(write: Write) -> None:
    titles = (
        "# ----------------------------------------\r\n# Free form 1\r\n# Account: Example\r\n"
        "# 20261001-20261031\r\n# ----------------------------------------\r\n\r\n"
    )
    data = text(
        ["Video URL", "Event count", "Total revenue", "Engagement rate", ""],
        ["", "9563", "1250.5", "0.5123", "Grand total"],
        ["https://a.example/1", "8542", "1250.5", "0.5", ""],
        ["(not set)", "21", "0", "0.1", ""],
        ["https://a.example/2", "1000", "0", "0.75", ""],
        before=titles,
    )
    table = read(write(data), "Event count", "Total revenue", "Engagement rate")
    assert [row.metrics["Event count"] for row in table.rows] == [8542, 1000]
    assert [(row, "URL is missing" in why) for row, why in reasons(table)] == [(10, True)]
    assert [row.label for row in table.skipped] == ["Grand total"]


def test_excel_as_text(write: Write) -> None:
    rows = (
        ["Video URL", "Titel", "Aufrufe", "ROAS"],
        ["a.mp4", 'Der "beste" Tag', "1.250", "4,5"], ["b.mp4", "Zwei\nZeilen", "80", "2"],
        ["Gesamt", "", "1.330", ""],
    )  # fmt: skip
    expected = [[1250, 4.5], [80, 2]]
    unicode_text = text(*rows, delimiter="\t").encode("utf-16")
    german_csv = text(*rows, delimiter=";").encode("cp1252")
    for data in (unicode_text, german_csv):
        assert numbers(read(write(data), "Aufrufe", "ROAS"), "Aufrufe", "ROAS") == expected
