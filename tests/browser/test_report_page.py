"""The page of a report in a real browser: what a reader sees, does and prints."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from queries.page.asking import Asked
from queries.page.writing import save_page
from registry.cli import cli
from registry.core.decisions import DecisionKind
from registry.core.opening import open_registry
from registry.settings import load_settings
from tests.browser.conftest import Tab
from tests.support.sample_registry import identity_of

if TYPE_CHECKING:
    from playwright.sync_api import Dialog

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'</style>"


@pytest.fixture(scope="module")
def page_file(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    with open_registry(load_settings(home=sample_home)) as registry:
        save_page(registry, path, Asked())
    return path


@pytest.fixture
def own_home(sample_home: Path, tmp_path: Path) -> Path:
    """A copy of the sample that the test may change."""
    home = tmp_path / "own"
    shutil.copytree(sample_home, home)
    return home


def names(tab: Tab) -> list[str]:
    """The people of the table as they are shown, from above."""
    return tab.page.locator("table.people tbody tr:visible th a.quiet").all_inner_texts()


def test_it_opens_without_a_request_and_answers_first(
    page_file: Path, new_tab: Callable[..., Tab]
) -> None:
    tab = new_tab()
    page = tab.open(page_file)
    assert page.locator("h1").inner_text().startswith("Videos with “Presenter in orange”")
    assert "associations" in page.locator("header").inner_text()
    page.mouse.wheel(0, 100_000)
    page.wait_for_timeout(300)
    assert tab.requests == [page_file.as_uri()]
    assert "default-src 'none'" in (
        page.locator("meta[http-equiv='Content-Security-Policy']").get_attribute("content") or ""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 720, 400])
def test_axe_finds_nothing_serious(
    page_file: Path, new_tab: Callable[..., Tab], scheme: str, width: int
) -> None:
    tab = new_tab(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = tab.open(page_file)
    # Contrast is only measured of what is laid out.
    page.evaluate(
        "for (const one of document.querySelectorAll('article'))"
        " one.style.contentVisibility = 'visible'"
    )
    assert tab.axe() == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_nothing_in_a_name_runs(
    own_home: Path, tmp_path: Path, new_tab: Callable[..., Tab]
) -> None:
    with open_registry(load_settings(home=own_home)) as registry:
        registry.name(identity_of(0), ATTACK)
        save_page(registry, tmp_path / "page.html", Asked())
    tab = new_tab()
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    tab.page.on("dialog", note)
    page = tab.open(tmp_path / "page.html")
    assert ATTACK in page.locator("h1").inner_text()
    assert names(tab)[0] == ATTACK
    assert page.locator("img[src=x]").count() == 0
    assert (dialogs, tab.requests) == ([], [(tmp_path / "page.html").as_uri()])


def test_a_script_that_is_not_escaped_would_not_run(
    page_file: Path, tmp_path: Path, new_tab: Callable[..., Tab]
) -> None:
    """The second line of defence: the policy names the digests of our own script and style."""
    html = page_file.read_text(encoding="utf-8")
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(html.replace("<main>", "<main><script>document.title = 'x'</script>"))
    tab = new_tab()
    assert tab.open(spoilt).title() != "x"
    assert len(tab.problems) == 1 and "Content Security Policy" in tab.problems[0]
    tab.problems.clear()


def test_it_sorts_filters_and_searches(page_file: Path, new_tab: Callable[..., Tab]) -> None:
    tab = new_tab()
    page = tab.open(page_file)
    ordered = names(tab)
    videos = page.locator("th[data-sort=videos]")
    videos.get_by_role("button").click()
    assert videos.get_attribute("aria-sort") == "descending"
    counts = [int(text) for text in page.locator("td[data-head=Videos]").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    videos.get_by_role("button").click()
    assert videos.get_attribute("aria-sort") == "ascending"
    videos.get_by_role("button").click()
    assert names(tab) == ordered
    page.locator("select[name=verdict]").select_option("clearly below")
    assert names(tab) == ["Goalkeeper"]
    assert page.locator("article.person:visible").count() == 1
    assert page.locator("#shown-people").inner_text() == "1 of 8 rows"
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("Search people").fill("KITCHEN")
    assert names(tab) == ["Kitchen host"]
    page.get_by_label("Search people").fill("")
    page.get_by_label("At least so many videos").fill("20")
    assert {*names(tab)} == {"Presenter in orange", "Founder", "Kitchen host"}
    page.get_by_label("Search videos").fill("goalkeeper")
    assert page.locator("article.video:visible").count() == 16


def test_a_telephone_shows_cards_that_can_be_sorted(
    page_file: Path, new_tab: Callable[..., Tab]
) -> None:
    tab = new_tab(viewport={"width": 400, "height": 800})
    page = tab.open(page_file)
    rows = page.locator("table.people tbody tr")
    boxes = [rows.nth(place).bounding_box() for place in range(2)]
    assert all(box and box["width"] < 400 and box["height"] > 120 for box in boxes)
    page.get_by_label("Sort by").select_option("Person")
    assert names(tab) == sorted(names(tab), key=str.casefold)
    assert "sort=name" in page.url


def test_the_address_keeps_filter_and_sort_and_back_returns(
    page_file: Path, new_tab: Callable[..., Tab]
) -> None:
    tab = new_tab()
    page = tab.open(page_file)
    page.get_by_label("At least so many videos").fill("20")
    page.locator("th[data-sort=name]").get_by_role("button").click()
    kept = names(tab)
    assert kept == ["Founder", "Kitchen host", "Presenter in orange"]
    page.locator("tbody a.quiet", has_text="Kitchen host").first.click()
    assert page.evaluate("document.activeElement.className.includes('person')")
    assert "least=20" in page.url
    page.go_back()
    page.wait_for_function("() => scrollY < 200")
    assert names(tab) == kept
    again = new_tab()
    again.open(page.url)
    assert names(again) == kept


def test_every_claim_can_be_opened_with_the_keyboard(
    page_file: Path, new_tab: Callable[..., Tab]
) -> None:
    page = new_tab().open(page_file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("table.people tbody a.quiet").first.focus()
    page.keyboard.press("Enter")
    person = page.locator("article.person").first
    assert person.get_attribute("id") == page.evaluate("document.activeElement.id")
    person.locator("summary").press("Enter")
    video = person.locator("tbody td a").first
    video.press("Enter")
    assert page.evaluate("document.activeElement.className").startswith("video")
    page.locator("#people-note a").first.press("Enter")
    assert page.evaluate("document.activeElement.id") == "def-verdict"


def test_without_scripts_everything_is_there(page_file: Path, new_tab: Callable[..., Tab]) -> None:
    tab = new_tab(java_script_enabled=False)
    page = tab.open(page_file)
    assert len(names(tab)) == 8
    assert page.locator("article.person").count() == 8
    assert page.locator("article.video").count() == 60
    assert not page.locator("#filters").is_visible()
    assert page.get_by_text("Saving answers needs scripts").is_visible()


def test_moments_link_to_the_second(page_file: Path, new_tab: Callable[..., Tab]) -> None:
    page = new_tab().open(page_file)
    links = page.locator(".moments li > a").evaluate_all("(all) => all.map((one) => one.href)")
    assert any(re.search(r"cdn\.example\.com/ads/[\w-]+\.mp4#t=\d+$", one) for one in links)
    assert any(re.search(r"youtube\.com/watch\?v=vid\d+&t=\d+s$", one) for one in links)
    assert all(one.startswith("https://") for one in links)


def test_answers_come_back_as_decisions(
    own_home: Path, tmp_path: Path, new_tab: Callable[..., Tab]
) -> None:
    path = tmp_path / "page.html"
    with open_registry(load_settings(home=own_home)) as registry:
        save_page(registry, path, Asked())
        before = len(registry.decisions.entries())
    page = new_tab(accept_downloads=True).open(path)
    save = page.get_by_role("button", name="Save answers")
    assert save.is_disabled()
    page.get_by_role("radio", name="Same person").check()
    with page.expect_download() as download:
        save.click()
    answers = tmp_path / "answers.json"
    download.value.save_as(answers)
    assert {identity_of(1), identity_of(1, other=True)} == {
        json.loads(answers.read_text())["answers"][0][side] for side in ("first", "second")
    }
    done = CliRunner().invoke(
        cli, ["--home", str(own_home), "identities", "answer", str(answers), "--yes"]
    )
    assert done.exit_code == 0, done.output
    with open_registry(load_settings(home=own_home)) as registry:
        made = registry.decisions.entries()[before:]
        assert [one.kind for one in made] == [DecisionKind.MERGE]
        assert registry.view.root(identity_of(1)) == registry.view.root(identity_of(1, other=True))
    again = CliRunner().invoke(
        cli, ["--home", str(own_home), "identities", "answer", str(answers), "--yes"]
    )
    assert "are one person already" in again.output


@pytest.mark.parametrize(("size", "box"), [("A4", r"59[45][.\d]* 84[12]"), ("Letter", "612 792")])
def test_it_prints_with_whole_rows_and_addresses(
    page_file: Path, tmp_path: Path, new_tab: Callable[..., Tab], size: str, box: str
) -> None:
    page = new_tab().open(page_file)
    pdf = page.pdf(format=size)
    assert re.search(rf"/MediaBox \[0 0 {box}".encode(), pdf)
    page.emulate_media(media="print")
    for part in ("table.people tr", "article.person .start", "article.video", "figure"):
        broken = page.locator(part).first.evaluate("(one) => getComputedStyle(one).breakInside")
        assert broken == "avoid", part
    assert page.locator("#addresses li").first.is_visible()
    assert page.locator("article.person details td a").first.is_visible(), "a closed list of videos"
    assert not page.locator("#filters").is_visible()
