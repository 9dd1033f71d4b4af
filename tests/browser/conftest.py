"""A real browser for tests of pages: the machine's Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chromium import NAMES, find_chromium, open_chromium
from tests.support.sample_registry import demo_people, sample_registry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

_SERIOUS = ("serious", "critical")


@dataclass
class Tab:
    """A page of the browser, and what went wrong in it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    """URLs of all requests but `data:` ones."""
    problems: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and uncaught exceptions."""

    def note_error(self, error: Exception) -> None:
        """Keep an uncaught exception of a script."""
        self.problems.append(f"uncaught: {error}")

    def note_message(self, message: ConsoleMessage) -> None:
        """Keep an error or a warning of the console."""
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")

    def note_request(self, request: Request) -> None:
        """Keep the URL of a request."""
        if not request.url.startswith("data:"):
            self.requests.append(request.url)

    def open(self, address: Path | str) -> Page:
        """Go to a file or an address, and return the page."""
        self.page.goto(address.absolute().as_uri() if isinstance(address, Path) else address)
        return self.page

    def axe(self) -> list[str]:
        """The serious findings of axe: rule, and the elements it is about."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in _SERIOUS
        ]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; skips by name where it or Playwright is missing."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"tests in a browser: none of {', '.join(NAMES)} is installed")
    pytest.importorskip(
        "playwright.sync_api", reason="tests in a browser: `make test-browser` installs Playwright"
    )
    with open_chromium(program) as browser:
        yield browser


@pytest.fixture
def new_tab(chromium: Browser) -> Iterator[Callable[..., Tab]]:
    """Opens tabs, each with its own cookies: `new_tab(color_scheme="dark")`.

    The arguments are those of Playwright's `new_context`. A test fails at its end if a page had an
    error in its console; a tab whose `problems` are cleared before does not count.
    """
    tabs: list[Tab] = []

    def make(**options: Any) -> Tab:
        context = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        tab = Tab(context.new_page())
        page = tab.page
        page.on("pageerror", tab.note_error)
        page.on("console", tab.note_message)
        page.on("request", tab.note_request)
        tabs.append(tab)
        return tab

    yield make
    problems = [problem for tab in tabs for problem in tab.problems]
    for tab in tabs:
        tab.page.context.close()
    assert problems == []


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a closed registry: seven people in 60 videos. Copy it to change it."""
    home = tmp_path_factory.mktemp("sample") / "home"
    sample_registry(home, demo_people()).close()
    return home
