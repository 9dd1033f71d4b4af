"""The files that leave the registry: whole, the same each time, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from queries.averages import averages
from queries.export import plain, safe, write_csv, write_zip
from registry.core.registry import Registry
from registry.errors import StoreCorrupt, StoreDenied
from tests.support.factories import picture


def test_the_csv_reads_back_as_the_table(registry: Registry, tmp_path: Path) -> None:
    table = averages(registry)
    write_csv(table, tmp_path / "out.csv")
    back = pd.read_csv(tmp_path / "out.csv", keep_default_na=True)
    assert list(back.columns) == list(table.columns)
    assert back["average_performance"].equals(table["average_performance"])


def test_the_zip_holds_every_face_the_covers_and_an_index(
    registry: Registry, tmp_path: Path
) -> None:
    assert write_zip(registry, tmp_path / "faces.zip") == 6
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        names = archive.namelist()
        rows = list(csv.DictReader(io.StringIO(archive.read("index.csv").decode())))
        assert sorted([row["path"] for row in rows]) == sorted(
            n for n in names if n != "index.csv" and not n.endswith("cover.jpg")
        )
        assert {f"{i}/cover.jpg" for i in averages(registry)["identity"]} <= set(names)
        first = rows[0]
        frame = first["path"].rsplit("_", 1)[1].removesuffix(".jpg")
        assert first["frame"] == frame
        video_id = first["path"].split("/")[1].split("_")[0]
        assert archive.read(first["path"]) == picture(f"crops/{video_id}/{frame}_0.jpg")


def test_the_same_registry_gives_the_same_bytes(registry: Registry, tmp_path: Path) -> None:
    write_zip(registry, tmp_path / "1.zip")
    write_zip(registry, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_a_damaged_crop_stops_the_zip_and_leaves_nothing(
    registry: Registry, tmp_path: Path
) -> None:
    key = next(registry.blobs.list("crops/")).key
    registry.blobs.unguarded.put(key, b"changed")
    with pytest.raises(StoreCorrupt, match=key):
        write_zip(registry, tmp_path / "out" / "faces.zip")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_name_cannot_become_a_formula(registry: Registry, tmp_path: Path) -> None:
    who = averages(registry).iloc[0]["identity"]
    registry.name(who, '=HYPERLINK("http://example.com")')
    write_csv(averages(registry), tmp_path / "out.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert rows[0]["name"].startswith("'=")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ann;=1", "Ann;'=1"),
        ("a\t@b", "a\t'@b"), ("a\n-1", "a\n'-1"), ("https://x.test/?a=1&b=+2",) * 2],
)  # fmt: skip
def test_no_cell_begins_where_another_spreadsheet_divides(text: str, shown: str) -> None:
    """A semicolon divides cells where a comma is the decimal point, within quotes too."""
    assert plain(text) == shown
    table = safe(pd.DataFrame({f"average_{text}": [1.0], "name": [text]}))
    assert table.to_dict("list") == {f"average_{shown}": [1.0], "name": [shown]}


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@a", "\ta", "\ra", "\na", "\uff1d1", "\uff20a"]
)
def test_what_begins_a_formula_is_made_plain(text: str) -> None:
    assert plain(text) == f"'{text}"
    assert plain("1, " + text.strip()) == "1, " + text.strip()
    assert plain(-1.0) == -1.0


def test_only_the_owner_can_read_what_is_exported(registry: Registry, tmp_path: Path) -> None:
    write_csv(averages(registry), tmp_path / "out.csv")
    write_zip(registry, tmp_path / "faces.zip")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.*")} == {0o600}


def test_a_path_that_cannot_be_written_is_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreDenied, match=r"folder is a folder\. Give the path of a file"):
        write_csv(averages(registry), tmp_path / "folder")


def test_only_a_full_disk_is_called_full(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "out.csv", tmp_path / ("a" * 300)):
        with pytest.raises(StoreDenied, match="Choose another path"):
            write_csv(averages(registry), path)
