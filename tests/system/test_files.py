"""Files that are whole or not there, and what is said of a place that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.errors import StoreDenied
from registry.system.files import atomic_file
from registry.system.paths import sync


def test_a_file_appears_when_it_is_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
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
    with pytest.raises(StoreDenied, match=f"{tmp_path} is a folder"), atomic_file(tmp_path):
        pass


def test_files_and_folders_can_be_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    sync(tmp_path)
    sync(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "absent")
