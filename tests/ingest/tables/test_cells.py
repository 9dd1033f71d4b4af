"""URLs out of cells, ids into URLs, and attributes as they are."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.fetch.share_links import download_address, is_download, table_address
from ingest.tables.cells import attribute_column, looks_like_url, url_text
from ingest.tables.locations import Locator
from ingest.tables.numbers import Number
from registry.errors import RowError, UsageError
from tests.ingest.tables.conftest import Write
from tests.ingest.tables.tables import HEADER, read

URL = "https://a.example/a(1).mp4?x=1,2"


@pytest.mark.parametrize(
    "cell",
    [
        URL, f" {URL}\t", f"\u200b{URL}\u00a0", f"\ufeff{URL}", URL.replace("a.ex", "a\u200b.ex"),
        f'=HYPERLINK("{URL}","Watch")', f'=hyperlink("{URL}";"Watch")', f'=HYPERLINK("{URL}")',
        f'=HYPERLINK( "{URL}" , "say ""hi""" )', f'=HYPERLINK("{URL}",A2)', f'="{URL}"',
        f'=LIEN_HYPERTEXTE("{URL}";"Voir")', f"<{URL}>", f"[Watch]({URL})", f"[]({URL})",
        f"![Watch]({URL})", f"[a [b]]({URL})".replace("[b]", "b"), f"[Watch](<{URL}>)",
        f'[Watch]({URL} "title")', f"'{URL}", f'"{URL}"', f"'{URL}'",
    ],
)  # fmt: skip
def test_a_url_is_taken_out_of_its_cell(cell: str) -> None:
    assert url_text(cell) == URL
    assert looks_like_url(cell)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (" a b.mp4 ", "a b.mp4"), ("'a.mp4", "'a.mp4"), ("=A1", "=A1"), ("[x] y.mp4", "[x] y.mp4"),
        ("<b>", "b"), ('=HYPERLINK("a"&B1)', '=HYPERLINK("a"&B1)'), (7, "7"), (7.0, "7"),
        (1.5, "1.5"), (None, ""), (float("nan"), ""), (Path("c.mp4"), "c.mp4"),
        ("\u200da\u200db.mp4\u200b", "a\u200db.mp4"),
    ],
)  # fmt: skip
def test_other_cells_stay_as_they_are(cell: object, text: str) -> None:
    assert url_text(cell) == text


def test_a_formula_that_is_more_than_a_link_fails_its_row(write: Write) -> None:
    table = read(write(HEADER + '"=HYPERLINK(""https://a.example/""&B2)",1\nb.mp4,2\n'))
    assert [failure.row for failure in table.failures] == [2]
    assert "is a formula" in str(table.failures[0])


def test_an_apostrophe_before_a_path_goes_unless_the_file_has_it(write: Write) -> None:
    path = write(HEADER + "'a.mp4,1\n'b.mp4,2\n")
    (path.parent / "'b.mp4").touch()
    names = [Path(row.location.exposed()).name for row in read(path).rows]
    assert names == ["a.mp4", "'b.mp4"]


# Templates


@pytest.mark.parametrize(
    ("template", "cell", "url"),
    [
        ("https://www.youtube.com/watch?v={}", "dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("https://www.youtube.com/watch?v={}", "https://a.example/1", "https://a.example/1"),
        ("https://a.example/v/{}.mp4", "a b/c&d", "https://a.example/v/a%20b%2Fc%26d.mp4"),
        ("https://a.example/{}", "1234567890123456789x", "https://a.example/1234567890123456789x"),
        ("{}", "https://a.example/1", "https://a.example/1"),
    ],
)  # fmt: skip
def test_a_template_makes_urls_of_ids(template: str, cell: str, url: str) -> None:
    assert Locator(None, template=template).locate(2, cell)[0].exposed() == url


def test_a_template_makes_paths_of_names(tmp_path: Path) -> None:
    found = Locator(tmp_path, template="clips/{}.mp4").locate(2, "a b")
    assert found[1].exposed() == str(tmp_path.resolve() / "clips" / "a b.mp4")


@pytest.mark.parametrize("template", ["https://a.example/", "{}{}", "https://a.example/{id}"])
def test_a_template_without_one_place_is_wrong_usage(write: Write, template: str) -> None:
    with pytest.raises(UsageError, match="--url-template"):
        read(write(HEADER + "a,1\n"), url_template=template)


@pytest.mark.parametrize("cell", ["1.20212E+17", "1,20212E+17", "120212345678901234.0"])
def test_an_id_that_a_spreadsheet_rounded_is_refused(cell: str) -> None:
    with pytest.raises(RowError, match="rounded"):
        Locator(None, template="https://a.example/{}").locate(2, cell)


# Share links


@pytest.mark.parametrize(
    ("link", "download"),
    [
        ("https://drive.google.com/file/d/1A_b-C/view?usp=sharing",
         "id=1A_b-C&export=download&confirm=t"),
        ("https://drive.google.com/open?id=1A_b-C", "id=1A_b-C&export=download&confirm=t"),
        ("https://drive.google.com/uc?export=download&id=1A_b-C",
         "id=1A_b-C&export=download&confirm=t"),
        (
            "https://drive.google.com/file/d/1A/view?resourcekey=0-k&usp=drive_link",
            "id=1A&export=download&confirm=t&resourcekey=0-k",
        ),
    ],
)  # fmt: skip
def test_a_share_link_of_google_drive_is_a_download(link: str, download: str) -> None:
    url, location = Locator(None).locate(2, link)
    assert location.exposed() == f"https://drive.usercontent.google.com/download?{download}"
    assert url.exposed().startswith("https://drive.google.com/")
    assert is_download(location.exposed())


@pytest.mark.parametrize(
    ("link", "download"),
    [
        ("https://www.dropbox.com/s/abc/a.mp4?dl=0", "https://www.dropbox.com/s/abc/a.mp4?dl=1"),
        ("https://dropbox.com/s/abc/a.mp4", "https://www.dropbox.com/s/abc/a.mp4?dl=1"),
        (
            "https://www.dropbox.com/scl/fi/abc/a%20b.mp4?rlkey=k1&st=x&dl=0",
            "https://www.dropbox.com/scl/fi/abc/a%20b.mp4?rlkey=k1&dl=1",
        ),
    ],
)
def test_a_share_link_of_dropbox_is_a_download(link: str, download: str) -> None:
    assert download_address(link) == download
    assert is_download(download)
    assert not is_download(link)


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/drive/folders/1A", "https://www.dropbox.com/sh/abc/def",
        "https://www.dropbox.com/scl/fo/abc/def?rlkey=x",
    ],
)  # fmt: skip
def test_the_link_of_a_folder_fails_its_row(link: str) -> None:
    with pytest.raises(RowError, match="link of a folder"):
        Locator(None).locate(2, link)


@pytest.mark.parametrize(
    "link",
    ["https://a.example/file/d/1/view", "https://drive.google.com/help", "https://a.example/?d=dropbox.com"],
)  # fmt: skip
def test_other_links_stay_as_they_are(link: str) -> None:
    assert download_address(link) == link


SHEET = "https://docs.google.com/spreadsheets/d"


@pytest.mark.parametrize(
    ("link", "address"),
    [
        (f"{SHEET}/1A/edit#gid=7", f"{SHEET}/1A/export?format=csv&gid=7"),
        (f"{SHEET}/1A/edit?gid=7#gid=7", f"{SHEET}/1A/export?format=csv&gid=7"),
        (f"{SHEET}/1A/edit?usp=sharing", f"{SHEET}/1A/export?format=csv"),
        (f"{SHEET}/1A", f"{SHEET}/1A/export?format=csv"),
        (f"{SHEET}/e/2P-x/pubhtml?gid=3&single=true",
         f"{SHEET}/e/2P-x/pub?gid=3&single=true&output=csv"),
        (f"{SHEET}/e/2P-x/pub?output=csv", f"{SHEET}/e/2P-x/pub?output=csv"),
        (f"{SHEET}/1A/export?format=xlsx", f"{SHEET}/1A/export?format=xlsx"),
        ("https://a.example/t.csv?sig=1", "https://a.example/t.csv?sig=1"),
        ("https://drive.google.com/file/d/1A/view", "https://drive.usercontent.google.com/download?id=1A&export=download&confirm=t"),
    ],
)  # fmt: skip
def test_the_table_behind_a_link(link: str, address: str) -> None:
    assert table_address(link) == address


# Attributes


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["2026-10-01", "", "2026-10-02"], [dt.date(2026, 10, 1), None, dt.date(2026, 10, 2)]),
        (["2026-10-01T12:30:00", "2026-10-02 08:00"],
         [dt.datetime(2026, 10, 1, 12, 30), dt.datetime(2026, 10, 2, 8)]),
        (["2026-02-30", "2026-10-01"], ["2026-02-30", "2026-10-01"]),
        (["01.10.2026"], ["01.10.2026"]), (["12", "-3", "--"], [12, -3, None]),
        (["0123", "12"], ["0123", "12"]), (["1234567890123456"], ["1234567890123456"]),
        (["1.5", "2"], [1.5, 2.0]), (["1.250", "80"], ["1.250", "80"]),
        (["1.250", "0.5"], [1.25, 0.5]),
        (["1,5"], ["1,5"]), (["$5"], ["$5"]), (["TikTok", "5"], ["TikTok", "5"]),
        (['=HYPERLINK("https://a.example","Ad 7")', '="007"'], ["Ad 7", "007"]),
        (["\u200bx\u00a0", " "], ["x", None]), (["(not set)"], ["(not set)"]), ([], []),
        ([1, 2.5, None, float("nan")], [1, 2.5, None, None]), ([True, False], ["true", "false"]),
        ([dt.date(2026, 1, 2), "x"], [dt.date(2026, 1, 2), "x"]),
        ([Number(1.25, "%"), Number(5, "EUR")], ["1.25%", "5 EUR"]),
        ([Decimal("1.50"), float("inf")], ["1.50", "inf"]),
        ([pd.Timestamp("2026-01-02 03:04:05.000000006"), pd.NaT],
         [dt.datetime(2026, 1, 2, 3, 4, 5), None]),
        ([np.float64(1.5)], [1.5]),
    ],
)  # fmt: skip
def test_attributes_are_text_numbers_or_dates_as_found(
    cells: list[object], values: list[object]
) -> None:
    found = attribute_column(cells)
    assert found == values
    assert [type(one) for one in found if not isinstance(one, float)] == [
        type(one) for one in values if not isinstance(one, float)
    ]


def test_every_other_column_is_an_attribute(write: Write) -> None:
    text = "Ad ID,Video URL,Views,Published,Platform\n0042,a.mp4,5,2026-10-01,TikTok\n7,b.mp4,6,,\n"
    table = read(write(text), "Views")
    assert table.attributes == ("Ad ID", "Published", "Platform")
    assert [row.attributes for row in table.rows] == [
        {"Ad ID": "0042", "Published": dt.date(2026, 10, 1), "Platform": "TikTok"},
        {"Ad ID": "7"},
    ]
