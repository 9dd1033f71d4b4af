"""Opens a folder in the way that this system has."""

from __future__ import annotations

import sys
from pathlib import Path

from registry.system.folder_interface import OpenFolder


def open_folder(path: Path) -> OpenFolder:
    """Open a folder: by descriptors, or on Windows by paths. Raises `OSError`."""
    if sys.platform == "win32":
        from registry.system.folder_by_path import FolderByPath

        return FolderByPath(path)
    else:
        from registry.system.folder_by_descriptor import FolderByDescriptor

        return FolderByDescriptor(path)
