"""How quickly thirty questions of the review are answered by keys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.domain import Image
from registry.models.base import FaceModel
from tests.browser.conftest import Tab
from tests.browser.test_serve_pages import press
from tests.support.page_server import serve_pages
from tests.support.staged_people import portraits, stage

QUESTIONS = 30


@pytest.mark.slow
def test_thirty_questions_by_keys_take_less_than_a_minute(
    new_tab: Callable[..., Tab], tmp_path: Path, sface: FaceModel, t1_image: Image, astronaut: Image
) -> None:
    people = portraits(sface, [t1_image, astronaut])
    registry = stage(tmp_path / "home", sface, people, identities=6)
    with serve_pages(registry) as pages:
        page = new_tab().open(pages.site.one_time_address())
        page.goto(f"{pages.address}/review?order=likeness")
        open_questions = int(re.findall(r"of (\d+)", page.locator(".place").inner_text())[0])
        assert open_questions >= QUESTIONS
        started = time.monotonic()
        before = len(registry.decisions.entries())
        for number in range(QUESTIONS):
            press(page, "y" if number % 3 else "n")
        seconds = time.monotonic() - started
        made = registry.decisions.entries()[before:]
        assert len(made) == QUESTIONS
        page.goto(f"{pages.address}/decisions")
        listed = page.locator("tbody tr td.number").all_inner_texts()
        assert {str(one.number) for one in made} <= set(listed)
        assert seconds < 60, f"{seconds:.1f} s"
