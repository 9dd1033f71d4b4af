"""The machine's Chromium: where it is, and how Playwright starts it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.processes import is_root

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
SANDBOX = ["--no-sandbox"] if is_root() else []  # root has none


def find_chromium() -> str | None:
    """The path of the program; None if this machine has none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_chromium(program: str) -> Iterator[Browser]:
    """The browser without a window, driven by Playwright; it is closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*SANDBOX, "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
