"""Detects the format of a table by its bytes, whatever its name, and opens its sheets."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ingest.tables import opendocument, workbooks
from ingest.tables.encodings import decode
from ingest.tables.separated import read_rows, separators
from ingest.tables.sheet import Sheet
from registry.errors import SourceError
from registry.urls import printable

MAX_FILE = 256 * 1024 * 1024
"""Bytes; two million rows of ordinary length. Guards against a video given as the table."""
_MAX_UNPACKED = 1024**3
"""Bytes of a workbook's parts together."""
_SIGNATURES = (
    (
        b"\xd0\xcf\x11\xe0",
        "an Excel workbook in the old format (.xls), or one with a password. Save it as .xlsx "
        "without a password, or as CSV",
    ),
    (b"\x1f\x8b", "a gzip file. Unpack it first"),
    (b"\xff\xfe\x00\x00", "UTF-32 text. Save it as CSV (UTF-8)"),
    (b"\x00\x00\xfe\xff", "UTF-32 text. Save it as CSV (UTF-8)"),
    (b"%PDF", "a PDF. Export the table itself"),
    (b"\x89PNG", "a picture. Export the table itself"),
    (b"\xff\xd8\xff", "a picture. Export the table itself"),
)
_PAGE = (b"<!doctype html", b"<html")


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises `SourceError`."""
    try:
        if path.is_dir():  # which systems refuse to open with different errors
            raise SourceError(f"{path} is a folder. Name the table in it.")
        with path.open("rb") as file:
            return read_stream(str(path), file)
    except FileNotFoundError as exc:
        raise SourceError(f"There is no file {path}. Correct the path of the table.") from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SourceError(f"{printable(str(path))} cannot be read: {reason}.") from exc


def read_stream(source: str, stream: BinaryIO) -> bytes:
    """Read a stream to its end. Raises `SourceError` if it is too long."""
    return check_size(source, stream.read(MAX_FILE + 1))


def check_size(source: str, data: bytes) -> bytes:
    """Return the data. Raises `SourceError` if they are too long."""
    if len(data) > MAX_FILE:
        raise SourceError(
            f"{source} is larger than {MAX_FILE >> 20} MiB. Split it into several files."
        )
    return data


def sheets(source: str, data: bytes, encoding: str = "") -> Sequence[Sheet]:
    """Every way to read a file: one for each separator that is tried, or for each sheet.

    Raises `SourceError` if it is not a table, `UsageError` for an unknown `encoding`.
    """
    if data.startswith(b"PK\x03\x04"):
        return _packed(source, data)
    if data.startswith(b"PAR1"):
        return [workbooks.parquet(source, data)]
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            raise SourceError(f"{source} is {what}.")
    if data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
        raise SourceError(
            f"{source} is a web page, not a table. A sheet behind a link has to be shared with "
            "everyone who has the link, or be published as CSV."
        )
    decoded = decode(source, data, encoding)
    nul = decoded.text.find("\x00")
    if nul >= 0:
        line = decoded.text.count("\n", 0, nul) + 1
        raise SourceError(f"{source} is not text: it has a NUL character in line {line}.")
    tried, text = separators(decoded.text)
    return [
        Sheet(
            read_rows=partial(read_rows, source, text, separator),
            form="TSV" if separator == "\t" else "CSV",
            encoding=decoded.encoding,
            separator=separator,
            note=decoded.note,
        )
        for separator in tried
    ]


def _packed(source: str, data: bytes) -> Sequence[Sheet]:
    """Workbooks are zip archives."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
        raise SourceError(f"{source} is a damaged workbook or zip file: {exc}.") from exc
    if sum(parts.values()) > _MAX_UNPACKED:
        raise SourceError(f"{source} unpacks to more than {_MAX_UNPACKED >> 30} GiB.")
    if "xl/workbook.bin" in parts:
        raise SourceError(f"{source} is a binary Excel workbook (.xlsb). Save it as .xlsx.")
    if any(part.startswith("xl/") for part in parts):
        return workbooks.excel(source, data)
    if "content.xml" in parts:
        return opendocument.spreadsheet(source, data)
    raise SourceError(
        f"{source} is a zip file and not a workbook. Unpack it first, or export it as CSV."
    )
