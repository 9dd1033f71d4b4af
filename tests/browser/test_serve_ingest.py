"""An ingest in a real browser: from a table that is dropped to a moment that plays."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from registry.core.opening import open_registry
from registry.domain import Image
from registry.models.base import FaceModel
from registry.settings import load_settings
from registry.upkeep.index_comparison import compare_index
from tests.browser.conftest import Tab
from tests.support.media import write_video
from tests.support.page_server import serve_pages
from tests.support.staged_people import portraits, stage


def table_of(folder: Path, astronaut: Image, t1_image: Image) -> Path:
    """Three videos beside their table, one of which is not there."""
    moving = [np.roll(astronaut, 3 * number, axis=1) for number in range(45)]
    write_video(folder / "launch.mp4", moving, fps=15)
    write_video(folder / "team.mp4", [t1_image] * 15, fps=15)
    table = folder / "week 1.csv"
    table.write_text(
        "Video URL,Performance\nlaunch.mp4,4.5\nteam.mp4,2.5\ngone.mp4,1.5\n", encoding="utf-8"
    )
    return table


def test_an_ingest_is_watched_to_its_end_and_a_moment_plays(
    new_tab: Callable[..., Tab], tmp_path: Path, astronaut: Image, t1_image: Image
) -> None:
    table = table_of(tmp_path, astronaut, t1_image)
    registry = open_registry(load_settings(home=tmp_path / "home"))
    with serve_pages(registry) as pages:
        tab = new_tab()
        page = tab.open(pages.site.one_time_address())
        assert "No video yet" in page.locator("h1").inner_text()
        page.get_by_role("link", name="Choose a table").click()
        page.locator("summary").click()
        page.fill("input[name=base_folder]", str(tmp_path))
        page.set_input_files("input[name=table]", table)
        page.get_by_role("button", name="Show the plan").click()
        page.wait_for_selector("h1:has-text('3 new videos to read')")
        assert registry.is_empty  # a plan changes nothing
        page.get_by_role("button", name="Start").click()
        page.wait_for_url("**/ingest/run")
        with pages.client() as other:  # other pages answer meanwhile
            assert other.get("/api/status").status_code == 200
        page.wait_for_selector("h1:has-text('Done: 2 videos read')", timeout=120_000)
        failures = page.locator("table").inner_text()
        assert "gone.mp4" in failures
        assert "Check the path" in failures  # what to do
        page.get_by_role("link", name="See the people").click()
        page.wait_for_selector(".grid .name")
        assert registry.index.count_identities() == page.locator(".grid .name").count() > 1
        page.goto(f"{pages.address}/videos?find=launch")
        page.locator(".video h2 a").click()
        page.locator("[data-seek]").first.click()
        player = page.locator("#player")
        page.wait_for_function("() => document.querySelector('#player').readyState >= 1")
        assert player.evaluate("one => one.duration") == pytest.approx(3.0, abs=0.3)
        source = player.get_attribute("src")
        assert source is not None
        with pages.client() as client:
            part = client.get(source.partition("#")[0], headers={"range": "bytes=10-19"})
            assert part.status_code == 206
            assert part.content == (tmp_path / "launch.mp4").read_bytes()[10:20]
            (tmp_path / "launch.mp4").write_bytes(b"another file")  # replaced since: not sent
            assert client.get(source.partition("#")[0]).status_code == 404
        tab.problems.clear()  # the player may have asked for the file that was replaced


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_of_a_merge_leaves_all_of_it_or_nothing(
    tmp_path: Path, sface: FaceModel, t1_image: Image
) -> None:
    home = tmp_path / "home"
    stage(home, sface, portraits(sface, [t1_image])[:3], identities=4).close()
    whole = 0
    for delay_ms in (0, 5, 10, 15, 20, 30, 45, 60):
        with open_registry(load_settings(home=home)) as registry:
            before = len(registry.decisions.entries())
            pair = sorted(one.identity_id for one in registry.index.identities())[:2]
        _merge_and_kill(home, pair, delay_ms / 1000)
        with open_registry(load_settings(home=home)) as registry:
            decided = len(registry.decisions.entries()) - before
            assert decided in (0, 1)
            whole += decided
            there = {one.identity_id for one in registry.index.identities()}
            assert len(there & set(pair)) == 2 - decided
            assert not list(compare_index(registry.records, registry.index, registry.view))
    assert whole > 0


def _merge_and_kill(home: Path, pair: list[str], delay_s: float) -> None:
    program = str(Path(sys.executable).with_name("face-registry"))
    with subprocess.Popen(
        [program, "--home", str(home), "serve", "--no-open"],
        stdout=subprocess.PIPE, text=True, env={**os.environ},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with httpx.Client(follow_redirects=True) as client:
            client.get(address)

            def merge() -> None:
                with suppress(httpx.HTTPError):
                    client.post(
                        re.sub(r"\?.*", "people/merge", address),
                        data={"person": pair, "sure": "yes"},
                    )

            thread = threading.Thread(target=merge)
            thread.start()
            time.sleep(delay_s)
            process.kill()
            process.wait()
            thread.join()
