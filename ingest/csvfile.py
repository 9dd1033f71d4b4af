"""A CSV file as rows of cells, numbered as a spreadsheet numbers them. Knows nothing of videos."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from registry.errors import SourceError
from registry.urls import printable

_MAX_FILE = 256 * 1024 * 1024
"""Bytes; two million rows of ordinary length. Guards against a video given as the CSV."""
_MAX_CELL = 1024 * 1024
"""Characters; a spreadsheet's cells end at 32,767."""
_DELIMITERS = (",", ";", "\t")
_COLUMNS_SHOWN = 20
_SIGNATURES = (
    (b"PK\x03\x04", "an Excel workbook or another zip file; export it as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; export it as CSV (UTF-8)"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"\xff\xfe\x00\x00", "UTF-32 text; save it as CSV (UTF-8)"),
    (b"\x00\x00\xfe\xff", "UTF-32 text; save it as CSV (UTF-8)"),
    (b"\xff\xfe", "UTF-16 text; save it as CSV (UTF-8)"),
    (b"\xfe\xff", "UTF-16 text; save it as CSV (UTF-8)"),
)
_cell_limit = Lock()


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a CSV file holds."""

    columns: tuple[str, ...]
    """Names in the header, without the white space around them."""
    records: tuple[tuple[int, list[str]], ...]
    """Row number (the header's is 1 unless blank lines precede it) and cells; no blank rows."""
    delimiter: str


def read(path: Path, wanted: Sequence[str]) -> Sheet:
    """Read a file that has the `wanted` columns. Raises `SourceError` if it cannot be used."""
    text = _text(path)
    with _limited_cells():
        delimiter, text = _delimiter(path, text, wanted)
        records = _records(path, text, delimiter)
        _, header = next(records, (0, None))
        if header is None:
            raise SourceError(f"{path} is empty; a header and one row for each video are expected.")
        columns = tuple(name.strip() for name in header)
        check_columns(str(path), columns, wanted)
        return Sheet(columns, tuple(records), delimiter)


def check_columns(source: str, columns: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise `SourceError` unless each wanted column is there exactly once."""
    for name in wanted:
        if columns.count(name) > 1:
            raise SourceError(
                f'{source} has {columns.count(name)} columns named "{printable(name)}"; '
                "rename all but the one that is meant."
            )
        if name not in columns:
            shown = ", ".join(f'"{printable(column)}"' for column in columns[:_COLUMNS_SHOWN])
            more = ", …" if len(columns) > _COLUMNS_SHOWN else ""
            folded = {column.casefold(): column for column in columns if column}
            close = difflib.get_close_matches(name.casefold(), folded, n=1)
            hint = f' Did you mean "{printable(folded[close[0]])}"?' if close else ""
            raise SourceError(
                f'{source} has no column "{printable(name)}"; its columns are {shown}{more}.{hint}'
            )


def _text(path: Path) -> str:
    data = _bytes(path)
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            raise SourceError(f"{path} is {what}.")
    nul = data.find(b"\x00")
    if nul >= 0:
        pairs = data[:512]
        if max(pairs[::2].count(0), pairs[1::2].count(0)) > len(pairs) // 4:
            raise SourceError(f"{path} is UTF-16 text; save it as CSV (UTF-8).")
        raise SourceError(
            f"{path} is not text: it has a NUL byte at offset {nul} (line {_line(data, nul)})."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        # A byte order mark is cut off before decoding; offsets count from the file's first byte.
        start = exc.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        raise SourceError(
            f"{path} is not UTF-8: byte 0x{data[start]:02X} at offset {start} "
            f"(line {_line(data, start)}). Save it as CSV (UTF-8)."
        ) from exc


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except FileNotFoundError as exc:
        raise SourceError(f"There is no file {path}.") from exc
    except IsADirectoryError as exc:
        raise SourceError(f"{path} is a folder; name the CSV file in it.") from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SourceError(f"{printable(str(path))} cannot be read: {reason}.") from exc
    if len(data) > _MAX_FILE:
        raise SourceError(f"{path} is larger than {_MAX_FILE >> 20} MiB; split it into several.")
    return data


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


@contextmanager
def _limited_cells() -> Iterator[None]:
    """The csv module has one limit for the whole process: put ours in its place for a while."""
    with _cell_limit:
        before = csv.field_size_limit(_MAX_CELL)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _delimiter(path: Path, text: str, wanted: Sequence[str]) -> tuple[str, str]:
    """The separator under which the header has most of the wanted columns, then most columns.

    A first line `sep=;`, which Excel reads as an instruction and does not count, is cut off.
    """
    told = re.match(r'"?sep=([,;\t])"?\r?\n', text)
    if told:
        return told[1], text[told.end() :]
    best, found = ",", (-1, -1)
    failure: SourceError | None = None
    for delimiter in _DELIMITERS:
        try:
            _, header = next(_records(path, text, delimiter), (0, ()))
        except SourceError as exc:
            failure = failure or exc
            continue
        names = {name.strip() for name in header}
        score = len(names.intersection(wanted)), len(header)
        if score > found:
            best, found = delimiter, score
    if failure and found < (0, 0):
        raise failure
    return best, text


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    row = 0
    while True:
        row += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            raise SourceError(_why(path, row, str(exc))) from exc
        if any(cell.strip() for cell in cells):
            yield row, cells


def _why(path: Path, row: int, problem: str) -> str:
    if "field larger" in problem:
        return (
            f"{path}, row {row}: a cell has more than {_MAX_CELL:,} characters. "
            "Look for a quotation mark that is opened there and never closed."
        )
    if "unexpected end" in problem:
        return f"{path}, row {row}: a quotation mark is opened there and never closed."
    return (
        f'{path}, row {row}: text follows a closing quotation mark; write "" for a quotation mark '
        "inside a quoted cell."
    )
