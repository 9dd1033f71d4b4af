"""Headers of H.264 packets (ITU-T H.264, 08/2021; section numbers are its own)."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.packets.nal import (
    HEAD,
    MOST_PARAMETERS,
    WIDEST_COUNT,
    AccessUnit,
    Bits,
    OrderCount,
    Unproven,
    check_messages,
    units,
)

_SLICE, _SLICE_IDR, _SPS, _PPS = 1, 5, 7, 8
_MESSAGE = 6
_EMPTY = frozenset({9, 12})
"""Access unit delimiter, filler (table 7-1)."""
_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose parameter sets carry chroma format and scaling lists (7.3.2.1.1)."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What is needed of a sequence parameter set."""

    separate_planes: bool
    frame_num_width: int
    order_type: int
    order_width: int


class H264Headers:
    """Headers of one H.264 stream, packet by packet.

    Covered are streams of whole frames (no fields), one frame to a packet, whose picture order
    count has type 0 or 2. Whatever else turns up raises `Unproven`: data partitioning, scalable and
    multiview units, auxiliary pictures, ends of sequence.
    """

    def __init__(self, extradata: bytes) -> None:
        """`extradata` as the container has it: an avcC record, Annex B units, or nothing."""
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, int] = {}
        self._seen: dict[tuple[int, int], bytes] = {}
        self._count = OrderCount()
        self._frame_num = 0
        self._frame_num_offset = 0
        self._length_size = 0
        if extradata[:1] == b"\1":
            self._length_size = 1 + (_byte(extradata, 4) & 3)
            self._read_record(extradata)
        elif extradata:
            for unit in units(extradata, 0):
                self._parameters(unit)

    def _read_record(self, record: bytes) -> None:
        """The parameter sets of an avcC record (ISO/IEC 14496-15 5.3.3.1)."""
        at = 5
        for mask in (0x1F, 0xFF):
            number = _byte(record, at) & mask
            at += 1
            for _ in range(number):
                end = at + 2 + int.from_bytes(record[at : at + 2], "big")
                self._parameters(record[at + 2 : end])
                at = end

    def read(self, packet: bytes) -> AccessUnit:
        """The headers of the next packet. Raises `Unproven`."""
        picture: bytes | None = None
        plain = True
        for unit in units(packet, self._length_size):
            kind = unit[0] & 0x1F
            if kind in (_SLICE, _SLICE_IDR):
                # The first bit after the header is 1 in the slice that holds the first macroblock
                # (Exp-Golomb 0): one to a frame, two to a pair of fields or a pair of frames.
                if (picture is None) != bool(_byte(unit, 1) & 0x80):
                    raise Unproven("a packet is not exactly one frame")
                if picture is None:
                    picture = unit
                elif _nature(unit) != _nature(picture):
                    raise Unproven("slices of one frame disagree")
            elif kind in (_SPS, _PPS):
                if picture is not None:
                    raise Unproven("parameters come after the frame of their packet")
                plain &= self._parameters(unit)
            elif kind == _MESSAGE:
                check_messages(unit[1:])
            elif kind not in _EMPTY:
                raise Unproven(f"a NAL unit of type {kind}")
        if picture is None:
            raise Unproven("a packet without a frame")
        start, reference = _nature(picture)
        return AccessUnit(start, self._order(picture, start, reference), reference, 0, plain)

    def _parameters(self, unit: bytes) -> bool:
        """Take in a parameter set. True if it says nothing new: many streams repeat theirs."""
        kind = _byte(unit, 0) & 0x1F
        bits = Bits(unit[1:MOST_PARAMETERS])
        if kind == _SPS:
            number, sequence = _sequence(bits)
            self._sequences[number] = sequence
        elif kind == _PPS:
            number = bits.ue()
            self._pictures[number] = bits.ue()
        else:
            return True
        repeated = self._seen.get((kind, number)) == unit
        self._seen[kind, number] = unit
        return repeated

    def _order(self, slice_: bytes, start: bool, reference: bool) -> int:
        """The picture order count of a frame from its first slice (7.3.3, 8.2.1)."""
        bits = Bits(slice_[1:HEAD])
        bits.ue()  # first_mb_in_slice
        bits.ue()  # slice_type
        try:
            sequence = self._sequences[self._pictures[bits.ue()]]
        except KeyError:
            raise Unproven("a frame names parameters that are not there") from None
        if sequence.separate_planes:
            bits.u(2)  # colour_plane_id
        frame_num = bits.u(sequence.frame_num_width)
        if start:
            bits.ue()  # idr_pic_id
            self._count.start()
        if sequence.order_type == 0:
            lsb = bits.u(sequence.order_width)
            return self._count.unwrap(lsb, sequence.order_width, anchors=reference)
        # Type 2 (8.2.1.3): output in decoding order.
        if start:
            self._frame_num_offset = 0
        elif self._frame_num > frame_num:
            self._frame_num_offset += 1 << sequence.frame_num_width
        self._frame_num = frame_num
        return 2 * (self._frame_num_offset + frame_num) - (not reference)


def _nature(slice_: bytes) -> tuple[bool, bool]:
    """Whether a slice belongs to a start (IDR), and to a reference picture (7.4.1)."""
    return slice_[0] & 0x1F == _SLICE_IDR, bool(slice_[0] & 0x60)


def _sequence(bits: Bits) -> tuple[int, _Sequence]:
    """Number and content of a sequence parameter set (7.3.2.1.1)."""
    profile = bits.u(8)
    bits.u(16)  # constraints, level
    number = bits.ue()
    separate_planes = False
    if profile in _WITH_CHROMA:
        chroma = bits.ue()
        if chroma == 3:
            separate_planes = bool(bits.u(1))
        bits.ue()  # bit depths
        bits.ue()
        bits.u(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.u(1):
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    frame_num_width = 4 + bits.ue()
    order_type = bits.ue()
    order_width = 4 + bits.ue() if order_type == 0 else 0
    if order_type not in (0, 2):
        raise Unproven(f"picture order counts of type {order_type}")
    if max(frame_num_width, order_width) > WIDEST_COUNT:
        raise Unproven("counts that are too wide")
    bits.ue()  # max_num_ref_frames
    bits.u(1)  # gaps_in_frame_num_value_allowed_flag
    bits.ue()  # width and height in macroblocks
    bits.ue()
    if not bits.u(1):  # frame_mbs_only_flag
        raise Unproven("frames may be coded as fields")
    return number, _Sequence(separate_planes, frame_num_width, order_type, order_width)


def _skip_scaling_lists(bits: Bits, lists: int) -> None:
    """Past the scaling lists of a sequence parameter set (7.3.2.1.1.1)."""
    for index in range(lists):
        if not bits.u(1):
            continue
        last = scale = 8
        for _ in range(16 if index < 6 else 64):
            if scale:
                scale = (last + bits.se()) % 256
            last = scale or last


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise Unproven("a record ends early")
    return data[at]
