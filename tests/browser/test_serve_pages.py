"""The pages of `face-registry serve` in a real browser."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

from registry.core.decisions import DecisionKind, in_effect
from registry.core.registry import Registry
from registry.domain import Image
from registry.models.base import FaceModel
from tests.browser.conftest import Tab
from tests.support.page_server import Pages, serve_pages
from tests.support.registries import undoing_decisions
from tests.support.staged_people import portraits, stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

ATTACK = "<script>alert(1)</script>"
PEOPLE = 7
PATHS = ("/", "/review", "/videos", "/ingest", "/decisions", "/downloads", "/sessions", "/api")


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, sface: FaceModel, t1_image: Image, astronaut: Image
) -> Iterator[Registry]:
    people = portraits(sface, [t1_image, astronaut])
    assert len(people) == PEOPLE
    home = tmp_path_factory.mktemp("pages") / "home"
    with stage(home, sface, people, identities=3) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(registry: Registry) -> Iterator[Pages]:
    with serve_pages(registry) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_before(registry: Registry) -> Iterator[None]:
    """Let each test find the same people."""
    with undoing_decisions(registry):
        yield


@pytest.fixture
def sign_in(pages: Pages, new_tab: Callable[..., Tab]) -> Callable[..., Tab]:
    """Opens a tab that is signed in; arguments as for `new_tab`."""

    def make(**options: object) -> Tab:
        tab = new_tab(base_url=pages.address, **options)
        tab.open(pages.site.one_time_address())
        return tab

    return make


def decisions(registry: Registry, kind: DecisionKind) -> int:
    return sum(one.kind is kind for one in in_effect(registry.decisions.entries()))


def shown(page: Page) -> list[str]:
    """The names of the people on the page, in order."""
    return page.locator(".grid .name").all_inner_texts()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_every_page_opens_without_an_error_and_axe_finds_nothing_serious(
    pages: Pages, sign_in: Callable[..., Tab], scheme: str, registry: Registry
) -> None:
    tab = sign_in(color_scheme=scheme)
    person = next(registry.index.identities()).identity_id
    video = next(one for one in registry.index.video_ids())
    for path in (*PATHS, f"/people/{person}", f"/videos/{video}", "/decisions/0"):
        tab.open(f"{pages.address}{path}")
        assert tab.page.locator("h1").first.is_visible(), path
        assert tab.axe() == [], path
    assert all(one.startswith(pages.address) for one in tab.requests)


def test_nothing_is_wider_than_a_small_screen(
    pages: Pages, sign_in: Callable[..., Tab], registry: Registry
) -> None:
    tab = sign_in(viewport={"width": 400, "height": 800})
    person = next(registry.index.identities()).identity_id
    for path in (*PATHS, f"/people/{person}"):
        tab.open(f"{pages.address}{path}")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400, path


def test_the_address_loses_the_token(pages: Pages, sign_in: Callable[..., Tab]) -> None:
    tab = sign_in()
    assert tab.page.url == f"{pages.address}/"
    assert tab.page.evaluate("document.cookie") == ""  # scripts cannot read the session


def test_sorting_and_searching_people(
    sign_in: Callable[..., Tab], registry: Registry, pages: Pages
) -> None:
    tab = sign_in()
    page, one = tab.page, next(registry.index.identities()).identity_id
    registry.name(one, "Zoë Zebra")
    pages.site.workspace.changed()
    page.select_option("select[name=sort]", "name")
    page.wait_for_url("**/?sort=name**")
    assert shown(page) == sorted(shown(page), key=str.lower) or shown(page)[-1] == "Zoë Zebra"
    page.fill("#q", "zoe")
    page.wait_for_function("() => document.querySelectorAll('.grid .name').length === 1")
    assert shown(page) == ["Zoë Zebra"]
    assert "q=zoe" in page.url
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('.grid .name').length > 1")


def test_a_photo_is_searched_for(
    sign_in: Callable[..., Tab], astronaut: Image, tmp_path: Path, pages: Pages
) -> None:
    tab, photo = sign_in(), tmp_path / "who.jpg"
    cv2.imwrite(str(photo), astronaut)
    tab.page.set_input_files("#photo", photo)
    tab.page.wait_for_selector("h1:has-text('Who is in the photo')")
    assert tab.page.locator(".person").count() >= 1
    assert "a match" in tab.page.locator(".person").first.inner_text()
    tab.page.locator(".person a").first.click()
    tab.page.wait_for_url("**/people/**")


_DROP = """([bytes, name, type]) => {
    const dropped = new DataTransfer();
    dropped.items.add(new File([new Uint8Array(bytes)], name, { type }));
    document.querySelector("main").dispatchEvent(
        new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
}"""


def test_a_photo_that_is_dropped_anywhere_is_searched_for(
    pages: Pages, sign_in: Callable[..., Tab], astronaut: Image
) -> None:
    page = sign_in().page
    page.goto(f"{pages.address}/videos")
    done, encoded = cv2.imencode(".jpg", astronaut)
    assert done
    page.evaluate(_DROP, [list(encoded.tobytes()), "who.jpg", "image/jpeg"])
    page.wait_for_selector("h1:has-text('Who is in the photo')")


def test_a_table_that_is_dropped_is_planned(pages: Pages, sign_in: Callable[..., Tab]) -> None:
    page = sign_in().page
    page.goto(f"{pages.address}/ingest")
    table = b"Video URL,Performance\nhttps://example.com/new.mp4,1.5\n"
    page.evaluate(_DROP, [list(table), "week 2.csv", "text/csv"])
    page.wait_for_selector("h1:has-text('1 new video to read')")
    page.goto(f"{pages.address}/videos")
    page.evaluate(_DROP, [list(table), "week 2.csv", "text/csv"])
    page.wait_for_selector(".notice:has-text('Drop a table on the page Ingest')")


def test_select_several_and_merge_then_undo(
    sign_in: Callable[..., Tab], registry: Registry
) -> None:
    page = sign_in().page
    count = registry.index.count_identities()
    boxes = page.locator(".person input[type=checkbox]")
    assert not page.locator("[data-tools]").is_visible()
    boxes.nth(0).check()
    boxes.nth(1).check()
    assert page.locator("[data-count]").inner_text() == "2 selected"
    page.get_by_role("button", name="Merge into one").click()
    page.wait_for_selector("text=/are one now|really one person/")
    if page.get_by_role("button", name="Merge anyway").count():
        page.get_by_role("button", name="Merge anyway").click()
    page.wait_for_selector(".notice:has-text('are one now')")
    assert registry.index.count_identities() == count - 1
    page.locator(".notice").get_by_role("button", name="Undo").click()
    page.wait_for_selector(".notice:has-text('no longer counts')")
    assert registry.index.count_identities() == count


def test_split_by_selecting_a_track(
    pages: Pages, sign_in: Callable[..., Tab], registry: Registry
) -> None:
    page = sign_in().page
    person = max(registry.index.identities(), key=lambda one: one.videos)
    page.goto(f"{pages.address}/people/{person.identity_id}")
    page.locator("input[name=track]").first.check()
    page.get_by_role("button", name="Split off").click()
    page.wait_for_selector(".notice:has-text('were split off')")
    assert decisions(registry, DecisionKind.SPLIT) == 1
    assert person.identity_id not in page.url


def test_a_name_that_is_a_script_stays_a_name(
    pages: Pages, sign_in: Callable[..., Tab], registry: Registry
) -> None:
    tab = sign_in()
    page, person = tab.page, next(registry.index.identities()).identity_id
    page.on("dialog", lambda dialog: tab.problems.append(f"dialog: {dialog.message}"))
    page.goto(f"{pages.address}/people/{person}")
    page.keyboard.press("/")
    page.keyboard.type(ATTACK)
    page.keyboard.press("Enter")
    page.wait_for_selector(".notice")
    assert registry.identity(person).name == ATTACK
    for path in ("/", "/review", "/videos", "/decisions"):
        page.goto(f"{pages.address}{path}")
    assert ATTACK in page.locator("main").inner_text()


def test_all_face_images_and_the_report_page_are_downloaded(pages: Pages) -> None:
    with pages.client() as client:
        images = zipfile.ZipFile(io.BytesIO(client.get("/downloads/faces.zip").content))
        report = client.get("/downloads/report.html")
    assert sum(name.endswith(".jpg") for name in images.namelist()) > PEOPLE
    assert "attachment" in report.headers["content-disposition"]
    assert "<table" in report.text


def current(page: Page) -> str:
    """The two people of the question that is shown."""
    return " ".join(page.locator(".side h2 a").all_inner_texts())


def press(page: Page, key: str) -> None:
    """Press a key, and wait until another question is shown."""
    before = page.url
    page.keyboard.press(key)
    page.wait_for_function(
        "before => location.href !== before && !document.body.classList.contains('busy')",
        arg=before,
    )


def test_ten_suggestions_are_answered_by_keys_only(
    pages: Pages, sign_in: Callable[..., Tab], registry: Registry
) -> None:
    page = sign_in().page
    page.goto(f"{pages.address}/review?order=likeness")
    first = current(page)
    for key in "ynsysnyyXx":
        press(page, key)
    assert decisions(registry, DecisionKind.MERGE) == 4
    assert decisions(registry, DecisionKind.SEPARATE) == 2
    assert decisions(registry, DecisionKind.HIDE) == 2
    for left in range(8, 0, -1):  # undo goes back any number of steps
        assert sum(map(lambda kind: decisions(registry, kind), DecisionKind)) == left
        page.keyboard.press("u")
        page.wait_for_selector(f"progress[value='{left - 1}']")
    assert not in_effect(registry.decisions.entries())
    assert current(page) == first
    assert page.locator("[data-key=u]").is_disabled()


def test_the_address_is_the_place_and_closing_decides_nothing(
    pages: Pages, sign_in: Callable[..., Tab], registry: Registry
) -> None:
    tab = sign_in()
    tab.open(f"{pages.address}/review?order=likeness")
    press(tab.page, "s")
    where, asked = tab.page.url, current(tab.page)
    tab.page.close()
    assert not in_effect(registry.decisions.entries())
    again = sign_in()
    again.open(where)
    assert current(again.page) == asked
    press(again.page, "s")
    again.page.go_back()
    again.page.wait_for_function("text => document.title.startsWith(text)", arg="Review")
    assert again.page.url == where


def test_the_pictures_of_the_next_question_are_there_before_it_is_asked(
    pages: Pages, sign_in: Callable[..., Tab]
) -> None:
    tab = sign_in()
    tab.open(f"{pages.address}/review?order=likeness")
    tab.page.wait_for_load_state("networkidle")
    tab.requests.clear()
    press(tab.page, "s")
    shown_now = tab.page.locator(".pictures img").evaluate_all("all => all.map(one => one.src)")
    loaded = tab.page.locator(".pictures img").evaluate_all(
        "all => all.every(one => one.complete && one.naturalWidth)"
    )
    assert loaded
    assert not set(shown_now) & set(tab.requests)


def test_two_browsers_at_once(
    pages: Pages, sign_in: Callable[..., Tab], registry: Registry
) -> None:
    one, other = sign_in().page, sign_in().page
    for page in (one, other):
        page.goto(f"{pages.address}/review?order=likeness")
    assert one.url == other.url
    press(one, "y")
    press(other, "y")  # the same question: it was answered already, and is not asked again
    assert decisions(registry, DecisionKind.MERGE) == 1
    assert other.locator("[data-key=u]").is_disabled()  # the answer of the other one is not ours
    press(other, "n")
    press(one, "u")
    assert decisions(registry, DecisionKind.MERGE) == 0
    assert decisions(registry, DecisionKind.SEPARATE) == 1


def test_every_page_works_without_scripts(
    pages: Pages, sign_in: Callable[..., Tab], registry: Registry
) -> None:
    page = sign_in(java_script_enabled=False).page
    page.goto(f"{pages.address}/review?order=likeness")
    page.get_by_role("button", name="Different N").click()
    assert decisions(registry, DecisionKind.SEPARATE) == 1
    assert "/review/" in page.url
    page.get_by_role("button", name="Undo").click()
    assert decisions(registry, DecisionKind.SEPARATE) == 0
    page.goto(f"{pages.address}/")
    page.locator(".person input[type=checkbox]").first.check()
    page.get_by_role("button", name="Hide").click()
    assert decisions(registry, DecisionKind.HIDE) == 1
