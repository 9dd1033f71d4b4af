"""Damaged and cut-off videos: what can be read is kept, the rest is counted and reported."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from ingest.frames import Frame, Sampling, VideoReader
from ingest.frames.damage import DamageTracker
from ingest.frames.decoding import FrameClock
from ingest.frames.file_format import is_cut_off
from registry.domain import Media
from registry.errors import MediaError
from tests.support.media import number_of, numbered, remuxed, write_video

GROUPS = {"x264-params": "keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0"}
"""Key frames at 0, 20, 40, ..., with frames in between that are shown before they are decoded."""


@dataclass(frozen=True, slots=True)
class Result:
    frames: list[Frame]
    media: Media
    reason: str

    @property
    def indices(self) -> list[int]:
        return [frame.index for frame in self.frames]


def read_video(path: Path, every: int = 10) -> Result:
    with VideoReader(path, sampling=Sampling(every=every)) as reader:
        frames = list(reader)
        return Result(frames, reader.media, reader.reason)


def damage_packets(path: Path, *positions: int, how: str = "noise") -> None:
    """Damage the packets at these positions in decoding order."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position in positions:
        packet = packets[position]
        assert packet.pos is not None
        if how == "zeros":
            data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
        else:
            rng = np.random.default_rng(position)
            start = packet.pos + packet.size // 2
            size = max(1, min(60, packet.size // 3))
            data[start : start + size] = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
    path.write_bytes(data)


# Damage in the middle


@pytest.mark.parametrize("how", ["noise", "zeros"])
@pytest.mark.parametrize("every", [1, 5])
def test_damage_affects_its_group_and_no_other(tmp_path: Path, how: str, every: int) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(80), options=GROUPS)
    damage_packets(path, 40, how=how)  # the key frame at 40, and so all up to 59

    result = read_video(path, every)

    assert result.indices == [n for n in range(0, 80, every) if not 40 <= n < 60]
    assert [number_of(frame.image) for frame in result.frames] == result.indices
    assert [frame.time_s for frame in result.frames] == pytest.approx(
        [index / 30 for index in result.indices]
    )
    assert result.reason == "20 of 80 frames are damaged"
    assert (result.media.frames_damaged, result.media.frames_sampled) == (20, len(result.frames))


def test_what_came_before_the_damage_in_its_group_is_kept(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "clip.mp4",
        numbered(60),
        options={"x264-params": "keyint=20:min-keyint=20:scenecut=0:bframes=0"},
    )
    damage_packets(path, 33, how="zeros")

    result = read_video(path, every=1)

    assert result.indices == [*range(33), *range(40, 60)]
    assert result.reason == "7 of 60 frames are damaged"


def test_spans_bridge_damaged_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(80), options=GROUPS)
    damage_packets(path, 40)

    result = read_video(path)

    for frame, following in pairwise(result.frames):
        assert frame.time_s + frame.span_s == pytest.approx(following.time_s)
    assert sum(frame.span_s for frame in result.frames) == pytest.approx(80 / 30)


def test_a_damaged_first_group_keeps_its_numbers_and_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(60), options=GROUPS)
    damage_packets(path, 0, how="zeros")

    result = read_video(path)

    assert [number_of(frame.image) for frame in result.frames] == result.indices == [20, 30, 40, 50]
    assert result.frames[0].time_s == pytest.approx(20 / 30)


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        ("mp4", "libx265", "yuv420p"),
        ("mp4", "libvpx-vp9", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("mp4", "libsvtav1", "yuv420p"),
    ],
)
def test_damage_in_other_codecs_keeps_the_count(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str
) -> None:
    # Codecs notice more or less of it. The frames that they give keep their numbers.
    path = write_video(
        tmp_path / f"clip.{suffix}",
        numbered(60),
        codec=codec,
        pix_fmt=pix_fmt,
        options={"g": "10"},
    )
    damage_packets(path, 25, how="zeros")

    result = read_video(path, every=1)

    assert [number_of(frame.image) for frame in result.frames] == result.indices
    assert 0 < result.media.frames_damaged < 20
    assert result.indices[-1] == 59
    assert result.reason == f"{result.media.frames_damaged} of 60 frames " + (
        "is damaged" if result.media.frames_damaged == 1 else "are damaged"
    )


def test_damage_in_what_an_edit_list_removes_is_not_counted(tmp_path: Path) -> None:
    # Frames 20 to 29 are decoded only; 30 to 39 are predicted from the damaged one among them.
    whole = write_video(tmp_path / "whole.mp4", numbered(60), options=GROUPS)
    cut = tmp_path / "cut.mp4"
    remuxed(whole, cut, shift=-30, options={"avoid_negative_ts": "disabled"})
    with av.open(str(cut)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    hidden = [n for n, packet in enumerate(packets) if packet.is_discard]
    damage_packets(cut, hidden[-6], how="zeros")

    result = read_video(cut)

    assert [(frame.index, number_of(frame.image)) for frame in result.frames] == [
        (10, 40),
        (20, 50),
    ]
    assert result.frames[0].time_s == pytest.approx(10 / 30)
    assert result.reason == "10 of 30 frames are damaged"


def test_a_video_without_an_intact_frame_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(20), options=GROUPS)
    damage_packets(path, 0, how="zeros")

    with pytest.raises(MediaError, match="none of the video's 20 frames can be decoded"):
        read_video(path)


# Files that end early


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
@pytest.mark.parametrize(
    ("suffix", "codec", "container_options"),
    [
        ("mp4", "libx264", {"movflags": "faststart"}),
        ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("mkv", "libx264", {}),
        ("webm", "libvpx-vp9", {}),
        ("avi", "mpeg4", {}),
        ("flv", "libx264", {}),
        ("gif", "gif", {}),
        ("apng", "apng", {}),
    ],
)
def test_a_cut_off_file_is_read_up_to_its_end(
    tmp_path: Path, suffix: str, codec: str, container_options: dict[str, str], share: float
) -> None:
    path = write_video(
        tmp_path / f"clip.{suffix}",
        numbered(90),
        codec=codec,
        pix_fmt={"gif": "rgb8", "apng": "rgb24"}.get(codec, "yuv420p"),
        options={"g": "20"},
        container_options=container_options,
    )
    assert read_video(path, every=5).reason == ""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    result = read_video(path, every=5)

    assert 0 < len(result.frames) <= 18
    for frame in result.frames[:-1]:  # the last of a GIF may be drawn in part
        assert number_of(frame.image) == pytest.approx(30 * frame.time_s, abs=0.6)
    assert "the file ends early at " in result.reason or (suffix, share) == ("flv", 0.95)
    assert result.media.duration_s == pytest.approx(90 / 30 * share, abs=0.8)


def test_the_reason_states_how_much_is_missing(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "clip.mp4",
        numbered(90),
        options=GROUPS,
        container_options={"movflags": "faststart"},
    )
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    assert packets[60].pos is not None
    path.write_bytes(path.read_bytes()[: packets[60].pos])

    assert read_video(path).reason == "the file ends early at 2.0 s of 3.0 s"


def test_a_file_without_its_index_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered(30))
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(MediaError, match="index \\(moov\\) is missing"):
        read_video(path)


def test_a_cut_off_webp_is_refused(tmp_path: Path) -> None:
    pictures = [Pillow.fromarray(image) for image in numbered(8)]
    path = tmp_path / "clip.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    path.write_bytes(path.read_bytes()[:-300])

    with pytest.raises(MediaError, match="WebP"):
        read_video(path)


def test_a_recording_that_begins_in_the_middle_begins_at_its_first_key_frame(
    tmp_path: Path,
) -> None:
    path = write_video(
        tmp_path / "clip.ts",
        numbered(60),
        options={"x264-params": "keyint=20:min-keyint=20:scenecut=0:bframes=0:repeat-headers=1"},
    )
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    start = packets[10].pos
    assert start is not None
    tables = path.read_bytes()[: 3 * 188]
    path.write_bytes(tables + path.read_bytes()[start:])

    result = read_video(path, every=1)

    assert [number_of(frame.image) for frame in result.frames] == list(range(20, 60))


# The rules on their own


@pytest.mark.parametrize("appended", [b"", b"\0" * 100, b"something else entirely"])
def test_whole_files_are_not_called_cut_off(tmp_path: Path, appended: bytes) -> None:
    for suffix, codec in (("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")):
        whole = write_video(tmp_path / f"c.{suffix}", numbered(5), codec=codec).read_bytes()

        assert not is_cut_off(io.BytesIO(whole + appended)), suffix
        assert is_cut_off(io.BytesIO(whole[:-1])), suffix


HEADS = [b"", b"\0\0\0\x18ftyp", b"RIFF", b"\x1a\x45\xdf\xa3", b"GIF89a", b"\x89PNG"]


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from(HEADS))
def test_any_bytes_are_cut_off_or_not(noise: bytes, head: bytes) -> None:
    assert is_cut_off(io.BytesIO(head + noise)) in (True, False)


@settings(deadline=None)
@given(
    st.lists(st.none() | st.integers(-(10**6), 10**6), min_size=1, max_size=30),
    st.lists(st.integers(-(10**6), 10**6), max_size=3),
    st.integers(0, 100),
)
def test_the_clock_never_runs_backwards(
    stamps: list[int | None], skipped: list[int], frame_ticks: int
) -> None:
    clock = FrameClock(Fraction(1, 1000), frame_ticks)
    for stamp in skipped:
        clock.skip(stamp)

    times = [clock.advance(stamp) for stamp in stamps]

    assert times == sorted(times)
    assert times[0] >= 0
    assert clock.end(40) == pytest.approx(times[-1] + 0.04)


def test_the_clock_keeps_exact_times() -> None:
    clock = FrameClock(Fraction(1, 90_000), 3000)

    assert [clock.advance(stamp) for stamp in (9000, 12_003, 99_000)] == [0.0, 3003 / 90_000, 1.0]


def test_the_clock_counts_where_there_are_no_times() -> None:
    clock = FrameClock(Fraction(1, 30), 1)

    assert [clock.advance(None) for _ in range(4)] == [0, 1 / 30, 2 / 30, 3 / 30]


def taken(damage: DamageTracker, stamps: list[int]) -> Iterator[tuple[int, list[int], bool]]:
    for stamp in stamps:
        damaged, is_intact = damage.take_frame(stamp, is_corrupt=False)
        yield stamp, damaged, is_intact


def test_damage_reaches_frames_shown_before_the_next_key_frame() -> None:
    damage = DamageTracker()
    for pts, key in ((0, True), (1, False), (2, False)):
        damage.add_packet(pts, is_key=key)
    damage.mark_damaged(2)
    for pts, key in ((5, True), (3, False), (4, False), (6, False)):
        damage.add_packet(pts, is_key=key)

    # 2 is damaged; 3 and 4 come after the key frame 5, and are predicted from 2 as well.
    assert list(taken(damage, [0, 1, 3, 4, 5, 6])) == [
        (0, [], True),
        (1, [], True),
        (3, [], False),
        (4, [], False),
        (5, [2, 3, 4], True),
        (6, [], True),
    ]
    assert damage.take_rest() == []


def test_damaged_frames_that_leave_early_are_reported_in_their_place() -> None:
    damage = DamageTracker()
    for pts in (0, 1, 2):
        damage.add_packet(pts, is_key=pts == 0)
    damage.add_packet(3, is_key=True)
    damage.mark_damaged(3)
    damage.add_packet(4, is_key=False)

    # The decoder, disturbed by the damage, gives 4 before 1 and 2.
    assert list(taken(damage, [0, 4, 1, 2])) == [
        (0, [], True),
        (4, [], False),
        (1, [], True),
        (2, [], True),
    ]
    assert damage.take_rest() == [3, 4]


def test_frames_that_a_decoder_does_not_show_are_not_damaged() -> None:
    damage = DamageTracker()
    for pts in (0, 1, 2):
        damage.add_packet(pts, is_key=pts == 0)

    assert list(taken(damage, [0, 2])) == [(0, [], True), (2, [], True)]


def test_where_each_packet_has_a_frame_a_missing_one_is_damaged() -> None:
    damage = DamageTracker(each_packet_has_a_frame=True)
    for pts in (0, 1, 2):
        damage.add_packet(pts, is_key=pts == 0)
    damage.add_packet(3, is_key=True)

    assert list(taken(damage, [0, 2, 3])) == [(0, [], True), (2, [], False), (3, [1, 2], True)]


def test_damage_without_times_lasts_until_the_next_key_frame() -> None:
    damage = DamageTracker()
    intact = []
    for number in range(6):
        damage.add_packet(None, is_key=number in (0, 4))
        if number == 2:
            damage.mark_damaged(None)
        else:
            intact.append(damage.take_frame(None, is_corrupt=False)[1])

    assert intact == [True, True, False, True, True]


STEPS = st.lists(
    st.tuples(st.sampled_from(["key", "enter", "hit", "leave", "corrupt"]), st.integers(0, 9)),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS, st.booleans())
def test_damage_is_reported_once(
    steps: list[tuple[str, int]], each_packet_has_a_frame: bool
) -> None:
    # Times occur twice, frames leave that no packet had, and some frames never leave.
    damage = DamageTracker(each_packet_has_a_frame=each_packet_has_a_frame)
    added = reported = 0
    for what, pts in steps:
        if what in ("key", "enter"):
            damage.add_packet(pts, is_key=what == "key")
            added += 1
        elif what == "hit":
            damage.mark_damaged(pts)
        else:
            damaged, is_intact = damage.take_frame(pts, is_corrupt=what == "corrupt")
            reported += len(damaged)
            assert damaged == sorted(damaged)
            assert is_intact or not damaged
            assert all(earlier < pts for earlier in damaged)

    assert reported + len(damage.take_rest()) <= added
    assert damage.take_rest() == []
