"""Debian's Chromium, for tests that look at a page as a person's browser shows it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from registry.domain import Image
from tests.support.chromium import NAMES, SANDBOX, find_chromium


class Browser:
    """One that shows local files, without a window and without a word to the network."""

    def __init__(self, program: str, folder: Path) -> None:
        """`folder` is for its profile, which is new, and its pictures."""
        self._program, self._folder = program, folder

    def document(self, page: Path) -> str:
        """The page's document as HTML, after it was laid out."""
        return self._run("--dump-dom", page)

    def picture(self, page: Path, width: int, height: int) -> Image:
        """What a window of this size, in px, shows of the page: BGR uint8 (height, width, 3)."""
        path = self._folder / "shown.png"
        self._run(f"--screenshot={path}", page, f"--window-size={width},{height}")
        shown = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert shown is not None, "the browser wrote no picture"
        return np.asarray(shown, np.uint8)

    def _run(self, what: str, page: Path, *more: str) -> str:
        command = [
            self._program, "--headless", *SANDBOX, "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={self._folder / 'profile'}", *more, what, page.absolute().as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode()


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """A browser of this machine; skips by name where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return Browser(program, tmp_path)
