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
from ingest.fetch.pages.resolver import PageResolver
from ingest.tables.locations import Locator
from registry.errors import FetchError
from registry.urls import parse
from tests.support.media import write_video
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
        policy: AddressPolicy | None = None, seconds: float = 60, **limits: Any
    ) -> Downloader:
        policy = policy or AddressPolicy(allow_private=True)
        fetch = FetchLimits(**limits)
        folder = tmp_path / "tmp"
        pages = PageResolver(
            policy, folder, max_bytes=fetch.max_bytes, seconds=seconds, extractors=[CLIPS]
        )
        made.append(Downloader(folder, limits=fetch, policy=policy, pages=pages))
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
