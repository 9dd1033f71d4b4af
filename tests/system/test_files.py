"""Files that are whole or not there, and what is said of a place that cannot be written."""

from __future__ import annotations

import hashlib
import re
import sys
import zipfile
from pathlib import Path

import pytest

from registry.errors import StoreDenied
from registry.system.files import add_entry, atomic_file
from registry.system.paths import sync


def test_a_file_appears_when_it_is_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    if sys.platform != "win32":  # there, the folder's access list decides
        assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_file_stays_as_it_was_if_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")
    with pytest.raises(ValueError, match="on purpose"), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise ValueError("on purpose")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreDenied, match=re.escape(f"{tmp_path} is a folder")),
        atomic_file(tmp_path),
    ):
        pass


def test_files_and_folders_can_be_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    sync(tmp_path)
    sync(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "absent")


def test_entries_of_a_zip_are_the_same_bytes_on_every_system(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        add_entry(archive, "faces/a.jpg", b"face")
        (entry,) = archive.infolist()
    assert (entry.create_system, entry.external_attr >> 16) == (3, 0o600)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == "75b6dd0460a7df556ffc3931f0708f44a28dfb2717cb0bce6648cbb9fc2ce56d"


class _OpenElsewhere(OSError):
    """What Windows raises for a file that another process has open."""

    winerror = 32


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("people.csv", "Close it in Excel or another program that has it open"),
        ("people.XLSX", "Close it in Excel or another program that has it open"),
        ("faces.zip", "Close it in the program that has it open"),
    ],
)
def test_a_file_that_is_open_elsewhere_is_to_be_closed(
    tmp_path: Path, name: str, advice: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")
    with pytest.raises(StoreDenied, match=advice), atomic_file(path):
        raise _OpenElsewhere(13, "Permission denied")
    assert path.read_bytes() == b"before"


def test_a_place_that_cannot_be_written_is_to_be_changed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreDenied, match=r"Choose another path\.$"),
        atomic_file(tmp_path / "file" / "out.csv"),
    ):
        pass
