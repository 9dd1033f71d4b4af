"""The packet rule on its own: headers of real and invented streams, and plans of modelled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.packets.h264 import H264Headers
from ingest.packets.hevc import HevcHeaders
from ingest.packets.nal import AccessUnit, Bits, Headers, OrderCount, Unproven, units
from ingest.packets.plan import Plan, Survey
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


@settings(deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=1))
def test_signed_codes_are_read(numbers: list[int]) -> None:
    codes = [2 * n - 1 if n > 0 else -2 * n for n in numbers]
    bits = Bits(packed("".join(map(golomb, codes))))

    assert [bits.se() for _ in numbers] == numbers


def test_reading_past_the_end_is_unproven() -> None:
    bits = Bits(b"\x80")
    assert bits.ue() == 0
    with pytest.raises(Unproven):
        bits.ue()
    with pytest.raises(Unproven):
        Bits(b"").u(1)


PAYLOADS = st.binary(min_size=1, max_size=30).map(
    lambda data: data.replace(b"\0\0", b"\0\5") + b"\x80"
)


@settings(deadline=None)
@given(st.lists(PAYLOADS, min_size=1), st.sampled_from([1, 2, 4]))
def test_units_are_found_behind_their_lengths(payloads: list[bytes], size: int) -> None:
    packet = b"".join(len(unit).to_bytes(size, "big") + unit for unit in payloads)

    assert list(units(packet, size)) == payloads


@settings(deadline=None)
@given(st.lists(st.tuples(PAYLOADS, st.integers(0, 3)), min_size=1))
def test_units_are_found_behind_start_codes(payloads: list[tuple[bytes, int]]) -> None:
    packet = b"".join(b"\0" * zeros + b"\0\0\1" + unit for unit, zeros in payloads)

    assert list(units(packet, 0)) == [unit for unit, _ in payloads]


@pytest.mark.parametrize(
    ("packet", "size"),
    [
        (b"\0\0\0\5\x65\x88", 4),  # longer than the packet
        (b"\0\0\0\0", 4),  # empty
        (b"\0\0\0\1\x65\0", 4),  # bytes left over
        (b"\x65\x88\x80", 0),  # no start code
        (b"\x65\0\0\1\x65", 0),  # bytes before it
        (b"\0\0\1\0\0\1\x65", 0),  # empty
    ],
)
def test_packets_that_do_not_add_up_are_unproven(packet: bytes, size: int) -> None:
    with pytest.raises(Unproven):
        list(units(packet, size))


@settings(deadline=None)
@given(st.data(), st.integers(4, 16))
def test_order_counts_unwrap(data: st.DataObject, width: int) -> None:
    half = 1 << (width - 1)
    count, anchor = OrderCount(), 0
    for _ in range(20):
        order = anchor + data.draw(st.integers(-half + 1, half - 1))
        anchors = data.draw(st.booleans())
        assert count.unwrap(order % (2 * half), width, anchors=anchors) == order
        anchor = order if anchors else anchor


# Headers of real streams

READERS: dict[str, Callable[[bytes], Headers]] = {"h264": H264Headers, "hevc": HevcHeaders}


def read_all(path: Path) -> list[tuple[AccessUnit, int]]:
    """Headers and presentation time of each packet, in decoding order."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        headers = READERS[stream.codec_context.name](stream.codec_context.extradata or b"")
        packets = [packet for packet in file.demux(stream) if packet.size]
        return [(headers.read(bytes(packet)), packet.pts or 0) for packet in packets]


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

    found = read_all(path)

    period, keyed = 0, []
    for unit, pts in found:
        period += unit.start
        keyed.append((period, unit.order, pts))
    assert [pts for _, _, pts in sorted(keyed)] == put_out(path)
    assert found[0][0].start
    assert any(not unit.reference for unit, _ in found) == ("bframes=0" not in options)


def test_interlaced_streams_are_unproven(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "fields.mp4", numbered(20), options={"x264-params": "tff=1:keyint=5"}
    )

    with pytest.raises(Unproven, match="fields"):
        read_all(path)


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stream:
    """Record and packets of a short stream."""
    path = tmp_path_factory.mktemp("stream") / "clip.mp4"
    write_video(path, numbered(8), codec=request.param)
    with av.open(str(path)) as file:
        codec = file.streams.video[0].codec_context
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
        return Stream(READERS[codec.name], codec.extradata or b"", packets)


@dataclass(frozen=True, slots=True)
class Stream:
    reader: Callable[[bytes], Headers]
    record: bytes
    packets: Sequence[bytes]


def test_a_packet_is_one_picture(stream: Stream) -> None:
    for packet in (
        stream.packets[1] + stream.packets[2],  # two
        b"",  # none
        stream.packets[1][: len(stream.packets[1]) // 2],  # half
    ):
        headers = stream.reader(stream.record)
        headers.read(stream.packets[0])
        with pytest.raises(Unproven):
            headers.read(packet)


@pytest.mark.parametrize(("kind", "turns"), [(5, False), (47, True), (255 + 47, False)])
def test_messages_that_turn_later_pictures_are_unproven(
    stream: Stream, kind: int, turns: bool
) -> None:
    head = b"\6" if stream.reader is H264Headers else b"\x4e\1"
    number = b"\xff" * (kind // 255) + bytes([kind % 255])
    message = head + b"\4\1\x55" + number + b"\2\x55\x55\x80"
    packet = len(message).to_bytes(4, "big") + message + stream.packets[0]

    headers = stream.reader(stream.record)
    if turns:
        with pytest.raises(Unproven, match="turn"):
            headers.read(packet)
    else:
        assert headers.read(packet).plain


def test_a_picture_without_its_parameters_is_unproven(stream: Stream) -> None:
    with pytest.raises(Unproven):
        stream.reader(b"").read(stream.packets[0])


def test_repeated_parameters_are_plain_and_new_ones_are_not(stream: Stream) -> None:
    path_units = [u for u in units(stream.packets[0], 4)]
    known = stream.reader(stream.record)
    kinds = {H264Headers: (b"\x67", b"\x68"), HevcHeaders: (b"\x40\1", b"\x42\1", b"\x44\1")}
    heads = kinds[stream.reader]  # type: ignore[index]
    parameters = _parameters(stream.record, heads)
    assert parameters, "the record holds parameter sets"

    def packet(extra: Sequence[bytes]) -> bytes:
        return b"".join(len(u).to_bytes(4, "big") + u for u in [*extra, *path_units])

    assert known.read(packet(parameters)).plain
    changed = [*parameters[:-1], parameters[-1] + b"\x80"]
    assert not known.read(packet(changed)).plain
    assert known.read(packet(changed)).plain


def _parameters(record: bytes, heads: Sequence[bytes]) -> list[bytes]:
    """Parameter sets of a record, found by what they begin with, behind a length of 16 bits."""
    found = []
    for at in range(len(record) - 3):
        size = int.from_bytes(record[at : at + 2], "big")
        unit = record[at + 2 : at + 2 + size]
        if len(unit) == size > 2 and unit.startswith(tuple(heads)):
            found.append(unit)
    return found


@settings(deadline=None)
@given(data=st.data())
def test_nothing_but_unproven_is_raised(stream: Stream, data: st.DataObject) -> None:
    # Hostile bytes: record and packets with some of theirs changed, or no such thing at all.
    def spoilt(whole: bytes) -> bytes:
        cut = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
        for at in data.draw(st.lists(st.integers(0, max(0, len(cut) - 1)), max_size=4)):
            cut[at : at + 1] = data.draw(st.binary(min_size=1, max_size=2))
        return bytes(cut)

    try:
        headers = stream.reader(spoilt(stream.record))
        for packet in stream.packets[:3]:
            unit = headers.read(spoilt(packet))
            assert abs(unit.order) < 2**62, "it fits the survey's arrays"
    except Unproven:
        pass


@settings(deadline=None)
@given(record=st.binary(max_size=60), packet=st.binary(max_size=60))
@pytest.mark.parametrize("reader", READERS.values())
def test_noise_raises_nothing_but_unproven(
    reader: Callable[[bytes], Headers], record: bytes, packet: bytes
) -> None:
    for given_record in (record, b"\1" + record, b"\0\0\1\x67" + record):
        with suppress(Unproven):
            reader(given_record).read(packet)


# Plans of modelled streams


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a modelled stream: what its packet says, and what it is predicted from."""

    unit: AccessUnit
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
                if earlier.unit.layer < layer
                or (earlier.unit.layer == layer and earlier.unit.reference)
            ]
            unit = AccessUnit(
                start=at == 0,
                order=order - orders[0],
                reference=draw(st.booleans()),
                layer=layer,
                plain=draw(st.sampled_from([True, True, True, False])),
            )
            needs = draw(st.lists(st.sampled_from(sources), unique=True)) if sources else []
            shown = draw(st.sampled_from([True, True, True, False]))
            pictures.append(Picture(unit, times[order], shown, tuple(needs)))
    return pictures


def _steps(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, 9), min_size=size, max_size=size)


def planned(pictures: Sequence[Picture], every: int, duration: int = 3) -> Plan:
    survey = Survey()
    for picture in pictures:
        survey.add(picture.unit, picture.pts, duration, shown=picture.shown)
    return survey.plan(every)


@settings(deadline=None)
@given(streams(), st.integers(1, 12))
def test_a_plan_numbers_the_pictures_as_they_are_shown(pictures: list[Picture], every: int) -> None:
    shown = sorted(picture.pts for picture in pictures if picture.shown)
    if not shown:
        with pytest.raises(Unproven):
            planned(pictures, every)
        return

    plan = planned(pictures, every)

    assert plan.pts.tolist() == [picture.pts for picture in pictures]
    numbers = {picture.pts: n for picture, n in zip(pictures, plan.number, strict=True) if n >= 0}
    assert numbers == {pts: n for n, pts in enumerate(shown) if n % every == 0}
    assert (plan.frames, plan.first, plan.last) == (len(shown), shown[0], shown[-1])
    assert plan.duration == 3


@settings(deadline=None)
@given(streams(), st.integers(1, 12))
def test_a_plan_leaves_out_nothing_that_is_needed(pictures: list[Picture], every: int) -> None:
    pictures[0] = replace(pictures[0], shown=True)
    plan = planned(pictures, every)

    for picture, fed, number in zip(pictures, plan.feed, plan.number, strict=True):
        if number >= 0:
            assert fed, "a wanted picture is decoded"
        if fed:
            assert all(plan.feed[need] for need in picture.needs), "with what it is predicted from"
    # Parameters that are dropped may only be missed by pictures that are dropped with them.
    for at, picture in enumerate(pictures):
        if not (picture.unit.plain or plan.feed[at]):
            pytest.fail("new parameters are left out")


@settings(deadline=None)
@given(streams(), st.integers(1, 12))
def test_a_decoder_never_holds_back_more_than_the_plan_says(
    pictures: list[Picture], every: int
) -> None:
    pictures[0] = replace(pictures[0], shown=True)
    plan = planned(pictures, every)

    for at, picture in enumerate(pictures):
        held = sum(earlier.pts > picture.pts for earlier in pictures[:at])
        assert held <= plan.reorder


def test_a_plan_leaves_out_what_it_can() -> None:
    # IBBP IBBP, a key frame each four: of 0 to 7, number 0 and number 5 are wanted.
    def group(pts: int) -> list[Picture]:
        def picture(order: int, *, start: bool = False, reference: bool = False) -> Picture:
            return Picture(AccessUnit(start, order, reference, 0, True), pts + order, True, ())

        p = picture(3, reference=True)
        return [picture(0, start=True, reference=True), p, picture(1), picture(2)]

    plan = planned(group(0) + group(4), every=5)

    assert plan.feed.tolist() == [True, False, False, False, True, True, True, False]
    assert plan.number.tolist() == [0, -1, -1, -1, -1, -1, 5, -1]
    assert not planned(group(0) + group(4), every=8).feed[4:].any(), "a group without a wanted one"


UNIT = AccessUnit(start=True, order=0, reference=True, layer=0, plain=True)
LATER = replace(UNIT, start=False, order=1)


@pytest.mark.parametrize(
    "packets",
    [
        [(LATER, 0), (UNIT, 1)],  # decoding does not start at the first
        [(UNIT, None)],  # no time
        [(UNIT, 5), (LATER, 5)],  # two pictures at one time
        [(UNIT, 5), (LATER, 4)],  # times against the order of output
        [(UNIT, 0), (LATER, 1), (LATER, 2)],  # no order between two
        [(UNIT, 5), (UNIT, 4)],  # a period that overlaps the one before
        [],
    ],
)
def test_what_is_not_proven_is_not_planned(packets: list[tuple[AccessUnit, int | None]]) -> None:
    survey = Survey()
    with pytest.raises(Unproven):
        for unit, pts in packets:
            survey.add(unit, pts, 1, shown=True)
        survey.plan(10)
