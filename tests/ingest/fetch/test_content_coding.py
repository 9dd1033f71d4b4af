"""Bodies that a server compresses without being asked to."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.content_coding import codings, unpack
from ingest.fetch.downloads import Downloader, FetchLimits
from ingest.fetch.streams import TransientError
from registry.errors import FetchError
from tests.support.web import (
    Behaviour,
    Web,
    chunked,
    in_turn,
    raw,
    serve,
    status,
    web_server,
)

__all__ = ["web_server"]
BODY = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 200


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _arrow(codec: str) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        packed: bytes = pyarrow.Codec(codec).compress(data, asbytes=True)
        return packed

    return pack


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": _arrow("brotli"),
    "zstd": _arrow("zstd"),
}


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _unpacked(data: bytes, *applied: str, size: int = 1000) -> bytes:
    return b"".join(unpack(_pieces(data, size), applied, "v"))


@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.parametrize("size", [1, 2, 7, 4096, 1 << 20])
def test_every_coding_is_unpacked(coding: str, size: int) -> None:
    for body in (b"", b"x", BODY, bytes(300_000)):
        assert _unpacked(PACKERS[coding](body), coding, size=size) == body


@given(st.binary(max_size=300), st.integers(1, 40))
def test_deflate_has_two_forms(body: bytes, size: int) -> None:
    assert _unpacked(_deflate(body), "deflate", size=size) == body
    assert _unpacked(zlib.compress(body), "deflate", size=size) == body


def test_a_gzip_file_may_have_several_members_and_padding() -> None:
    packed = gzip.compress(b"one") + gzip.compress(b"two") + gzip.compress(b"")
    for size in (1, 3, 1000):
        assert _unpacked(packed, "gzip", size=size) == b"onetwo"
        assert _unpacked(packed + bytes(50), "gzip", size=size) == b"onetwo"


def test_two_codings_are_unpacked_in_turn() -> None:
    packed = gzip.compress(_arrow("brotli")(BODY))
    assert _unpacked(packed, *codings("br, identity, GZip")) == BODY
    assert _unpacked(BODY) == BODY


@pytest.mark.parametrize("coding", PACKERS)
def test_a_body_that_ends_early_is_told(coding: str) -> None:
    packed = PACKERS[coding](BODY)
    assert _unpacked(b"", coding) == b""  # as an answer to HEAD
    for length in (1, 5, len(packed) - 1):
        with pytest.raises(TransientError, match="the compressed body ended early"):
            _unpacked(packed[:length], coding)


@pytest.mark.parametrize("coding", PACKERS)
def test_a_body_that_is_not_valid_is_told(coding: str) -> None:
    with pytest.raises(FetchError, match="the compressed body is not valid"):
        _unpacked(b"\xff" + BODY, coding)


def test_other_codings_are_refused() -> None:
    for value in ("compress", "gzip, \x1b[2J", "gzip, gzip, gzip"):
        with pytest.raises(FetchError, match="in a way that is not supported") as caught:
            unpack(iter([b""]), codings(value), "v")
        assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("coding", PACKERS)
def test_pieces_are_small_and_come_as_they_are_read(coding: str) -> None:
    packed = PACKERS[coding](bytes(50_000_000))
    pieces = unpack(_pieces(packed, 1 << 16), (coding,), "v")
    assert {len(next(pieces)) <= 1 << 16 for _ in range(100)} == {True}


def test_an_error_of_the_connection_stays_what_it_is() -> None:
    def broken(data: bytes) -> Iterator[bytes]:
        yield data
        raise TransientError("the line is down")

    for coding, pack in PACKERS.items():
        with pytest.raises(TransientError, match="the line is down"):
            list(unpack(broken(pack(BODY)[:-4]), (coding,), "v"))


# Downloads


@pytest.fixture
def downloader(tmp_path: Path) -> Iterator[Downloader]:
    limits = FetchLimits(
        max_bytes=100_000, total_s=20, connect_s=5, read_s=5, attempts=3,
        first_pause_s=0.005, longest_pause_s=0.05, reserve_bytes=0,
    )  # fmt: skip
    policy = AddressPolicy(allow_private=True)
    made = Downloader(tmp_path / "temporary", limits=limits, policy=policy)
    yield made
    made.close()


def _packed(coding: str, body: bytes = BODY, **more: str | int) -> Behaviour:
    headers = {"Content-Encoding": coding}
    return serve(PACKERS[coding](body), headers=headers, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("coding", PACKERS)
def test_a_packed_video_is_unpacked(web: Web, downloader: Downloader, coding: str) -> None:
    download = downloader.fetch(web.on("/v", _packed(coding)), "v")
    assert download.path.read_bytes() == BODY
    assert (download.size, download.source.size) == (len(BODY), len(BODY))


@pytest.mark.parametrize("coding", PACKERS)
def test_a_bomb_is_refused(web: Web, downloader: Downloader, tmp_path: Path, coding: str) -> None:
    url = web.on("/v", _packed(coding, bytes(60_000_000)))
    with pytest.raises(FetchError, match="the limit is 100,000 bytes"):
        downloader.fetch(url, "v")
    assert len(web.seen) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_packed_page_is_no_video(web: Web, downloader: Downloader) -> None:
    url = web.on("/v", _packed("gzip", b"<!DOCTYPE html>" * 200))
    with pytest.raises(FetchError, match="is a web page, not a video"):
        downloader.fetch(url, "v")


def test_a_packed_body_that_breaks_off_is_asked_for_as_a_whole(
    web: Web, downloader: Downloader
) -> None:
    cut = _packed("gzip", etag='"one"', cut_after=300)
    url = web.on("/v", in_turn(cut, _packed("gzip", etag='"one"')))
    assert downloader.fetch(url, "v").path.read_bytes() == BODY
    assert ["range" in seen.headers for seen in web.seen] == [False, False]


def test_a_packed_end_without_a_length_is_asked_for_again(web: Web, downloader: Downloader) -> None:
    head = b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    packed = gzip.compress(BODY)
    url = web.on("/v", in_turn(raw(head + packed[:300]), raw(head + packed)))
    assert downloader.fetch(url, "v").path.read_bytes() == BODY


def test_a_packed_rest_is_not_joined(web: Web, downloader: Downloader) -> None:
    plain = serve(BODY, etag='"one"', cut_after=1000)
    rest = {
        "Content-Range": f"bytes 1000-{len(BODY) - 1}/{len(BODY)}",
        "Content-Encoding": "gzip",
        "ETag": '"one"',
    }
    packed = status(206, rest, gzip.compress(BODY[1000:]))
    url = web.on("/v", in_turn(plain, packed, serve(BODY, etag='"one"')))
    assert downloader.fetch(url, "v").path.read_bytes() == BODY
    assert ["range" in seen.headers for seen in web.seen] == [False, True, False]


def test_the_size_of_a_packed_file_is_no_sign_of_a_change(web: Web, downloader: Downloader) -> None:
    url = web.on("/v", _packed("gzip"))
    assert downloader.changed_source(url, downloader.fetch(url, "v").source) is None
    web.on("/v", chunked(BODY))
    assert downloader.fetch(url, "v").size == len(BODY)
