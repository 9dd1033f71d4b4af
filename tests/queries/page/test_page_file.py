"""The file of a page: what is in it, and what must be nowhere in it."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import face_registry as fr
from queries.conditions import parse_condition
from queries.page.asking import Asked
from queries.page.contents import Page
from queries.page.gathering import gather_page
from queries.page.redaction import FACES, NAMES, URLS
from queries.page.rendering import render_page
from queries.page.writing import save_page
from queries.selections import Selection
from registry.cli import cli
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.errors import StoreCorrupt, UsageError
from registry.faces.crops import GREY
from registry.people.corrections import merge
from registry.settings import load_settings
from tests.support.homes import copy_home
from tests.support.sample_registry import SECRET, demo_people, identity_of, sample_registry

NAMED = ("Presenter in orange", "Kitchen host", "Founder", "Goalkeeper")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sample") / "home"
    sample_registry(home, demo_people(), faces_per_s=1).close()
    return home


@pytest.fixture(scope="module")
def registry(home: Path) -> Iterator[Registry]:
    with open_registry(load_settings(home=home)) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(registry: Registry) -> Page:
    """The page that is made where nothing is asked."""
    return gather_page(registry, Asked())


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Iterator[Registry]:
    """A copy that the test may change."""
    copy_home(home, tmp_path / "copy")
    with open_registry(load_settings(home=tmp_path / "copy")) as opened:
        yield opened


@pytest.fixture
def closed(own: Registry, tmp_path: Path) -> Path:
    """The folder of a copy, for commands."""
    own.close()
    return tmp_path / "copy"


def report(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), "report", *arguments])


def test_everything_is_in_the_page(page: Page) -> None:
    html = render_page(page)
    assert len(page.rows) == 8 and len(page.videos) == 60
    assert page.rows[0].first.verdict == "clearly above"
    assert all(name in html for name in NAMED)
    assert "Licence: MIT (YuNet), Apache-2.0 (SFace)" in html
    assert "2 videos could not be read" in html and "404 Not Found" in html
    assert {person.key for person in page.people} == set(page.covers)
    assert all(person.moments for person in page.people)
    assert [len(question.sides[0].moments) for question in page.questions] == [3]
    assert page.pairs and page.pairs_axis
    assert SECRET not in html


def test_a_strip_shows_who_is_on_screen_when(page: Page) -> None:
    for video in page.videos:
        assert {lane.person for lane in video.lanes} <= {person.key for person in page.people}
        assert all(
            0 <= at < 100 and 0 < at + width <= 101
            for lane in video.lanes
            for at, width in lane.spans
        )
        assert video.third is None or video.third == pytest.approx(300 / video.duration_s, abs=0.1)


def test_the_policy_allows_our_own_script_and_style_only(page: Page) -> None:
    html = render_page(page)
    policy = unescape(re.search(r'Security-Policy" content="([^"]*)"', html)[1])  # type: ignore[index]
    for name in ("script", "style"):
        text = re.search(rf"<{name}>(.*?)</{name}>", html, re.DOTALL)[1]  # type: ignore[index]
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r"""\s(?:style|on\w+)=["']""", html), "what the policy would block"
    assert not re.search(r"(?:src|href)=\"(?!#|data:|https?://)", html)


@pytest.mark.parametrize("what", [NAMES, FACES, URLS])
def test_what_is_redacted_is_nowhere_in_the_file(own: Registry, tmp_path: Path, what: str) -> None:
    own.name(identity_of(0), "spring launch")  # the name of files, too
    path = tmp_path / "page.html"
    save_page(own, path, Asked(redact=frozenset({what})))
    content = path.read_bytes()
    hidden = {
        NAMES: [b"spring launch", b"spring-launch", b"Kitchen", b"Goalkeeper", b"Founder"],
        FACES: [b"data:image", b"<img"],
        URLS: [b"example.com", b"://", b"youtube", b"vimeo", b".mp4", b"vid00000004"],
    }
    assert [text for text in hidden[what] if text.lower() in content.lower()] == []
    for other in hidden.keys() - {what}:
        assert hidden[other][-1].lower() in content.lower(), "nothing else is redacted"


def test_redactions_add_up(closed: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    done = report(
        closed, "--html", str(path), "--redact", "names", "--redact", "faces", "--redact", "urls"
    )
    assert done.exit_code == 0, done.output
    content = path.read_text()
    assert not any(text in content for text in (*NAMED, "data:image", "example.com"))
    assert "Left out on request: names, faces, urls." in content
    assert identity_of(0)[:8] in content and "Video 1" in content


def test_faces_of_others_are_grey_in_every_picture(tmp_path: Path) -> None:
    """Everybody stands at the same place of the frame, so each picture shows others' boxes."""
    people = demo_people()[:2]
    crowd = [people[0], people[1]] * 6
    with sample_registry(tmp_path / "home", crowd, videos=12) as registry:
        page = gather_page(registry, Asked())
    grey = 0
    for person in page.people:
        for moment in person.moments:
            encoded = np.frombuffer(b64decode(moment.picture.partition(",")[2]), np.uint8)
            picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
            assert picture is not None
            grey += bool((np.abs(picture.astype(int) - GREY).max(axis=2) < 6).mean() > 0.05)
    assert grey > 10


def test_a_damaged_crop_stops_the_page_and_leaves_nothing(own: Registry, tmp_path: Path) -> None:
    for entry in own.blobs.list("crops/"):
        own.blobs.unguarded.put(entry.key, b"changed")
    with pytest.raises(StoreCorrupt, match="Crop crops/"):
        save_page(own, tmp_path / "out" / "page.html", Asked())
    assert not (tmp_path / "out" / "page.html").exists()


def test_the_options_of_the_report_apply(registry: Registry) -> None:
    narrow = gather_page(
        registry,
        Asked(
            metrics=("Views", "ROAS"),
            selection=Selection(where=(parse_condition("Platform=TikTok"),)),
            sort="videos",
            top=2,
            log=True,
        ),
    )
    assert narrow.metrics == ("Views", "ROAS") and len(narrow.rows) == 2
    assert narrow.rows[0].person.videos >= narrow.rows[1].person.videos
    assert {"Platform = TikTok", "geometric means and ratios", "the first 2"} <= set(narrow.asked)
    assert len(narrow.videos) < 60
    assert "Views" in narrow.answer.headline


def test_each_value_of_by_has_its_rows(registry: Registry) -> None:
    page = gather_page(registry, Asked(by="Platform", metrics=("ROAS",)))
    assert {row.group for row in page.rows} == {"TikTok", "Meta", "YouTube"}
    assert "comparisons" in page.answer.lead[-2]
    assert len(page.people) <= 8 < len(page.rows)


def test_too_few_videos_are_a_hollow_dot_without_an_interval(tmp_path: Path) -> None:
    with sample_registry(tmp_path / "home", demo_people(), videos=14) as registry:
        page = gather_page(registry, Asked())
    few = [row for row in page.rows if row.first.verdict == "too few"]
    assert few
    for row in few:
        assert row.forest is not None and row.forest.kind == "few"
        assert row.forest.low == row.forest.middle == row.forest.high
    html = render_page(page)
    drawn = re.findall(r'<svg class="mark forest few".*?</svg>', html)
    assert len(drawn) == len(few)
    assert all(svg.count("<line") == 1 and "<circle" in svg for svg in drawn)


def test_a_page_as_of_an_earlier_decision(own: Registry) -> None:
    before = len(own.decisions.entries())
    merge(own, (identity_of(1), identity_of(1, other=True)))
    assert len(gather_page(own, Asked()).people) == 7
    earlier = gather_page(own, Asked(as_of=before))
    assert len(earlier.people) == 8 and earlier.questions == ()
    assert f"as of decision {before}" in earlier.asked


def test_the_command_says_what_it_wrote(closed: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    done = report(closed, "--html", str(path))
    assert "8 people and 60 videos" in done.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    refused = report(closed, "--redact", "names").exception
    assert isinstance(refused, UsageError) and "--redact is for --html" in str(refused)
    both = report(closed, "--html", str(path), "--compare", "2026-01-01")
    assert isinstance(both.exception, UsageError) and "others out" in str(both.exception)


def test_python_writes_the_same_page(registry: Registry, tmp_path: Path) -> None:
    fr.write_page(registry, tmp_path / "a.html", "Views", where=["Platform=TikTok"], redact="faces")
    save_page(
        registry,
        tmp_path / "b.html",
        Asked(
            ("Views",),
            Selection(where=(parse_condition("Platform=TikTok"),)),
            redact=frozenset({FACES}),
        ),
    )
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(UsageError, match="'voices' cannot be redacted"):
        fr.write_page(registry, tmp_path / "c.html", redact="voices")
