from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.numbers import Number, decimal_sign, parse
from ingest.sources import Table, read_csv, read_frame
from registry.errors import RegistryError, SourceError, UsageError

HEADER = "Video URL,Performance\n"
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    folder = tmp_path / "table"
    folder.mkdir()

    def make(text: str | bytes) -> Path:
        path = folder / "videos.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def found(table: Table) -> list[tuple[int, str, Mapping[str, float]]]:
    assert table.failures == ()
    return [(row.row, row.url.exposed(), row.metrics) for row in table.rows]


def reasons(table: Table) -> list[tuple[int, str]]:
    return [(failure.row, str(failure)) for failure in table.failures]


# Files as a whole


@pytest.mark.parametrize(
    "data",
    [
        b"Video URL,Performance\nhttps://a.example/1.mp4,5\n",
        b"\xef\xbb\xbfVideo URL,Performance\r\nhttps://a.example/1.mp4,5\r\n",
        b'\xef\xbb\xbf"Video URL","Performance"\n"https://a.example/1.mp4","5"',
        b"Video URL;Performance\nhttps://a.example/1.mp4;5\n",
        b'"Video URL";"Performance"\n"https://a.example/1.mp4";"5"\n',
        b"Video URL\tPerformance\nhttps://a.example/1.mp4\t5\n",
        b"Performance, Video URL \n 5 , https://a.example/1.mp4 \n",
        b"Notes;a,b,c,d;Performance;Video URL\nx;y;5;https://a.example/1.mp4\n",
        b"sep=;\nVideo URL;Performance\nhttps://a.example/1.mp4;5\n",
        b"Video URL,Performance\rhttps://a.example/1.mp4,5\r",
        b"Video URL,Performance,,\nhttps://a.example/1.mp4,5,,\n",
        b"Video URL,Notes,Notes,Performance\nhttps://a.example/1.mp4,x,y,5\n",
        b"Video URL,Performance\nhttps://a.example/1.mp4,5,,\n",
    ],
)
def test_files_as_programs_write_them_are_read(write: Write, data: bytes) -> None:
    assert found(read_csv(write(data))) == [(2, "https://a.example/1.mp4", {"Performance": 5.0})]


def test_row_numbers_are_those_of_the_spreadsheet(write: Write) -> None:
    path = write(
        'Video URL,Notes,Performance\n\nhttps://a.example/3,"two\nlines",1\n,,\n  ,\n'
        'https://a.example/6,"a ""quote"", and\r\n\r\nmore",2\n\n\nhttps://a.example/9,,x\n'
    )
    table = read_csv(path)
    assert [row.row for row in table.rows] == [3, 6]
    assert [row for row, _ in reasons(table)] == [9]
    assert table.total == 3


def test_blank_lines_before_the_header_count(write: Write) -> None:
    assert found(read_csv(write(f"\n\n{HEADER}https://a.example/1,5\n")))[0][0] == 4


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty; a header and one row"),
        (b"\xef\xbb\xbf", "is empty"),
        (b" \n\n", "is empty"),
        (b",", "is empty|no column"),
        (b"sep=;\n;;\n", "is empty"),
        (HEADER.encode(), "has a header and no rows"),
        (f"{HEADER}\n,\n".encode(), "has a header and no rows"),
        (b"PK\x03\x04....", "an Excel workbook or another zip file; export it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel workbook; export it as CSV"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (HEADER.encode("utf-16"), r"UTF-16 text; save it as CSV \(UTF-8\)"),
        (HEADER.encode("utf-16-be"), r"UTF-16 text; save it as CSV \(UTF-8\)"),
        (HEADER.encode("utf-16-le"), r"UTF-16 text; save it as CSV \(UTF-8\)"),
        (HEADER.encode("utf-32"), "UTF-32 text"),
        (HEADER.encode() + b"https://a\x00,1\n", r"NUL byte at offset 31 \(line 2\)"),
        (HEADER.encode() + b"a,1\n\xe9,2\n", r"not UTF-8: byte 0xE9 at offset 26 \(line 3\)"),
        (b"\xef\xbb\xbfVideo URL\xff", r"not UTF-8: byte 0xFF at offset 12 \(line 1\)"),
        (b"Video URL,Views\na,1\n", 'no column "Performance"; its columns are "Video URL", "Vi'),
        (b"video url,Performance\na,1\n", 'no column "Video URL".*Did you mean "video url"'),
        (b"Video URL,Perfomance\na,1\n", 'Did you mean "Perfomance"'),
        (b"Video URL,Performance,Performance\na,1,2\n", '2 columns named "Performance"'),
        (f"{HEADER}a,1\n\"b,2\nc,3\n".encode(), "row 3: a quotation mark is opened there and"),
        (b'"Video URL,Performance\na,1\n', "row 1: a quotation mark is opened there and never"),
        (f'{HEADER}a,1\n"b"x,2\n'.encode(), "row 3: text follows a closing quotation mark"),
        (f"{HEADER}a,{'1' * (1024 * 1024 + 1)}\n".encode(), "row 2: a cell has more than 1,04"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    write: Write, data: bytes, why: str
) -> None:
    with pytest.raises(SourceError, match=why) as caught:
        read_csv(write(data))
    assert "videos.csv" in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no file .*gone\.csv"):
        read_csv(tmp_path / "gone.csv")
    with pytest.raises(SourceError, match="is a folder"):
        read_csv(tmp_path)
    with pytest.raises(SourceError, match="cannot be read"):
        read_csv(tmp_path / "nul\x00.csv")
    with pytest.raises(SourceError, match="cannot be read"):
        read_csv(tmp_path / ("x" * 5000))


def test_a_long_cell_in_another_column_is_fine(write: Write) -> None:
    path = write(f"Video URL,Text,Performance\nhttps://a.example/1,{'x' * 500_000},5\n")
    before = csv.field_size_limit(12_345)
    try:
        assert len(read_csv(path).rows) == 1
        assert csv.field_size_limit() == 12_345, "the process's own limit is left as it was"
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("url_column", "metrics"),
    [
        ("Video URL", ["Video URL"]),
        ("Video URL", ["Views", "Views"]),
        ("Video URL", []),
        ("Video URL", [" "]),
        ("", ["Views"]),
        ("Video URL", "Views"),
    ],
)
def test_column_names_that_clash_are_wrong_usage(
    write: Write, url_column: str, metrics: Sequence[str]
) -> None:
    with pytest.raises(UsageError):
        read_csv(write(HEADER), url_column=url_column, metrics=metrics)


def test_other_columns_and_several_metrics(write: Write) -> None:
    path = write("Link,Views,Likes\nhttps://a.example/1,10,\nhttps://a.example/2,n/a,3\n")
    table = read_csv(path, url_column="Link", metrics=["Views", "Likes"])
    assert [row.metrics for row in table.rows] == [{"Views": 10.0}, {"Likes": 3.0}]
    assert table.warnings == ()


# URLs and paths


def test_credentials_stay_out_of_the_url_and_in_the_location(write: Write) -> None:
    location = "https://joe:5ecret@A.example/%7ea.mp4?sig=abc"
    (row,) = read_csv(write(f"{HEADER}{location},1\n")).rows
    assert row.url.exposed() == "https://a.example/~a.mp4?sig=abc"
    assert row.location.exposed() == location
    assert "5ecret" not in repr(row)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("", "the URL is missing"),
        ("gs://bucket/a.mp4", "starts with gs:, which is not read"),
        ("javascript:alert(1)", "starts with javascript:"),
        ("data:video/mp4;base64", "starts with data:"),
        ("http://", "names no host"),
        ("https://a b/", "is not a host name"),
        ("http://[fe80::1%25eth0]/", "zone id"),
        ('"https://a.example/\x1b[2J"', "control characters"),
        ('"a\nb.mp4"', "control characters"),
        (f"https://a.example/{'a' * 2048}", "2,066 characters; 2,048 is the most"),
        ("a.example/clip.mp4", "write https:// in front"),
        ("www.example.com", "write https:// in front"),
        ("/etc/passwd", "absolute paths are read only with --allow-local-files"),
        ("//a.example/clip.mp4", "absolute paths are read only with --allow-local-files"),
        ("file:///etc/passwd", "file: URLs are read only with --allow-local-files"),
        ("file://server/a.mp4", "another machine"),
        ("../a.mp4", "leads out of the table's folder, to .*; .*--allow-local-files"),
        ("sub/../../a.mp4", "leads out of the table's folder"),
        ("link/a.mp4", "leads out of the table's folder"),
        ("link.mp4", "leads out of the table's folder"),
        ("loop", "leads nowhere"),
        ("https://a.example/1,5", "Row 2 has 3 cells and the header 2"),
    ],
)
def test_a_url_that_cannot_be_used_fails_its_row_only(write: Write, cell: str, why: str) -> None:
    path = write(f"{HEADER}{cell},1\nhttps://a.example/ok,2\n")
    (path.parent / "link").symlink_to("/tmp")
    (path.parent / "link.mp4").symlink_to("/etc/passwd")
    (path.parent / "loop").symlink_to("loop")
    table = read_csv(path)
    ((row, reason),) = reasons(table)
    assert row == 2
    assert re.search(why, reason), reason
    assert [row.url.exposed() for row in table.rows] == ["https://a.example/ok"]
    assert table.total == 2


def test_a_failure_shows_no_secret_and_no_escape(write: Write) -> None:
    path = write(f'{HEADER}"ftp://joe:5ecret@a.example/\x07?token=5ecret",1\n')
    ((_, reason),) = reasons(read_csv(path))
    assert "5ecret" not in reason
    assert "\x07" not in reason
    assert "5ecret" not in read_csv(path).failures[0].url


def test_files_below_the_table_are_read_by_name(write: Write) -> None:
    path = write(
        f"{HEADER}a b.mp4,1\nsub/é.mp4,2\n./sub/../a b.mp4,1\nodd: name.mp4,3\n50%.mp4,4\n"
    )
    (path.parent / "odd: name.mp4").touch()
    table = read_csv(path)
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
    (row,) = read_csv(Path("table/videos.csv")).rows
    assert row.location.exposed() == str(path.parent.resolve() / "a.mp4")


def test_files_anywhere_are_read_when_allowed(write: Write, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "o%20ther?.mp4"
    uri = other.as_uri()
    path = write(f"{HEADER}{other},1\n../b.mp4,2\n{uri},1\nfile:///c.mp4,3\n")
    table = read_csv(path, allow_local_files=True)
    assert [row.location.exposed() for row in table.rows] == [
        str(other), str(tmp_path.resolve() / "b.mp4"), "/c.mp4",
    ]  # fmt: skip
    assert table.rows[0].url.exposed() == uri


# Repeated videos


def test_a_repeated_video_counts_once_with_its_first_values(write: Write) -> None:
    path = write(
        f"{HEADER}https://a.example/1,5\nHTTPS://A.example:443/x/../1#t,5\n"
        "https://u:p@a.example/%31,7\nhttps://a.example/2,1\nhttps://a.example/1,\n"
    )
    table = read_csv(path)
    assert [(row.row, row.metrics["Performance"]) for row in table.rows] == [(2, 5), (5, 1)]
    assert table.total == 5
    assert len(table.warnings) == 3
    assert "Rows 2 and 4 are one video" in table.warnings[0]
    assert "Performance: 5 and 7. Row 2 counts." in table.warnings[0]
    assert "Rows 2 and 6" in table.warnings[1]
    assert "Performance: 5 and no value" in table.warnings[1]
    assert table.warnings[2].startswith("3 rows repeat URLs")


def test_equal_repeats_are_told_in_one_line(write: Write) -> None:
    table = read_csv(write(HEADER + "https://a.example/1,5\n" * 1000))
    assert len(table.rows) == 1
    assert [warning[:30] for warning in table.warnings] == ["999 rows repeat URLs of earlier"[:30]]


def test_many_differing_repeats_do_not_flood(write: Write) -> None:
    rows = "".join(f"https://a.example/1,{n}\n" for n in range(1000))
    assert len(read_csv(write(HEADER + rows)).warnings) == 22


def test_a_failed_row_leaves_its_video_to_a_later_one(write: Write) -> None:
    table = read_csv(write(f"{HEADER}https://a.example/1,x\nhttps://a.example/1,2\n"))
    assert [(row.row, row.metrics) for row in table.rows] == [(3, {"Performance": 2.0})]
    assert reasons(table)[0][0] == 2


# Numbers


@pytest.mark.parametrize(
    ("cell", "value", "unit"),
    [
        ("5", 5, ""), (" 3 ", 3, ""), ("+3", 3, ""), ("-3", -3, ""), ("\u22123", -3, ""),
        ("-0", 0, ""), ("5.", 5, ""), (".5", 0.5, ""), ("1e6", 1e6, ""), ("1.5E-3", 0.0015, ""),
        ("1,5e3", 1500, ""), ("1234.567", 1234.567, ""), ("1,234.5", 1234.5, ""),
        ("1.234,5", 1234.5, ""), ("1,234,567", 1234567, ""), ("1.234.567", 1234567, ""),
        ("12,34,567.8", 1234567.8, ""), ("12,5", 12.5, ""), ("0,125", 0.125, ""),
        ("0.125", 0.125, ""), ("1234,567", 1234.567, ""), ("1 234,5", 1234.5, ""),
        ("1\u00a0234\u00a0567", 1234567, ""), ("1\u202f234,567", 1234.567, ""),
        ("1'234'567.5", 1234567.5, ""), ("12%", 12, "%"), ("12.5 %", 12.5, "%"),
        ("$1,200.50", 1200.5, "$"), ("-$5", -5, "$"), ("$-5", -5, "$"), ("5 €", 5, "€"),
        ("\u00a05", 5, ""), ("9" * 30, 1e30, ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("decimal", [".", ",", ""])
def test_numbers_that_can_be_read_one_way(cell: str, value: float, unit: str, decimal: str) -> None:
    number = parse(cell, decimal)  # type: ignore[arg-type]
    assert number == Number(float(value), unit)


@pytest.mark.parametrize("cell", ["", "  ", "-", "–", "NA", "n/a", "N/A", "#N/A", "null", "None"])
def test_no_value(cell: str) -> None:
    assert parse(cell) is None


@pytest.mark.parametrize(
    "cell",
    [
        "nan", "NaN", "inf", "-Infinity", "1e999", "9" * 65, "x", "1.2M", "15k", "1 23", "12 3456",
        "1,23,4", "1,2,3", "1.2.3", "1,234,56", "12.34,567.8", "1..2", ".", ",", "+", "--5", "-$-5",
        "$5%", "%5", "$", "5 USD", "0x10", "1_000", "(5)", "١٢", "５", "=1+1", "#DIV/0!", "TRUE",
        "1\n2", "1e5e5", "5-", "1 234'567",
    ],
)  # fmt: skip
@pytest.mark.parametrize("decimal", [".", ",", ""])
def test_anything_else_is_no_number(cell: str, decimal: str) -> None:
    with pytest.raises(ValueError, match=r"expected|do not group"):
        parse(cell, decimal)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "semicolons", "sign"),
    [
        ([], False, "."),
        ([], True, ""),
        (["1", "x", ""], False, "."),
        (["1,234", "12,345", "999"], False, "."),
        (["1.5", "1,234"], False, "."),
        (["1.5", "2.5", "12,5", "1.234"], False, ""),
        (["1.5"] * 9 + ["12,5", "1.234"], False, "."),
        # One slip among grouped numbers turns nothing round: it is refused.
        (["1,234", "5,678", "1,23"], False, ""),
        (["12,5", "0,5", "1,234"], False, ","),
        (["1.234,5", "1.234"], True, ","),
        (["1.234", "5.678", "12,5"], True, ","),
        (["1.234", "5.678", "1.23"], True, ""),
        (["1.25", "0.5", "1.234"], True, "."),
        (["1,234,567", "1,234"], True, ""),
        (["1,234,567", "1,2,3", "1"], True, "."),
        (["1.5e3"], True, "."),
    ],
)
def test_a_column_tells_its_decimal_sign(column: list[str], semicolons: bool, sign: str) -> None:
    assert decimal_sign(column, semicolons=semicolons) == sign


def test_a_number_that_can_be_read_two_ways_follows_its_column(write: Write) -> None:
    def values(data: str) -> list[float]:
        return [row.metrics["Performance"] for row in read_csv(write(data)).rows]

    semicolons = "Video URL;Performance\n"
    assert values(f'{HEADER}https://a.example/1,"1,234"\nhttps://a.example/2,5\n') == [1234, 5]
    assert values(f"{HEADER}https://a.example/1,1.234\nhttps://a.example/2,5\n") == [1.234, 5]
    assert values(f"{semicolons}https://a.example/1;1.234\nhttps://a.example/2;0,5\n") == [
        1234,
        0.5,
    ]
    assert values(f"{semicolons}https://a.example/1;12,5\nhttps://a.example/2;1,125\n") == [
        12.5, 1.125,
    ]  # fmt: skip
    table = read_csv(write(f"{semicolons}https://a.example/1;1.234\nhttps://a.example/2;5\n"))
    ((row, reason),) = reasons(table)
    assert row == 2
    assert "it can mean 1234 or 1.234" in reason


def test_a_bad_number_names_row_column_and_what_was_found(write: Write) -> None:
    table = read_csv(write(f"{HEADER}https://a.example/1,2\nhttps://a.example/2,\x1b[1mabout 3\n"))
    assert reasons(table) == [
        (3, "Row 3, Performance: found '\\x1b[1mabout 3'; "
            "a number such as 1234.5, 1,234.5 or 12% is expected.")
    ]  # fmt: skip


def test_mixed_units_and_empty_columns_are_told(write: Write) -> None:
    path = write(
        "Video URL,A,B\nhttps://a.example/1,12%,\nhttps://a.example/2,5,NA\nhttps://a.example/3,7,\n"
    )
    assert read_csv(path, metrics=["A", "B"]).warnings == (
        'Column "A" mixes units: % (row 2), none (row 3). Numbers count as written.',
        'No row has a value in column "B".',
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_is_read_back(value: float) -> None:
    cell = repr(value)
    number = parse(cell, ".")
    assert number is not None
    assert number.value == value


@given(st.integers(-(10**15), 10**15), st.integers(0, 99), st.sampled_from(["en", "de", "fr"]))
def test_grouped_numbers_are_read_back(whole: int, cents: int, language: str) -> None:
    group, decimal = {"en": (",", "."), "de": (".", ","), "fr": ("\u202f", ",")}[language]
    cell = f"{whole:,}".replace(",", group) + f"{decimal}{cents:02d}"
    number = parse(cell, "")
    assert number is not None
    sign = -1 if whole < 0 else 1
    assert number.value == pytest.approx(whole + sign * cents / 100, rel=1e-15)


# DataFrames


def test_a_frame_is_read_as_a_file_is(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "Video URL": ["https://a.example/1", None, "b.mp4", Path("c.mp4"), 7, "https://a.example/6"],
            "Performance": [1, None, "1,234.5", np.float32(0.5), 1, Decimal("2.5")],
        }
    )  # fmt: skip
    table = read_frame(frame, url_column="Video URL", metrics=["Performance"], base=tmp_path)
    assert [(row.row, row.metrics) for row in table.rows] == [
        (2, {"Performance": 1.0}),
        (4, {"Performance": 1234.5}),
        (5, {"Performance": 0.5}),
        (6, {"Performance": 1.0}),
        (7, {"Performance": 2.5}),
    ]
    assert table.rows[1].location.exposed() == str(tmp_path.resolve() / "b.mp4")
    assert table.total == 5


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, ""])
def test_missing_values_of_a_frame_are_no_value(tmp_path: Path, missing: object) -> None:
    frame = pd.DataFrame({"u": ["a.mp4", "b.mp4"], "m": pd.Series([missing, 1], dtype=object)})
    table = read_frame(frame, url_column="u", metrics=["m"], base=tmp_path)
    assert [row.metrics for row in table.rows] == [{}, {"m": 1.0}]


@pytest.mark.parametrize(
    "value", [True, float("inf"), -np.inf, 10**400, [1], b"1", pd.Timestamp(0)]
)
def test_what_is_no_number_in_a_frame_fails_its_row(tmp_path: Path, value: object) -> None:
    frame = pd.DataFrame({"u": ["a.mp4", "b.mp4"], "m": pd.Series([value, 1], dtype=object)})
    table = read_frame(frame, url_column="u", metrics=["m"], base=tmp_path)
    assert [row for row, _ in reasons(table)] == [2]
    assert len(table.rows) == 1


def test_a_frame_without_rows_or_columns_is_refused(tmp_path: Path) -> None:
    def read(frame: pd.DataFrame) -> Table:
        return read_frame(frame, url_column="u", metrics=["m"], base=tmp_path)

    with pytest.raises(SourceError, match="no rows"):
        read(pd.DataFrame({"u": [], "m": []}))
    with pytest.raises(SourceError, match='no column "m"'):
        read(pd.DataFrame({"u": ["a"], 3: [1]}))
    with pytest.raises(SourceError, match='2 columns named "m"'):
        read(pd.DataFrame([["a", 1, 2]], columns=["u", "m", "m"]))


def test_a_frame_can_be_kept_to_its_folder(tmp_path: Path) -> None:
    frame = pd.DataFrame({"u": ["/etc/passwd", "a.mp4"], "m": [1, 2]})
    table = read_frame(frame, url_column="u", metrics=["m"], base=tmp_path, allow_local_files=False)
    assert [row for row, _ in reasons(table)] == [2]


# Anything at all

_PIECES = st.sampled_from(
    [
        "Video URL", "Performance", ",", ";", "\t", "\n", "\r\n", "\r", '"', '""', "https://a.example/",
        "http://[::1", "../", "/", "file:", "C:\\", "s3://", "1,5", "1.234", "%", "$", "1e9", "nan",
        "\x00", "\ufeff", "\u202e", "é", "=", "sep=;", " ",
    ]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=30).map("".join),
        st.lists(_PIECES, max_size=30).map(lambda pieces: HEADER + "".join(pieces)),
    ).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=60),
    st.booleans(),
)
def test_only_our_own_errors_come_out(write: Write, data: bytes, allow: bool) -> None:
    path = write(data)
    try:
        table = read_csv(path, allow_local_files=allow)
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
