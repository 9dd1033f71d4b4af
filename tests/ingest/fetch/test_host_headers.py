"""Headers, cookies and user agent of the user: who gets them, and who does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.downloads import Downloader, FetchLimits
from ingest.fetch.host_headers import HostHeaders, load_cookies, merged_cookies
from ingest.fetch.network import Network
from registry.domain import Source
from registry.errors import FetchError, UsageError
from registry.urls import parse
from tests.support.web import Web, in_turn, redirect, serve, web_server

__all__ = ["web_server"]
BODY = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 20
LIMITS = FetchLimits(total_s=20, connect_s=5, read_s=5, first_pause_s=0.005, reserve_bytes=0)
Make = Callable[[Network], Downloader]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Downloader] = []

    def build(network: Network) -> Downloader:
        policy = AddressPolicy(allow_private=True)
        headers = network.host_headers()
        folder = tmp_path / "temporary"
        made.append(Downloader(folder, limits=LIMITS, policy=policy, host_headers=headers))
        return made[-1]

    yield build
    for downloader in made:
        downloader.close()


def cookie_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["# Netscape HTTP Cookie File", "", *lines, ""]))
    return path


def line(
    host: str, name: str, value: str, *, secure: bool = False, path: str = "/", expires: str = "0"
) -> str:
    below = "TRUE" if host.startswith(".") else "FALSE"
    return "\t".join([host, below, path, "TRUE" if secure else "FALSE", expires, name, value])


def test_headers_go_to_their_host_only(web: Web, make: Make) -> None:
    url = web.on("/v", serve(BODY))
    network = Network(
        headers={
            "127.0.0.1": {"Authorization": "Bearer abc", "accept": "video/*", "Cookie": "a=1"},
            f"127.0.0.1:{web.port}": {"X-Key": "k"},
            "127.0.0.1:1": {"X-Other-Port": "k"},
            "localhost": {"X-Other-Host": "k"},
        },
        user_agent="Lab/1.0 (joe)",
    )
    made = make(network)
    made.fetch(url, "v")
    sent = web.seen[0].headers
    assert sent["authorization"] == "Bearer abc"
    assert (sent["accept"], sent["cookie"], sent["x-key"]) == ("video/*", "a=1", "k")
    assert sent["user-agent"] == "Lab/1.0 (joe)"
    assert not {"x-other-port", "x-other-host"} & sent.keys()
    # User name and password of the row go before a header for the host.
    made.fetch(web.url("/v", "joe:pw@127.0.0.1"), "v")
    assert web.seen[1].headers["authorization"] == "Basic am9lOnB3"
    made.changed_source(url, Source(1))
    assert web.seen[2].headers["authorization"] == "Bearer abc"


def test_nothing_follows_a_redirect_to_another_origin(web: Web, make: Make, tmp_path: Path) -> None:
    cookies = cookie_file(tmp_path / "c.txt", line("127.0.0.1", "sid", "5ecret"))
    network = Network(
        headers={"127.0.0.1": {"Authorization": "Bearer 5ecret"}, "localhost": {"X-Key": "5ecret"}},
        cookies=cookies,
        user_agent="Lab/1",
    )
    with Web() as other:
        web.on("/v", redirect("/w"))
        web.on("/w", redirect(other.url("/x")))
        other.on("/x", redirect(web.url("/y", "localhost")))
        web.on("/y", redirect(web.url("/z")))
        web.on("/z", serve(BODY))
        make(network).fetch(web.url("/v"), "v")
    seen = [*web.seen[:2], *other.seen, *web.seen[2:]]
    assert [one.path for one in seen] == ["/v", "/w", "/x", "/y", "/z"]
    known = [(one.headers.get("authorization"), one.headers.get("cookie")) for one in seen]
    own, none = ("Bearer 5ecret", "sid=5ecret"), (None, None)
    assert known == [own, own, none, none, own]
    assert not any("x-key" in one.headers for one in seen)
    assert {one.headers["user-agent"] for one in seen} == {"Lab/1"}


def test_headers_come_with_the_rest_of_a_file(web: Web, make: Make) -> None:
    cut = serve(BODY, etag='"one"', cut_after=1000)
    url = web.on("/v", in_turn(cut, serve(BODY, etag='"one"')))
    make(Network(headers={"127.0.0.1": {"X-Key": "k"}})).fetch(url, "v")
    assert [(one.headers["x-key"], one.headers.get("range")) for one in web.seen] == [
        ("k", None), ("k", "bytes=1000-"),
    ]  # fmt: skip


# Cookies


def test_cookies_go_where_the_file_says(tmp_path: Path) -> None:
    file = cookie_file(
        tmp_path / "c.txt",
        "# a comment",
        line("one.test", "host", "1"),
        "#HttpOnly_" + line(".two.test", "domain", "2"),
        line("one.test", "secure", "3", secure=True),
        line("one.test", "deep", "4", path="/deep"),
        line("one.test", "late", "5", expires=str(int(time.time()) + 1000)),
        line("one.test", "gone", "6", expires="1000"),
        line("127.0.0.1", "address", "7", expires=""),
    )
    headers = Network(cookies=file).host_headers()

    def sent(url: str) -> set[str]:
        value = headers.headers_for(parse(url)).get("Cookie", "")
        return set(value.split("; ")) - {""}

    assert sent("http://one.test/") == {"host=1", "late=5"}
    assert sent("https://one.test:8443/deep/x") == {"host=1", "late=5", "secure=3", "deep=4"}
    assert sent("http://sub.one.test/") == set()
    assert sent("http://two.test/") == sent("http://a.b.two.test/") == {"domain=2"}
    assert sent("http://nottwo.test/") == set()
    assert sent("http://127.0.0.1:99/") == {"address=7"}
    again = HostHeaders.from_dict(headers.as_dict())
    for url in ("http://one.test/", "http://two.test/", "http://127.0.0.1:99/"):
        assert again.headers_for(parse(url)) == headers.headers_for(parse(url))


def test_of_two_cookies_of_a_name_one_is_sent(tmp_path: Path) -> None:
    file = cookie_file(
        tmp_path / "c.txt", line("one.test", "a", "file"), line("one.test", "b", "2")
    )
    network = Network(cookies=file, headers={"one.test": {"cookie": "a=given"}})
    headers = network.host_headers().headers_for(parse("http://one.test/"))
    assert headers == {"Cookie": "a=given; b=2"}
    assert merged_cookies("", "a=1;b=2", " ;a=3;; c ") == "a=3; b=2; c"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "Line 1 of .* does not have 7 fields"),
        ('[{"name": "sid", "value": "5ecret"}]', "Line 1 of .* does not have 7 fields separated"),
        ("# Netscape HTTP Cookie File\nsid=5ecret\n", "Line 2 of .* does not have 7 fields"),
        ("# Netscape HTTP Cookie File\none.test\tTRUE\t/\tTRUE\t0\tsid\t5ecret", "second field"),
        ("# Netscape HTTP Cookie File\none.test\tFALSE\t/\tTRUE\tx\tsid\t5ecret", "fifth field"),
        ("# Netscape HTTP Cookie File\n", "has no cookies"),
        ("# Netscape HTTP Cookie File\none.test\tFALSE\t/\tTRUE\t9\tsid\t5ecret", "have expired"),
        ("one.test\tFALSE\t/\tTRUE\t0\tsid\t5ecret", "is not a cookie file"),
    ],
)
def test_a_cookie_file_that_is_not_valid_is_told_and_not_shown(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "c.txt").write_text(text)
    with pytest.raises(UsageError, match=told) as caught:
        Network(cookies=tmp_path / "c.txt")
    assert "5ecret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_cookie_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\x00")
    for name, told in (
        ("c.txt", "not a text in UTF-8"),
        ("x.txt", "No such file"),
        (".", "director"),
    ):
        with pytest.raises(UsageError, match=f"cannot be read: .*{told}"):
            load_cookies(tmp_path / name)


# What is not valid


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"http://a.test": {"X-Key": "5ecret"}}, "host of a header is not valid"),
        ({"a.test/path": {"X-Key": "5ecret"}}, "host of a header is not valid"),
        ({"joe:5ecret@a.test": {"X-Key": "x"}}, "host of a header is not valid"),
        ({"Authorization: Bearer 5ecret": {"a.test": ""}}, "host of a header is not valid"),
        ({"*": {"X-Key": "5ecret"}}, "host of a header is not valid"),
        ({"": {"X-Key": "5ecret"}}, "host of a header is not valid"),
        ({"a.test": {"X Key": "5ecret"}}, "is not a name"),
        ({"a.test": {"": "5ecret"}}, "is not a name"),
        ({"a.test": {"X-Key": ""}}, "value of the header X-Key"),
        ({"a.test": {"X-Key": "5ecret\r\nX: y"}}, "value of the header X-Key"),
        ({"a.test": {"X-Key": "5ecret\u2028"}}, "value of the header X-Key"),
        ({"a.test": {"Range": "bytes=5ecret"}}, "Range .* cannot be set"),
        ({"a.test": {"host": "5ecret"}}, "host .* cannot be set"),
        ({"a.test": {"Proxy-Authorization": "5ecret"}}, "cannot be set"),
    ],
)
def test_a_header_that_is_not_valid_is_refused_and_not_shown(
    headers: dict[str, dict[str, str]], told: str
) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        Network(headers=headers)
    assert "5ecret" not in f"{caught.value}{caught.value.__cause__}"


def test_a_user_agent_that_is_not_valid_is_refused() -> None:
    with pytest.raises(UsageError, match="user agent has characters"):
        Network(user_agent="a\r\nX: y")


def test_a_cookie_that_http_does_not_allow_is_not_shown(
    web: Web, make: Make, tmp_path: Path
) -> None:
    file = cookie_file(tmp_path / "c.txt", line("127.0.0.1", "sid", "5ecret\0"))
    with pytest.raises(FetchError, match="a header of the request is not valid") as caught:
        make(Network(cookies=file)).fetch(web.on("/v", serve(BODY)), "v")
    assert caught.value.__suppress_context__
    assert web.seen == []


def test_hosts_are_normalised() -> None:
    headers = Network(
        headers={"Bücher.TEST": {"X-A": "1"}, "[::1]:8080": {"X-B": "2"}}
    ).host_headers()
    assert headers.headers_for(parse("https://bücher.test/")) == {"X-A": "1"}
    assert headers.headers_for(parse("http://[::1]:8080/")) == {"X-B": "2"}
    assert headers.headers_for(parse("http://[::1]/")) == {}
