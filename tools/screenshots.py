"""Pictures of the pages, from invented numbers and the photographs of the demo.

    python -m tools.screenshots FOLDER

writes the page of a report, pictures of it (PNG), and pictures of the pages of `serve` to the
folder. It needs Chromium and the
dependency group `browser` (`make test-browser` installs it).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from queries.page.asking import Asked
from queries.page.writing import save_page
from tests.support.chromium import find_chromium, open_chromium
from tests.support.page_server import Pages, serve_pages
from tests.support.sample_registry import demo_people, sample_registry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHOTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("report", "body", {"viewport": {"width": 1200, "height": 1000}}),
    ("report-dark", "body", {"viewport": {"width": 1200, "height": 1000}, "color_scheme": "dark"}),
    ("report-person", "#p1", {"viewport": {"width": 1200, "height": 900}}),
    ("report-videos", "#videos", {"viewport": {"width": 1200, "height": 800}}),
    ("report-questions", "#questions", {"viewport": {"width": 1200, "height": 800}}),
    ("report-phone", "body", {"viewport": {"width": 400, "height": 1200}}),
)
"""Name of the picture, what it begins with, and how the browser is set."""

_WIDE = {"viewport": {"width": 1280, "height": 800}}
_PHONE = {"viewport": {"width": 400, "height": 800}}
PAGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("people", "/", _WIDE),
    ("people-dark", "/", {**_WIDE, "color_scheme": "dark"}),
    ("people-phone", "/", _PHONE),
    ("person", "/people/Presenter%20in%20orange", _WIDE),
    ("review", "/review", _WIDE),
    ("review-phone", "/review", _PHONE),
    ("videos", "/videos", _WIDE),
    ("decisions", "/decisions", _WIDE),
    ("ingest", "/ingest", _WIDE),
)
"""Name of the picture, path of the page of `serve`, and how the browser is set."""


def main() -> int:
    """Write the page and its pictures. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    program = find_chromium()
    if program is None:
        print("There is no Chromium on this machine.", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    with (
        tempfile.TemporaryDirectory() as home,
        sample_registry(Path(home) / "home", demo_people()) as registry,
        open_chromium(program) as browser,
    ):
        save_page(registry, page, Asked())
        _take(browser, page, folder)
        with serve_pages(registry) as pages:
            _take_served(browser, pages, folder)
    return 0


def _take(browser: Browser, page: Path, folder: Path) -> None:
    for name, begins, options in SHOTS:
        with browser.new_context(**options) as context:
            tab = context.new_page()
            tab.goto(page.absolute().as_uri())
            tab.locator(begins).evaluate("(one) => one.scrollIntoView({behavior: 'instant'})")
            _save(tab, folder, name)
    printed = browser.new_page()
    printed.goto(page.absolute().as_uri())
    printed.pdf(path=folder / "report.pdf", format="A4")
    print(folder / "report.pdf")


def _take_served(browser: Browser, pages: Pages, folder: Path) -> None:
    for name, path, options in PAGES:
        with browser.new_context(**options) as context:
            tab = context.new_page()
            tab.goto(f"{pages.address}/?token={pages.site.sessions.new_token()}")
            tab.goto(f"{pages.address}{path}")
            tab.wait_for_selector("h1")
            _save(tab, folder, name)


def _save(tab: Page, folder: Path, name: str) -> None:
    tab.wait_for_timeout(300)
    tab.screenshot(path=folder / f"{name}.png")
    print(folder / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
