"""What a page says and links to: words, numbers, titles, links, and what is redacted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from queries.page.links import link_to_second, title
from queries.page.periods import periods, spelled
from queries.page.redaction import Redaction
from queries.page.wording import Measured, answer, decimals
from registry.urls import Url

NOTHING = Redaction((), (), ())
SIGNED = Url("https://bucket.example.com/ad.mp4?X-Amz-Signature=3f9ac0ffee5ec4e7b19d")
ANNA = Measured(
    metric="ROAS", weight="", n=32, mean=4.2, total=134.4, median=4.0, difference=2.2, low=1.04,
    high=3.16, p=0.001, q=0.01, verdict="clearly above", shrunk=4.0, shrunk_low=3.0,
    shrunk_high=5.0, shared_credit=1.0, shared_low=0.1, shared_high=1.9, adjusted=math.nan,
    inseparable_from="", log=False,
)  # fmt: skip
BEN = replace(ANNA, verdict="cannot tell", difference=0.1, low=-1.0, high=1.2, shrunk=3.0)
EVE = replace(ANNA, verdict="too few", difference=math.nan, low=math.nan, high=math.nan, n=2)


def test_the_headline_is_the_answer() -> None:
    said = answer([("Anna", "", ANNA), ("Ben", "", BEN), ("Eve", "", EVE)], 126)
    assert said.headline == "Videos with “Anna” have 2.1 times the ROAS of the others"
    assert said.lead[0].startswith("32 videos show this person; the other 94 do not. Mean 4.20")
    assert "likely between +1.0 and +3.2" in said.lead[0]
    assert said.lead[1] == (
        "Of 3 people, 1 is clearly above; for 1 these videos cannot tell; 1 has too few videos."
    )
    assert "cause" in said.lead[-1]


def test_a_small_ratio_is_a_percentage_and_less_is_said() -> None:
    more = replace(ANNA, mean=3.0, difference=1.0)
    assert answer([("Anna", "", more)], 9).headline.endswith("have 50 % more ROAS than the others")
    less = replace(ANNA, mean=1.0, difference=-1.0, verdict="clearly below")
    assert answer([("Anna", "", less)], 9).headline.endswith("have 50 % less ROAS than the others")


def test_a_ratio_of_something_negative_is_not_said() -> None:
    profit = replace(ANNA, metric="Profit", mean=1.2, difference=2.2)
    assert answer([("Anna", "", profit)], 9).headline == (
        "Profit is 2.2 higher in videos with “Anna” than in the others"
    )


def test_ratios_are_percentages() -> None:
    ratio = replace(ANNA, log=True, difference=0.86, low=0.44, high=1.41)
    assert ratio.difference_text() == "+86 %"
    assert ratio.interval_text() == "+44 % to +141 %"
    assert ratio.ratio == pytest.approx(1.86)


def test_it_is_honest_when_nobody_is_clear() -> None:
    leaning = replace(ANNA, verdict="leaning above")
    said = answer([("Ben", "", BEN), ("Anna", "", leaning)], 40)
    assert said.headline == "No person clearly stands out in ROAS"
    assert "“Anna”, leaning above (+2.2); among 2 comparisons that can be chance" in said.lead[0]
    assert answer([("Ben", "", BEN)], 40).lead[0] == "Nobody’s interval excludes zero."
    assert answer([("Eve", "", EVE)], 4).headline.startswith("There are too few videos")
    assert answer([], 0).headline == "Nobody is in these videos"


@pytest.mark.parametrize(
    ("half", "digits"), [(0.95, 1), (1.2, 1), (3.6, 0), (0.03, 3), (0.04, 2), (250.0, 0), (0.0, 2)]
)
def test_numbers_have_the_digits_that_the_interval_deserves(half: float, digits: int) -> None:
    assert decimals(half) == digits


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("https://www.youtube.com/watch?v=abcdefghijk", "&t=4s"),
        ("https://youtu.be/abcdefghijk", "?t=4s"),
        ("https://vimeo.com/123456", "#t=4s"),
        ("https://cdn.example.com/a.mp4", "#t=4"),
        ("https://cdn.example.com/a.mp4?v=2", "#t=4"),
        ("https://www.tiktok.com/@a/video/1", ""),
        ("", ""),
    ],
)
def test_a_moment_links_to_its_second(link: str, found: str) -> None:
    assert link_to_second(link, 4.9) == link + found


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)//x.mp4", "data:text/html,<script>alert(1)</script>", "s3://b/a.mp4",
        "file:///videos/a.mp4", "https://anna:secret@example.com/a.mp4", SIGNED.exposed(),
        "https://example.com/a.mp4\u202e",
    ],
)  # fmt: skip
def test_only_web_addresses_without_secrets_are_links(url: str) -> None:
    assert NOTHING.link(Url(url)) == ""


def test_a_plain_web_address_is_a_link() -> None:
    assert NOTHING.link(Url("https://example.com/a.mp4?v=2")) == "https://example.com/a.mp4?v=2"


def test_a_signed_url_is_shown_without_what_signs_it() -> None:
    assert NOTHING.address(SIGNED) == "https://bucket.example.com/ad.mp4?X-Amz-Signature=***"


@pytest.mark.parametrize(
    ("url", "attributes", "called"),
    [
        ("https://cdn.example.com/ads/spring%20launch.mp4", {}, "spring launch.mp4"),
        ("https://www.youtube.com/watch?v=abcdefghijk", {}, "youtube.com abcdefghijk"),
        ("https://vimeo.com/123", {}, "vimeo.com 123"),
        ("https://cdn.example.com/1.mp4", {"Ad name": "Spring"}, "Spring"),
    ],
)
def test_a_video_is_called_as_people_call_it(
    url: str, attributes: dict[str, str], called: str
) -> None:
    assert title(Url(url), attributes, NOTHING, 3) == called


@pytest.mark.parametrize(
    "text",
    [
        "Katie Hill", "with KATIE  HILL!", "katie-hill-01.mp4", "katiehill.mp4", "Katie_Hill",
        "https://example.com/katie%20hill.mp4", "J%C3%BCrgen.mp4",
    ],
)  # fmt: skip
def test_a_hidden_name_is_hidden_however_it_is_written(text: str) -> None:
    hiding = Redaction(("names",), ("Katie Hill", "Jürgen", "Al", ""), ())
    shown = hiding.text(text).casefold()
    assert "hill" not in shown and "c3%bc" not in shown
    assert hiding.name("Katie Hill") == ""


def test_a_short_name_is_hidden_as_a_word() -> None:
    hiding = Redaction(("names",), ("Al",), ())
    assert hiding.text("Al in the Alps, al") == "*** in the Alps, ***"


def test_a_link_that_holds_a_hidden_name_is_no_link() -> None:
    hiding = Redaction(("names",), ("Katie Hill",), ())
    assert hiding.link(Url("https://example.com/katie-hill.mp4")) == ""
    assert hiding.link(Url("https://example.com/other.mp4")) != ""


@pytest.mark.parametrize(
    "text",
    [
        "https://cdn.example.com/ads/ad-7.mp4", "ad-7.mp4", "cdn.example.com: no such host",
        "see HTTPS://CDN.EXAMPLE.COM/x.", "s3://bucket/key", '"/ads/ad-7.mp4"',
    ],
)  # fmt: skip
def test_a_hidden_url_is_hidden_in_text(text: str) -> None:
    url = Url("https://cdn.example.com/ads/ad-7.mp4")
    hiding = Redaction(("urls",), (), (url,))
    shown = hiding.text(text).casefold()
    assert "example" not in shown and "ad-7" not in shown and "bucket" not in shown
    assert (hiding.address(url), hiding.link(url)) == ("", "")
    assert title(url, {"title": text}, hiding, 3) in ("Video 3", shown) or "***" in shown


def test_periods_have_no_gap() -> None:
    months = periods(["2025-11-03", "2026-02-28", "", "2026-03-01"])
    assert months.labels == ("Nov 2025", "Dec", "Jan 2026", "Feb", "Mar")
    assert (months.unit, months.of_video) == ("month", (0, 3, -1, 4))
    weeks = periods(["2026-01-05", "2026-01-11", "2026-01-12"])
    assert (weeks.labels, weeks.of_video) == (("5 Jan", "12 Jan"), (0, 0, 1))
    assert periods(["2022-01-01", "2026-01-01"]).labels[:2] == ("Q1 2022", "Q2 2022")
    assert periods(["", ""]).labels == ()
    assert (spelled("2026-06-01"), spelled("n.d.")) == ("1 Jun 2026", "n.d.")
