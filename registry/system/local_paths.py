"""Paths as tables and file URLs name them, as paths of this system."""

from __future__ import annotations

import os
import re
from pathlib import PureWindowsPath
from urllib.parse import unquote, urlsplit

ON_WINDOWS = os.name == "nt"
_DRIVE = re.compile(r"/[A-Za-z]:")
_OF_WINDOWS = re.compile(r"/?[A-Za-z]:[\\/]|\\\\")
"""A drive letter, or the two backslashes in front of the name of a server."""
_DEVICE = re.compile(
    r"(CON|CONIN\$|CONOUT\$|PRN|AUX|NUL|COM[0-9\u00b9\u00b2\u00b3]|LPT[0-9\u00b9\u00b2\u00b3])"
    r" *([.:].*)?",
    re.IGNORECASE,
)
"""Names that Windows gives to devices in every folder, with any suffix (Microsoft, "Naming Files,
Paths, and Namespaces"; `os.path.isreserved` of Python 3.13)."""
_FORBIDDEN = re.compile(r'[<>:"|?*]')
"""What a name on Windows cannot contain, besides separators and control characters (same page)."""
_UNLIMITED = re.compile(r"\\\\\?\\(UNC\\)?")
"""The prefix of Windows for paths of any length, and for those on a server."""


def is_device_name(name: str) -> bool:
    """Whether Windows takes this name, in any folder, for a device."""
    return _DEVICE.fullmatch(name) is not None


def path_of_file_url(url: str, *, windows: bool = ON_WINDOWS) -> str:
    """The path that a file URL names, decoded: `C:/a.mp4`, `//server/share/a.mp4` or `/a.mp4`."""
    parts = urlsplit(url)
    path = unquote(parts.path, errors="surrogateescape")
    if parts.netloc.lower() not in {"", "localhost"}:
        return f"//{parts.netloc}{path}"
    return path[1:] if windows and _DRIVE.match(path) else path


def checked_path(path: str, *, windows: bool = ON_WINDOWS) -> str:
    """A path as this system writes it. Raises `ValueError`, which says what is wrong with it.

    Args:
        path: absolute or relative, as it was written.
        windows: whether the system is Windows.
    """
    if not windows:
        if _OF_WINDOWS.match(path):
            raise ValueError(
                "is a path of Windows, and this is another system. Write the path that the file "
                "has here."
            )
        return path
    path = path.replace("/", "\\")
    if prefix := _UNLIMITED.match(path):
        path = ("\\\\" if prefix[1] else "") + path[prefix.end() :]
    parsed = PureWindowsPath(path)
    if path.startswith(("\\\\.\\", "\\??\\")) or (prefix and not parsed.drive):
        raise ValueError("is a device, not a file. Write the path of a file.")
    if parsed.drive and not parsed.root:
        raise ValueError(
            f"depends on the current folder of drive {parsed.drive}. Write the whole path, as in "
            f"{parsed.drive}\\Videos\\a.mp4."
        )
    for name in parsed.parts[1 if parsed.anchor else 0 :]:
        if is_device_name(name):
            raise ValueError(
                f"is not a file: Windows gives the name {name} to a device. Rename the file."
            )
        if _FORBIDDEN.search(name):
            raise ValueError(
                'cannot be a file on Windows, where names have none of < > : " | ? *. Correct the '
                "path."
            )
    return path
