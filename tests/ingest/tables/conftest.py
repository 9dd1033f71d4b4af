from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a table into a folder of its own, which further files may join."""
    folder = tmp_path / "table"
    folder.mkdir()

    def make(text: str | bytes, name: str = "videos.csv") -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make
