"""Paths and file URLs of tables, on Windows and elsewhere."""

from __future__ import annotations

import pytest

from registry.system.local_paths import checked_path, is_device_name, path_of_file_url


@pytest.mark.parametrize(
    ("url", "on_windows", "elsewhere"),
    [
        ("file:///C:/v%20w.mp4", "C:/v w.mp4", "/C:/v w.mp4"),
        ("file:///c:/v.mp4", "c:/v.mp4", "/c:/v.mp4"),
        ("file://localhost/C:/v.mp4", "C:/v.mp4", "/C:/v.mp4"),
        ("file://server/share/v.mp4", "//server/share/v.mp4", "//server/share/v.mp4"),
        ("file:////server/share/v.mp4", "//server/share/v.mp4", "//server/share/v.mp4"),
        ("file:///videos/%E6%9D%8E.mp4", "/videos/李.mp4", "/videos/李.mp4"),
    ],
)
def test_a_file_url_names_a_path(url: str, on_windows: str, elsewhere: str) -> None:
    assert path_of_file_url(url, windows=True) == on_windows
    assert path_of_file_url(url, windows=False) == elsewhere


@pytest.mark.parametrize(
    ("written", "path"),
    [
        (r"C:\Videos\a.mp4", r"C:\Videos\a.mp4"),
        ("c:/Videos/a b.mp4", r"c:\Videos\a b.mp4"),
        (r"sub\b.mp4", r"sub\b.mp4"),
        (r"\c.mp4", r"\c.mp4"),
        (r"\\server\share\a.mp4", r"\\server\share\a.mp4"),
        ("//server/share/a.mp4", r"\\server\share\a.mp4"),
        (r"\\?\C:\a.mp4", r"C:\a.mp4"),
        (r"\\?\UNC\server\share\a.mp4", r"\\server\share\a.mp4"),
        ("nullify.mp4", "nullify.mp4"),
    ],
)
def test_paths_of_windows_are_taken_there_and_not_elsewhere(written: str, path: str) -> None:
    assert checked_path(written, windows=True) == path
    if "\\\\" in written[:2] or written[1:2] == ":":
        with pytest.raises(ValueError, match="is a path of Windows"):
            checked_path(written, windows=False)
    else:
        assert checked_path(written, windows=False) == written


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("C:c.mp4", "depends on the current folder of drive C:"),
        ("NUL", "name NUL to a device"),
        (r"C:\Videos\aux.mp4", "name aux.mp4 to a device"),
        (r"con \a.mp4", "name con  to a device"),
        (r"\\.\PhysicalDrive0", "is a device"),
        (r"\\?\GLOBALROOT\Device\x", "is a device"),
        ("a.mp4:stream", "cannot be a file on Windows"),
        ("a|b.mp4", "cannot be a file on Windows"),
    ],
)
def test_what_is_no_file_on_windows_is_refused_there(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_path(written, windows=True)


@pytest.mark.parametrize("name", ["CON", "nul", "Aux.mp4", "COM1", "lpt9.txt", "COM¹", "NUL "])
def test_names_of_devices_are_recognised(name: str) -> None:
    assert is_device_name(name)


@pytest.mark.parametrize("name", ["console", "nul1", "COM", "COM10", "a.con", "lpt", ""])
def test_other_names_are_names_of_files(name: str) -> None:
    assert not is_device_name(name)
