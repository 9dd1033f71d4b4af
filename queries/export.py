"""Files for other programs: tables as CSV, Parquet and Excel, all face images as a zip.

Each is written under a temporary name and then renamed.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from queries.masking import boxes_beside, without_others
from queries.zip_paths import cover_path, folder_name
from registry.core.exports import record_exports
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Identity
from registry.errors import UsageError
from registry.system.files import STANDARD_OUTPUT, add_entry, atomic_file, check_suffix
from registry.terminal import clean

if TYPE_CHECKING:
    import pandas as pd


_FORMULA = re.compile(r"(^|[;\t\r\n])(?=[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20])")
"""Matches before a character that makes a spreadsheet read a cell as a formula (OWASP, CSV
Injection), full-width forms included. A semicolon begins a cell, too: where the comma is the
decimal mark, spreadsheets divide a line at semicolons, even inside quotes."""
_SHEET_ROWS = 1_048_576
"""Rows of a sheet of a workbook, the header included (Excel specifications and limits)."""

INDEX_COLUMNS = [
    "path",
    "identity",
    "name",
    "video_url",
    "frame",
    "time_s",
    "det_score",
    "quality",
]


def write_csv(table: pd.DataFrame, path: Path, *, for_excel: str | None = None) -> None:
    """Write a table as UTF-8; a missing value is an empty cell.

    Args:
        table: the table.
        path: of the file; `-` writes to standard output.
        for_excel: None writes commas and decimal points, for programs. `point` and `comma` write a
            file that Excel opens in a locale with this decimal sign: with a byte-order mark, and
            with semicolons between the columns where the sign is a comma.

    Raises:
        UsageError: the path has the ending of another format.
    """
    check_suffix(path, "CSV")
    comma = for_excel == "comma"
    text = safe(table).to_csv(
        index=False,
        lineterminator="\r\n" if for_excel else "\n",
        sep=";" if comma else ",",
        decimal="," if comma else ".",
    )
    content = text.encode("utf-8-sig" if for_excel else "utf-8")
    if path == STANDARD_OUTPUT:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with atomic_file(path) as aside:
        aside.write_bytes(content)


def export_csv(
    registry: Registry, table: pd.DataFrame, path: Path, *, for_excel: str | None = None
) -> None:
    """Write a table of a registry as `write_csv` does, and record the file as an export."""
    write_csv(table, path, for_excel=for_excel)
    record_exports(registry, "csv", [path])


def write_parquet(tables: Mapping[str, pd.DataFrame], path: Path) -> list[Path]:
    """Write tables as Parquet files side by side, the first one as `path`.

    The others have their name in the file's: `people.parquet`, `people_videos.parquet`. Each is
    written completely or not at all.

    Args:
        tables: by name.
        path: of the first table.

    Returns:
        The paths of all files.
    """
    paths: list[Path] = []
    for name, table in tables.items():
        file = path.with_name(f"{path.stem}_{name}{path.suffix}") if paths else path
        with atomic_file(file) as aside:
            table.to_parquet(aside, index=False)
        paths.append(file)
    return paths


def write_excel(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Write tables as the sheets of a workbook (.xlsx), with formulas made plain text.

    Raises:
        UsageError: a table has more rows than a sheet.
    """
    for name, table in tables.items():
        if len(table) >= _SHEET_ROWS:
            raise UsageError(
                f"The table of {name} has {len(table):,} rows, and a sheet of a workbook holds "
                f"{_SHEET_ROWS - 1:,}. Use --parquet."
            )
    import pandas as pd

    content = io.BytesIO()
    with pd.ExcelWriter(content, engine="openpyxl") as workbook:
        for name, table in tables.items():
            safe(table).map(_cell).to_excel(workbook, sheet_name=name, index=False)
    with atomic_file(path) as aside:
        Path(aside).write_bytes(content.getvalue())


def _cell(value: Any) -> Any:
    """The value without control characters, which a workbook cannot hold."""
    return clean(value) if isinstance(value, str) else value


def write_zip(registry: Registry, path: Path, *, unmasked: bool = False) -> int:
    """Write every crop as `<folder>/<video>_<frame>.jpg`, each identity's cover, and index.csv.

    The folder of an identity is its id; of one with a name, the name and the beginning of the id.

    The recorded faces of other identities that a crop shows in its margin are covered in grey. A
    crop that shows none is written as it is stored.

    Args:
        registry: an open registry that has ingested something.
        path: of the zip file.
        unmasked: write all crops as they are stored.

    Returns:
        The number of faces.

    Raises:
        StoreCorrupt: a crop is not what was stored. Then nothing is written.
        UsageError: the path has the ending of another format.
    """
    check_suffix(path, "zip")
    identities = {i.identity_id: i for i in registry.index.identities()}
    faces = sorted(
        registry.index.faces(), key=attrgetter("identity_id", "video_id", "frame", "crop")
    )
    frames: dict[tuple[str, int], list[IndexedFace]] = {}
    for face in faces:
        frames.setdefault((face.video_id, face.frame), []).append(face)
    sizes = {
        video.video_id: (video.media.width, video.media.height) for video in registry.index.videos()
    }
    with atomic_file(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        rows: list[dict[str, Any]] = []
        for name, face in _with_paths(faces, identities):
            picture = registry.crop(face.crop, face.crop_digest)
            if not unmasked:
                beside = boxes_beside(face, frames[face.video_id, face.frame])
                picture = without_others(picture, face.crop, face.box, beside, sizes[face.video_id])
            add_entry(archive, name, picture)
            identity = identities[face.identity_id]
            if identity.cover_face == face.face_id:
                add_entry(archive, cover_path(identity), picture)
            rows.append(
                {
                    "path": name,
                    "identity": identity.identity_id,
                    "name": identity.name,
                    "video_url": face.video_url.exposed(),
                    "frame": face.frame,
                    "time_s": face.time_s,
                    "det_score": face.det_score,
                    "quality": face.quality.score,
                }
            )
        add_entry(archive, "index.csv", _csv(rows))
    record_exports(registry, "zip", [path])
    return len(faces)


def safe(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text that a spreadsheet would run as a formula made plain text."""
    texts = table.select_dtypes(exclude="number").columns
    cells = table.assign(**{column: table[column].map(plain) for column in texts})
    return cells.rename(columns=plain)


def plain(cell: Any) -> Any:
    """The cell, with an apostrophe before a text that a spreadsheet would read as a formula."""
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def _with_paths(
    faces: list[IndexedFace], identities: Mapping[str, Identity]
) -> Iterator[tuple[str, IndexedFace]]:
    """Each face with its path. A second face of an identity in one frame gets a number."""
    taken: dict[str, int] = {}
    for face in faces:
        stem = f"{folder_name(identities[face.identity_id])}/{face.video_id}_{face.frame}"
        taken[stem] = taken.get(stem, 0) + 1
        yield (f"{stem}.jpg" if taken[stem] == 1 else f"{stem}_{taken[stem]}.jpg"), face


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, INDEX_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: plain(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()
