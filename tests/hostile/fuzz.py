"""What strangers send, by chance: whatever comes, only our own errors come out."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.fetch.addresses import AddressPolicy
from ingest.frames import MediaLimits, Sampling, VideoReader
from ingest.tables.reading import read_table
from ingest.tables.table import TableOptions
from queries.photos import load_photo
from registry.errors import FetchError, ImageError, MediaError, RegistryError, UsageError
from registry.urls import canonical, parse, redacted
from tests.support.media import numbered, write_video


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _sound(suffix: str) -> bytes:
    """The bytes of a sound file."""
    path = _folder() / f"sound.{suffix}"
    if suffix in {"mp4", "mkv"}:
        return write_video(path, numbered(12)).read_bytes()
    cv2.imwrite(str(path), next(numbered(1)))
    return path.read_bytes()


@st.composite
def mutated(draw: st.DrawFn, suffix: str) -> bytes:
    """A sound file with bytes changed, pieces moved, lengths raised, or its end cut off."""
    data = bytearray(_sound(suffix))
    for _ in range(draw(st.integers(1, 12))):
        at = draw(st.integers(0, len(data) - 1))
        piece = draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"moov", b"\0\0\0\1"]),
            )
        )
        if draw(st.booleans()):
            data[at : at + len(piece)] = piece
        else:
            data[at:at] = piece
    return bytes(data[: draw(st.integers(1, len(data)))]) if draw(st.booleans()) else bytes(data)


def _media(suffix: str, data: bytes) -> None:
    path = _folder() / f"fuzzed-{suffix}"
    path.write_bytes(data)
    limits = MediaLimits(max_pixels=500_000)
    try:
        with VideoReader(path, sampling=Sampling(every=3), limits=limits) as reader:
            for frame in reader:
                assert frame.image.shape[0] * frame.image.shape[1] <= limits.max_pixels
    except MediaError as exc:
        assert str(exc)


def _photo(data: bytes) -> None:
    path = _folder() / "fuzzed-photo"
    path.write_bytes(data)
    try:
        assert load_photo(path).image.ndim == 3
    except ImageError as exc:
        assert "fuzzed-photo" in str(exc)


def _table(data: bytes) -> None:
    path = _folder() / "fuzzed.csv"
    path.write_bytes(data)
    try:
        for row in read_table(path, TableOptions()).rows:
            assert "://" in row.url.exposed()
    except RegistryError as exc:
        assert str(exc)


_url_pieces = st.sampled_from(
    ["http://", "https://", "//", "@", ":", "/", "\\", "#", "?", "%", "[", "]", "127.0.0.1", "::1",
     "0x7f", "localhost", "%31", "①", "。", "\u200b", "xn--", "a", ".", "..", "169.254.169.254"]
)  # fmt: skip
_urls = st.one_of(
    st.lists(st.one_of(_url_pieces, st.text(max_size=3)), max_size=12).map("".join),
    st.lists(_url_pieces, max_size=8).map(lambda parts: "http://" + "".join(parts)),
)
_POLICY = AddressPolicy()


def _address(url: str) -> None:
    """No spelling leads to this machine, and none changes by being brought into its form twice."""
    assert redacted(url).isprintable()
    try:
        parsed = parse(url)
    except UsageError:
        return
    assert canonical(canonical(url).exposed()) == canonical(url)
    numeric = parsed.host.replace(".", "").isalnum() and not parsed.host.endswith(("a", "host"))
    if parsed.host == "localhost" or ":" in parsed.host or (numeric and parsed.host[:1].isdigit()):
        try:
            found = _POLICY.checked_addresses(parsed.host, parsed.port)
        except (FetchError, OSError):
            return
        assert not any(one.startswith(("127.", "169.254.", "0.", "::")) for one in found), found


_csv_pieces = st.sampled_from(
    [b"Video URL", b"Performance", b",", b";", b"\t", b'"', b"\n", b"\r", b"\0", b"\xef\xbb\xbf",
     b"a.mp4", b"1,5", b"=1+1", b"\x1b[31m", b"%"]
)  # fmt: skip
_csvs = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(_csv_pieces, st.binary(max_size=4)), max_size=60).map(
        lambda parts: b"Video URL,Performance\n" + b"".join(parts)
    ),
)

TARGETS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None]]] = {
    "CSV reader": (_csvs, _table),
    "URLs and addresses": (_urls, _address),
    "photos, JPEG": (mutated("jpg"), _photo),
    "photos, PNG": (mutated("png"), _photo),
    "videos, MP4": (mutated("mp4"), functools.partial(_media, "mp4")),
    "videos, Matroska": (mutated("mkv"), functools.partial(_media, "mkv")),
}


def fuzz(name: str, examples: int) -> None:
    """Try so many examples of a target; raises what hypothesis found."""
    strategy, check = TARGETS[name]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(value: Any) -> None:
        check(value)

    run()
