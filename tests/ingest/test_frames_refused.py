"""Files that are not videos, or too large: refused early, with a message of one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from ingest.frames import MediaLimits, Sampling, VideoReader
from ingest.frames.file_format import describe_non_video, is_animated_webp, still_image_format
from registry.errors import MediaError
from tests.support.media import number_of, numbered, require_encoder, write_video


def refusal(path: Path, limits: MediaLimits | None = None) -> str:
    """The message with which the reader refuses a file."""
    with pytest.raises(MediaError) as caught, VideoReader(path, limits=limits) as reader:
        list(reader)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Other files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html>\n<html><body>Not found</body></html>", "a web page, not a video"),
        (b"\n  <html lang='en'>" + b"<p>text</p>" * 200, "a web page, not a video"),
        (b"Just some text.\n" * 40, "text, not a video"),
        (b'{"error": "expired"}', "JSON, not a video"),
        (b"%PDF-1.7\n\xe2\xe3\xcf\xd3", "a PDF document, not a video"),
        (b"PK\x03\x04" + bytes(60), "an archive, not a video"),
        (b"ID3\x04\0\0\0\0\0\0" + bytes(200), "audio only (MP3), not a video"),
        (b"#EXTM3U\n#EXTINF:10,\nclip.ts\n", "a playlist (HLS), not a video"),
        (bytes(range(256)) * 8, "not in a supported video format"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40), "index (moov) is missing"),
    ],
)
def test_the_message_says_what_a_file_is(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)

    assert said in refusal(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff", "avif"])
def test_still_images_are_refused(tmp_path: Path, suffix: str) -> None:
    still = tmp_path / f"still.{suffix}"
    image = Pillow.fromarray(next(numbered(1)))
    try:
        image.save(still)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"Pillow is built without {suffix}")
    path = tmp_path / "clip.mp4"
    still.rename(path)

    assert "an image (" in refusal(path)
    assert "not a video" in refusal(path)


@pytest.mark.parametrize(("suffix", "cover"), [("m4a", False), ("mkv", False), ("mp4", True)])
def test_audio_is_refused(tmp_path: Path, suffix: str, cover: bool) -> None:
    # To libav, a cover is a video stream.
    path = tmp_path / f"song.{suffix}"
    with av.open(str(path), "w") as file:
        sound = file.add_stream("aac", rate=16_000, layout="mono")
        if cover:
            require_encoder("mjpeg")
            picture = file.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 96, 64, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(next(numbered(1)), format="bgr24")
            frame.pts, frame.time_base = 0, Fraction(1)
            file.mux(picture.encode(frame))
            file.mux(picture.encode(None))
        for start in range(0, 16_000, 1024):
            part = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            part.sample_rate, part.pts = 16_000, start
            file.mux(sound.encode(part))
        file.mux(sound.encode(None))

    assert "audio only" in refusal(path)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov+frag_keyframe"}) as file:
        stream = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.open()
        file.start_encoding()

    assert "has no frames" in refusal(path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "nowhere.mp4")
    assert "cannot be read" in refusal(tmp_path)


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_first_bytes_are_described(head: bytes) -> None:
    assert describe_non_video(head)
    still_image_format(head)
    is_animated_webp(head)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_headers_raise_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    whole = WHOLE[data.draw(st.sampled_from(sorted(WHOLE)))]
    damaged = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=20)):
        damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(damaged[: data.draw(st.integers(1, len(whole)))])
    limits = MediaLimits(max_pixels=200_000)
    try:
        with VideoReader(path, sampling=Sampling(every=2), limits=limits) as reader:
            for frame in reader:
                assert frame.image.shape[0] * frame.image.shape[1] <= limits.max_pixels
                assert frame.span_s >= 0
    except MediaError:
        pass


WHOLE: dict[str, bytes] = {}
"""Small intact files of several formats, by suffix."""


@pytest.fixture(scope="module", autouse=True)
def _whole_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("whole")
    for suffix, codec, pix_fmt in (
        ("mp4", "libx264", "yuv420p"),
        ("mkv", "libx264", "yuv420p"),
        ("ts", "libx264", "yuv420p"),
        ("flv", "libx264", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("gif", "gif", "rgb8"),
    ):
        path = write_video(folder / f"clip.{suffix}", numbered(12), codec=codec, pix_fmt=pix_fmt)
        WHOLE[suffix] = path.read_bytes()
    pictures = [Pillow.fromarray(image) for image in numbered(4)]
    pictures[0].save(folder / "clip.webp", save_all=True, append_images=pictures[1:])
    WHOLE["webp"] = (folder / "clip.webp").read_bytes()


# Limits


def test_more_pixels_than_the_limit_are_refused_from_the_header(tmp_path: Path) -> None:
    for suffix, codec, pix_fmt in (
        ("mp4", "libx264", "yuv420p"),
        ("mkv", "libx264", "yuv420p"),
        ("ts", "libx264", "yuv420p"),
        ("flv", "libx264", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("gif", "gif", "rgb8"),
        ("apng", "apng", "gray"),
        ("webm", "libvpx-vp9", "yuv420p"),
    ):
        path = write_video(
            tmp_path / f"clip.{suffix}", numbered(3, (640, 480)), codec=codec, pix_fmt=pix_fmt
        )
        assert (
            refusal(path, MediaLimits(max_pixels=640 * 480 - 1))
            == "the video has frames of 640 × 480 pixels; the limit is 307199 pixels a frame"
        )
        with VideoReader(path, limits=MediaLimits(max_pixels=640 * 480)) as reader:
            assert len(list(reader)) == 1, suffix


def test_a_webp_canvas_is_measured_before_it_is_allocated(tmp_path: Path) -> None:
    pictures = [Pillow.fromarray(image) for image in numbered(3)]
    path = tmp_path / "clip.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    damaged = bytearray(path.read_bytes())
    damaged[24:30] = (16_382).to_bytes(3, "little") * 2  # a GiB, as RGBA
    path.write_bytes(damaged)

    assert "16383 × 16383 pixels" in refusal(path)


def test_frames_that_outgrow_their_header_are_refused(tmp_path: Path) -> None:
    # Two recordings, one behind the other: the second is larger.
    small, large = (
        write_video(
            tmp_path / f"{width}.ts",
            numbered(30, (width, 64)),
            options={"x264-params": "repeat-headers=1"},
        ).read_bytes()
        for width in (96, 640)
    )
    path = tmp_path / "clip.ts"
    path.write_bytes(small + large)

    with VideoReader(
        path, sampling=Sampling(every=1), limits=MediaLimits(max_pixels=20_000)
    ) as reader:
        shapes = {frame.image.shape for frame in reader}

    assert shapes == {(64, 96, 3)}
    assert reader.media.frames_damaged > 0


def test_a_large_picture_takes_little_memory_to_refuse(tmp_path: Path) -> None:
    # 6000 × 6000 pixels in a file of 110 kB: 54 MB once decoded, and several of them at a time.
    flat = np.full((6000, 6000, 3), 128, dtype=np.uint8)
    path = write_video(tmp_path / "bomb.flv", [flat], options={"preset": "ultrafast"})
    assert path.stat().st_size < 200_000
    before = peak_kilobytes(reset=True)

    message = refusal(path)

    assert "6000 × 6000 pixels" in message
    assert peak_kilobytes() - before < 20_000


def test_a_header_with_a_false_size_is_refused(tmp_path: Path) -> None:
    flat = np.full((6000, 6000, 3), 128, dtype=np.uint8)
    path = write_video(tmp_path / "bomb.avi", [flat] * 2, codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    size = data.index(b"strf") + 12  # biWidth and biHeight of BITMAPINFOHEADER
    assert data[size : size + 8] == (6000).to_bytes(4, "little") * 2
    data[size : size + 8] = (64).to_bytes(4, "little") * 2
    path.write_bytes(data)
    before = peak_kilobytes(reset=True)

    assert "none of the video's 2 frames can be decoded" in refusal(path)

    assert peak_kilobytes() - before < 20_000


def peak_kilobytes(*, reset: bool = False) -> int:
    """The most memory that this process has held, at all or since the last reset."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not clear.exists():
        pytest.skip("peak memory is read from Linux's /proc")
    if reset:
        clear.write_text("5")
    lines = status.read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def test_longer_than_the_limit_is_refused_from_the_header(tmp_path: Path) -> None:
    times = [0, 1000, 7 * 3600 * 1000]
    for suffix in ("mp4", "mkv"):
        path = write_video(
            tmp_path / f"clip.{suffix}", numbered(3), times=times, time_base=Fraction(1, 1000)
        )
        assert "7.0 hours long; the limit is 6 hours" in refusal(path)


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_longer_than_the_limit_is_refused_while_decoding(tmp_path: Path, codec: str) -> None:
    # Written as a broadcast, Matroska states no duration.
    path = write_video(
        tmp_path / "clip.mkv", numbered(60), codec=codec, container_options={"live": "1"}
    )
    with av.open(str(path)) as file:
        assert file.duration is None

    assert "hours long; the limit is" in refusal(path, MediaLimits(max_duration_s=1.5))


@pytest.mark.parametrize("suffix", ["mp4", "gif", "webp"])
def test_more_frames_than_the_limit_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    if suffix == "webp":
        pictures = [Pillow.fromarray(image) for image in numbered(12)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:])
    else:
        gif = suffix == "gif"
        write_video(
            path,
            numbered(12),
            codec="gif" if gif else "libx264",
            pix_fmt="rgb8" if gif else "yuv420p",
        )

    assert "more than 11 frames" in refusal(path, MediaLimits(max_frames=11))
    with VideoReader(path, limits=MediaLimits(max_frames=12)) as reader:
        assert len(list(reader)) == 2


# Files that name other files


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}/a.ts\n#EXT-X-ENDLIST\n"


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """The address of a server that nothing may call, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip.mpd", "clip.txt", "clip.sdp"])
@pytest.mark.parametrize(
    "content",
    [
        PLAYLIST,
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}/b.m3u8\n",
        '#EXTM3U\n#EXT-X-MAP:URI="{url}/i.mp4"\n#EXTINF:1,\n{url}/c.m4s\n#EXT-X-ENDLIST\n',
        "ffconcat version 1.0\nfile '{url}/d.mp4'\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
        '<Period><BaseURL>{url}/</BaseURL><AdaptationSet mimeType="video/mp4"><Representation '
        'id="1" bandwidth="1"><SegmentList><SegmentURL media="e.m4s"/></SegmentList>'
        "</Representation></AdaptationSet></Period></MPD>",
        "[playlist]\nFile1={url}/f.mp4\n",
        "v=0\nm=video 5004 RTP/AVP 96\nc=IN IP4 127.0.0.1\na=control:{url}/g\n",
    ],
    ids=["hls", "hls-master", "hls-map", "concat", "dash", "pls", "sdp"],
)
def test_no_address_in_a_file_is_fetched(
    tmp_path: Path, canary: tuple[str, list[str]], content: str, name: str
) -> None:
    url, asked = canary
    path = tmp_path / name
    path.write_text(content.replace("{url}", url))

    refusal(path)

    assert asked == []


def test_the_canary_notices_a_reader_that_follows_a_playlist(
    tmp_path: Path, canary: tuple[str, list[str]]
) -> None:
    # Without the reader's options, libav calls the server: the tests above can fail.
    url, asked = canary
    path = tmp_path / "clip.m3u8"
    path.write_text(PLAYLIST.replace("{url}", url))

    with path.open("rb") as file, pytest.raises(av.FFmpegError):
        av.open(file)

    assert "/a.ts" in asked


def test_no_other_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A list that names a video, and a pattern that matches images.
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", numbered(12))
    for name, content in (
        ("list.ffconcat", "ffconcat version 1.0\nfile clip.mp4\n"),
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n"),
    ):
        Path(name).write_text(content)
        refusal(Path(name))
    for number in range(3):
        Pillow.fromarray(next(numbered(1))).save(f"image{number}.png")
    assert "cannot be read" in refusal(Path("image%d.png"))
    assert "cannot be read" in refusal(Path("concat:clip.mp4|clip.mp4"))
    with VideoReader(Path("clip.mp4")) as reader:
        assert [number_of(frame.image) for frame in reader] == [0, 10]
