"""Which frames of a video are sampled, when they are shown, and what they look like."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image as Pillow

from ingest.frames import Frame, Sampling, VideoReader
from registry.domain import Image
from registry.errors import UsageError
from tests.support.media import number_of, numbered, remuxed, write_video

RED, GREEN, BLUE, WHITE = (0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255)


def read_frames(path: Path, every: int = 10) -> list[Frame]:
    with VideoReader(path, sampling=Sampling(every=every)) as reader:
        frames = list(reader)
        assert reader.reason == ""
        assert reader.media.frames_damaged == 0
        assert reader.media.frames_sampled == len(frames)
    return frames


# Which frames, and when


@pytest.mark.parametrize("every", [1, 7, 10, 100])
def test_every_nth_frame_is_sampled_from_the_first(tmp_path: Path, every: int) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(45))

    frames = read_frames(path, every)

    assert [frame.index for frame in frames] == list(range(0, 45, every))
    assert [number_of(frame.image) for frame in frames] == list(range(0, 45, every))
    assert [frame.time_s for frame in frames] == pytest.approx(
        [index / 30 for index in range(0, 45, every)]
    )
    assert sum(frame.span_s for frame in frames) == pytest.approx(45 / 30)


def test_spans_reach_to_the_next_frame_and_the_end(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(25), fps=10)

    assert [frame.span_s for frame in read_frames(path)] == pytest.approx([1.0, 1.0, 0.5])


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_variable_frame_rates_keep_their_times(tmp_path: Path, codec: str, suffix: str) -> None:
    gaps = [40, 40, 500, 33, 33, 7, 1000, 250, 90, 40, 40]
    times = [700 + sum(gaps[:n]) for n in range(len(gaps))]
    path = write_video(
        tmp_path / f"clip.{suffix}",
        numbered(len(times)),
        codec=codec,
        times=times,
        time_base=Fraction(1, 1000),
    )

    frames = read_frames(path, every=2)

    due = [(time - times[0]) / 1000 for time in times[::2]]
    assert [frame.time_s for frame in frames] == pytest.approx(due, abs=1e-3)
    assert [number_of(frame.image) for frame in frames] == [0, 2, 4, 6, 8, 10]
    for frame, following in pairwise(frames):
        assert frame.time_s + frame.span_s == pytest.approx(following.time_s)


def test_media_describes_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(31, (128, 96)), audio_s=1.0)

    with VideoReader(path, sampling=Sampling(every=5)) as reader:
        for _ in reader:
            pass
        media = reader.media

    assert media.duration_s == pytest.approx(31 / 30)
    assert (media.width, media.height, media.codec) == (128, 96, "h264")
    assert (media.frames_sampled, media.frames_damaged) == (7, 0)


def test_one_frame_makes_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(1), fps=25)

    (frame,) = read_frames(path)

    assert (frame.index, frame.time_s) == (0, 0.0)
    assert frame.span_s == pytest.approx(0.04)


def test_frames_that_an_edit_list_removes_do_not_count(tmp_path: Path) -> None:
    # As after cutting without encoding: 30 frames are needed for decoding but not shown.
    whole = write_video(tmp_path / "whole.mp4", numbered(60), options={"g": "60", "bf": "3"})
    cut = tmp_path / "cut.mp4"
    remuxed(whole, cut, shift=-30, options={"avoid_negative_ts": "disabled"})

    frames = read_frames(cut)

    assert [(frame.index, number_of(frame.image)) for frame in frames] == [
        (0, 30),
        (10, 40),
        (20, 50),
    ]
    assert frames[1].time_s == pytest.approx(10 / 30)


def test_time_continues_where_recordings_are_joined(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.ts", numbered(60), options={"bf": "2"})
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 2)

    frames = read_frames(joined)

    assert [frame.index for frame in frames] == list(range(0, 120, 10))
    assert [number_of(frame.image) for frame in frames] == [*range(0, 60, 10)] * 2
    assert [frame.time_s for frame in frames] == pytest.approx(
        [index / 30 for index in range(0, 120, 10)], abs=0.1
    )


def test_a_container_without_presentation_times_counts_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", numbered(60), options={"bf": "3"}, fps=25)

    frames = read_frames(path, every=1)

    assert [number_of(frame.image) for frame in frames] == list(range(60))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(60)])


def test_times_in_decoding_order_never_run_backwards(tmp_path: Path) -> None:
    # Some writers put decoding times where presentation times belong.
    whole = write_video(tmp_path / "whole.mp4", numbered(60), options={"bf": "3"})
    confused = tmp_path / "confused.mkv"
    remuxed(whole, confused, presentation=False)

    with VideoReader(confused, sampling=Sampling(every=1)) as reader:
        frames = list(reader)

    assert [number_of(frame.image) for frame in frames] == list(range(60))
    assert all(frame.time_s <= following.time_s for frame, following in pairwise(frames))
    assert reader.media.duration_s == pytest.approx(2.0, abs=0.15)


# What they look like


QUADRANTS: Image = np.zeros((64, 96, 3), dtype=np.uint8)
QUADRANTS[:32, :48], QUADRANTS[:32, 48:], QUADRANTS[32:, :48], QUADRANTS[32:, 48:] = (
    RED,
    GREEN,
    BLUE,
    WHITE,
)


def corners(image: Image) -> str:
    """The colours of the quadrants, row by row, by their initials."""
    height, width = image.shape[:2]
    names = {RED: "R", GREEN: "G", BLUE: "B", WHITE: "W"}

    def nearest(y: int, x: int) -> str:
        pixel = image[y, x].astype(int)
        return names[min(names, key=lambda colour: abs(pixel - colour).sum())]

    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return "".join(nearest(y, x) for y in rows for x in columns)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    ("rotation", "seen"), [(0, "RGBW"), (90, "GWRB"), (180, "WBGR"), (270, "BRWG")]
)
def test_rotated_videos_stand_upright(
    tmp_path: Path, rotation: int, seen: str, suffix: str
) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", [QUADRANTS] * 3, rotation=rotation)

    (frame,) = read_frames(path)

    assert corners(frame.image) == seen
    assert frame.image.shape == ((64, 96, 3) if rotation in (0, 180) else (96, 64, 3))
    assert frame.image.flags.c_contiguous
    capture = cv2.VideoCapture(str(path))  # OpenCV turns videos, too
    turned, other = capture.read()
    capture.release()
    assert turned
    assert corners(other.astype(np.uint8)) == seen


@pytest.mark.parametrize(("rotation", "seen"), [(0, "GRWB"), (90, "WGBR"), (180, "BWRG")])
def test_mirrored_videos_are_mirrored_back(tmp_path: Path, rotation: int, seen: str) -> None:
    path = write_video(tmp_path / "clip.mp4", [QUADRANTS] * 3, rotation=rotation, hflip=True)

    (frame,) = read_frames(path)

    assert corners(frame.image) == seen


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    ("shape", "width"), [(Fraction(4, 3), 128), (Fraction(8, 9), 85), (Fraction(99, 1), 96)]
)
def test_anamorphic_pixels_become_square(
    tmp_path: Path, shape: Fraction, width: int, suffix: str
) -> None:
    # 99 : 1 is an error of the header, which is ignored.
    path = write_video(tmp_path / f"clip.{suffix}", [QUADRANTS] * 12, pixel_shape=shape)

    frame = read_frames(path)[0]

    assert frame.image.shape == (64, width, 3)
    assert corners(frame.image) == "RGBW"


def test_anamorphic_pixels_are_squared_before_the_picture_is_turned(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", [QUADRANTS] * 3, pixel_shape=Fraction(2), rotation=90)

    with VideoReader(path) as reader:
        (frame,) = reader

    assert frame.image.shape == (192, 64, 3)
    assert corners(frame.image) == "GWRB"
    assert (reader.media.width, reader.media.height) == (64, 192)


@pytest.mark.parametrize("colour_space", [1, 5])
@pytest.mark.parametrize("colour_range", [1, 2])
@pytest.mark.parametrize("colour", [(0, 0, 0), WHITE, RED, (180, 120, 60)])
def test_colours_survive_ranges_and_matrices(
    tmp_path: Path, colour: tuple[int, int, int], colour_range: int, colour_space: int
) -> None:
    path = write_video(
        tmp_path / "clip.mp4",
        lambda _: colour,
        frames=2,
        colour_range=colour_range,
        colour_space=colour_space,
        options={"crf": "2"},
    )

    (frame,) = read_frames(path)

    assert np.abs(frame.image.astype(int) - colour).max() <= 6


FORMATS = [
    ("mp4", "libx264", "yuv420p", {}),
    ("mov", "libx264", "yuv422p10le", {}),
    ("mkv", "libx264", "yuv444p", {}),
    ("ts", "libx264", "yuv420p", {}),
    ("flv", "libx264", "yuv420p", {}),
    ("avi", "libx264", "yuv420p", {}),
    ("mp4", "libx265", "yuv420p", {}),
    ("mkv", "libx265", "yuv420p10le", {}),
    ("webm", "libvpx", "yuv420p", {}),
    ("webm", "libvpx-vp9", "yuv420p", {}),
    ("webm", "libvpx-vp9", "yuva420p", {}),
    ("mp4", "libvpx-vp9", "yuv420p10le", {"profile": "2"}),
    ("mp4", "libsvtav1", "yuv420p", {}),
    ("mkv", "libsvtav1", "yuv420p10le", {}),
    ("avi", "mpeg4", "yuv420p", {"bf": "2"}),
    ("mp4", "mpeg4", "yuv420p", {}),
    ("mpg", "mpeg2video", "yuv420p", {"bf": "2"}),
    ("ts", "mpeg2video", "yuv420p", {}),
    ("avi", "mjpeg", "yuvj420p", {}),
    ("wmv", "wmv2", "yuv420p", {}),
    ("mov", "prores_ks", "yuva444p10le", {}),
    ("mkv", "ffv1", "bgra", {}),
    ("gif", "gif", "rgb8", {}),
    ("apng", "apng", "rgba", {}),
]


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "options"), FORMATS, ids=lambda value: str(value)
)
def test_formats(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    # Odd sizes where the codec can: 4:2:0 has them too.
    even = codec in ("libx264", "libx265", "libsvtav1", "wmv2", "prores_ks")
    size = (98, 66) if even else (97, 65)
    path = write_video(
        tmp_path / f"clip.{suffix}",
        numbered(25, size),
        codec=codec,
        pix_fmt=pix_fmt,
        options=options,
        fps=25,
    )

    frames = read_frames(path)

    assert [number_of(frame.image) for frame in frames] == [0, 10, 20]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.4, 0.8], abs=0.02)
    assert sum(frame.span_s for frame in frames) == pytest.approx(1.0, abs=0.05)
    assert frames[0].image.shape == (size[1], size[0], 3)
    assert frames[0].image.dtype == np.uint8


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_are_videos(tmp_path: Path, suffix: str) -> None:
    pictures = [Pillow.fromarray(image[:, :, ::-1]) for image in numbered(12)]
    path = tmp_path / f"clip.{suffix}"
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=[50] * 11 + [200], lossless=True
    )

    frames = read_frames(path, every=4)

    assert [number_of(frame.image) for frame in frames] == [0, 4, 8]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.2, 0.4])
    assert frames[-1].span_s == pytest.approx(0.35)


def test_a_still_gif_is_a_video_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "still.gif"
    Pillow.fromarray(QUADRANTS[:, :, ::-1]).save(path)

    (frame,) = read_frames(path)

    assert corners(frame.image) == "RGBW"


@pytest.mark.parametrize("sizes", [((64, 48), (128, 96)), ((128, 96), (64, 48))])
def test_of_several_streams_the_largest_is_read(
    tmp_path: Path, sizes: tuple[tuple[int, int], ...]
) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("libx264", rate=30) for _ in sizes]
        for stream, size in zip(streams, sizes, strict=True):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number, image in enumerate(numbered(12, (128, 96))):
            for stream, (width, height) in zip(streams, sizes, strict=True):
                cut = np.ascontiguousarray(image[:height, :width])
                frame = av.VideoFrame.from_ndarray(cut, format="bgr24")
                frame.pts, frame.time_base = number, Fraction(1, 30)
                file.mux(stream.encode(frame))
        for stream in streams:
            file.mux(stream.encode(None))

    assert [number_of(frame.image) for frame in read_frames(path)] == [0, 10]


@pytest.mark.parametrize("picture_is_default", [False, True])
def test_a_stream_of_one_picture_does_not_hide_the_video(
    tmp_path: Path, picture_is_default: bool
) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as file:
        card, video = file.add_stream("mjpeg", rate=1), file.add_stream("libx264", rate=30)
        card.width, card.height, card.pix_fmt = 320, 240, "yuvj420p"
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        card.disposition = Disposition.default if picture_is_default else Disposition(0)
        video.disposition = Disposition(0)
        blank = av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8), format="bgr24")
        file.mux(card.encode(blank))
        file.mux(card.encode(None))
        for number, image in enumerate(numbered(12, (128, 96))):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))

    assert [number_of(frame.image) for frame in read_frames(path)] == [0, 10]


def test_mxf_is_read(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "clip.mxf", numbered(25, (128, 96)), codec="mpeg2video", fps=25, container="mxf"
    )

    assert [number_of(frame.image) for frame in read_frames(path)] == [0, 10, 20]


def test_an_animated_avif_is_read(tmp_path: Path) -> None:
    first, *others = (Pillow.fromarray(image[:, :, ::-1]) for image in numbered(12, (128, 96)))
    path = tmp_path / "clip.avif"
    first.save(path, save_all=True, append_images=others, duration=40, quality=90)

    assert [number_of(frame.image) for frame in read_frames(path)] == [0, 10]


# The reader itself


@pytest.mark.slow
def test_images_are_released(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(20))
    alive = []

    with VideoReader(path, sampling=Sampling(every=1)) as reader:
        images: list[weakref.ref[Image]] = []
        for frame in reader:
            images.append(weakref.ref(frame.image))
            del frame
            gc.collect()
            alive.append(sum(image() is not None for image in images))

    assert max(alive) <= 1, "the latest, while the reader holds the next"


def test_a_reader_is_iterated_once_and_inside_its_block(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(3))
    reader = VideoReader(path)
    with pytest.raises(RuntimeError):
        next(iter(reader))
    with reader:
        assert len(list(reader)) == 1
        with pytest.raises(RuntimeError):
            next(iter(reader))
    with pytest.raises(RuntimeError):
        next(iter(reader))


def test_a_reader_that_is_left_early_closes_its_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(60))
    with VideoReader(path, sampling=Sampling(every=1)) as reader:
        frames = iter(reader)
        assert next(frames).index == 0
    frames.close()  # type: ignore[attr-defined]
    assert reader._file is not None
    assert reader._file.closed


@pytest.mark.parametrize("every", [0, -3])
def test_counts_below_one_are_refused(tmp_path: Path, every: int) -> None:
    with pytest.raises(UsageError, match="every"):
        VideoReader(tmp_path / "clip.mp4", sampling=Sampling(every=every))


def test_file_names_have_no_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write_video(tmp_path / "clip.mp4", numbered(11)).read_bytes()
    monkeypatch.chdir(tmp_path)
    for name in ("a%03d.jpg", "-x", "concat:a|b", "pipe:0", "list.m3u8", "x.tedcaptions", "ü\n"):
        Path(name).write_bytes(whole)
        assert [number_of(frame.image) for frame in read_frames(Path(name))] == [0, 10], name
