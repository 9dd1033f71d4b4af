"""Selecting packets: headers of real and invented streams, and selections of modelled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.frames.interface import Sampling
from ingest.frames.nal_units import Bits, Unproven, split_units
from ingest.frames.packet_selection import PacketSelection, PictureIndex
from ingest.frames.picture_headers import (
    H264HeaderReader,
    HeaderReader,
    HevcHeaderReader,
    PictureHeader,
)
from ingest.frames.sampling import Schedule
from tests.support.media import numbered, write_video

# Bits and units


def golomb(number: int) -> str:
    """The Exp-Golomb code of a number, in zeros and ones."""
    digits = f"{number + 1:b}"
    return "0" * (len(digits) - 1) + digits


def packed(bits: str) -> bytes:
    """Bits as bytes, with the emulation prevention that a NAL unit has."""
    whole = bits + "1" + "0" * (-(len(bits) + 1) % 8)
    out = bytearray()
    for byte in int(whole, 2).to_bytes(len(whole) // 8, "big"):
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=20))
def test_exp_golomb_codes_are_read_through_emulation_prevention(numbers: list[int]) -> None:
    bits = Bits(packed("".join(map(golomb, numbers))))

    assert [bits.ue() for _ in numbers] == numbers


def test_reading_past_the_end_is_unproven() -> None:
    bits = Bits(b"\x80")
    assert bits.ue() == 0
    with pytest.raises(Unproven):
        bits.ue()
    with pytest.raises(Unproven):
        Bits(b"").u(1)


PAYLOADS = st.binary(min_size=2, max_size=30).map(
    lambda data: data.replace(b"\0\0", b"\0\5") + b"\x80"
)


@settings(deadline=None)
@given(st.lists(PAYLOADS, min_size=1), st.sampled_from([1, 2, 4]))
def test_units_are_found_behind_their_lengths(payloads: list[bytes], size: int) -> None:
    packet = b"".join(len(unit).to_bytes(size, "big") + unit for unit in payloads)

    assert split_units(packet, size) == payloads


@settings(deadline=None)
@given(st.lists(st.tuples(PAYLOADS, st.integers(0, 3)), min_size=1))
def test_units_are_found_behind_start_codes(payloads: list[tuple[bytes, int]]) -> None:
    packet = b"".join(b"\0" * zeros + b"\0\0\1" + unit for unit, zeros in payloads)

    assert split_units(packet, 0) == [unit for unit, _ in payloads]


@pytest.mark.parametrize(
    ("packet", "size"),
    [
        (b"\0\0\0\5\x65\x88", 4),  # longer than the packet
        (b"\0\0\0\0", 4),  # empty
        (b"\0\0\0\1\x65", 4),  # shorter than a header
        (b"\0\0\0\2\x65\x88\0", 4),  # bytes left over
        (b"\x65\x88\x80", 0),  # no start code
        (b"\x65\0\0\1\x65", 0),  # bytes before it
        (b"\0\0\1\0\0\1\x65", 0),  # empty
    ],
)
def test_packets_that_do_not_add_up_are_unproven(packet: bytes, size: int) -> None:
    with pytest.raises(Unproven):
        split_units(packet, size)


# Headers of real streams

READERS: dict[str, Callable[[], HeaderReader]] = {
    "h264": H264HeaderReader,
    "hevc": HevcHeaderReader,
}


def packets_of(path: Path) -> tuple[str, list[tuple[bytes, int]]]:
    """The codec; of each packet, in decoding order, its Annex B bytes and presentation time."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        codec = stream.codec_context.name
        to_annex_b = BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        packets = [
            (bytes(packet), packet.pts or 0)
            for whole in file.demux(stream)
            if whole.size
            for packet in to_annex_b.filter(whole)
        ]
    return codec, packets


def read_all(path: Path) -> list[tuple[PictureHeader, int]]:
    """Header and presentation time of each packet, in decoding order."""
    codec, packets = packets_of(path)
    reader = READERS[codec]()
    return [(reader.read(packet, 0), pts) for packet, pts in packets]


def put_out(path: Path) -> list[int]:
    """Presentation times in the order in which a decoder gives frames."""
    with av.open(str(path)) as file:
        return [frame.pts or 0 for frame in file.decode(video=0)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", "keyint=12:bframes=5:b-pyramid=normal:b-adapt=0"),
        ("libx264", "keyint=40:bframes=3:open-gop=1:slices=2"),
        ("libx264", "bframes=0:keyint=7"),  # picture order counts of type 2
        ("libx264", "cqm=jvt:bframes=2"),  # scaling lists
        ("libx265", "keyint=12:bframes=4:open-gop=0"),
        ("libx265", "keyint=20:open-gop=1:temporal-layers=3:slices=2"),
    ],
)
def test_order_counts_tell_the_order_of_output(
    tmp_path: Path, codec: str, options: str, suffix: str
) -> None:
    # 90 frames and a count of few bits: it wraps.
    name = codec.removeprefix("lib")
    path = write_video(
        tmp_path / f"clip.{suffix}",
        numbered(90),
        codec=codec,
        options={f"{name}-params": f"{options}:repeat-headers={int(suffix == 'ts')}"},
    )

    headers = read_all(path)

    period, keyed = 0, []
    for header, pts in headers:
        period += header.restarts
        keyed.append((period, header.order, pts))
    assert [pts for _, _, pts in sorted(keyed)] == put_out(path)
    assert headers[0][0].restarts
    assert any(not header.is_reference for header, _ in headers) == ("bframes=0" not in options)


def test_interlaced_streams_are_unproven(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "fields.mp4", numbered(20), options={"x264-params": "tff=1:keyint=5"}
    )

    with pytest.raises(Unproven, match="fields"):
        read_all(path)


@dataclass(frozen=True, slots=True)
class Stream:
    codec: str
    packets: Sequence[bytes]
    """In Annex B; the first begins with the parameter sets."""

    def reader(self) -> HeaderReader:
        return READERS[self.codec]()

    def unit(self, unit_type: int, payload: bytes) -> bytes:
        """A NAL unit behind its start code."""
        header = bytes([unit_type]) if self.codec == "h264" else bytes([unit_type << 1, 1])
        return b"\0\0\1" + header + payload


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stream:
    path = tmp_path_factory.mktemp("stream") / "clip.mp4"
    codec, packets = packets_of(write_video(path, numbered(8), codec=request.param))
    return Stream(codec, [packet for packet, _ in packets])


def test_a_packet_is_one_picture(stream: Stream) -> None:
    for packet in (
        stream.packets[1] + stream.packets[2],  # two
        b"",  # none
        stream.unit(9 if stream.codec == "h264" else 35, b"\x50"),  # a delimiter only
        stream.packets[1][:4],  # the beginning of one
    ):
        headers = stream.reader()
        headers.read(stream.packets[0], 0)
        with pytest.raises(Unproven):
            headers.read(packet, 0)


@pytest.mark.parametrize(("message", "turns"), [(5, False), (47, True), (255 + 47, False)])
def test_messages_that_turn_later_pictures_affect_others(
    stream: Stream, message: int, turns: bool
) -> None:
    number = b"\xff" * (message // 255) + bytes([message % 255])
    # Other messages precede and follow. In H.264, the message turns its own picture only.
    payload = b"\4\1\x2f" + number + b"\2\x2f\x2f" + b"\4\1\x2f\x80"
    packet = stream.unit(6 if stream.codec == "h264" else 39, payload) + stream.packets[1]

    headers = stream.reader()
    headers.read(stream.packets[0], 0)
    assert headers.read(packet, 0).affects_others == (turns and stream.codec == "hevc")


def test_a_picture_without_its_parameters_is_unproven(stream: Stream) -> None:
    with pytest.raises(Unproven, match="parameters"):
        stream.reader().read(stream.packets[1], 0)


def test_new_parameters_affect_others_and_repeated_ones_do_not(stream: Stream) -> None:
    headers = stream.reader()
    assert headers.read(stream.packets[0], 0).affects_others, "the first are new"
    assert not headers.read(stream.packets[0], 0).affects_others
    assert not headers.read(stream.packets[1], 0).affects_others, "it has none"
    changed = stream.unit(8 if stream.codec == "h264" else 34, b"\xc1\x80") + stream.packets[1]
    assert headers.read(changed, 0).affects_others
    assert not headers.read(changed, 0).affects_others
    assert headers.read(stream.packets[0], 0).affects_others, "the first again, instead of those"


def test_units_that_are_not_known_are_unproven(stream: Stream) -> None:
    headers = stream.reader()
    headers.read(stream.packets[0], 0)
    end_of_sequence = stream.unit(10 if stream.codec == "h264" else 36, b"\x80")
    with pytest.raises(Unproven, match="a NAL unit of type"):
        headers.read(stream.packets[1] + end_of_sequence, 0)


def test_hevc_pictures_that_may_not_be_shown_are_unproven() -> None:
    # pps_id 0, sps_id 0, no dependent slices, output_flag_present_flag: 1 1 0 1 000
    parameters = b"\0\0\1" + bytes([34 << 1, 1]) + bytes([0b1101_0001, 0x80])
    with pytest.raises(Unproven, match="not be shown"):
        HevcHeaderReader().read(parameters + b"\0\0\1" + bytes([19 << 1, 1, 0x80]), 0)


@settings(deadline=None)
@given(data=st.data())
def test_nothing_but_unproven_is_raised(stream: Stream, data: st.DataObject) -> None:
    # Hostile bytes: packets with some of theirs changed, or cut off.
    def spoilt(whole: bytes) -> bytes:
        cut = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
        for at in data.draw(st.lists(st.integers(0, max(0, len(cut) - 1)), max_size=4)):
            cut[at : at + 1] = data.draw(st.binary(min_size=1, max_size=2))
        return bytes(cut)

    headers = stream.reader()
    with suppress(Unproven):
        for packet in stream.packets[:3]:
            header = headers.read(spoilt(packet), data.draw(st.sampled_from([0, 0, 0, 1, 4])))
            assert abs(header.order) < 2**62, "it fits the index's array"


@settings(deadline=None)
@given(packet=st.binary(max_size=60), length_size=st.sampled_from([0, 1, 2, 4]))
@pytest.mark.parametrize("reader", READERS.values())
def test_noise_raises_nothing_but_unproven(
    reader: Callable[[], HeaderReader], packet: bytes, length_size: int
) -> None:
    for start in (b"", b"\0\0\1\x67", b"\0\0\1\x42\1"):
        with suppress(Unproven):
            reader().read(start + packet, length_size)


# Selections of modelled streams


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a modelled stream: what its packet says, and what it is predicted from."""

    header: PictureHeader
    pts: int
    shown: bool
    needs: tuple[int, ...]
    """Positions, in decoding order."""


@st.composite
def streams(draw: st.DrawFn) -> list[Picture]:
    """Streams of several periods, in decoding order, reordered and predicted as codecs may."""
    pictures: list[Picture] = []
    clock = draw(st.integers(-50, 50))
    for size in draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)):
        orders = draw(st.permutations(range(size)))
        times = [clock + step for step in np.cumsum(draw(_steps(size))).tolist()]
        clock = times[-1]
        begin = len(pictures)
        for at, order in enumerate(orders):
            layer = draw(st.integers(0, 2)) if at else 0
            sources = [
                begin + k
                for k, earlier in enumerate(pictures[begin:])
                if earlier.header.temporal_layer < layer
                or (earlier.header.temporal_layer == layer and earlier.header.is_reference)
            ]
            header = PictureHeader(
                unit_type=1,
                restarts=at == 0,
                is_reference=draw(st.booleans()),
                temporal_layer=layer,
                order=order - orders[0],
                affects_others=draw(st.sampled_from([False, False, False, True])),
            )
            needs = draw(st.lists(st.sampled_from(sources), unique=True)) if sources else []
            shown = draw(st.sampled_from([True, True, True, False]))
            pictures.append(Picture(header, times[order], shown, tuple(needs)))
    return pictures


def _steps(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, 9), min_size=size, max_size=size)


TICK = Fraction(1, 1000)


def selected(
    pictures: Sequence[Picture], every: int, duration: int = 3, *, cuts: bool = False
) -> PacketSelection:
    index = PictureIndex()
    for picture in pictures:
        index.add(picture.header, picture.pts, duration, shown=picture.shown)
    return index.select(Schedule(Sampling(every), TICK), cuts=cuts)


@settings(deadline=None)
@given(streams(), st.integers(1, 12))
def test_a_selection_numbers_the_pictures_as_they_are_shown(
    pictures: list[Picture], every: int
) -> None:
    shown = sorted(picture.pts for picture in pictures if picture.shown)
    if not shown:
        with pytest.raises(Unproven):
            selected(pictures, every)
        return

    selection = selected(pictures, every)

    assert selection.pts.tolist() == [picture.pts for picture in pictures]
    numbers = {
        picture.pts: n for picture, n in zip(pictures, selection.number, strict=True) if n >= 0
    }
    assert numbers == {pts: n for n, pts in enumerate(shown)}
    due = {picture.pts for picture, is_due in zip(pictures, selection.due, strict=True) if is_due}
    assert due == set(shown[::every])
    assert (selection.frames, selection.first_pts, selection.last_pts) == (
        len(shown),
        shown[0],
        shown[-1],
    )
    assert selection.last_duration == 3


@settings(deadline=None)
@given(streams(), st.integers(1, 12), st.booleans())
def test_a_selection_leaves_out_nothing_that_is_needed(
    pictures: list[Picture], every: int, cuts: bool
) -> None:
    pictures[0] = replace(pictures[0], shown=True)
    selection = selected(pictures, every, cuts=cuts)

    for picture, decoded, due in zip(pictures, selection.decode, selection.due, strict=True):
        if due:
            assert decoded, "a wanted picture is decoded"
        if decoded:
            assert all(selection.decode[need] for need in picture.needs), (
                "with what it is predicted from"
            )
    # Parameters that are dropped may only be missed by pictures that are dropped with them.
    for at, picture in enumerate(pictures):
        if picture.header.affects_others and not selection.decode[at]:
            pytest.fail("new parameters are left out")


@settings(deadline=None)
@given(streams(), st.integers(1, 12))
def test_a_decoder_never_holds_back_more_than_the_selection_says(
    pictures: list[Picture], every: int
) -> None:
    pictures[0] = replace(pictures[0], shown=True)
    selection = selected(pictures, every)

    for at, picture in enumerate(pictures):
        held = sum(earlier.pts > picture.pts for earlier in pictures[:at])
        assert held <= selection.reorder_depth


def test_a_selection_leaves_out_what_it_can() -> None:
    # IBBP IBBP, a key frame each four: of 0 to 7, number 0 and number 5 are wanted.
    def group(pts: int) -> list[Picture]:
        def picture(order: int, *, start: bool = False, reference: bool = False) -> Picture:
            header = PictureHeader(1, start, reference, temporal_layer=0, order=order)
            return Picture(header, pts + order, True, ())

        p = picture(3, reference=True)
        return [picture(0, start=True, reference=True), p, picture(1), picture(2)]

    selection = selected(group(0) + group(4), every=5)

    assert selection.decode.tolist() == [True, False, False, False, True, True, True, False]
    assert selection.number.tolist() == [0, 3, 1, 2, 4, 7, 5, 6]
    assert selection.due.tolist() == [True, *[False] * 5, True, False]
    assert not selected(group(0) + group(4), every=8).decode[4:].any(), (
        "a group without a wanted one"
    )
    assert selected(group(0) + group(4), every=8, cuts=True).decode.tolist() == [
        True, True, False, False, True, True, False, False,
    ], "cuts are looked for in all that others refer to"  # fmt: skip


FIRST = PictureHeader(5, restarts=True, is_reference=True, temporal_layer=0)
LATER = FIRST._replace(unit_type=1, restarts=False, order=1)


@pytest.mark.parametrize(
    "packets",
    [
        [(LATER, 0), (FIRST, 1)],  # decoding does not start at the first
        [(FIRST, None)],  # no time
        [(FIRST, 5), (LATER, 5)],  # two pictures at one time
        [(FIRST, 5), (LATER, 4)],  # times against the order of output
        [(FIRST, 0), (LATER, 1), (LATER, 2)],  # no order between two
        [(FIRST, 5), (FIRST, 4)],  # a period that overlaps the one before
        [],
    ],
)
def test_what_is_not_proven_is_not_selected(
    packets: list[tuple[PictureHeader, int | None]],
) -> None:
    index = PictureIndex()
    with pytest.raises(Unproven):
        for header, pts in packets:
            index.add(header, pts, 1, shown=True)
        index.select(Schedule(Sampling(10), TICK))
