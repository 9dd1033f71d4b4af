"""Decoding in another process: the same frames as in this one, and no access to anything else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from ingest.frames import (
    DecoderClient,
    Frame,
    MediaLimits,
    OpenVideo,
    Sampling,
    VideoReader,
    frame_memory,
)
from ingest.frames.decoder_messages import (
    HEADER,
    Exit,
    FrameMessage,
    ReadRequest,
    Result,
    receive,
)
from ingest.frames.frame_memory import FrameMemory
from registry.domain import Media
from registry.errors import MediaError
from tests.support.media import numbered, require_encoder, write_video
from tests.support.processes import kill
from tests.system.test_confinement import landlock, seccomp

LIMITS = MediaLimits()


class ProbeClient(DecoderClient):
    """Starts one of `tests.support.decoder_probes` as the decoding process."""

    def __init__(self, name: str, *, forks: bool) -> None:
        super().__init__(forks=forks)
        self._module = ("tests.support.decoder_probes", name)


@pytest.fixture(scope="module", params=[True, False], ids=["forks", "a process each"])
def forks(request: pytest.FixtureRequest) -> bool:
    """Whether one process reads several videos, as on POSIX, or one each, as on Windows."""
    return bool(request.param)


@pytest.fixture(scope="module")
def client(forks: bool) -> Iterator[DecoderClient]:
    client = DecoderClient(forks=forks)
    yield client
    client.close()


@pytest.fixture(scope="module")
def default_client() -> Iterator[DecoderClient]:
    client = DecoderClient()
    yield client
    client.close()


@pytest.fixture
def probe(forks: bool) -> Iterator[Callable[[str], ProbeClient]]:
    started: list[ProbeClient] = []

    def start(name: str) -> ProbeClient:
        started.append(ProbeClient(name, forks=forks))
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


CODECS = (
    ("a.mp4", "libx264", "yuv420p"), ("b.webm", "libvpx-vp9", "yuv420p"), ("c.gif", "gif", "rgb8"),
    ("d.mkv", "libx265", "yuv420p"), ("e.mp4", "libsvtav1", "yuv420p"),
    ("f.avi", "mpeg4", "yuv420p"), ("g.mkv", "mjpeg", "yuvj420p"),
    ("h.ts", "mpeg2video", "yuv420p"), ("j.mkv", "ffv1", "yuv420p"),
)  # fmt: skip


def _encoded(folder: Path, name: str, codec: str, pix_fmt: str) -> Path:
    require_encoder(codec)
    return write_video(folder / name, numbered(20), codec=codec, pix_fmt=pix_fmt)


@pytest.mark.parametrize("encoding", CODECS, ids=lambda encoding: encoding[1])
def test_the_same_frames_come_as_from_this_process(
    default_client: DecoderClient, tmp_path: Path, encoding: tuple[str, str, str]
) -> None:
    assert_same(default_client, _encoded(tmp_path, *encoding))


@pytest.mark.parametrize("encoding", CODECS[:3], ids=lambda encoding: encoding[1])
def test_the_same_frames_come_from_either_kind_of_process(
    client: DecoderClient, tmp_path: Path, encoding: tuple[str, str, str]
) -> None:
    """Of three codecs only: a process for each video takes time, and decodes as the other does."""
    assert_same(client, _encoded(tmp_path, *encoding))


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


@landlock
def test_every_thread_of_the_decoding_process_is_confined(
    probe: Callable[[str], ProbeClient], tmp_path: Path
) -> None:
    """Landlock holds in the thread that asks for it and in those that it starts afterwards."""
    path = write_video(tmp_path / "v.mp4", numbered(3))
    assert "done" not in (outcome := read_all(probe("Threads").open, path)[2])
    assert outcome.count("refused") >= 2


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
    client.start()
    assert client._next is not None
    client._next._child._process.kill()
    client._next._child.wait(10)
    assert_same(client, path)


def test_a_process_that_is_killed_fails_its_video_only(
    probe: Callable[[str], ProbeClient], tmp_path: Path
) -> None:
    client, path = probe("Hanging"), write_video(tmp_path / "v.mp4", numbered(3))
    for _ in range(2):
        with client.open(path, sampling=Sampling(1), limits=LIMITS) as reader:
            for pid in reading_processes(client):
                kill(pid)
            with pytest.raises(MediaError, match="the process that read the video was killed"):
                list(reader)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes it with its last user")
def test_a_worker_that_ends_before_its_first_video_leaves_no_memory_and_no_warning() -> None:
    code = (
        "import os; from ingest.frames import DecoderClient; client = DecoderClient();"
        "client.start(); print(client._next.memory.name, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            memory = FrameMemory.attach(done.stdout.strip())
            memory._bytes = np.empty(0, np.uint8)
            memory._shared.close()  # memory.close() would remove it
        except FileNotFoundError:
            return
        time.sleep(0.1)
    pytest.fail("the shared memory is still there")


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
        return receive(pipe, MediaLimits(max_pixels=100), memory_bytes=300, secret=b"secret")


@pytest.mark.parametrize(
    "message",
    [
        b"Z" * HEADER.size,
        HEADER.pack(b"Q", 0, 0.0, 0.1, 1, 1, -1) + bytes(3),
        HEADER.pack(b"F", 0, 0.0, 0.1, 11, 10, -1) + bytes(330),
        HEADER.pack(b"F", 0, 0.0, 0.1, 2**40, 2**40, -1),
        HEADER.pack(b"F", 0, 0.0, 0.1, 0, 4, 0),
        HEADER.pack(b"F", 0, 0.0, 0.1, 10, 10, 1),
        HEADER.pack(b"F", 0, 0.0, 0.1, 1, 1, 2**62),
        HEADER.pack(b"F", -1, 0.0, 0.1, 1, 1, 0),
        HEADER.pack(b"F", 2**62, 0.0, 0.1, 1, 1, 0),
        HEADER.pack(b"F", 0, float("nan"), 0.1, 1, 1, 0),
        HEADER.pack(b"R", -1, 0, 0, 1, 0, 0),
        HEADER.pack(b"R", 0, 0, 0, 2**40, 0, 0),
        HEADER.pack(b"X", 0, 0, 0, 0, 0, 0) + b"secreT",
        HEADER.pack(b"E", 0, 0, 0, 2**40, 0, 0),
        HEADER.pack(b"E", 0, 0, 0, 5, 0, 0) + b"{]\xff\x1b ",
        HEADER.pack(b"E", 0, 0, 0, 2, 0, 0) + b"{}",
        HEADER.pack(b"E", 0, 0, 0, 60_000, 0, 0) + b"[" * 60_000,
        HEADER.pack(b"E", 0, 0, 0, 37, 0, 0) + b'{"media":[],"reason":"","error":null}',
    ],
)  # fmt: skip
def test_messages_that_are_not_valid_are_refused(message: bytes) -> None:
    with pytest.raises(MediaError, match="not valid"):
        received(message)


def result_message(**media: object) -> bytes:
    whole = {
        "duration_s": 1.5, "width": 10, "height": 10, "codec": "h264", "frames_sampled": 3,
        "frames_damaged": 0,
    }  # fmt: skip
    text = json.dumps({"media": whole | media, "reason": "", "error": None}).encode()
    return HEADER.pack(b"E", 0, 0, 0, len(text), 0, 0) + text


@pytest.mark.parametrize(
    "media",
    [
        {"duration_s": float("nan")}, {"duration_s": float("inf")}, {"duration_s": -1.0},
        {"width": -10, "height": -10}, {"width": 2**40}, {"height": float("inf")},
        {"frames_sampled": -1}, {"frames_sampled": 10**400}, {"frames_damaged": float("nan")},
    ],
)  # fmt: skip
def test_results_that_cannot_be_recorded_are_refused(media: dict[str, object]) -> None:
    assert isinstance(received(result_message()), Result)
    with pytest.raises(MediaError, match="not valid"):
        received(result_message(**media))


def test_messages_that_are_valid_are_received() -> None:
    assert received(HEADER.pack(b"F", 3, 0.5, 0.1, 10, 10, 0)) == FrameMessage(
        3, 0.5, 0.1, 10, 10, 0, None
    )
    assert received(HEADER.pack(b"R", 7, 0, 0, 9, 0, 0)) == ReadRequest(7, 9)
    assert received(HEADER.pack(b"X", -9, 0, 0, 0, 0, 0) + b"secret") == Exit(-9)


def test_messages_cannot_control_a_terminal() -> None:
    text = json.dumps({"media": None, "reason": "", "error": "\x1b[2J no video"}).encode()
    result = received(HEADER.pack(b"E", 0, 0, 0, len(text), 0, 0) + text)
    assert isinstance(result, Result)
    assert result.error == "\\x1b[2J no video"


@pytest.mark.parametrize("length", [0, 7, HEADER.size, HEADER.size + 2])
def test_a_pipe_that_ends_early_gives_none(length: int) -> None:
    message = HEADER.pack(b"F", 0, 0.0, 0.1, 1, 1, -1) + bytes(3)
    assert received(message[:length]) is None


def test_a_video_leaves_nothing_for_the_next(
    probe: Callable[[str], ProbeClient], client: DecoderClient, tmp_path: Path
) -> None:
    """A decoder that asks for bytes which it does not take, and announces that it has exited."""
    path = write_video(tmp_path / "v.mp4", numbered(30))
    lying = probe("Lying")
    for _ in range(2):
        with pytest.raises(MediaError, match="not valid"):
            read_all(lying.open, path)
    unread = probe("Unread")
    for _ in range(2):
        assert len(read_all(unread.open, path)[0]) == 1
    with client.open(path, sampling=Sampling(1), limits=LIMITS) as reader:
        assert len(list(reader)) == 30
        memory = client._current.memory if client._current else None
        assert memory is not None
        assert memory.copy(0, 1, memory.size // 3).any()
    if client._forks:
        assert not memory.copy(0, 1, memory.size // 3).any()


def test_a_frame_that_does_not_fit_comes_through_the_pipe(
    forks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(20))
    for size in (64 << 10, 1):  # fewer places than frames ahead; none
        monkeypatch.setattr(frame_memory, "_LARGEST", size)
        monkeypatch.setattr(frame_memory, "_SMALLEST", size)
        client = DecoderClient(forks=forks)
        assert_same(client, path)
        client.close()


def test_without_shared_memory_frames_come_through_the_pipe(
    forks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_memory, "_LARGEST", 1 << 60)
    monkeypatch.setattr(frame_memory, "_SMALLEST", 1 << 59)
    assert FrameMemory.create() is None
    client = DecoderClient(forks=forks)
    assert_same(client, write_video(tmp_path / "v.mp4", numbered(20)))
    client.close()


def test_a_reader_may_leave_early(client: DecoderClient, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(40))
    for taken in (0, 2):
        with client.open(path, sampling=Sampling(1), limits=LIMITS) as reader:
            frames = iter(reader)
            for _ in range(taken):
                next(frames)
    assert_same(client, path)


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
    while not client._current or not reading_processes(client):
        time.sleep(0.05)
    process, reads = client._current, reading_processes(client)
    time.sleep(0.5)  # until it hangs
    process._child.input.close()
    reading.join(20)
    for _ in range(100):
        if all(map(has_exited, reads)):
            break
        time.sleep(0.1)
    assert all(map(has_exited, reads))
    assert "the process that read the video died" in messages[0]


def reading_processes(client: DecoderClient) -> list[int]:
    assert client._current is not None
    pid = client._current.pid
    return [pid, *child_processes(pid)] if client._forks else [pid]


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
