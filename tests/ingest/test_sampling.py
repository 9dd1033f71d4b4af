"""Which frames are sampled besides every n-th: before long gaps, and behind cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from ingest.frames import Frame, MediaLimits, Sampling, VideoReader
from ingest.frames.container import open_video
from ingest.frames.decoding import Sample, StreamSummary, decode_all, decode_selected
from ingest.frames.packet_selection import select_packets
from ingest.frames.sampling import CutDetector, Schedule
from registry.domain import Image
from registry.errors import MediaError, UsageError
from tests.support.media import number_of, numbered, remuxed, write_video

LIMITS = MediaLimits()
NEW = Sampling(10, max_gap_s=1.0, cuts=True)
MILLISECOND = Fraction(1, 1000)
SHOTS = [25, 7, 6, 33, 4]
"""Frames of each."""
COLOURS = [(0, 0, 200), (0, 200, 0), (200, 0, 0), (0, 200, 200), (200, 0, 200)]


def read_frames(path: Path, sampling: Sampling = NEW) -> list[Frame]:
    with VideoReader(path, sampling=sampling) as reader:
        frames = list(reader)
        assert reader.reason == ""
    return frames


def slides(lengths: Sequence[int], size: tuple[int, int] = (96, 64)) -> list[Image]:
    """One colour after another, each for so many frames."""
    shown = [
        np.full((size[1], size[0], 3), COLOURS[n % len(COLOURS)], np.uint8)
        for n in range(len(lengths))
    ]
    return [shown[n] for n, length in enumerate(lengths) for _ in range(length)]


def tinted(frames: int, size: tuple[int, int]) -> Iterator[Image]:
    """The pictures of `numbered`, in another colour every 13 frames."""
    for number, image in enumerate(numbered(frames, size)):
        image[16:, :, number // 13 % 3] //= 8
        yield image


# Long gaps


times_in_ms = st.lists(st.integers(1, 3000), min_size=1, max_size=60).map(
    lambda gaps: np.cumsum([0, *gaps], dtype=np.int64)
)


@given(times_in_ms, st.integers(1, 12), st.sampled_from([0.2, 1.0, 2.5]))
def test_no_gap_is_longer_than_asked_unless_one_frame_is(
    bounds: np.ndarray[tuple[int], np.dtype[np.int64]], every: int, max_gap_s: float
) -> None:
    ticks, end = bounds[:-1], int(bounds[-1])

    due = Schedule(Sampling(every, max_gap_s), MILLISECOND).choose(ticks, end)

    assert due[::every].all()
    for one, other in pairwise([*np.flatnonzero(due).tolist(), len(ticks)]):
        assert other == one + 1 or bounds[other] - bounds[one] <= 1000 * max_gap_s + 1


@given(times_in_ms, st.integers(1, 12), st.sampled_from([0.2, 1.0, 2.5]))
def test_a_schedule_is_the_same_frame_by_frame(
    bounds: np.ndarray[tuple[int], np.dtype[np.int64]], every: int, max_gap_s: float
) -> None:
    sampling = Sampling(every, max_gap_s)
    schedule = Schedule(sampling, MILLISECOND)

    one_by_one = [
        schedule.is_due(number, *times) for number, times in enumerate(pairwise(bounds.tolist()))
    ]

    chosen = Schedule(sampling, MILLISECOND).choose(bounds[:-1], int(bounds[-1]))
    assert one_by_one == chosen.tolist()


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx265"), ("webm", "libvpx-vp9")]
)
def test_of_one_frame_a_second_all_are_sampled(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", numbered(12, (160, 192)), codec=codec, fps=1)

    frames = read_frames(path, Sampling(10, max_gap_s=1.0))

    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert [frame.span_s for frame in frames] == pytest.approx([1.0] * 12, abs=0.01)
    assert len(read_frames(path, Sampling(10))) == 2


def test_ordinary_frame_rates_are_sampled_as_before(tmp_path: Path) -> None:
    for fps in (Fraction(24000, 1001), Fraction(30), Fraction(60)):
        path = write_video(tmp_path / "clip.mkv", numbered(45), fps=fps)
        frames = read_frames(path, Sampling(10, max_gap_s=1.0))
        assert [frame.index for frame in frames] == [0, 10, 20, 30, 40]


def test_the_last_picture_of_a_transition_is_sampled_if_it_stays(tmp_path: Path) -> None:
    # A recorded screen: three quick pictures, of which the last stays for three seconds.
    times = [0, 40, 80, 3000, 3040, 3080, 6000]
    for suffix, codec in (("mp4", "libx264"), ("mkv", "libvpx-vp9")):
        path = write_video(
            tmp_path / f"clip.{suffix}",
            numbered(len(times)),
            codec=codec,
            times=times,
            time_base=MILLISECOND,
        )

        frames = read_frames(path, Sampling(10, max_gap_s=1.0))

        assert [frame.index for frame in frames][:4] == [0, 2, 3, 5]
        assert frames[1].span_s == pytest.approx(2.92, abs=0.01)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_animations_of_slides_are_sampled_slide_by_slide(tmp_path: Path, suffix: str) -> None:
    pictures = [Pillow.fromarray(image[:, :, ::-1]) for image in numbered(8)]
    path = tmp_path / f"slides.{suffix}"
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=3000, loop=0, lossless=True
    )

    frames = read_frames(path)

    assert [number_of(frame.image) for frame in frames] == list(range(8))
    assert [frame.span_s for frame in frames] == pytest.approx([3.0] * 8)


def test_gaps_are_counted_from_the_first_frame_that_an_edit_list_leaves(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", numbered(60), options={"g": "60", "bf": "3"})
    cut = tmp_path / "cut.mp4"
    remuxed(whole, cut, shift=-15, options={"avoid_negative_ts": "disabled"})

    frames = read_frames(cut, Sampling(100, max_gap_s=0.5))

    assert [number_of(frame.image) for frame in frames] == [15, 30, 45]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.5, 1.0])


def test_damaged_frames_do_not_count_as_looked_at(tmp_path: Path) -> None:
    # Frame 35 is damaged, and all to the key frame 60: frame 34 stands until then.
    path = write_video(
        tmp_path / "clip.mp4",
        numbered(90),
        options={"x264-params": "keyint=30:scenecut=0:bframes=0"},
    )
    with av.open(str(path)) as file:
        packet = [packet for packet in file.demux(video=0) if packet.size][35]
    data = bytearray(path.read_bytes())
    assert packet.pos is not None
    middle = packet.pos + packet.size // 2
    data[middle : middle + 40] = bytes(range(40))
    path.write_bytes(data)

    with VideoReader(path, sampling=Sampling(30, max_gap_s=0.5)) as reader:
        numbers = [number_of(frame.image) for frame in reader]

    assert reader.media.frames_damaged == 25
    assert numbers == [0, 15, 30, 34, 60, 75]


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_gaps_that_are_not_longer_than_nothing_are_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="max_gap_s"):
        Sampling(10, max_gap_s=seconds)


# Cuts


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("b.mkv", "libx265", "yuv420p"),
        ("c.webm", "libvpx-vp9", "yuv420p"),
        ("d.gif", "gif", "rgb8"),
        ("e.avi", "mpeg4", "yuv420p"),
    ],
)
def test_a_frame_is_sampled_behind_each_cut(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    pictures = slides(SHOTS, (160, 192))
    path = write_video(tmp_path / name, pictures, codec=codec, pix_fmt=pix_fmt, fps=25)

    frames = read_frames(path)

    begins = np.cumsum([0, *SHOTS])
    shots = np.searchsorted(begins, [frame.index for frame in frames], side="right") - 1
    for frame, shot in zip(frames, shots, strict=True):
        assert np.abs(frame.image.mean(axis=(0, 1)) - COLOURS[shot]).max() < 25
    at_cuts = [frame.index for frame in frames if frame.index % 10]
    assert len(frames) == 8 + len(at_cuts)
    late = np.array(at_cuts) - [25, 32, 38, 71]
    assert ((late >= 0) & (late <= 2)).all()
    if codec not in ("libx264", "libx265"):
        assert not late.any(), "where every picture is decoded, cuts are exact"


def test_a_webp_is_searched_for_cuts(tmp_path: Path) -> None:
    pictures = [Pillow.fromarray(image[:, :, ::-1]) for image in slides([4, 3, 8])]
    path = tmp_path / "clip.webp"
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=40, minimize_size=False
    )
    with Pillow.open(path) as file:
        kept = getattr(file, "n_frames", 1)

    assert len(read_frames(path, Sampling(100, cuts=True))) == 3
    assert kept >= 3


def test_a_shot_stands_until_the_cut(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", slides([27, 36]), fps=25, options={"bf": "0"})

    frames = read_frames(path)

    seconds = [0.0, 0.0]
    for frame in frames:
        seconds[frame.index >= 27] += frame.span_s
    assert seconds == pytest.approx([27 / 25, 36 / 25])


def test_without_cuts_a_short_shot_is_missed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", slides([21, 5, 14]), fps=25, options={"bf": "0"})

    assert [frame.index for frame in read_frames(path, Sampling(10))] == [0, 10, 20, 30]
    assert [frame.index for frame in read_frames(path)] == [0, 10, 20, 21, 26, 30]


def test_what_stays_alike_is_no_cut(clip: Callable[[str], Path]) -> None:
    for name in ("asl_gestures/learn.mkv", "head-pose-face-detection-female.gif"):
        frames = read_frames(clip(name))
        assert all(frame.index % 10 == 0 for frame in frames), name


def test_turned_and_anamorphic_videos_are_searched_as_others(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "clip.mp4",
        slides([15, 16]),
        rotation=90,
        pixel_shape=Fraction(4, 3),
        fps=25,
        options={"bf": "0"},
    )

    frames = read_frames(path)

    assert [frame.index for frame in frames] == [0, 10, 15, 20, 30]
    assert frames[0].image.shape == (128, 64, 3)


def test_a_detector_compares_with_the_frame_that_was_sampled_last() -> None:
    detector = CutDetector()
    red, green, _ = slides([1, 1, 1])

    assert [
        detector.update(image, due=due)
        for image, due in [(red, True), (red, False), (green, False), (green, False), (red, False)]
    ] == [True, False, True, False, True]


def samples(path: Path, sampling: Sampling, *, selected: bool) -> list[Sample]:
    """By selected packets, or by all with the same candidates."""
    with path.open("rb") as file, open_video(file, LIMITS) as source:
        selection = select_packets(source, sampling, LIMITS)
        probe = source.has_header
    assert selection is not None
    with path.open("rb") as file, open_video(file, LIMITS, probe=probe and not selected) as source:
        if selected:
            return list(
                decode_selected(source, selection, LIMITS, StreamSummary(), cuts=sampling.cuts)
            )
        candidates = selection.candidate_numbers
        return list(decode_all(source, sampling, LIMITS, StreamSummary(), candidates=candidates))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {}),
        ("libx264", {"x264-params": "bframes=0"}),
        ("libx264", {"x264-params": "keyint=7:min-keyint=1"}),
        ("libx264", {"x264-params": "keyint=1"}),
        ("libx264", {"x264-params": "bframes=7:b-adapt=0:b-pyramid=strict:scenecut=0"}),
        ("libx264", {"x264-params": "open-gop=1:keyint=12:bframes=3:b-adapt=0"}),
        ("libx265", {}),
        ("libx265", {"x265-params": "keyint=12:open-gop=1"}),
    ],
)
@pytest.mark.parametrize("sampling", [NEW, Sampling(30, 0.25), Sampling(7, 0.1, cuts=True)])
def test_selected_packets_and_all_give_the_same_frames(
    tmp_path: Path, codec: str, options: dict[str, str], sampling: Sampling
) -> None:
    gaps = np.random.default_rng(5).integers(10, 90, 90)
    path = write_video(
        tmp_path / "clip.mkv",
        tinted(90, (160, 192)),
        codec=codec,
        options=options,
        times=np.cumsum(gaps).tolist(),
        time_base=MILLISECOND,
    )

    few, all_of_them = (samples(path, sampling, selected=selected) for selected in (True, False))

    assert len(few) > 90 // sampling.every + 1
    assert [(one.index, one.time_s) for one in few] == [
        (one.index, one.time_s) for one in all_of_them
    ]
    for one, other in zip(few, all_of_them, strict=True):
        assert number_of(one.image) == one.index
        assert np.array_equal(one.image, other.image)


# Times


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", "mkv"), ("libvpx-vp9", "mkv"), ("libx264", "mp4")]
)
def test_a_clock_that_starts_late_does_not_matter(tmp_path: Path, codec: str, suffix: str) -> None:
    whole = write_video(tmp_path / "whole.mp4", numbered(45), codec=codec)
    late = tmp_path / f"late.{suffix}"
    remuxed(whole, late, shift=30 * 25_000)  # more seconds than a video may be long

    with VideoReader(late, sampling=NEW) as reader:
        frames = list(reader)

    assert [frame.time_s for frame in frames][:2] == pytest.approx([0, 1 / 3], abs=1e-3)
    assert reader.media.duration_s == pytest.approx(1.5, abs=0.01)
    assert reader.reason == ""


def test_a_long_video_is_refused_by_its_header_wherever_its_clock_starts(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "long.mkv", numbered(2), times=[9_000_000, 40_000_000], time_base=MILLISECOND
    )

    with pytest.raises(MediaError, match=r"8\.6 hours long"), VideoReader(path):
        pass


def write_late_picture(path: Path, whole: Path, late_s: float) -> Path:
    """Copy a video with sound, so that its pictures begin later than the sound."""
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        streams = [old.streams.video[0], old.streams.audio[0]]
        copies = {s.index: new.add_stream_from_template(s) for s in streams}
        packets = [p for p in old.demux(streams) if p.dts is not None and p.pts is not None]
        for packet in packets:
            if isinstance(packet.stream, VideoStream):
                assert packet.time_base is not None
                ticks = round(late_s / packet.time_base)
                packet.pts, packet.dts = (packet.pts or 0) + ticks, (packet.dts or 0) + ticks
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * (p.time_base or 0)):
            packet.stream = copies[packet.stream.index]
            new.mux(packet)
    return path


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", "mp4"), ("libx264", "mkv"), ("libx264", "ts"), ("libvpx-vp9", "mkv")],
)
def test_pictures_that_begin_after_the_sound_are_shown_then(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    whole = write_video(tmp_path / "whole.mp4", numbered(31), codec=codec, audio_s=4.0)
    path = write_late_picture(tmp_path / f"late.{suffix}", whole, 2.0)

    with VideoReader(path) as reader:
        frames = list(reader)

    assert [number_of(frame.image) for frame in frames] == [0, 10, 20, 30]
    assert [frame.time_s for frame in frames] == pytest.approx(
        [2 + n / 30 for n in (0, 10, 20, 30)], abs=0.15
    )
    assert reader.media.duration_s == pytest.approx(2 + 31 / 30, abs=0.15)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_sound_that_begins_with_the_pictures_changes_no_time(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", numbered(31), audio_s=1.0)

    assert read_frames(path)[0].time_s == 0
