"""Videos decoded in a process apart: the same frames, and nothing else for the decoder to have."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from ingest.frames import Decoder, Frame, MediaLimits, Read, VideoReader
from ingest.frames.messages import HEAD, read
from registry.domain import Media
from registry.errors import MediaError
from tests.support.media import numbered, require_encoder, write_video
from tests.system.test_confinement import landlock, seccomp

LIMITS = MediaLimits()
PROBES = "tests.support.probes"


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


@pytest.fixture
def probing() -> Iterator[list[Decoder]]:
    made: list[Decoder] = []
    yield made
    for decoder in made:
        decoder.close()


def _taken(read: Read, path: Path, limits: MediaLimits = LIMITS) -> tuple[list[Frame], Media, str]:
    with read(path, every=3, limits=limits) as frames:
        taken = list(frames)
        return taken, frames.media, frames.reason


def _same(decoder: Decoder, path: Path) -> None:
    here, there = _taken(VideoReader, path), _taken(decoder.read, path)
    assert there[1:] == here[1:]
    assert len(there[0]) == len(here[0])
    for one, other in zip(here[0], there[0], strict=True):
        assert (other.index, other.time_s, other.span_s) == (one.index, one.time_s, one.span_s)
        assert np.array_equal(one.image, other.image)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"), ("b.mkv", "libx265", "yuv420p"),
        ("c.webm", "libvpx-vp9", "yuv420p"), ("d.mp4", "libsvtav1", "yuv420p"),
        ("e.avi", "mpeg4", "yuv420p"), ("f.gif", "gif", "rgb8"), ("g.mkv", "mjpeg", "yuvj420p"),
        ("h.ts", "mpeg2video", "yuv420p"), ("j.mkv", "ffv1", "yuv420p"),
    ],
)  # fmt: skip
def test_the_same_frames_come_as_from_this_process(
    decoder: Decoder, tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    require_encoder(codec)
    _same(decoder, write_video(tmp_path / name, numbered(20), codec=codec, pix_fmt=pix_fmt))


def test_an_animated_webp_and_a_damaged_video_come_the_same(
    decoder: Decoder, tmp_path: Path
) -> None:
    from PIL import Image

    pictures = [Image.new("RGB", (64, 48), (9 * n, 80, 120)) for n in range(9)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=40)
    _same(decoder, tmp_path / "a.webp")
    data = bytearray(write_video(tmp_path / "v.mkv", numbered(40)).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    (tmp_path / "v.mkv").write_bytes(data[:-300])
    _same(decoder, tmp_path / "v.mkv")


@pytest.mark.parametrize("what", ["a photo", "no video", "a folder", "nothing"])
def test_what_is_no_video_is_refused_in_the_same_words(
    decoder: Decoder, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "v.mp4"
    if what == "a folder":
        path.mkdir()
    elif what != "nothing":
        path.write_bytes(b"\xff\xd8\xff\xe0" if what == "a photo" else b"text " * 100)
    said = []
    for reading in (VideoReader, decoder.read):
        with pytest.raises(MediaError) as caught:
            _taken(reading, path)
        said.append(str(caught.value))
    assert said[0] == said[1]


@landlock
@seccomp
def test_a_decoder_reads_its_video_and_reaches_nothing_else(
    probing: list[Decoder], tmp_path: Path
) -> None:
    """The attempts are made where a decoder with a flaw would make them."""
    probing.append(Decoder(f"{PROBES}:Nosy"))
    (tmp_path / "secret.txt").write_text("secret")
    video = write_video(tmp_path / "v.mp4", numbered(3))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        target = tmp_path / f"{port}"
        video.rename(target)
        os.environ["FACE_REGISTRY_TEST_SECRET"] = "in the environment"
        try:
            frames, _, told = _taken(probing[0].read, target)
        finally:
            del os.environ["FACE_REGISTRY_TEST_SECRET"]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert len(frames) == 1
    assert "done" not in told
    assert told.count("refused") == 7


def test_a_decoder_that_is_killed_costs_its_video(probing: list[Decoder], tmp_path: Path) -> None:
    probing.append(Decoder(f"{PROBES}:Dying"))
    path = write_video(tmp_path / "v.mp4", numbered(3))
    with pytest.raises(MediaError, match="died \\(exit code -11\\)"):
        _taken(probing[0].read, path)
    with pytest.raises(MediaError, match="died \\(exit code -11\\)"):
        _taken(probing[0].read, path)


def test_a_decoder_whose_process_is_gone_is_replaced(decoder: Decoder, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(3))
    _same(decoder, path)
    assert decoder._process is not None
    os.kill(decoder._process.pid, signal.SIGKILL)
    decoder._process.wait()
    with pytest.raises(MediaError, match="the process that decoded it died"):
        _taken(decoder.read, path)
    _same(decoder, path)


def test_memory_is_limited_there(decoder: Decoder, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(3, (2048, 1024)))
    with pytest.raises(MediaError, match="more than 4 MiB of memory"):
        _taken(decoder.read, path, replace(LIMITS, max_memory=4 << 20))
    _same(decoder, path)


def _said(data: bytes) -> object:
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        return read(pipe, MediaLimits(max_pixels=100))


@pytest.mark.parametrize(
    "lie",
    [
        b"X" * 41,
        HEAD.pack(b"F", 0, 0.0, 0.1, 11, 10) + bytes(330),
        HEAD.pack(b"F", 0, 0.0, 0.1, 2**40, 2**40),
        HEAD.pack(b"F", 0, 0.0, 0.1, 0, 4),
        HEAD.pack(b"F", -1, 0.0, 0.1, 1, 1) + bytes(3),
        HEAD.pack(b"F", 0, float("nan"), 0.1, 1, 1) + bytes(3),
        HEAD.pack(b"E", 0, 0, 0, 2**40, 0),
        HEAD.pack(b"E", 0, 0, 0, 5, 0) + b"{]\xff\x1b ",
        HEAD.pack(b"E", 0, 0, 0, 2, 0) + b"{}",
        HEAD.pack(b"E", 0, 0, 0, 37, 0) + b'{"media":[],"reason":"","error":null}',
    ],
)  # fmt: skip
def test_what_no_decoder_says_is_not_believed(lie: bytes) -> None:
    with pytest.raises(MediaError, match="says"):
        _said(lie)


def test_what_a_decoder_says_cannot_act_on_a_terminal() -> None:
    text = json.dumps({"media": None, "reason": "", "error": "\x1b[2J no video"}).encode()
    with pytest.raises(MediaError) as caught:
        _said(HEAD.pack(b"E", 0, 0, 0, len(text), 0) + text)
    assert str(caught.value) == "\\x1b[2J no video"


@pytest.mark.parametrize("length", [0, 7, 41, 43])
def test_an_end_in_the_midst_is_an_end(length: int) -> None:
    assert _said((HEAD.pack(b"F", 0, 0.0, 0.1, 1, 1) + bytes(3))[:length]) is None


def test_it_ends_with_whoever_asked(probing: list[Decoder], tmp_path: Path) -> None:
    """As when a worker is killed while its decoder hangs."""
    probing.append(Decoder(f"{PROBES}:Hanging"))
    asking, path = probing[0], write_video(tmp_path / "v.mp4", numbered(3))
    said: list[str] = []

    def reads() -> None:
        with pytest.raises(MediaError) as caught:
            _taken(asking.read, path)
        said.append(str(caught.value))

    reading = Thread(target=reads)
    reading.start()
    while not asking._process or not _children(asking._process.pid):
        time.sleep(0.05)
    process, [child] = asking._process, _children(asking._process.pid)
    assert asking._socket is not None
    asking._socket.shutdown(socket.SHUT_RDWR)
    process.wait(timeout=20)
    reading.join(20)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert "the process that decoded it died" in said[0]


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
