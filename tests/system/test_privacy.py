"""Folders for their owner alone: modes, and the access lists of Windows as text."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from registry.system.privacy import (
    close_to_others,
    command_to_close,
    grants_to_others,
    make_private_folder,
    open_to_others,
    others_have_access,
)

OWNER = "O:S-1-5-21-1-2-3-1001"
modes = pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing on Windows")


@modes
def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "parent" / "home")
    assert stat.S_IMODE((tmp_path / "parent" / "home").stat().st_mode) == 0o700
    assert not others_have_access(tmp_path / "parent" / "home")


@modes
def test_a_folder_that_exists_is_closed_if_that_is_asked_for(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    make_private_folder(home)
    assert others_have_access(home)
    make_private_folder(home, existing=True)
    assert not others_have_access(home)


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "home")


@modes
def test_what_others_may_use_is_listed_and_closed(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "home" / "sub")
    (tmp_path / "home").chmod(0o700)
    shared = tmp_path / "home" / "sub" / "file"
    shared.write_bytes(b"x")
    shared.chmod(0o644)
    (tmp_path / "home" / "link").symlink_to(tmp_path)
    assert list(open_to_others(tmp_path / "home")) == [shared]
    close_to_others(shared)
    assert list(open_to_others(tmp_path / "home")) == []
    assert stat.S_IMODE(shared.stat().st_mode) == 0o600


@modes
def test_a_folder_that_a_link_leads_to_is_looked_at_instead_of_the_link(tmp_path: Path) -> None:
    """A link has the mode 0777 and cannot be closed."""
    home, link = tmp_path / "home", tmp_path / "link"
    make_private_folder(home)
    link.symlink_to(home)
    assert list(open_to_others(link)) == []
    home.chmod(0o755)
    assert list(open_to_others(link)) == [home]


@modes
def test_a_file_that_is_removed_while_its_folder_is_looked_at_is_left_out(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "home")
    for name in ("a", "b"):
        (tmp_path / "home" / name).touch()
        (tmp_path / "home" / name).chmod(0o644)
    found = open_to_others(tmp_path / "home")
    first = next(found)
    (tmp_path / "home" / ("b" if first.name == "a" else "a")).unlink()
    assert list(found) == []


@pytest.mark.skipif(sys.platform == "win32", reason="it is for a shell of POSIX")
def test_the_command_that_closes_a_file_can_be_copied_into_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "it's a file; echo"
    path.touch()
    path.chmod(0o644)
    subprocess.run(command_to_close(path), shell=True, check=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("entries", "shared"),
    [
        ("D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)", False),
        ("D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;S-1-5-21-1-2-3-1001)", False),
        ("D:(A;OICIIO;GA;;;CO)(A;;FA;;;S-1-5-32-544)", False),
        ("D:AI(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)", True),
        ("D:AI(A;OICI;0x1301bf;;;AU)", True),
        ("D:(A;;FA;;;WD)", True),
        ("D:(A;;FA;;;S-1-5-21-1-2-3-1002)", True),
        ("D:(D;;FA;;;WD)(A;;FA;;;OW)", False),
        ("D:NO_ACCESS_CONTROL", True),
        ("", True),
    ],
)
def test_an_access_list_of_windows_says_whether_others_have_access(
    entries: str, shared: bool
) -> None:
    assert grants_to_others(OWNER + entries) is shared
