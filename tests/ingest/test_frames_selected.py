"""Leaving out packets changes nothing: the sampled frames are the same to the last bit.

They are compared with those of PyAV when it decodes every frame.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingest.frames import MediaLimits, Sampling, VideoReader
from ingest.frames.container import open_video
from ingest.frames.decoding import Sample, StreamSummary, decode_all, decode_selected
from ingest.frames.packet_selection import PacketSelection, select_packets
from registry.domain import Image
from tests.support.media import number_of, numbered, remuxed, write_video

LIMITS = MediaLimits()


def decode_with_pyav(path: Path, every: int) -> list[tuple[int, float, Image]]:
    """Index, time in seconds from the first frame, and BGR image of every `every`-th frame."""
    found = []
    first: Fraction | None = None
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        for index, frame in enumerate(file.decode(stream)):
            assert frame.pts is not None
            assert frame.time_base is not None
            time = frame.pts * frame.time_base
            first = time if first is None else first
            if index % every == 0:
                image = frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
                found.append((index, float(time - first), image))
    return found


def selection_of(path: Path, every: int) -> PacketSelection | None:
    with path.open("rb") as file, open_video(file, LIMITS) as source:
        return select_packets(source, Sampling(every), LIMITS)


def by_selection(path: Path, every: int) -> tuple[PacketSelection, list[Sample]]:
    """The samples from selected packets; here it is an error if the selection fails."""
    selection = selection_of(path, every)
    assert selection is not None
    with path.open("rb") as file, open_video(file, LIMITS) as source:
        return selection, list(decode_selected(source, selection, LIMITS, StreamSummary()))


def check(path: Path, every: int) -> PacketSelection:
    selection, samples = by_selection(path, every)
    expected = decode_with_pyav(path, every)
    assert [(sample.index, sample.time_s) for sample in samples] == [one[:2] for one in expected]
    for sample, (index, _, image) in zip(samples, expected, strict=True):
        assert np.array_equal(sample.image, image), f"frame {index}"
    return selection


H264 = {
    "defaults": "",
    "no B frames": "bframes=0",
    "three B frames": "bframes=3:b-adapt=0:b-pyramid=none",
    "sixteen B frames": "bframes=16:b-adapt=0:b-pyramid=normal:ref=16",
    "strict pyramid": "bframes=7:b-adapt=0:b-pyramid=strict",
    "key frames only": "keyint=1",
    "short groups": "keyint=12:min-keyint=1",
    "long groups": "keyint=250:scenecut=0",
    "one group": "keyint=infinite:scenecut=0",
    "open groups": "open-gop=1:keyint=12:bframes=3:b-adapt=0",
    "intra refresh": "intra-refresh=1:keyint=20",
    "slices": "slices=4:bframes=2",
    "one reference": "ref=1:weightp=0",
    "temporal direct": "direct=temporal:bframes=5:b-adapt=0",
    "repeated headers": "repeat-headers=1:aud=1:keyint=12",
    "scaling lists": "cqm=jvt:8x8dct=1",
    "variable length codes": "cabac=0",
}
HEVC = {
    "defaults": "",
    "no B frames": "bframes=0",
    "sixteen B frames": "bframes=16:b-adapt=0:rc-lookahead=20",
    "short groups": "keyint=12:open-gop=0",
    "open groups": "keyint=12:open-gop=1",
    "temporal layers": "temporal-layers=3:bframes=7:b-adapt=0:rc-lookahead=20",
    "slices": "slices=2",
}


@pytest.mark.parametrize("options", H264.values(), ids=H264)
def test_h264(tmp_path: Path, options: str) -> None:
    path = write_video(
        tmp_path / "clip.mp4", numbered(75), options={"x264-params": options} if options else {}
    )

    assert check(path, 1).decode.all()
    check(path, 4)
    assert check(path, 10).decode.mean() < 0.96, "some packets are left out"


@pytest.mark.parametrize("options", HEVC.values(), ids=HEVC)
def test_hevc(tmp_path: Path, options: str) -> None:
    path = write_video(
        tmp_path / "clip.mp4",
        numbered(75, (160, 192)),  # three rows of the largest blocks: room for two slices
        codec="libx265",
        options={"x265-params": options} if options else {},
    )

    assert check(path, 1).decode.all()
    check(path, 10)


@pytest.mark.parametrize(
    "options", [{"tune": "zerolatency"}, {"profile": "baseline"}, {"preset": "placebo"}]
)
def test_h264_presets(tmp_path: Path, options: dict[str, str]) -> None:
    check(write_video(tmp_path / "clip.mp4", numbered(45), options=options), 10)


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv422p", "yuv420p10le", "gray"])
def test_h264_pixels(tmp_path: Path, pix_fmt: str) -> None:
    check(write_video(tmp_path / "clip.mp4", numbered(45), pix_fmt=pix_fmt), 10)


@pytest.mark.parametrize(
    ("suffix", "container_options"),
    [
        ("mov", {}),
        ("mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("mkv", {}),
        ("ts", {}),
        ("flv", {}),
    ],
)
def test_containers(tmp_path: Path, suffix: str, container_options: dict[str, str]) -> None:
    path = write_video(
        tmp_path / f"clip.{suffix}",
        numbered(45),
        options={"x264-params": "keyint=15:bframes=3"},
        container_options=container_options,
        audio_s=0.0 if suffix == "flv" else 1.5,
    )

    assert not check(path, 10).decode.all()


@pytest.mark.parametrize(
    "options",
    ["bframes=16:b-adapt=0:b-pyramid=normal:ref=16", "bframes=7:b-pyramid=strict", "keyint=5"],
)
def test_streams_that_do_not_state_their_reorder_depth(tmp_path: Path, options: str) -> None:
    # Many cameras omit it. A decoder that begins without holding frames back loses some.
    path = write_video(tmp_path / "clip.mp4", numbered(75), options={"x264-params": options})
    remove_usability_information(path)

    check(path, 10)


def test_they_are_sorted_without_a_selection_too(tmp_path: Path) -> None:
    # MPEG-TS is opened without decoding, so the depth is not known beforehand.
    whole = write_video(
        tmp_path / "clip.mp4",
        numbered(75),
        options={"x264-params": "bframes=16:b-adapt=0:b-pyramid=normal:ref=16:scenecut=0"},
    )
    remove_usability_information(whole)
    path = tmp_path / "clip.ts"
    remuxed(whole, path)

    with path.open("rb") as file, open_video(file, LIMITS) as source:
        assert not source.has_header
        samples = list(decode_all(source, Sampling(1), LIMITS, StreamSummary()))

    assert [number_of(sample.image) for sample in samples] == list(range(75))


def test_streams_with_edit_lists_are_selected_from(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", numbered(60), options={"g": "60", "bf": "3"})
    path = tmp_path / "cut.mp4"
    remuxed(whole, path, shift=-30, options={"avoid_negative_ts": "disabled"})

    selection = check(path, 10)

    assert selection.frames == 30
    assert len(selection.pts) > 30, "the rest is decoded only"
    assert not selection.decode.all()


def remove_usability_information(path: Path) -> None:
    """Take the VUI, which holds the depth of reordering, out of the parameters of an MP4."""
    with av.open(str(path)) as file:
        record = file.streams.video[0].codec_context.extradata or b""
    sequence = record[8 : 8 + int.from_bytes(record[6:8], "big")]
    digits = "".join(f"{byte:08b}" for byte in sequence[1:].replace(b"\0\0\3", b"\0\0"))
    at = 24

    def code() -> int:
        nonlocal at
        zeros = digits.index("1", at) - at
        at += 2 * zeros + 1
        return int(digits[at - zeros - 1 : at], 2) - 1

    code()  # number
    assert sequence[1] == 100, "High profile"
    assert [code() for _ in range(3)] == [1, 0, 0], "4:2:0, 8 bits"
    at += 2  # lossless, scaling lists
    code()  # log2_max_frame_num
    if code() == 0:
        code()  # log2_max_pic_order_cnt_lsb
    code()  # references
    at += 1
    code()  # width, height
    code()
    at += 2  # frames only, direct inference
    assert digits[at] == "0", "no cropping"
    assert digits[at + 1] == "1", "VUI"
    bits = digits[: at + 1] + "01"
    bits += "0" * (-len(bits) % 8)
    short = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert b"\0\0" not in short, "nothing to escape"
    whole = path.read_bytes()
    assert whole.count(sequence) == 1
    path.write_bytes(whole.replace(sequence, (sequence[:1] + short).ljust(len(sequence), b"\0")))


def test_groups_without_a_sampled_frame_are_not_decoded(tmp_path: Path) -> None:
    for suffix in ("mp4", "ts"):
        path = write_video(tmp_path / f"clip.{suffix}", numbered(60), options={"g": "1"})

        assert check(path, 10).decode.sum() == 6, suffix


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libvpx-vp9", "webm", {}),
        ("mpeg4", "mp4", {"bf": "2"}),
        ("libx264", "mp4", {"x264-params": "tff=1"}),  # interlaced
        ("libx264", "avi", {"bf": "3"}),  # no presentation times
    ],
)
def test_other_streams_are_decoded_in_full(
    tmp_path: Path, codec: str, suffix: str, options: dict[str, str]
) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", numbered(45), codec=codec, options=options)

    assert selection_of(path, 10) is None
    with VideoReader(path) as reader:
        assert [number_of(frame.image) for frame in reader] == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("swapped", [(10, 11), (9, 10), (29, 30)])
def test_presentation_times_alone_do_not_number_frames(
    tmp_path: Path, swapped: tuple[int, int]
) -> None:
    # Two frames have each other's time. A decoder orders them by what is in their headers.
    whole = write_video(
        tmp_path / "whole.mkv",
        numbered(45),
        options={"x264-params": "bframes=3:b-pyramid=none:b-adapt=0"},
    )
    path = tmp_path / "swapped.mkv"
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        times = sorted(packet.pts or 0 for packet in packets)
        one, other = times[swapped[0]], times[swapped[1]]
        exchange = {one: other, other: one}
        for position, packet in enumerate(packets):
            packet.pts = exchange.get(packet.pts or 0, packet.pts)
            packet.dts, packet.stream = position - 100, copy
            new.mux(packet)

    assert selection_of(path, 10) is None
    with VideoReader(path) as reader:
        assert [(frame.index, number_of(frame.image)) for frame in reader] == [
            (number, number) for number in (0, 10, 20, 30, 40)
        ]


X264 = st.fixed_dictionaries(
    {
        "bframes": st.sampled_from([0, 1, 2, 3, 5, 16]),
        "b-pyramid": st.sampled_from(["none", "strict", "normal"]),
        "b-adapt": st.integers(0, 2),
        "keyint": st.sampled_from([1, 2, 7, 12, 50, 250, "infinite"]),
        "min-keyint": st.sampled_from([1, 25]),
        "open-gop": st.sampled_from([0, 1]),
        "ref": st.sampled_from([1, 2, 4, 16]),
        "slices": st.sampled_from([1, 2, 4]),
        "scenecut": st.sampled_from([0, 40]),
        "weightp": st.integers(0, 2),
        "direct": st.sampled_from(["none", "spatial", "temporal", "auto"]),
        "cabac": st.sampled_from([0, 1]),
    }
)


@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    options=X264,
    frames=st.integers(1, 80),
    every=st.integers(1, 30),
    suffix=st.sampled_from(["mp4", "mkv", "flv"]),
    gaps=st.none() | st.lists(st.integers(5, 300), min_size=80, max_size=80),
    seed=st.integers(0, 1000),
)
def test_any_h264(
    tmp_path_factory: pytest.TempPathFactory,
    options: dict[str, object],
    frames: int,
    every: int,
    suffix: str,
    gaps: list[int] | None,
    seed: int,
) -> None:
    path = write_video(
        tmp_path_factory.mktemp("any") / f"clip.{suffix}",
        numbered(frames, seed=seed),
        options={"x264-params": ":".join(f"{name}={value}" for name, value in options.items())},
        times=None if gaps is None else np.cumsum(gaps).tolist(),
        time_base=None if gaps is None else Fraction(1, 1000),
    )

    check(path, every)


CLIPS = ["short_hamilton_clip.mp4", "asl_gestures/learn.mkv", "asl_gestures/again.mkv"]


@pytest.mark.parametrize("name", CLIPS)
def test_real_clips(clip: Callable[[str], Path], name: str) -> None:
    selection = check(clip(name), 10)

    assert not selection.decode.all()


def test_all_packets_are_decoded_if_the_selection_fails(tmp_path: Path) -> None:
    # Damage within a picture is noticed only when it is decoded.
    path = write_video(
        tmp_path / "clip.mp4",
        numbered(90),
        options={"x264-params": "keyint=30:scenecut=0:bframes=0"},
    )
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    damaged = packets[35]
    assert damaged.pos is not None
    data = bytearray(path.read_bytes())
    middle = damaged.pos + damaged.size // 2
    data[middle : middle + 40] = bytes(range(40))
    path.write_bytes(data)
    assert selection_of(path, 10) is not None, "headers are intact"

    with VideoReader(path) as reader:
        frames = [(frame.index, number_of(frame.image)) for frame in reader]

    assert frames == [(number, number) for number in (0, 10, 20, 30, 60, 70, 80)]
    assert reader.reason == "25 of 90 frames are damaged", "all up to the next key frame"
