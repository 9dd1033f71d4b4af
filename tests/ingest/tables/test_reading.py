"""Rows, URLs and paths, cells that cannot be read, DataFrames, and anything at all."""

from __future__ import annotations

import io
import re
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.tables.reading import read_frame, read_table
from ingest.tables.table import Table, TableOptions
from registry.errors import RegistryError, SourceError
from tests.ingest.tables.conftest import Write
from tests.ingest.tables.tables import HEADER, found, metrics, read, reasons


def test_row_numbers_are_those_of_the_spreadsheet(write: Write) -> None:
    path = write(
        'Video URL,Notes,Performance\n\nhttps://a.example/3,"two\nlines",1\n,,\n  ,\n'
        'https://a.example/6,"a ""quote"", and\r\n\r\nmore",2\n\n\n,,x\n'
    )
    table = read(path)
    assert [row.row for row in table.rows] == [3, 6]
    assert [row for row, _ in reasons(table)] == [9]
    assert table.total == 3


def test_blank_lines_before_the_header_count(write: Write) -> None:
    assert found(read(write(f"\n\n{HEADER}https://a.example/1,5\n")))[0][0] == 4


def test_other_columns_and_several_metrics(write: Write) -> None:
    path = write("Link,Views,Likes\nhttps://a.example/1,10,\nhttps://a.example/2,n/a,3\n")
    table = read(path, "Views", "Likes", url_column="Link")
    assert [row.metrics for row in table.rows] == [{"Views": 10.0}, {"Likes": 3.0}]
    assert table.warnings == ()


# Cells that cannot be read


def test_a_bad_number_empties_its_metric_and_costs_no_video(write: Write) -> None:
    table = read(write(f"{HEADER}https://a.example/1,2\nhttps://a.example/2,\x1b[1mabout 3\n"))
    assert metrics(table) == [{"Performance": 2.0}, {}]
    assert table.rows[1].unreadable == {"Performance"}
    assert table.warnings == (
        "Row 3, Performance: found '\\x1b[1mabout 3'; a number such as 1234.5, 1,234.5 or 12% is "
        "expected. The metric is left empty.",
    )
    ((row, cell),) = [(one.row, one.cell) for one in table.unreadable]
    assert (row, cell) == (3, "\\x1b[1mabout 3")


def test_many_bad_numbers_do_not_flood(write: Write) -> None:
    table = read(write(HEADER + "".join(f"{n}.mp4,x{n}\n" for n in range(100))))
    assert len(table.unreadable) == 100
    assert len(table.warnings) == 21


def test_bounds_are_counted_and_blank_columns_told(write: Write) -> None:
    path = write("Video URL,A,B\na.mp4,< 10%,\nb.mp4,> 90%,--\nc.mp4,50%,\n")
    table = read(path, "A", "B")
    assert metrics(table) == [{}, {}, {"A": 50.0}]
    assert table.notes == (
        '"A": 2 cells without a value, because a cell such as < 10% only bounds it.',
    )
    assert table.warnings == ('No row has a value in column "B".',)
    assert table.units == {"A": "%"}


# URLs and paths


def test_credentials_stay_out_of_the_url_and_in_the_location(write: Write) -> None:
    location = "https://joe:5ecret@A.example/%7ea.mp4"
    (row,) = read(write(f"{HEADER}{location},1\n")).rows
    assert row.url.exposed() == "https://a.example/~a.mp4"
    assert row.location.exposed() == location
    assert "5ecret" not in repr(row)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("", "the URL is missing"),
        ("gs://bucket/a.mp4", "starts with gs:, which is not supported"),
        ("javascript:alert(1)", "starts with javascript:"),
        ("data:video/mp4;base64", "starts with data:"),
        ("http://", "names no host"),
        ("https://a b/", "is not a host name"),
        ("http://[fe80::1%25eth0]/", "zone id"),
        ('"https://a.example/\x1b[2J"', "control characters"),
        ('"a\nb.mp4"', "control characters"),
        (f"https://a.example/{'a' * 2048}", "2,066 characters, and 2,048 are allowed"),
        ("a.example/clip.mp4", "write https:// in front"),
        ("www.example.com", "write https:// in front"),
        ("/etc/passwd", "absolute paths are read only with --allow-local-files"),
        ("//a.example/clip.mp4", "absolute paths are read only with --allow-local-files"),
        ("file:///etc/passwd", "file: URLs are read only with --allow-local-files"),
        ("file://server/a.mp4", "another machine"),
        (r"C:\Videos\a.mp4", "is a path of Windows, and this is another system"),
        ("c:/Videos/a.mp4", "is a path of Windows, and this is another system"),
        ("file:///C:/v.mp4", "is a path of Windows, and this is another system"),
        ("file:C:/v.mp4", "its path is not absolute"),
        (r"\\server\share\a.mp4", "is a path of Windows, and this is another system"),
        (r"\\?\C:\a.mp4", "is a path of Windows, and this is another system"),
        ("../a.mp4", "leads out of the table's folder, to .*; .*--allow-local-files"),
        ("sub/../../a.mp4", "leads out of the table's folder"),
        ("link/a.mp4", "leads out of the table's folder"),
        ("link.mp4", "leads out of the table's folder"),
        ("loop", "cannot be resolved"),
        ("https://a.example/1,5", "Row 2 has 3 cells and the header 2"),
    ],
)
def test_a_url_that_cannot_be_used_fails_its_row_only(write: Write, cell: str, why: str) -> None:
    path = write(f"{HEADER}{cell},1\nhttps://a.example/ok,2\n")
    (path.parent / "link").symlink_to("/tmp")
    (path.parent / "link.mp4").symlink_to("/etc/passwd")
    (path.parent / "loop").symlink_to("loop")
    table = read(path)
    ((row, reason),) = reasons(table)
    assert row == 2
    assert re.search(why, reason), reason
    assert [row.url.exposed() for row in table.rows] == ["https://a.example/ok"]
    assert table.total == 2


def test_a_failure_shows_no_secret_and_no_escape(write: Write) -> None:
    path = write(f'{HEADER}"ftp://joe:5ecret@a.example/\x07?token=5ecret",1\n')
    ((_, reason),) = reasons(read(path))
    assert "5ecret" not in reason
    assert "\x07" not in reason
    assert "5ecret" not in read(path).failures[0].url


def test_files_below_the_table_are_read_by_name(write: Write) -> None:
    path = write(
        f"{HEADER}a b.mp4,1\nsub/é.mp4,2\n./sub/../a b.mp4,1\nodd: name.mp4,3\n50%.mp4,4\n"
    )
    (path.parent / "odd: name.mp4").touch()
    table = read(path)
    base = path.parent.resolve()
    assert [row.location.exposed() for row in table.rows] == [
        str(base / name) for name in ("a b.mp4", "sub/é.mp4", "odd: name.mp4", "50%.mp4")
    ]
    assert table.rows[0].url.exposed() == (base / "a b.mp4").as_uri()
    assert table.failures == ()


def test_a_relative_path_is_one_from_the_folder_of_the_table(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(f"{HEADER}a.mp4,1\n")
    monkeypatch.chdir(path.parent.parent)
    (row,) = read(Path("table/videos.csv")).rows
    assert row.location.exposed() == str(path.parent.resolve() / "a.mp4")


def test_relative_paths_start_at_the_base_folder_where_one_is_named(
    write: Write, tmp_path: Path
) -> None:
    path = write(f"{HEADER}a.mp4,1\n../b.mp4,2\n")
    other = tmp_path / "clips"
    other.mkdir()
    table = read(path, base_folder=other)
    assert [row.location.exposed() for row in table.rows] == [str(other.resolve() / "a.mp4")]
    assert [row for row, _ in reasons(table)] == [3]


def test_files_anywhere_are_read_when_allowed(write: Write, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "o%20ther?.mp4"
    uri = other.as_uri()
    path = write(f"{HEADER}{other},1\n../b.mp4,2\n{uri},1\nfile:///c.mp4,3\n")
    table = read(path, allow_local_files=True)
    assert [row.location.exposed() for row in table.rows] == [
        str(other), str(tmp_path.resolve() / "b.mp4"), "/c.mp4",
    ]  # fmt: skip
    assert table.rows[0].url.exposed() == uri


def test_links_to_folders_are_followed_once_and_rightly(write: Write, tmp_path: Path) -> None:
    path = write(f"{HEADER}sub/a.mp4,1\nsub/b.mp4,2\nsub/c.mp4,3\n")
    inside = path.parent / "real"
    inside.mkdir()
    (path.parent / "sub").symlink_to(inside)
    (inside / "b.mp4").symlink_to(inside / "a.mp4")
    (inside / "c.mp4").symlink_to(tmp_path / "outside.mp4")
    table = read(path)
    assert [row.location.exposed() for row in table.rows] == [str(inside.resolve() / "a.mp4")]
    assert [row for row, _ in reasons(table)] == [4]


# Standard input and links


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    give(f"{HEADER}https://a.example/1,1\na.mp4,2\n")
    table = read("-")
    assert [row.url.exposed() for row in table.rows] == ["https://a.example/1"]
    ((row, reason),) = reasons(table)
    assert row == 3
    assert "--base-folder" in reason
    give(f"{HEADER}a.mp4,2\n")
    assert read("-", base_folder=tmp_path).rows[0].location.exposed() == str(
        tmp_path.resolve() / "a.mp4"
    )
    give("x")
    with pytest.raises(SourceError, match="Standard input has no column"):
        read("-")


def test_a_link_is_fetched_by_who_calls(tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return f"{HEADER}https://a.example/1,1\n".encode()

    link = "https://docs.google.com/spreadsheets/d/1A/edit#gid=7"
    table = read_table(link, TableOptions(), fetch)
    assert metrics(table) == [{"Performance": 1.0}]
    assert asked == ["https://docs.google.com/spreadsheets/d/1A/export?format=csv&gid=7"]


def test_a_link_that_answers_with_a_page_shows_no_signature() -> None:
    link = "https://a.example/t.csv?X-Amz-Signature=5ecret5ecret"
    with pytest.raises(SourceError, match="is a web page, not a table") as caught:
        read_table(link, TableOptions(), lambda url: b"<!doctype html><p>Sign in</p>")
    assert "5ecret" not in str(caught.value)
    with pytest.raises(SourceError, match="is a URL"):
        read(link)


# DataFrames


def frame_of(frame: pd.DataFrame, base: Path, *, allow_local_files: bool = False) -> Table:
    options = TableOptions(url_column="u", metrics=["m"], allow_local_files=allow_local_files)
    return read_frame(frame, options, base)


def test_a_frame_is_read_as_a_file_is(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "u": ["https://a.example/1", None, "b.mp4", Path("c.mp4"), 7, "https://a.example/6"],
            "m": [1, None, "1,234.5", np.float32(0.5), 1, Decimal("2.5")],
        }
    )
    table = frame_of(frame, tmp_path)
    assert [(row.row, row.metrics) for row in table.rows] == [
        (2, {"m": 1.0}),
        (4, {"m": 1234.5}),
        (5, {"m": 0.5}),
        (6, {"m": 1.0}),
        (7, {"m": 2.5}),
    ]
    assert table.rows[1].location.exposed() == str(tmp_path.resolve() / "b.mp4")
    assert table.total == 5


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, ""])
def test_missing_values_of_a_frame_are_no_value(tmp_path: Path, missing: object) -> None:
    frame = pd.DataFrame({"u": ["a.mp4", "b.mp4"], "m": pd.Series([missing, 1], dtype=object)})
    table = frame_of(frame, tmp_path)
    assert [row.metrics for row in table.rows] == [{}, {"m": 1.0}]
    assert table.unreadable == ()


@pytest.mark.parametrize(
    "value", [True, float("inf"), -np.inf, 10**400, [1], b"1", pd.Timestamp(0)]
)
def test_what_is_not_a_number_in_a_frame_is_reported(tmp_path: Path, value: object) -> None:
    frame = pd.DataFrame({"u": ["a.mp4", "b.mp4"], "m": pd.Series([value, 1], dtype=object)})
    table = frame_of(frame, tmp_path)
    assert [row.metrics for row in table.rows] == [{}, {"m": 1.0}]
    assert [one.row for one in table.unreadable] == [2]


def test_a_frame_without_rows_or_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no rows"):
        frame_of(pd.DataFrame({"u": [], "m": []}), tmp_path)
    with pytest.raises(SourceError, match='no column "m"'):
        frame_of(pd.DataFrame({"u": ["a"], 3: [1]}), tmp_path)
    with pytest.raises(SourceError, match='2 columns named "m"'):
        frame_of(pd.DataFrame([["a", 1, 2]], columns=["u", "m", "m"]), tmp_path)


def test_a_frame_can_be_kept_to_its_folder(tmp_path: Path) -> None:
    frame = pd.DataFrame({"u": ["/etc/passwd", "a.mp4"], "m": [1, 2]})
    table = frame_of(frame, tmp_path)
    assert [row for row, _ in reasons(table)] == [2]
    assert frame_of(frame, tmp_path, allow_local_files=True).failures == ()


# Anything at all

_PIECES = st.sampled_from(
    [
        "Video URL", "Performance", ",", ";", "\t", "\n", "\r\n", "\r", '"', '""', "https://a.example/",
        "http://[::1", "../", "/", "file:", "C:\\", "s3://", "1,5", "1.234", "%", "$", "1e9", "nan",
        "\x00", "\ufeff", "\u202e", "é", "=", "sep=;", " ", "Total", "<", "[a](", "0:41", "(", "'",
        "https://drive.google.com/file/d/", "=HYPERLINK(\"",
    ]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=30).map("".join),
        st.lists(_PIECES, max_size=30).map(lambda pieces: HEADER + "".join(pieces)),
    ).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=60)
    | st.lists(_PIECES, max_size=20).map(
        lambda pieces: (HEADER + "".join(pieces)).encode("utf-16")
    ),
    st.booleans(),
)
def test_only_our_own_errors_come_out(write: Write, data: bytes, allow: bool) -> None:
    path = write(data)
    try:
        table = read(path, allow_local_files=allow)
    except RegistryError:
        return
    assert table.total > 0
    assert len(table.rows) + len(table.failures) <= table.total
    rows = [row.row for row in table.rows] + [failure.row for failure in table.failures]
    assert len(set(rows)) == len(rows)
    if not allow:
        inside = path.parent.resolve()
        local = [row for row in table.rows if row.url.exposed().startswith("file:")]
        assert all(Path(row.location.exposed()).is_relative_to(inside) for row in local)
