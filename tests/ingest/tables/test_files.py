"""Files as programs write them: forms, encodings, separators, quotation marks."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pytest

from ingest.tables.encodings import decode
from registry.errors import SourceError, UsageError
from tests.ingest.tables.conftest import Write
from tests.ingest.tables.tables import HEADER, found, metrics, read


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
        b"sep=|\r\nVideo URL|Performance\r\nhttps://a.example/1.mp4|5\r\n",
        b"\xef\xbb\xbfsep=\t\nVideo URL\tPerformance\nhttps://a.example/1.mp4\t5\n",
        b"Video URL,Performance\rhttps://a.example/1.mp4,5\r",
        b"Video URL,Performance,,\nhttps://a.example/1.mp4,5,,\n",
        b"Video URL,Notes,Notes,Performance\nhttps://a.example/1.mp4,x,y,5\n",
        b"Video URL,Performance\nhttps://a.example/1.mp4,5,,\n",
        (HEADER + "https://a.example/1.mp4,5\n").encode("utf-16"),
        (HEADER + "https://a.example/1.mp4,5\n").encode("utf-16-le"),
        (HEADER + "https://a.example/1.mp4,5\n").encode("utf-16-be"),
        "Video\u00a0URL,\ufeffPerformance\u200b\nhttps://a.example/1.mp4,5\n".encode(),
        b"video url,PERFORMANCE\nhttps://a.example/1.mp4,5\n",
        b"VideoURL,Perfor mance\nhttps://a.example/1.mp4,5\n",
    ],
)
def test_files_as_programs_write_them_are_read(write: Write, data: bytes) -> None:
    assert found(read(write(data))) == [(2, "https://a.example/1.mp4", {"Performance": 5.0})]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty. A header and one row"),
        (b"\xef\xbb\xbf", "is empty"),
        (b" \n\n", "is empty"),
        (b",", "is empty|no column"),
        (b"sep=;\n;;\n", "is empty"),
        (HEADER.encode(), "has a header but no rows"),
        (f"{HEADER}\n,\n".encode(), "has a header but no rows"),
        (f"{HEADER}Total,5\n".encode(), "has a header but no rows"),
        (b"PK\x03\x04....", "a damaged workbook or zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "old format.*, or one with a password. Save it as .xlsx"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page, not a table"),
        (HEADER.encode("utf-32"), "UTF-32 text"),
        (HEADER.encode() + b"https://a\x00,1\n", r"NUL byte at offset 31 \(line 2\)"),
        (HEADER.encode("utf-16") + b"\x00\xd8a\x00", "UTF-16 LE but for byte"),
        (HEADER.encode() + b"a,1\n\x81,2\n", r"byte 0x81 at offset 26 \(line 3\) .*--encoding"),
        ((HEADER + "é,ü,ö").encode() + b"\xff", r"UTF-8 but for byte 0xFF at offset 30 \(line 2"),
        (b"Video URL,Views\na,1\n", 'no column "Performance". Its columns are "Video URL", "Vi'),
        (b"Video URL,Perfomance\na,1\n", 'Did you mean "Perfomance"'),
        (b"Video URL,Performance,Performance\na,1,2\n", '2 columns named "Performance"'),
        (f"{HEADER}a,1\n\"b,2\nc,3\n".encode(), "row 3: a quotation mark opens there and"),
        (b'"Video URL,Performance\na,1\n', "row 1: a quotation mark opens there and is never"),
        (f'{HEADER}a,1\n"b"x,2\n'.encode(), "row 3: text follows a closing quotation mark"),
        (f"{HEADER}a,{'1' * (1024 * 1024 + 1)}\n".encode(), "row 2: a cell has more than 1,04"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    write: Write, data: bytes, why: str
) -> None:
    with pytest.raises(SourceError, match=why) as caught:
        read(write(data))
    assert "videos.csv" in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no file .*gone\.csv"):
        read(tmp_path / "gone.csv")
    with pytest.raises(SourceError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(SourceError, match="cannot be read"):
        read(tmp_path / "nul\x00.csv")
    with pytest.raises(SourceError, match="cannot be read"):
        read(tmp_path / ("x" * 5000))


def test_a_long_cell_in_another_column_is_fine(write: Write) -> None:
    path = write(f"Video URL,Text,Performance\nhttps://a.example/1,{'x' * 500_000},5\n")
    before = csv.field_size_limit(12_345)
    try:
        assert len(read(path).rows) == 1
        assert csv.field_size_limit() == 12_345, "the process's own limit is left as it was"
    finally:
        csv.field_size_limit(before)


# Encodings


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16 LE"),
        ("utf-16-le", "UTF-16 LE"), ("utf-16-be", "UTF-16 BE"), ("cp1252", "Windows-1252"),
    ],
)  # fmt: skip
def test_an_encoding_is_detected_and_said(write: Write, codec: str, name: str) -> None:
    path = write("Video URL,Titre,Performance\na.mp4,Été à Besançon – 5 €,5\n".encode(codec))
    table = read(path)
    assert table.detected.encoding == name
    assert table.rows[0].attributes == {"Titre": "Été à Besançon – 5 €"}
    assert bool(table.notes) == (name != "UTF-8")
    assert all(name in note for note in table.notes)


def test_windows_1252_shows_an_example_to_check_by_eye() -> None:
    note = decode("t.csv", "x;Été à Besançon;y".encode("cp1252")).note
    assert "'Été à Besançon'" in note
    assert "--encoding" in note


@pytest.mark.parametrize("told", ["cp1251", "windows-1251", "utf-8", "UTF-16"])
def test_an_encoding_that_is_told_is_used(write: Write, told: str) -> None:
    path = write("\ufeffVideo URL,Title,Performance\na.mp4,Привет,5\n".encode(told, "ignore"))
    table = read(path, encoding=told)
    assert table.rows[0].attributes == {"Title": "Привет"}
    assert table.detected.encoding == told


@pytest.mark.parametrize("told", ["klingon", "base64", "rot13", "zip"])
def test_an_unknown_encoding_is_wrong_usage(write: Write, told: str) -> None:
    with pytest.raises(UsageError, match="no such text encoding"):
        read(write(HEADER + "a.mp4,1\n"), encoding=told)


def test_bytes_that_are_not_in_the_encoding_are_refused(write: Write) -> None:
    with pytest.raises(SourceError, match="is not valid utf-8"):
        read(write(HEADER.encode() + b"\xe9.mp4,1\n"), encoding="utf-8")


def test_random_bytes_are_refused_or_read_as_text() -> None:
    rng = random.Random(7)
    for _ in range(200):
        try:
            decode("t.csv", rng.randbytes(rng.randint(1, 400)))
        except SourceError as exc:
            assert "t.csv" in str(exc)


# Quotation marks


def test_stray_quotes_between_tabs_are_letters(write: Write) -> None:
    path = write(
        'Video URL\tTitle\tViews\na.mp4\t"Best" ad\t7\nb.mp4\tSay "hi\t8\nc.mp4\t"open\t9\n'
        'd.mp4\tclosed"\t10\ne.mp4\t"quoted ""well"""\t11\n'
    )
    table = read(path, "Views")
    assert [row.attributes["Title"] for row in table.rows] == [
        '"Best" ad', 'Say "hi', '"open', 'closed"', 'quoted "well"',
    ]  # fmt: skip
    assert metrics(table) == [{"Views": float(n)} for n in (7, 8, 9, 10, 11)]


def test_quoted_tabs_and_lines_between_tabs_are_kept(write: Write) -> None:
    text = io.StringIO()
    rows = [["Video URL", "Title", "Views"], ["a.mp4", "two\nlines", "7"], ["b.mp4", "a\ttab", "8"]]
    csv.writer(text, delimiter="\t").writerows(rows)
    table = read(write(text.getvalue()), "Views")
    assert [row.attributes["Title"] for row in table.rows] == ["two\nlines", "a\ttab"]
    assert [row.row for row in table.rows] == [2, 3]


def test_a_row_that_a_quotation_mark_swallows_is_noticed(write: Write) -> None:
    path = write('Video URL,Title,Views\na.mp4,"hello,7\nb.mp4,bye",8\nc.mp4,x,9\n')
    with pytest.raises(SourceError, match=r"row 2: .* closes in a later row.*'b\.mp4'"):
        read(path, "Views")


def test_a_description_of_several_lines_is_kept(write: Write) -> None:
    text = 'Video URL,Title,Views\na.mp4,"Hello, world\nit is, me",8\nb.mp4,"one\n\ntwo",9\n'
    assert metrics(read(write(text), "Views")) == [{"Views": 8.0}, {"Views": 9.0}]
