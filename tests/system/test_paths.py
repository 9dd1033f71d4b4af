"""Operations on files and folders that behave alike on all systems."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from registry.system import paths
from tests.support.processes import make_link


def _in_use(code: int) -> PermissionError:
    """What Windows raises while another process has a file open."""
    error = PermissionError(13, "The process cannot access the file")
    error.winerror = code  # type: ignore[attr-defined, unused-ignore]
    return error


@pytest.mark.parametrize("code", [5, 32, 33])
def test_an_operation_is_repeated_while_a_file_is_in_use(code: int) -> None:
    answers = iter([_in_use(code), _in_use(code), None])

    def operation() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "done"

    assert paths.repeated(operation) == "done"


def test_it_is_given_up_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_PATIENCE_S", 0.1)

    def operation() -> None:
        raise _in_use(32)

    started = time.monotonic()
    with pytest.raises(PermissionError):
        paths.repeated(operation)
    assert 0.1 <= time.monotonic() - started < 2


def test_an_error_of_another_kind_is_raised_at_once() -> None:
    calls = []

    def operation() -> None:
        calls.append(1)
        raise PermissionError(13, "of another user")

    with pytest.raises(PermissionError):
        paths.repeated(operation)
    assert calls == [1]


def test_a_file_is_replaced_and_removed(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    paths.replace(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "new"
    paths.remove(tmp_path / "old")
    paths.remove(tmp_path / "old")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_renamed_and_removed_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    paths.replace(tmp_path / "a", tmp_path / "z")
    assert (tmp_path / "z" / "b" / "c").read_text() == "c"
    paths.remove_tree(tmp_path / "z")
    assert list(tmp_path.iterdir()) == []


def test_blocks_with_data_are_found(tmp_path: Path) -> None:
    block = 256 * 1024
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek(10 * block + 5)
        file.write(b"x")
        file.truncate(40 * block)
    with path.open("rb") as file:
        found = list(paths.data_blocks(file, block))
    assert 10 * block in found
    assert found == sorted(found)
    assert all(at % block == 0 for at in found)
    written = paths.allocated_bytes(path)
    if written < 40 * block:  # this file system keeps holes
        assert len(found) < 40
        assert written > 0


def test_without_a_way_to_see_holes_all_blocks_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    with path.open("rb") as file:
        assert list(paths.data_blocks(file, 300)) == [0, 300, 600, 900]
        # A file system that does not know the question, as some of macOS, refuses it.
        monkeypatch.setattr(os, "SEEK_DATA", 99, raising=False)
        assert list(paths.data_blocks(file, 300)) == [0, 300, 600, 900]


def test_a_link_is_told_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert not paths.is_link((tmp_path / "file").lstat())
    make_link(tmp_path / "link", tmp_path / "file")
    assert paths.is_link((tmp_path / "link").lstat())
