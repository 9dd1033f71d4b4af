from __future__ import annotations

import os
import socket
import ssl
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.connections import HttpClient, Request
from ingest.fetch.downloads import Downloader, FetchLimits
from ingest.fetch.sniffing import not_a_video
from ingest.fetch.streams import Deadline
from registry.errors import FetchError, NotReadYet, RegistryError, StoreError, StoreFull, UsageError
from registry.urls import parse
from tests.support.processes import make_pipe
from tests.support.web import (
    Behaviour,
    Exchange,
    Web,
    chunked,
    drip,
    endless,
    flaky,
    gzip_bomb,
    hang,
    in_turn,
    raw,
    redirect,
    serve,
    slow_headers,
    status,
    web_server,  # noqa: F401  the fixture `web`
)

BODY = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 200
OLD = BODY[:12] + b"o" * (len(BODY) - 12)
LIMITS = FetchLimits(
    max_bytes=1_000_000,
    total_s=20,
    connect_s=5,
    read_s=5,
    first_pause_s=0.005,
    longest_pause_s=0.05,
    reserve_bytes=0,
)
LOCAL = AddressPolicy(allow_private=True)
TRUST = ssl.create_default_context()
"""Shared: reading the authorities takes a tenth of a second."""
Make = Callable[..., Downloader]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Downloaders into `tmp_path / "temporary"`; `make(attempts=2)` sets limits."""
    made = []

    def build(
        policy: AddressPolicy = LOCAL, tls: ssl.SSLContext | None = TRUST, **limits: float
    ) -> Downloader:
        chosen = replace(LIMITS, **limits)  # type: ignore[arg-type]
        made.append(Downloader(tmp_path / "temporary", limits=chosen, policy=policy, tls=tls))
        return made[-1]

    yield build
    for downloader in made:
        downloader.close()


def refused(downloader: Downloader, url: str, why: str, folder: Path) -> str:
    """Check that a fetch fails for this reason and leaves nothing behind; its message."""
    before = set((folder / "temporary").iterdir())
    with pytest.raises((FetchError, NotReadYet), match=why) as caught:
        downloader.fetch(url, "v")
    assert isinstance(caught.value, NotReadYet) == ("Given up after" in str(caught.value))
    assert set((folder / "temporary").iterdir()) == before
    return str(caught.value)


def ranges(web: Web) -> list[tuple[str, str]]:
    return [(s.headers.get("range", ""), s.headers.get("if-range", "")) for s in web.seen]


# What comes


def test_a_video_comes_whole_into_a_file_of_its_own(web: Web, make: Make, tmp_path: Path) -> None:
    url = web.on("/v.mp4", serve(BODY))
    download = make().fetch(url, "8c1f-video")
    assert download.path.read_bytes() == BODY
    assert (download.size, download.temporary) == (len(BODY), True)
    assert download.path.parent == tmp_path / "temporary"
    assert download.path.name.startswith("8c1f-video-")
    assert stat.S_IMODE(download.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(download.path.stat().st_mode) == 0o600
    download.discard()
    assert not download.path.exists()
    download.discard()


def test_videos_of_one_name_lie_side_by_side(web: Web, make: Make) -> None:
    one = web.on("/a/v.mp4", serve(BODY))
    two = web.on("/b/v.mp4", serve(BODY + b"two"))
    downloader = make()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda url: downloader.fetch(url, "../v"), [one, two] * 8))
    assert len({download.path for download in found}) == 16
    assert [d.path.read_bytes() for d in found] == [BODY, BODY + b"two"] * 8
    assert {download.path.parent.name for download in found} == {"temporary"}


@pytest.mark.parametrize(
    "behaviour",
    [
        chunked(BODY),
        serve(BODY, content_type="application/octet-stream"),
        serve(BODY, content_type="text/plain"),
        serve(BODY, headers={"Content-Encoding": "identity"}),
        raw(b"HTTP/1.0 200 OK\r\n\r\n" + BODY),
        raw(b"HTTP/1.1 200 OK\r\nContent-Type:\r\n\r\n" + BODY),
    ],
)
def test_servers_of_all_kinds_are_understood(web: Web, make: Make, behaviour: Behaviour) -> None:
    assert make().fetch(web.on("/v", behaviour), "v").path.read_bytes() == BODY


def test_the_request_is_plain_and_keeps_the_spelling(web: Web, make: Make) -> None:
    web.on("/%7ea%2fb", serve(BODY))
    make().fetch(web.url("/x/../%7ea%2fb?acl=%2f*&q=a b#t=5"), "v")
    assert web.seen[0].path == "/%7ea%2fb?acl=%2f*&q=a%20b"
    headers = web.seen[0].headers
    assert headers["host"] == f"127.0.0.1:{web.port}"
    assert headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie", "range", "referer"} & headers.keys()


def test_proxies_of_the_environment_are_not_used(
    web: Web, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.on("/v", serve(BODY))
    with Web() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        make().fetch(url, "v")
        assert proxy.connections == 0


# Trying again


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(web: Web, make: Make, code: int) -> None:
    url = web.on("/v", flaky(3, serve(BODY), code))
    assert make().fetch(url, "v").size == len(BODY)
    assert len(web.seen) == 4


@pytest.mark.parametrize(
    ("code", "told"),
    [(400, "400 Bad Request"), (401, "password"), (403, "expired"), (404, "404 Not Found"),
     (410, "has been removed"), (416, "416"), (501, "501"), (204, "204"), (206, "206"),
     (304, "304"), (305, "305"), (599, "599")],
)  # fmt: skip
def test_what_will_not_pass_is_not_tried_again(
    web: Web, make: Make, tmp_path: Path, code: int, told: str
) -> None:
    url = web.on("/v", status(code))
    assert url in refused(make(), url, told, tmp_path)
    assert len(web.seen) == 1


def test_tries_come_to_an_end(web: Web, make: Make, tmp_path: Path) -> None:
    url = web.on("/v", status(503))
    refused(
        make(attempts=3),
        url,
        r"answered 503 Service Unavailable\. Given up after 3 attempts",
        tmp_path,
    )
    assert len(web.seen) == 3


@pytest.mark.parametrize("asked", ["1", "date"])
def test_the_server_says_how_long_to_wait(web: Web, make: Make, asked: str) -> None:
    when = formatdate(time.time() + 2, usegmt=True) if asked == "date" else asked
    url = web.on("/v", flaky(1, serve(BODY), 429, {"Retry-After": when}))
    start = time.monotonic()
    make(longest_pause_s=5).fetch(url, "v")
    assert 0.9 < time.monotonic() - start < 4


@pytest.mark.parametrize("asked", ["86400", "-5", "soon", "1e9", "\u0663"])
def test_no_server_makes_it_wait_for_long(web: Web, make: Make, asked: str) -> None:
    url = web.on("/v", flaky(1, serve(BODY), 503, {"Retry-After": asked}))
    start = time.monotonic()
    make().fetch(url, "v")
    assert time.monotonic() - start < 2


def test_a_pause_that_would_pass_the_time_limit_is_not_made(
    web: Web, make: Make, tmp_path: Path
) -> None:
    url = web.on("/v", status(503, {"Retry-After": "30"}))
    start = time.monotonic()
    refused(make(total_s=10, longest_pause_s=60), url, "Given up after 1 attempt", tmp_path)
    assert time.monotonic() - start < 5


def test_a_closed_port_is_told(make: Make, tmp_path: Path) -> None:
    with Web() as web:
        url = web.url("/v")
    refused(make(attempts=2), url, "connection failed .*refused.* after 2 attempts", tmp_path)


@pytest.mark.parametrize(
    "broken",
    [
        raw(b""),
        serve(BODY, cut_after=0),
        serve(BODY, cut_after=1000),
        chunked(BODY, whole=False),
        chunked(BODY[:100], size=7, whole=False),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ],
)
def test_a_body_that_breaks_off_is_asked_for_again(
    web: Web, make: Make, tmp_path: Path, broken: Behaviour
) -> None:
    url = web.on("/v", in_turn(broken, broken, serve(BODY)))
    assert make().fetch(url, "v").path.read_bytes() == BODY
    assert ranges(web) == [("", "")] * 3
    always = web.on("/w", broken)
    refused(make(attempts=2), always, "Given up after 2 attempts", tmp_path)


def test_a_server_that_does_not_speak_http_is_told(web: Web, make: Make, tmp_path: Path) -> None:
    for answer in (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"):
        refused(make(), web.on("/v", raw(answer)), "does not speak HTTP", tmp_path)
    assert len(web.seen) == 2


def test_a_header_section_without_end_is_refused(web: Web, make: Make, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 1_000_000
    refused(make(), web.on("/v", raw(answer)), "does not speak HTTP", tmp_path)


def test_a_header_that_http_does_not_allow_is_not_sent(web: Web) -> None:
    client = HttpClient(LOCAL, lambda: TRUST, connect_s=5, read_s=5)
    for value in ("a\r\nX-Smuggled: b", "a\0b"):
        request = Request(parse(web.url("/v")), {"Referer": value})
        with pytest.raises(FetchError, match="header of the request is not valid"):
            client.send(request, Deadline("v", 5))
    assert web.seen == []


# Resuming


def test_the_rest_is_asked_for_alone(web: Web, make: Make) -> None:
    whole = serve(BODY, etag='"one"')
    url = web.on("/v", in_turn(serve(BODY, etag='"one"', cut_after=1000), whole))
    assert make().fetch(url, "v").path.read_bytes() == BODY
    assert ranges(web) == [("", ""), ("bytes=1000-", '"one"')]


def test_a_chunked_body_is_resumed_as_well(web: Web, make: Make) -> None:
    broken = chunked(BODY[:2000], size=500, whole=False, etag='"one"')
    url = web.on("/v", in_turn(broken, serve(BODY, etag='"one"')))
    assert make().fetch(url, "v").path.read_bytes() == BODY
    assert ranges(web)[1] == ("bytes=2000-", '"one"')


def test_a_date_serves_where_it_tells_versions_apart(web: Web, make: Make) -> None:
    now = time.time()
    for age, resumed in ((10, True), (0, False)):
        modified = formatdate(now - age, usegmt=True)
        date = {"Date": formatdate(now, usegmt=True)}
        file = serve(BODY, modified=modified, headers=date)
        cut = serve(BODY, modified=modified, headers=date, cut_after=1000)
        web.seen.clear()
        assert make().fetch(web.on("/v", in_turn(cut, file)), "v").path.read_bytes() == BODY
        assert ranges(web)[1] == (("bytes=1000-", modified) if resumed else ("", ""))


def _wrong_range(
    content_range: str, headers: Mapping[str, str], body: bytes = BODY[1000:]
) -> Behaviour:
    return status(206, {"Content-Range": content_range, **headers}, body)


@pytest.mark.parametrize(
    "second",
    [
        # Another version, and a server that does not know ranges: both send everything.
        serve(BODY, etag='"two"'),
        serve(BODY, etag='"one"', ranges=False),
        # Answers that would join what does not belong together.
        _wrong_range(f"bytes 1001-{len(BODY) - 1}/{len(BODY)}", {}),
        _wrong_range(f"bytes 1000-{len(BODY)}/{len(BODY) + 1}", {}, BODY[1000:] + b"!"),
        _wrong_range(f"bytes 1000-{len(BODY) - 1}/{len(BODY)}", {"ETag": '"two"'}),
        _wrong_range("bytes */*", {}),
        _wrong_range("", {}),
        status(416),
    ],
)
def test_what_cannot_be_joined_is_fetched_anew(web: Web, make: Make, second: Behaviour) -> None:
    url = web.on("/v", in_turn(serve(OLD, etag='"one"', cut_after=1000), second,
                               serve(BODY, etag='"two"')))  # fmt: skip
    assert make().fetch(url, "v").path.read_bytes() == BODY


@pytest.mark.parametrize("etag", ['W/"one"', "one", '"o\tne"'])
def test_a_weak_tag_joins_nothing(web: Web, make: Make, etag: str) -> None:
    url = web.on("/v", in_turn(serve(BODY, etag=etag, cut_after=1000), serve(BODY)))
    assert make().fetch(url, "v").path.read_bytes() == BODY
    assert ranges(web)[1] == ("", "")


def test_tries_that_bring_something_new_do_not_count(web: Web, make: Make) -> None:
    url = web.on("/v", serve(BODY, etag='"one"', cut_after=4000))
    assert make(attempts=2).fetch(url, "v").path.read_bytes() == BODY
    assert len(web.seen) == -(-len(BODY) // 4000)


def test_a_server_that_resumes_without_end_is_given_up(
    web: Web, make: Make, tmp_path: Path
) -> None:
    broken = serve(BODY, etag='"one"', cut_after=1000)

    def behave(exchange: Exchange) -> None:
        (status(416) if "Range" in exchange.headers else broken)(exchange)

    refused(make(attempts=4), web.on("/v", behave), "Given up after 4 attempts", tmp_path)
    assert [bool(resumed) for resumed, _ in ranges(web)] == [False, True, False, True]


# Redirects and credentials


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(web: Web, make: Make, code: int) -> None:
    web.on("/é/v", redirect("../w?x=1", code))
    web.on("/%C3%A9/v", redirect("../w?x=1", code))
    web.on("/w", redirect(web.url("/ü"), code))
    web.on("/%C3%BC", serve(BODY))
    assert make().fetch(web.url("/é/v"), "v").size == len(BODY)
    assert [seen.path for seen in web.seen] == ["/%C3%A9/v", "/w?x=1", "/%C3%BC"]


def test_redirects_come_to_an_end(web: Web, make: Make, tmp_path: Path) -> None:
    refused(make(redirects=3), web.on("/v", redirect("/v")), "more than 3 redirects", tmp_path)
    assert len(web.seen) == 4


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://a.example/", "gopher://127.0.0.1:70/_x", "//[",
           "javascript:alert(1)", "http://a\\@b/", "ftp://\x1b[2J/"],
)  # fmt: skip
def test_redirects_lead_to_the_web_only(web: Web, make: Make, tmp_path: Path, to: str) -> None:
    message = refused(
        make(), web.on("/v", redirect(to)), "redirects to .*cannot be fetched", tmp_path
    )
    assert "\x1b" not in message
    assert len(web.seen) == 1


def test_a_redirect_that_leads_nowhere_is_refused(web: Web, make: Make, tmp_path: Path) -> None:
    refused(make(), web.on("/v", status(302)), "302 Found without a target", tmp_path)


def test_credentials_go_to_their_own_server_only(web: Web, make: Make) -> None:
    with Web() as other:
        web.on("/v", redirect("/w"))
        web.on("/w", redirect(other.url("/x", "joe:5ecret@127.0.0.1")))
        other.on("/x", redirect(web.url("/y")))
        web.on("/y", serve(BODY))
        make().fetch(web.url("/v", "j%40e:p%3Aß@127.0.0.1"), "v")
        sent = [seen.headers.get("authorization") for seen in web.seen]
        assert sent == ["Basic akBlOnA6w58="] * 3
        assert "authorization" not in other.seen[0].headers
        assert "referer" not in other.seen[0].headers


def test_another_port_or_name_is_another_server(web: Web, make: Make) -> None:
    web.on("/v", redirect(web.url("/w", "localhost")))
    web.on("/w", serve(BODY))
    make().fetch(web.url("/v", "joe:5ecret@127.0.0.1"), "v")
    assert ["authorization" in seen.headers for seen in web.seen] == [True, False]


def test_messages_hold_no_secret(web: Web, make: Make, tmp_path: Path) -> None:
    web.on("/v", status(403))
    web.on("/w", redirect("ftp://joe:5ecret@a.example/?token=5ecret"))
    for path in ("/v?sig=5ecret", "/w?x=1&access_token=5ecret"):
        url = web.url(path, "joe:5ecret@127.0.0.1")
        assert "5ecret" not in refused(make(), url, "403|cannot be fetched", tmp_path)


# Limits


def test_a_video_that_says_it_is_too_large_is_not_read(
    web: Web, make: Make, tmp_path: Path
) -> None:
    url = web.on("/v", in_turn(status(200, {"Content-Length": str(10**12)}), status(500)))
    refused(make(), url, "1,000,000,000,000 bytes or more; the limit is 1,000,000 bytes", tmp_path)
    assert len(web.seen) == 1


def test_a_video_without_end_is_cut_off(web: Web, make: Make, tmp_path: Path) -> None:
    refused(make(), web.on("/v", endless(BODY)), "the limit is 1,000,000 bytes", tmp_path)
    assert len(web.seen) == 1


def test_a_packed_body_counts_unpacked(web: Web, make: Make, tmp_path: Path) -> None:
    url = web.on("/v", gzip_bomb(20_000_000))
    refused(make(), url, "the limit is 1,000,000 bytes", tmp_path)
    assert len(web.seen) == 1


@pytest.mark.parametrize("behaviour", [drip(BODY, 0.05), slow_headers(0.05), endless(BODY), hang()])
def test_the_time_limit_ends_everything(
    web: Web, make: Make, tmp_path: Path, behaviour: Behaviour
) -> None:
    downloader = make(total_s=0.5, read_s=30, max_bytes=10**12)
    start = time.monotonic()
    refused(downloader, web.on("/v", behaviour), "took longer than 0.5 s", tmp_path)
    assert time.monotonic() - start < 3


def test_a_server_that_hangs_is_given_up(web: Web, make: Make, tmp_path: Path) -> None:
    url = web.on("/v", hang())
    refused(make(read_s=0.2, attempts=2), url, "did not answer in time.*2 attempts", tmp_path)
    assert len(web.seen) == 2


def test_the_reserve_of_free_space_is_left_alone(web: Web, make: Make, tmp_path: Path) -> None:
    url = web.on("/v", serve(BODY))
    with pytest.raises(StoreFull, match="kept in reserve"):
        make(reserve_bytes=10**18).fetch(url, "v")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_disk_that_is_full_is_told() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full: a device that is always full")
    from ingest.fetch.partial_file import PartialFile

    for size in (100, 1 << 20):
        with (
            pytest.raises(StoreFull, match="no space left"),
            closing(PartialFile(full, 10**9, 0)) as part,
        ):
            part.write(bytes(size), "http://a.example/v")
            part.finish("http://a.example/v")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written to"):
        Downloader(tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    "limits", [{"max_bytes": 0}, {"total_s": -1}, {"attempts": 0}, {"redirects": -1}]
)
def test_limits_that_allow_nothing_are_wrong_usage(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        replace(LIMITS, **limits)  # type: ignore[arg-type]


# What is no video


@pytest.mark.parametrize(
    ("body", "content_type", "what"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>" * 50, "video/mp4", "a web page"),
        (b"\xef\xbb\xbf\n <HTML>" + b"x" * 900, "application/octet-stream", "a web page"),
        (b"<html>", "", "a web page"),
        (b"\xff\xfe<\x00h\x00" * 200, "text/html; charset=utf-16", "a web page"),
        (b'<?xml version="1.0"?><Error/>', "video/mp4", "XML"),
        (b'{"error": "expired"}', "video/mp4", "JSON"),
        (b"\x80binary", "application/json", "JSON"),
        (b"not found", "video/mp4", "text"),
        ("gibt es nicht: \u00fc".encode(), "", "text"),
        (b"\x80binary", "text/plain", "text"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", "video/mp4", "a playlist \\(HLS\\)"),
        (b"\x80x", "application/vnd.apple.mpegurl", "a playlist \\(HLS\\)"),
    ],
)
def test_a_page_is_no_video(
    web: Web, make: Make, tmp_path: Path, body: bytes, content_type: str, what: str
) -> None:
    url = web.on("/v", serve(body, content_type=content_type))
    refused(make(), url, f"is {what}, not a video", tmp_path)
    assert len(web.seen) == 1


def test_a_page_is_noticed_before_it_has_all_come(web: Web, make: Make, tmp_path: Path) -> None:
    refused(make(), web.on("/v", endless(b"<!doctype html>" * 99)), "a web page", tmp_path)


def test_an_empty_body_is_told(web: Web, make: Make, tmp_path: Path) -> None:
    refused(make(), web.on("/v", serve(b"")), "is empty", tmp_path)


@pytest.mark.parametrize("kind", ["", "text/plain", "text/html", "video/mp4", "application/json"])
@pytest.mark.parametrize(
    "head",
    [BODY[:512], b"\x1a\x45\xdf\xa3\x9f", b"RIFF\x10\x20\x30\x00AVI LIST", b"GIF89a",
     b"FLV\x01\x05", b"OggS\x00", b"\x47" + bytes(187) + b"\x47",
     b"\x00\x00\x01\xba", b"YUV4MPEG2 W64 H48\n"],
)  # fmt: skip
def test_videos_are_known_by_their_first_bytes(head: bytes, kind: str) -> None:
    assert not_a_video(head, kind) == ""


def test_real_clips_are_no_pages(clip: Callable[[str], Path]) -> None:
    folder = clip("short_hamilton_clip.mp4").parent
    clips = [path for path in folder.rglob("*.*") if path.suffix in {".mp4", ".mkv", ".gif"}]
    assert len(clips) > 20
    for path in clips:
        with path.open("rb") as file:
            assert not_a_video(file.read(512), "text/plain") == ""


# Local files


def test_a_local_file_is_used_where_it_lies(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "a b.mp4"
    path.write_bytes(BODY)
    download = make().fetch(str(path), "v")
    assert (download.path, download.size, download.temporary) == (path, len(BODY), False)
    download.discard()
    assert path.exists()


def test_what_is_no_file_is_refused_by_its_full_path(make: Make, tmp_path: Path) -> None:
    make_pipe(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "page.mp4").write_bytes(b"<html></html>")
    (tmp_path / "list.mp4").write_bytes(b"#EXTM3U\nhttp://127.0.0.1/x.ts\n")
    for name, why in {
        "gone.mp4": "There is no file",
        "pipe": "is a device or a pipe",
        "empty": "is empty",
        ".": "is a folder",
        "page.mp4": "is a web page, not a video",
        "list.mp4": "is a playlist",
        "nul\x00": "cannot be read",
        "x" * 300: "cannot be read",
    }.items():
        message = refused(make(), f"{tmp_path}/{name}", why, tmp_path)
        assert str(tmp_path) in message
    refused(make(), "relative.mp4", "not an absolute path", tmp_path)
    refused(make(), "/dev/zero", "is a device or a pipe", tmp_path)
    refused(make(), "s3://bucket/key", "no S3 server is configured", tmp_path)
    refused(make(), "ftp://host/a.mp4", "is not supported", tmp_path)
    refused(make(), "http://[::1", "cannot be used as a URL", tmp_path)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _serving(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_certificates_are_checked_against_the_name(
    make: Make, tmp_path: Path, authority: trustme.CA
) -> None:
    names: list[str | None] = []
    serving = _serving(authority, "media.example")
    serving.sni_callback = lambda socket, name, context: names.append(name)
    policy = AddressPolicy(allow_private=True, resolver=lambda host, port: ["127.0.0.1"])
    with Web(tls=serving) as web:
        web.on("/v", serve(BODY))
        url = web.url("/v", "media.example")
        assert make(policy, _trusting(authority)).fetch(url, "v").path.read_bytes() == BODY
        assert names == ["media.example"]
        assert web.seen[0].headers["host"] == f"media.example:{web.port}"
        refused(make(policy, None), url, "certificate is refused: .*issuer", tmp_path)
        other = web.url("/v", "other.example")
        refused(
            make(policy, _trusting(authority)), other, "certificate is refused: .*other", tmp_path
        )
        assert len(web.seen) == 1
        assert names[1:] == ["media.example", "other.example"]


@pytest.mark.parametrize("behaviour", [drip(BODY, 0.05), slow_headers(0.05), hang()])
def test_the_time_limit_ends_encrypted_connections_too(
    make: Make, tmp_path: Path, authority: trustme.CA, behaviour: Behaviour
) -> None:
    with Web(tls=_serving(authority, "127.0.0.1")) as web:
        downloader = make(tls=_trusting(authority), total_s=0.5, read_s=30)
        start = time.monotonic()
        refused(downloader, web.on("/v", behaviour), "took longer than 0.5 s", tmp_path)
        assert time.monotonic() - start < 3


def test_a_handshake_that_hangs_is_given_up(make: Make, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v"
        start = time.monotonic()
        refused(make(connect_s=0.2, attempts=2), url, "did not answer in time", tmp_path)
        refused(make(connect_s=30, total_s=0.3), url, "took longer than 0.3 s", tmp_path)
        assert time.monotonic() - start < 4


def test_plain_http_on_a_tls_port_is_told(web: Web, make: Make, tmp_path: Path) -> None:
    url = web.url("/v").replace("http:", "https:")
    refused(make(), url, "does not speak TLS", tmp_path)


# Stopping


def test_closing_ends_downloads_and_deletes_their_files(
    web: Web, make: Make, tmp_path: Path
) -> None:
    downloader = make(read_s=60, total_s=60)
    kept = downloader.fetch(web.on("/v", serve(BODY)), "v")
    pause = web.on("/p", status(503, {"Retry-After": "60"}))
    urls = [web.on("/h", hang()), web.on("/d", drip(BODY, 0.02)), web.on("/s", slow_headers(0.02))]
    patient = make(longest_pause_s=60, total_s=600)
    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(downloader.fetch, url, "v") for url in urls]
        running.append(threads.submit(patient.fetch, pause, "v"))
        while len(web.seen) < 5:
            time.sleep(0.01)
        time.sleep(0.1)
        start = time.monotonic()
        downloader.close()
        patient.close()
        for future in running:
            with pytest.raises(RegistryError, match="was stopped") as caught:
                future.result()
            # A video that was not fetched for this reason has not failed.
            assert type(caught.value) is RegistryError
        assert time.monotonic() - start < 3
    assert not kept.path.exists()
    assert list((tmp_path / "temporary").iterdir()) == []
    downloader.close()
    with pytest.raises(RegistryError, match="was stopped"):
        downloader.fetch(urls[0], "v")


def test_files_of_a_process_that_died_are_deleted(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    old, young, other = (folder / n for n in ("v-abcdefgh.video", "v-abcdefgi.video", "notes.txt"))
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    make()
    assert sorted(folder.iterdir()) == sorted([young, other])


# Anything at all

_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.1 206 P", b"HTTP/1.1 302 F", b"HTTP/9.9 200",
        b"HTTP/1.1 100 C", b"HTTP/1.1 abc", b"\r\n", b"\n", b": ", b"Content-Length: ",
        b"Transfer-Encoding: chunked",
        b"Location: ", b"Content-Range: bytes 0-1/2", b"Content-Encoding: br", b"Retry-After: 0",
        b"ETag: \"a\"", b"5", b"-1", b"99999999999999999999", b"5, 6", b"/v", b"ffffffffffff\r\n",
        BODY[:600], b"\x00", b"\xff\xfe", b"http://[::", b"Last-Modified: x",
    ]
)  # fmt: skip


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.lists(st.one_of(_LINES, st.binary(max_size=9)), max_size=25).map(b"".join))
def test_only_our_own_errors_come_out(web: Web, make: Make, tmp_path: Path, answer: bytes) -> None:
    url = web.on("/v", raw(answer))
    try:
        make(attempts=1, read_s=1).fetch(url, "v").discard()
    except RegistryError as exc:
        assert str(exc).isprintable()
    assert list((tmp_path / "temporary").iterdir()) == []
