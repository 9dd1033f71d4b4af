"""A folder of objects whose connection is lost after so many changes."""

from __future__ import annotations

from pathlib import Path

from registry.blobs.folder import FolderStore
from registry.errors import StoreUnreachable


class FailingFolder(FolderStore):
    """Raises `StoreUnreachable` from every change after the first `changes`."""

    def __init__(self, root: Path, changes: int) -> None:
        super().__init__(root)
        self.changes = changes

    def put(self, key: str, data: bytes) -> None:
        self._change()
        super().put(key, data)

    def delete(self, key: str) -> None:
        self._change()
        super().delete(key)

    def _change(self) -> None:
        self.changes -= 1
        if self.changes < 0:
            raise StoreUnreachable("The connection is lost.")
