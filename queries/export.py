"""Answers as files: the table as CSV, face images as a zip; written aside, then put in place."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from queries.averages import cover_path
from registry.core.registry import Registry
from registry.store.base import Payload
from registry.system.files import add_entry, atomic_file

_FORMULA = re.compile(r"(^|[;\t\r\n])(?=[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20])")
"""Before the first characters that make a spreadsheet take a cell for a formula (OWASP, CSV
Injection), wide ones of East Asia too. A cell also begins where half of Europe's spreadsheets
divide a line, whatever commas and quotes say: at a semicolon."""

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


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the table of averages: UTF-8, an empty cell for no value."""
    with atomic_file(path) as aside:
        safe(table).to_csv(aside, index=False, encoding="utf-8", lineterminator="\n")


def write_zip(registry: Registry, path: Path) -> int:
    """Write every crop as `<identity>/<video>_<frame>.jpg`, each identity's cover, and index.csv.

    Returns how many faces it holds. A crop whose bytes have changed since it was stored raises
    `StoreCorrupt`, and nothing is written.
    """
    names = {i.identity_id: i for i in registry.index.identities()}
    faces = sorted(
        (point.payload for point in registry.index.faces()),
        key=lambda f: (f["identity_id"], f["video_id"], f["frame"], f["crop"]),
    )
    with atomic_file(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        rows: list[dict[str, Any]] = []
        for name, face in _named(faces):
            picture = registry.crop(face["crop"], face["crop_digest"])
            add_entry(archive, name, picture)
            identity = names[face["identity_id"]]
            if identity.cover_face == face["face_id"]:
                add_entry(archive, cover_path(identity.identity_id), picture)
            rows.append(
                {
                    "path": name,
                    "identity": identity.identity_id,
                    "name": identity.name,
                    **{column: face[column] for column in INDEX_COLUMNS[3:]},
                }
            )
        add_entry(archive, "index.csv", _csv(rows))
    return len(faces)


def safe(table: pd.DataFrame) -> pd.DataFrame:
    """The table with text that a spreadsheet would run as a formula made plain text."""
    texts = table.select_dtypes(exclude="number").columns
    cells = table.assign(**{column: table[column].map(plain) for column in texts})
    return cells.rename(columns=plain)


def plain(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: such text gets an apostrophe in front."""
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def _named(faces: list[Payload]) -> Iterator[tuple[str, Payload]]:
    """The path of each face; a second face of one identity in one frame gets a number more."""
    taken: dict[str, int] = {}
    for face in faces:
        stem = f"{face['identity_id']}/{face['video_id']}_{face['frame']}"
        taken[stem] = taken.get(stem, 0) + 1
        yield (f"{stem}.jpg" if taken[stem] == 1 else f"{stem}_{taken[stem]}.jpg"), face


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, INDEX_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: plain(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()
