"""The spelling that a file system keeps of a name, where it takes several spellings for one name.

macOS and Windows do not tell `A.mp4` from `a.mp4`, and macOS does not tell the two Unicode forms of
`é` apart (one character, or a letter and an accent). A file is named as its folder lists it, so
that one file has one name.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable

_NamesByFold = dict[str, list[str]]


class DiskSpelling:
    """Spells paths as the disk does. Lists each folder once."""

    def __init__(self, is_same: Callable[[str, str], bool] = os.path.samefile) -> None:
        """`is_same` says whether two paths lead to one file; `OSError`: one does not exist."""
        self._is_same = is_same
        self._folders: dict[str, str] = {}
        self._listed: dict[str, _NamesByFold] = {}

    def folder(self, path: str) -> str:
        """An absolute path of a folder, without links, as its parents list its parts."""
        if path not in self._folders:
            parent, name = os.path.split(path)
            if name and parent != path:
                parent = self.folder(parent)
                path_as_listed = os.path.join(parent, self.name(parent, name))  # noqa: PTH118
            else:
                path_as_listed = path
            self._folders[path] = path_as_listed
        return self._folders[path]

    def name(self, folder: str, name: str) -> str:
        """A name as the folder lists it; unchanged if it is not there, or listed so itself."""
        if not self._is_folded(folder, name):
            return name
        if folder not in self._listed:
            self._listed[folder] = _by_fold(folder)
        listed = self._listed[folder].get(_fold(name), [])
        return listed[0] if len(listed) == 1 else name

    def _is_folded(self, folder: str, name: str) -> bool:
        """Whether another spelling of the name leads to the same file."""
        composed, apart = unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)
        others = {name.swapcase(), composed, apart} - {name}
        path = os.path.join(folder, name)  # noqa: PTH118  one for each row of a table
        for other in others:
            try:
                if self._is_same(path, os.path.join(folder, other)):  # noqa: PTH118
                    return True
            except (OSError, ValueError):
                continue
        return False


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _by_fold(folder: str) -> _NamesByFold:
    names: _NamesByFold = defaultdict(list)
    try:
        for name in os.listdir(folder):  # noqa: PTH208  names, not paths
            names[_fold(name)].append(name)
    except OSError:  # it may be entered and not listed
        pass
    return names
