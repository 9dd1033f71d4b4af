"""One file has one name, also where the file system takes several spellings for one."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from ingest.tables.locations import Locator
from registry.system.spelling import DiskSpelling

COMPOSED, APART = "Caf\u00e9.mp4", "Cafe\u0301.mp4"


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _same_on_a_mac(one: str, other: str) -> bool:
    """As `samefile` answers where neither case nor Unicode form counts."""
    for path in (one, other):
        folder = Path(path).parent
        if not any(_folded(path) == _folded(str(there)) for there in folder.iterdir()):
            raise FileNotFoundError(path)
    return _folded(one) == _folded(other)


def _folds_case(folder: Path) -> bool:
    (folder / "probe").touch()
    return (folder / "PROBE").exists()


@pytest.mark.parametrize("spelled", [COMPOSED, APART, "CAF\u00c9.MP4", "cafe\u0301.mp4"])
@pytest.mark.parametrize("listed", [COMPOSED, APART])
def test_a_name_is_that_of_the_listing(tmp_path: Path, listed: str, spelled: str) -> None:
    (tmp_path / listed).touch()
    assert DiskSpelling(_same_on_a_mac).name(str(tmp_path), spelled) == listed


def test_a_name_that_is_not_there_stays(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    assert DiskSpelling(_same_on_a_mac).name(str(tmp_path), "A.mp4") == "A.mp4"


def test_names_that_the_disk_tells_apart_stay(tmp_path: Path) -> None:
    if _folds_case(tmp_path):
        pytest.skip("this file system does not tell the case apart")
    for name in ("a.mp4", "A.mp4", COMPOSED, APART):
        (tmp_path / name).touch()
    spelling = DiskSpelling()
    for name in ("a.mp4", "A.mp4", COMPOSED, APART):
        assert spelling.name(str(tmp_path), name) == name
    os.link(tmp_path / "a.mp4", tmp_path / "linked.mp4")
    os.link(tmp_path / "a.mp4", tmp_path / "LINKED.MP4")
    assert spelling.name(str(tmp_path), "LINKED.MP4") == "LINKED.MP4"


def test_folders_are_spelled_as_listed_too(tmp_path: Path) -> None:
    (tmp_path / "Videos" / "Été").mkdir(parents=True)
    spelled = str(tmp_path / "VIDEOS" / unicodedata.normalize("NFD", "Été"))

    def same(one: str, other: str) -> bool:
        if _folded(one) == _folded(other) and _folded(one).startswith(_folded(str(tmp_path))):
            return True
        raise FileNotFoundError(other)

    assert DiskSpelling(same).folder(spelled) == str(tmp_path / "Videos" / "Été")


def test_cells_that_differ_in_case_are_one_video_where_the_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "Clip.mp4").touch()
    locator = Locator(tmp_path)
    names = {str(locator.locate(2, cell)[0]) for cell in ("Clip.mp4", "clip.mp4", "CLIP.MP4")}
    assert len(names) == (1 if _folds_case(tmp_path) else 3)
