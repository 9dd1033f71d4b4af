"""Zeros of files that are given back to the disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from registry.system.paths import allocated_bytes
from registry.system.sparse import free_zeros, zero_ranges

UNIT = 64 * 1024


@pytest.mark.parametrize(
    ("content", "ranges"),
    [
        (b"", []),
        (b"\0" * 100, []),
        (b"\0" * UNIT, [(0, UNIT)]),
        (b"x" + b"\0" * 2 * UNIT, [(UNIT, 2 * UNIT)]),
        (b"\0" * 3 * UNIT + b"x" + b"\0" * (2 * UNIT - 1), [(0, 3 * UNIT), (4 * UNIT, 5 * UNIT)]),
        (b"x" * 2 * UNIT + b"\0" * UNIT + b"\0" * 9, [(2 * UNIT, 3 * UNIT)]),
    ],
)
def test_ranges_of_zeros_are_whole_units(
    tmp_path: Path, content: bytes, ranges: list[tuple[int, int]]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert list(zero_ranges(file)) == ranges


def test_files_hold_the_same_bytes_afterwards(tmp_path: Path) -> None:
    content = b"begin" + b"\0" * 40 * UNIT + b"middle" + b"\0" * 40 * UNIT + b"end"
    (tmp_path / "segments").mkdir()
    path = tmp_path / "segments" / "page_0.dat"
    path.write_bytes(content)
    small = tmp_path / "small"
    small.write_bytes(b"\0" * 100)
    free_zeros(tmp_path)
    assert path.read_bytes() == content
    assert small.read_bytes() == b"\0" * 100


@pytest.mark.skipif(sys.platform != "win32", reason="files have holes from the start elsewhere")
def test_zeros_take_no_room_on_ntfs(tmp_path: Path) -> None:
    path = tmp_path / "page_0.dat"
    path.write_bytes(b"x" + b"\0" * 512 * UNIT + b"y")
    free_zeros(tmp_path)
    if allocated_bytes(path) >= 512 * UNIT:
        pytest.skip("a file system with sparse files: this one has none, or is Wine's")
    assert allocated_bytes(path) <= 4 * UNIT
