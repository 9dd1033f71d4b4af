"""Decoding in another process: the same frames as in this one, and no access to anything else."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from ingest.frames import DecoderClient, Frame, MediaLimits, OpenVideo, Sampling, VideoReader
from ingest.frames.decoder_messages import HEADER, receive
from registry.domain import Media
from registry.errors import MediaError
from tests.support.media import numbered, require_encoder, write_video
from tests.system.test_confinement import landlock, seccomp

LIMITS = MediaLimits()


class ProbeClient(DecoderClient):
    """Starts one of `tests.support.decoder_probes` as the decoding process."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._module = ("tests.support.decoder_probes", name)


@pytest.fixture(scope="module")
def client() -> Iterator[DecoderClient]:
    client = DecoderClient()
    yield client
    client.close()


@pytest.fixture
def probe() -> Iterator[Callable[[str], ProbeClient]]:
    started: list[ProbeClient] = []

    def start(name: str) -> ProbeClient:
        started.append(ProbeClient(name))
        return started[-1]

    yield start
    for client in started:
        client.close()


def read_all(
    open_video: OpenVideo, path: Path, limits: MediaLimits = LIMITS
) -> tuple[list[Frame], Media, str]:
    with open_video(path, sampling=Sampling(3, 0.5, cuts=True), limits=limits) as reader:
        frames = list(reader)
        return frames, reader.media, reader.reason


def assert_same(client: DecoderClient, path: Path) -> None:
    here, there = read_all(VideoReader, path), read_all(client.open, path)
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
    client: DecoderClient, tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    require_encoder(codec)
    assert_same(client, write_video(tmp_path / name, numbered(20), codec=codec, pix_fmt=pix_fmt))


def test_an_animated_webp_and_a_damaged_video_come_the_same(
    client: DecoderClient, tmp_path: Path
) -> None:
    from PIL import Image

    pictures = [Image.new("RGB", (64, 48), (9 * n, 80, 120)) for n in range(9)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=40)
    assert_same(client, tmp_path / "a.webp")
    data = bytearray(write_video(tmp_path / "v.mkv", numbered(40)).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    (tmp_path / "v.mkv").write_bytes(data[:-300])
    assert_same(client, tmp_path / "v.mkv")


@pytest.mark.parametrize("what", ["a photo", "text", "a folder", "nothing"])
def test_other_files_are_refused_with_the_same_message(
    client: DecoderClient, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "v.mp4"
    if what == "a folder":
        path.mkdir()
    elif what != "nothing":
        path.write_bytes(b"\xff\xd8\xff\xe0" if what == "a photo" else b"text " * 100)
    messages = []
    for open_video in (VideoReader, client.open):
        with pytest.raises(MediaError) as caught:
            read_all(open_video, path)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@landlock
@seccomp
def test_the_decoding_process_reads_its_video_and_reaches_nothing_else(
    probe: Callable[[str], ProbeClient], tmp_path: Path
) -> None:
    """The attempts are made where a compromised decoder would make them."""
    client = probe("Intruding")
    (tmp_path / "secret.txt").write_text("secret")
    video = write_video(tmp_path / "v.mp4", numbered(3))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        target = tmp_path / f"{port}"
        video.rename(target)
        os.environ["FACE_REGISTRY_TEST_SECRET"] = "in the environment"
        try:
            frames, _, outcome = read_all(client.open, target)
        finally:
            del os.environ["FACE_REGISTRY_TEST_SECRET"]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert len(frames) == 1
    assert "done" not in outcome
    assert outcome.count("refused") == 7


def test_a_crash_fails_its_video_only(probe: Callable[[str], ProbeClient], tmp_path: Path) -> None:
    client = probe("Crashing")
    path = write_video(tmp_path / "v.mp4", numbered(3))
    with pytest.raises(MediaError, match="died with exit code -11"):
        read_all(client.open, path)
    with pytest.raises(MediaError, match="died with exit code -11"):
        read_all(client.open, path)


def test_a_process_that_died_is_replaced(client: DecoderClient, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(3))
    assert_same(client, path)
    assert client._process is not None
    os.kill(client._process.pid, signal.SIGKILL)
    client._process.wait()
    with pytest.raises(MediaError, match="the process that read the video died"):
        read_all(client.open, path)
    assert_same(client, path)


def test_memory_is_limited(client: DecoderClient, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(3, (2048, 1024)))
    with pytest.raises(MediaError, match="more than 4 MiB of memory"):
        read_all(client.open, path, replace(LIMITS, max_memory=4 << 20))
    assert_same(client, path)


def received(data: bytes) -> object:
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        return receive(pipe, MediaLimits(max_pixels=100))


@pytest.mark.parametrize(
    "message",
    [
        b"X" * 41,
        HEADER.pack(b"F", 0, 0.0, 0.1, 11, 10) + bytes(330),
        HEADER.pack(b"F", 0, 0.0, 0.1, 2**40, 2**40),
        HEADER.pack(b"F", 0, 0.0, 0.1, 0, 4),
        HEADER.pack(b"F", -1, 0.0, 0.1, 1, 1) + bytes(3),
        HEADER.pack(b"F", 0, float("nan"), 0.1, 1, 1) + bytes(3),
        HEADER.pack(b"E", 0, 0, 0, 2**40, 0),
        HEADER.pack(b"E", 0, 0, 0, 5, 0) + b"{]\xff\x1b ",
        HEADER.pack(b"E", 0, 0, 0, 2, 0) + b"{}",
        HEADER.pack(b"E", 0, 0, 0, 37, 0) + b'{"media":[],"reason":"","error":null}',
    ],
)  # fmt: skip
def test_messages_that_are_not_valid_are_refused(message: bytes) -> None:
    with pytest.raises(MediaError, match="not valid"):
        received(message)


def test_messages_cannot_control_a_terminal() -> None:
    text = json.dumps({"media": None, "reason": "", "error": "\x1b[2J no video"}).encode()
    with pytest.raises(MediaError) as caught:
        received(HEADER.pack(b"E", 0, 0, 0, len(text), 0) + text)
    assert str(caught.value) == "\\x1b[2J no video"


@pytest.mark.parametrize("length", [0, 7, 41, 43])
def test_a_pipe_that_ends_early_gives_none(length: int) -> None:
    assert received((HEADER.pack(b"F", 0, 0.0, 0.1, 1, 1) + bytes(3))[:length]) is None


def test_the_process_exits_with_its_client(
    probe: Callable[[str], ProbeClient], tmp_path: Path
) -> None:
    """As when a worker is killed while its decoding process hangs."""
    client, path = probe("Hanging"), write_video(tmp_path / "v.mp4", numbered(3))
    messages: list[str] = []

    def read() -> None:
        with pytest.raises(MediaError) as caught:
            read_all(client.open, path)
        messages.append(str(caught.value))

    reading = Thread(target=read)
    reading.start()
    while not client._process or not child_processes(client._process.pid):
        time.sleep(0.05)
    process, [child] = client._process, child_processes(client._process.pid)
    assert client._socket is not None
    client._socket.shutdown(socket.SHUT_RDWR)
    process.wait(timeout=20)
    reading.join(20)
    for _ in range(100):
        if has_exited(child):
            break
        time.sleep(0.1)
    assert has_exited(child)
    assert "the process that read the video died" in messages[0]


def has_exited(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"  # nobody has asked for its exit code yet


def child_processes(pid: int) -> list[int]:
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                children.append(int(path.parent.name))
        except OSError:
            continue
    return children
