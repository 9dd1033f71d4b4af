from __future__ import annotations

import copy
import json
import logging
import pickle
import unicodedata
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import UsageError
from registry.redaction import Url, printable, redacted
from registry.urls import parse

SECRET = "https://joe:5ecret@example.com/a.mp4?Signature=5ecret&id=7"
SHOWN = "https://example.com/a.mp4?Signature=***&id=7"
_ANY = st.text(max_size=60)


@dataclass(frozen=True)
class _Row:
    url: Url


def test_a_url_shows_itself_redacted() -> None:
    url = Url(SECRET)
    assert (str(url), f"{url}", f"{url:>60}", "%s" % url) == (SHOWN, SHOWN, f"{SHOWN:>60}", SHOWN)  # noqa: UP031
    assert repr(url) == f"Url('{SHOWN}')"
    assert "5ecret" not in repr(_Row(url)) + repr([url]) + str(asdict(_Row(url)))
    assert json.dumps({"url": url}, default=str) == json.dumps({"url": SHOWN})
    with pytest.raises(TypeError):
        json.dumps({"url": url})
    assert logging.makeLogRecord({"msg": "%s", "args": (url,)}).getMessage() == SHOWN
    with pytest.raises(TypeError):
        "" + url  # type: ignore[operator]


def test_only_one_call_gives_the_whole_text() -> None:
    url = Url(SECRET)
    assert url.exposed() == SECRET
    assert pickle.loads(pickle.dumps(url)).exposed() == copy.deepcopy(url).exposed() == SECRET
    with pytest.raises(AttributeError):
        url._text = "x"


def test_urls_are_equal_by_their_whole_text() -> None:
    one, other = Url("https://a/b?token=1"), Url("https://a/b?token=2")
    assert str(one) == str(other)
    assert one != other
    assert one == Url("https://a/b?token=1")
    assert len({one, other, Url("https://a/b?token=1")}) == 2
    assert one != "https://a/b?token=1"
    assert (bool(one), bool(Url(""))) == (True, False)


def test_a_list_may_show_the_whole_length() -> None:
    url = Url("https://example.com/" + "a" * 500 + "?sig=5ecret")
    assert len(str(url)) == 200
    assert url.redacted(None) == "https://example.com/" + "a" * 500 + "?sig=***"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://example.com/a?b=1&page=2", "https://example.com/a?b=1&page=2"),
        ("https://user:word@example.com/a", "https://example.com/a"),
        ("https://user:wo/rd@example.com/a", "https://example.com/a"),
        ("//user:word@example.com/a", "//example.com/a"),
        ("ftp://user:word@example.com/", "ftp://example.com/"),
        (
            "https://web.example/http://user:word@example.com/",
            "https://web.example/http://example.com/",
        ),
        ("https://a/b?X-Amz-Signature=ab12&x=1", "https://a/b?X-Amz-Signature=***&x=1"),
        ("https://a/b?X-Amz-Credential=AKIA%2F2026", "https://a/b?X-Amz-Credential=***"),
        ("https://a/b?X-Goog-Signature=ab", "https://a/b?X-Goog-Signature=***"),
        ("https://a/b?sv=2024&sig=ab%2B", "https://a/b?sv=2024&sig=***"),
        ("https://a/b?Policy=ab&Key-Pair-Id=cd", "https://a/b?Policy=***&Key-Pair-Id=***"),
        ("https://a/b?hdnts=exp=1~acl=/*~hmac=ab", "https://a/b?hdnts=***"),
        ("https://a/b?x=1;token=ab", "https://a/b?x=1;token=***"),
        ("https://a/b?to%6ben=ab", "https://a/b?to%6ben=***"),
        ("https://a/b#access_token=ab", "https://a/b#access_token=***"),
        ("https://a/b#x?token=ab", "https://a/b#x?token=***"),
        ("https://a/b?url=http%3A%2F%2Fu%3Aw%40c%2F", "https://a/b?url=***"),
        ("https://a/b?url=http%3A%2F%2Fc%2F%3Ftoken%3Dab", "https://a/b?url=***"),
        (f"https://a/b?{'x' * 40}", "https://a/b?***"),
        (f"https://a/b?x={'ab1' * 14}", "https://a/b?x=***"),
        ("a.mp4\x1b[2J\u202egnp.4pm", "a.mp4\\x1b[2J\\u202egnp.4pm"),
        ("line\nbreak", "line\\nbreak"),
        ("", ""),
    ],
)
def test_secrets_are_not_shown(written: str, expected: str) -> None:
    assert redacted(written) == expected


@given(_ANY, st.integers(2, 300))
def test_whatever_is_shown_is_short_and_plain(text: str, limit: int) -> None:
    for shown in (redacted(text, limit), printable(text, limit)):
        assert len(shown) <= limit
        assert not any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in shown)


@given(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=20),
    st.sampled_from(
        [
            "https://joe:{}@example.com/a",
            "https://joe:{}@example.com:99999/a",
            "https://joe:{}/x@example.com/a",
            "https://{}@exa mple.com/a",
            "https://example.com/a?Signature={}&b=1",
            "https://example.com:x/a?b=1#token={}",
            "http://[::1?key={}",
        ],
    ),
)
def test_no_message_holds_a_secret(word: str, form: str) -> None:
    secret = f"5ECRET{word}"
    url = form.format(secret)
    assert secret not in redacted(url)
    try:
        parse(url)
    except UsageError as exc:
        assert secret not in str(exc)
