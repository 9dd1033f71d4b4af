"""Videos on pages: found by yt-dlp, fetched under the same rules as any other."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.downloads import Downloader, FetchLimits
from ingest.fetch.network import Network
from ingest.fetch.pages.resolver import PageResolver
from ingest.tables.locations import Locator
from registry.errors import FetchError, NotReadYet
from registry.settings import load_settings
from registry.urls import parse
from tests.ingest.fetch.test_content_coding import PACKERS
from tests.support.media import write_video
from tests.support.proxy import Proxy, Refusal
from tests.support.web import Web, redirect, serve, web_server
from tests.system.test_confinement import landlock, seccomp

__all__ = ["web_server"]
CLIPS = "tests.support.extractors:ClipIE"


def test_a_page_is_fetched_from_the_url_as_written(tmp_path: Path) -> None:
    url = "https://youtu.be/dQw4w9WgXcQ?si=abc"
    name, location = Locator(tmp_path).locate(2, url)
    assert name.exposed() == "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
    assert location.exposed() == url


def test_without_yt_dlp_a_well_known_page_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)  # Python then takes it for not installed
    downloader = Downloader(tmp_path / "tmp")
    with pytest.raises(FetchError, match="pip install yt-dlp"):
        downloader.fetch("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "v")
    assert not downloader._pages.recognises(parse("https://example.com/watch"))


# --- with yt-dlp --------------------------------------------------------------------------------

Make = Callable[..., Downloader]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `pages`) is not installed")
    made: list[Downloader] = []

    def build(
        policy: AddressPolicy | None = None,
        seconds: float = 60,
        network: Network | None = None,
        **limits: Any,
    ) -> Downloader:
        policy, network = policy or AddressPolicy(allow_private=True), network or Network()
        fetch = FetchLimits(**limits)
        folder = tmp_path / "tmp"
        proxies = network.proxy_rules(load_settings(home=tmp_path))
        headers = network.host_headers()
        pages = PageResolver(
            policy, folder, max_bytes=fetch.max_bytes, seconds=seconds, extractors=[CLIPS],
            proxies=proxies, host_headers=headers,
        )  # fmt: skip
        made.append(
            Downloader(
                folder, limits=fetch, policy=policy, pages=pages, proxies=proxies,
                host_headers=headers,
            )
        )  # fmt: skip
        return made[-1]

    yield build
    for downloader in made:
        downloader.close()


def _page(web: Web, **info: Any) -> str:
    web.on("/clip/a/info", serve(json.dumps(info).encode(), content_type="application/json"))
    return web.url("/clip/a")


def _refusal(downloader: Downloader, url: str) -> str:
    with pytest.raises(FetchError) as refused:
        downloader.fetch(url, "v")
    assert list(downloader._folder.iterdir()) == []
    return str(refused.value)


def test_pages_are_known_by_yt_dlp_and_files_by_their_names(make: Make) -> None:
    pages = make()._pages
    assert pages.recognises(parse("https://www.ted.com/talks/a_talk"))
    assert pages.recognises(parse("http://127.0.0.1:1/clip/a"))
    assert not pages.recognises(parse("https://www.ted.com/talks/a_talk.mp4"))
    assert not pages.recognises(parse("https://example.com/some/page"))


def test_the_fitting_file_of_a_page_is_fetched(web: Web, make: Make, tmp_path: Path) -> None:
    data = write_video(tmp_path / "v.mp4", lambda i: (i, 80, 120), frames=2).read_bytes()
    good = web.on("/good.mp4", serve(data))
    formats = [
        {"url": web.url("/small.mp4"), "height": 360, "ext": "mp4"},
        {"url": good, "height": 720, "ext": "mp4", "http_headers": {"Referer": "https://r.test/"}},
        {"url": web.url("/large.mp4"), "height": 2160, "ext": "mp4"},
        {"url": web.url("/list.m3u8"), "height": 720, "protocol": "m3u8_native"},
        {"url": web.url("/sound.m4a"), "vcodec": "none", "height": 720},
    ]
    download = make().fetch(_page(web, formats=formats), "v")
    assert download.path.read_bytes() == data
    assert [seen.path for seen in web.seen] == ["/clip/a/info", "/good.mp4"]
    assert web.seen[-1].headers["referer"] == "https://r.test/"


@pytest.mark.slow
def test_a_page_on_a_private_host_is_refused(web: Web, make: Make) -> None:
    said = _refusal(make(AddressPolicy()), _page(web, url=web.url("/v.mp4")))
    assert "not a public address" in said
    assert web.connections == 0


def test_a_page_leads_to_no_private_host(web: Web, make: Make) -> None:
    local = web.url("/clip/a", host="localhost")
    public = AddressPolicy(allowed_hosts=frozenset({"localhost"}))
    _page(web, url="http://127.0.0.1:9/v.mp4")
    assert "127.0.0.1 resolves to 127.0.0.1" in _refusal(make(public), local)
    web.on("/clip/a/info", redirect("http://169.254.169.254/latest/meta-data"))
    assert "metadata" in _refusal(make(public), local)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"is_live": True, "url": "http://127.0.0.1/v.mp4"}, "live broadcast"),
        ({"_type": "playlist", "entries": [{"url": "a"}, {"url": "b"}]}, "list of videos"),
        ({"formats": [{"url": "http://127.0.0.1/l.m3u8", "protocol": "m3u8"}]}, "no video file"),
        ({"url": "http://127.0.0.1/v.mp4", "filesize": 10**12}, "no video file"),
        ({"url": "file:///etc/passwd", "ext": "mp4"}, "no video file"),
        ({"_type": "url", "url": "file:///etc/passwd"}, "No suitable extractor"),
    ],
    ids=["live", "playlist", "pieces", "too-large", "file", "leads-to-a-file"],
)
def test_what_is_no_single_file_is_refused(
    web: Web, make: Make, info: dict[str, Any], said: str
) -> None:
    assert said in _refusal(make(), _page(web, **info))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mischief", "said"),
    [
        ({"run": "written"}, "start programs"),
        ({"write": "written"}, "write files"),
        ({"connect": "192.0.2.1"}, "was not checked"),
        pytest.param({"read": "/etc/passwd"}, "Permission denied: '/etc/passwd'", marks=landlock),
        pytest.param({"native": "written"}, "made -1, ran 32512", marks=[landlock, seccomp]),
    ],
)
def test_a_page_does_nothing_that_reading_it_does_not_need(
    web: Web, make: Make, tmp_path: Path, mischief: dict[str, str], said: str
) -> None:
    told = {how: what.replace("written", str(tmp_path / "x")) for how, what in mischief.items()}
    assert said in _refusal(make(), _page(web, url=web.url("/v.mp4"), **told))
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_page_that_takes_all_memory_is_given_up(web: Web, make: Make) -> None:
    url = _page(web, hold=1200 << 20, sleep=5, url=web.url("/v.mp4"))
    assert "took more than 1,024 MiB of memory" in _refusal(make(), url)


@pytest.mark.slow
def test_a_page_that_takes_too_long_is_given_up(web: Web, make: Make) -> None:
    url = _page(web, sleep=60, url=web.url("/v.mp4"))
    assert "longer than 5 s" in _refusal(make(seconds=5), url)


# Proxies, headers and cookies


def test_pages_go_through_the_proxy(web: Web, make: Make, tmp_path: Path) -> None:
    data = write_video(tmp_path / "v.mp4", lambda i: (i, 80, 120), frames=2).read_bytes()
    web.on("/v.mp4", serve(data))
    url = _page(web, url="http://files.test/v.mp4")
    with Proxy(routes={"files.test": web.port}, credentials="joe:pw") as proxy:
        network = Network(proxy=proxy.url("joe:pw"), user_agent="Lab/1")
        assert make(network=network).fetch(url, "v").path.read_bytes() == data
    assert [one.target for one in proxy.seen] == [f"{url}/info", "http://files.test/v.mp4"]
    assert {one.headers["user-agent"] for one in web.seen} == {"Lab/1"}


def test_a_page_behind_a_proxy_that_refuses_is_not_read_yet(web: Web, make: Make) -> None:
    url = _page(web, url=web.url("/v.mp4"))
    with Proxy(refusal=lambda number: Refusal(407)) as proxy:
        downloader = make(network=Network(proxy=proxy.url("joe:5ecret")))
        with pytest.raises(NotReadYet, match="refuses the user name or the password") as caught:
            downloader.fetch(url, "v")
    assert "5ecret" not in str(caught.value)
    assert web.connections == 0


def test_a_page_behind_a_proxy_leads_to_no_private_host(web: Web, make: Make) -> None:
    with Proxy() as proxy:
        policy = AddressPolicy(allowed_hosts=frozenset({"localhost"}))
        _page(web, url="http://10.0.0.1/v.mp4")
        downloader = make(policy, network=Network(proxy=proxy.url()))
        said = _refusal(downloader, web.url("/clip/a", host="localhost"))
    assert "10.0.0.1 resolves to 10.0.0.1, which is not a public address" in said
    assert len(proxy.seen) == 1


def test_headers_and_cookies_reach_pages_by_host(web: Web, make: Make, tmp_path: Path) -> None:
    data = write_video(tmp_path / "v.mp4", lambda i: (i, 80, 120), frames=2).read_bytes()
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\t5ecret\n")
    network = Network(headers={"127.0.0.1": {"X-Key": "5ecret"}}, cookies=cookies)
    info = serve(
        json.dumps({"url": web.url("/v.mp4")}).encode(), content_type="application/json",
        headers={"Set-Cookie": "seen=1; Path=/"},
    )  # fmt: skip
    web.on("/clip/a/info", redirect("/same"))
    with Web() as other:
        other.on("/info", redirect(web.url("/named", host="localhost")))
        web.on("/same", redirect(other.url("/info")))
        web.on("/named", redirect(web.url("/last")))
        web.on("/last", info)
        web.on("/v.mp4", serve(data))
        assert make(network=network).fetch(web.url("/clip/a"), "v").path.read_bytes() == data
        # Another port is another origin: the user's cookie for the host stays away, too.
        assert "5ecret" not in str(other.seen)
    known = [
        (one.path, one.headers.get("x-key", ""), one.headers.get("cookie", "")) for one in web.seen
    ]
    assert known == [
        ("/clip/a/info", "5ecret", "sid=5ecret"),
        ("/same", "5ecret", "sid=5ecret"),
        ("/named", "", ""),
        ("/last", "5ecret", "sid=5ecret"),
        ("/v.mp4", "5ecret", "sid=5ecret; seen=1"),
    ]


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_page_that_is_compressed_unasked_is_read(
    web: Web, make: Make, tmp_path: Path, coding: str
) -> None:
    data = write_video(tmp_path / "v.mp4", lambda i: (i, 80, 120), frames=2).read_bytes()
    page = json.dumps({"url": web.on("/v.mp4", serve(data))}).encode()
    headers = {"Content-Encoding": coding}
    web.on("/clip/a/info", serve(PACKERS[coding](page), headers=headers))
    download = make().fetch(web.url("/clip/a"), "v")
    assert download.path.read_bytes() == data
    download.discard()
    web.on("/clip/a/info", serve(PACKERS[coding](bytes(40 << 20)), headers=headers))
    assert "has more than 32 MiB" in _refusal(make(), web.url("/clip/a"))
