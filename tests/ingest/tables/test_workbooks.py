"""Excel and OpenDocument workbooks, and Parquet: cells keep what they are."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from registry.errors import SourceError, UsageError
from tests.ingest.tables.conftest import Write
from tests.ingest.tables.tables import found, metrics, read

HEAD = ["Video URL", "Performance", "Published"]


def excel(*sheets: tuple[str, Sequence[Any]], edit: Callable[[Any], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    if edit:
        edit(book)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def test_a_workbook_is_read_with_its_types(write: Write) -> None:
    rows = [HEAD, ["a.mp4", 4.5, dt.date(2026, 10, 1)], ["b.mp4", 2, dt.datetime(2026, 10, 2, 8)]]
    path = write(excel(("Export", rows)), "book.xlsx")
    table = read(path)
    assert [(row, values) for row, _, values in found(table)] == [
        (2, {"Performance": 4.5}),
        (3, {"Performance": 2.0}),
    ]
    assert [row.attributes["Published"] for row in table.rows] == [
        dt.date(2026, 10, 1), dt.datetime(2026, 10, 2, 8),
    ]  # fmt: skip
    assert (table.detected.form, table.detected.sheet) == ("Excel workbook", "Export")


def test_a_file_is_known_by_its_bytes_and_not_by_its_name(write: Write) -> None:
    assert len(read(write(excel(("S", [HEAD, ["a.mp4", 1]])), "table.csv")).rows) == 1


def test_formats_of_cells_are_units(write: Write) -> None:
    formats = {
        "0.00%": 0.0125, '0.00\\ "%"': 1.25, '#,##0.00\\ "€"': 5.5, "[$$-409]#,##0.00": 6.5,
        "[$CHF] 0.00": 7.5, "0.00": 8.5, "[h]:mm:ss": dt.timedelta(seconds=41), '0.0"x"': 4.2,
        '_("$"* #,##0.00_);_("$"* (#,##0.00)': 3.5,
    }  # fmt: skip

    def edit(book: Any) -> None:
        for place, number_format in enumerate(formats, 2):
            book.worksheets[0].cell(2, place).number_format = number_format

    names = [f"m{place}" for place in range(len(formats))]
    rows = [["Video URL", *names], ["a.mp4", *formats.values()]]
    table = read(write(excel(("S", rows), edit=edit), "b.xlsx"), *names)
    values = [table.rows[0].metrics[name] for name in names]
    assert values == [1.25, 1.25, 5.5, 6.5, 7.5, 8.5, 41.0, 4.2, 3.5]
    units = [table.units[name] for name in names]
    assert units == ["%", "%", "EUR", "$", "CHF", "", "s", "", "$"]


def test_links_and_formulas(write: Write) -> None:
    rows = [
        HEAD, ['=HYPERLINK("https://a.example/1","Watch")', 1], ["Watch", 2],
        ["https://a.example/3", "=1+2"], ["https://a.example/4", "#DIV/0!"],
        ["https://a.example/5", "#VALUE!"],
    ]  # fmt: skip

    def edit(book: Any) -> None:
        book.worksheets[0]["A3"].hyperlink = "https://a.example/2"

    table = read(write(excel(("S", rows), edit=edit), "b.xlsx"))
    assert [row.url.exposed() for row in table.rows] == [
        f"https://a.example/{n}" for n in range(1, 6)
    ]
    assert [row.metrics.get("Performance") for row in table.rows] == [1, 2, None, None, None]
    assert [(one.row, one.cell) for one in table.unreadable] == [(4, "=1+2"), (6, "#VALUE!")]
    assert "formula" in table.unreadable[0].why


def test_the_result_of_a_formula_is_read(write: Write) -> None:
    data = excel(("S", [HEAD, ["https://a.example/1", 0]]))
    patched = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(patched, "w") as new:
        for entry in old.infolist():
            text = old.read(entry)
            if entry.filename.endswith("sheet1.xml"):
                text = text.replace(b"<v>0</v>", b"<f>1+2</f><v>3</v>")
                assert b"<f>" in text
            new.writestr(entry, text)
    assert metrics(read(write(patched.getvalue(), "b.xlsx"))) == [{"Performance": 3.0}]


def test_the_sheet_with_the_columns_is_found_or_asked_for(write: Write) -> None:
    notes, june = ("Notes", [["x"]]), ("June", [["Report"], [], HEAD, ["a.mp4", 1]])
    july = ("July", [HEAD, ["b.mp4", 2]])
    table = read(write(excel(notes, june), "one.xlsx"))
    assert (table.detected.sheet, table.rows[0].row) == ("June", 4)
    assert any('read sheet "June"' in note for note in table.notes)
    both = write(excel(notes, june, july), "both.xlsx")
    with pytest.raises(UsageError, match=r'"June", "July"\. Name one with --sheet'):
        read(both)
    assert metrics(read(both, sheet="July")) == [{"Performance": 2.0}]
    assert metrics(read(both, sheet="july ")) == [{"Performance": 2.0}]
    with pytest.raises(
        UsageError, match=r'no sheet "May"\. Its sheets are "Notes", "June", "July"'
    ):
        read(both, sheet="May")
    with pytest.raises(SourceError, match="no column"):
        read(both, sheet="Notes")


def test_hidden_sheets_are_not_looked_at(write: Write) -> None:
    def hide(book: Any) -> None:
        book.worksheets[0].sheet_state = "hidden"

    sheets = (("Old", [HEAD, ["a.mp4", 1]]), ("New", [HEAD, ["b.mp4", 2]]))
    assert metrics(read(write(excel(*sheets, edit=hide), "b.xlsx"))) == [{"Performance": 2.0}]


def test_text_in_a_workbook_is_read_as_in_a_file(write: Write) -> None:
    rows = [HEAD, ["a.mp4", "1.234,5"], ["b.mp4", "< 10%"], ["Total", None], ["c.mp4", "1.250"]]
    assert metrics(read(write(excel(("S", rows)), "b.xlsx"))) == [
        {"Performance": 1234.5}, {}, {"Performance": 1250.0},
    ]  # fmt: skip


def test_a_sheet_that_says_it_is_smaller_is_read_whole(write: Write) -> None:
    data = excel(("S", [HEAD, ["a.mp4", 1], ["b.mp4", 2]]))
    patched = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(patched, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry).replace(b'ref="A1:C3"', b'ref="A1"'))
    assert len(read(write(patched.getvalue(), "b.xlsx")).rows) == 2


def _part(data: bytes, name: str, old: bytes, new: bytes) -> bytes:
    patched = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(patched, "w") as after:
        for entry in before.infolist():
            text = before.read(entry)
            after.writestr(entry, text.replace(old, new) if entry.filename == name else text)
    return patched.getvalue()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'<row r="2"', b'<row r="99999999"', "more than 1,048,576 rows"),
        (b"</sheetData>", b"", "cannot be read as a workbook"),
        (b'r="A2"', b'r="ZZZZZ2"', "cannot be read as a workbook"),
    ],
)
def test_a_forged_or_damaged_workbook_is_refused(
    write: Write, old: bytes, new: bytes, why: str
) -> None:
    data = _part(excel(("S", [HEAD, ["a.mp4", 1]])), "xl/worksheets/sheet1.xml", old, new)
    with pytest.raises(SourceError, match=why):
        read(write(data, "b.xlsx"))


def test_a_zip_file_without_a_workbook_is_refused(write: Write) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(SourceError, match="a zip file and not a workbook"):
        read(write(data.getvalue(), "b.zip"))


# OpenDocument

_NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"'
)


def document(*tables: str) -> bytes:
    sheets = "".join(
        f'<table:table table:name="S{n}">{rows}</table:table>' for n, rows in enumerate(tables)
    )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            f"<office:document-content {_NAMES}><office:body><office:spreadsheet>{sheets}"
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return data.getvalue()


def line(*cells: str, times: int = 1) -> str:
    inner = "".join(
        cell if cell.startswith("<table:") else text(cell) if cell else "<table:table-cell/>"
        for cell in cells
    )
    repeated = f' table:number-rows-repeated="{times}"' if times > 1 else ""
    return f"<table:table-row{repeated}>{inner}</table:table-row>"


def text(shown: str) -> str:
    return (
        f'<table:table-cell office:value-type="string"><text:p>{shown}</text:p></table:table-cell>'
    )


def typed(kind: str, value: str, *, more: str = "", name: str = "value") -> str:
    attributes = f'office:value-type="{kind}" office:{name}="{value}" {more}'
    return f"<table:table-cell {attributes}><text:p>shown</text:p></table:table-cell>"


def test_a_document_is_read_with_its_types(write: Write) -> None:
    blank = '<table:table-cell table:number-columns-repeated="2"/>'
    link = (
        '<table:table-cell office:value-type="string"><text:p>'
        '<text:a xlink:href="https://a.example/2">Watch</text:a></text:p>'
        "<office:annotation><text:p>a remark</text:p></office:annotation></table:table-cell>"
    )
    linked = "of:=HYPERLINK(&quot;https://a.example/3&quot;;&quot;W&quot;)"
    formula = typed("string", "x", more=f'table:formula="{linked}"', name="string-value")
    rows = (
        line("Report", times=1) + line("", times=3)
        + line("Video URL", "CTR", "Cost", "Length", "", "", "Published")
        + line(
            "https://a.example/1", typed("percentage", "0.0125"),
            typed("currency", "5.5", more='office:currency="EUR"'),
            typed("time", "PT00H01M05.5S", name="time-value"), blank,
            typed("date", "2026-10-01", name="date-value"),
        )
        + line(link, typed("percentage", "0.5"), typed("float", "7"), "0:41")
        + line(formula, typed("percentage", "1"), typed("float", "1e3"), "", "<table:table-cell/>")
        + line("", times=1_000_000)
    )  # fmt: skip
    table = read(write(document(rows), "t.ods"), "CTR", "Cost", "Length")
    assert [(row, url) for row, url, _ in found(table)] == [
        (6, "https://a.example/1"), (7, "https://a.example/2"), (8, "https://a.example/3"),
    ]  # fmt: skip
    assert [row.metrics for row in table.rows] == [
        {"CTR": 1.25, "Cost": 5.5, "Length": 65.5},
        {"CTR": 50, "Cost": 7, "Length": 41},
        {"CTR": 100, "Cost": 1000},
    ]
    assert table.units == {"CTR": "%", "Cost": "EUR", "Length": "s"}
    assert table.rows[0].attributes == {"Published": dt.date(2026, 10, 1)}
    assert table.detected.form == "OpenDocument spreadsheet"


def test_repeated_rows_and_cells_count_as_often_as_they_are_there(write: Write) -> None:
    same = '<table:table-cell office:value-type="float" office:value="5" table:number-columns-repeated="2"/>'  # noqa: E501
    rows = line("Video URL", "A", "B") + line("a.mp4", same, times=3) + line("b.mp4", same)
    table = read(write(document(line("x"), rows), "t.ods"), "A:sum", "B:sum", sheet="S1")
    assert [(row.row, row.metrics) for row in table.rows] == [
        (2, {"A": 15.0, "B": 15.0}),
        (5, {"A": 5.0, "B": 5.0}),
    ]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (line("Video URL", "M") + line("a.mp4", "1", times=2_000_000), "more cells than a sheet"),
        (
            line("Video URL", "M")
            + '<table:table-row><table:table-cell table:number-columns-repeated="99999999"/>'
            + text("x") + "</table:table-row>",
            "more than 16,384 columns",
        ),
        (
            '<table:table-row table:number-rows-repeated="many">' + text("x")
            + "</table:table-row>", "'many' is not a number of rows",
        ),
        ("<table:table-row>", "cannot be read as an OpenDocument"),
    ],
)  # fmt: skip
def test_a_forged_or_damaged_document_is_refused(write: Write, rows: str, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        read(write(document(rows), "t.ods"), "M")


def test_an_entity_that_grows_is_refused(write: Write) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(
            "content.xml",
            f'<!DOCTYPE x [<!ENTITY e0 "xxxxxxxxxx">{entities}]>'
            f"<office:document-content {_NAMES}>&e9;</office:document-content>",
        )
    with pytest.raises(SourceError, match="cannot be read as an OpenDocument"):
        read(write(data.getvalue(), "t.ods"))


# Parquet


def test_parquet_is_read_with_its_types(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "Video URL": ["a.mp4", "b.mp4", None],
            "Performance": [4.5, None, 1],
            "Published": [dt.date(2026, 10, 1), None, None],
            "Ad": pd.Categorical(["x", "y", "y"]),
        }
    )
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    table = read(path)
    assert [(row.row, row.metrics) for row in table.rows] == [(2, {"Performance": 4.5}), (3, {})]
    assert [failure.row for failure in table.failures] == [4]
    assert table.rows[0].attributes == {"Published": dt.date(2026, 10, 1), "Ad": "x"}
    assert table.detected.form == "Parquet"


def test_a_damaged_parquet_file_is_refused(write: Write) -> None:
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read(write(b"PAR1 and so on PAR1", "t.parquet"))
