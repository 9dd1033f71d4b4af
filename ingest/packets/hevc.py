"""Headers of HEVC packets (ITU-T H.265, 09/2023; section numbers are its own)."""

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

_LEADING = frozenset(range(6, 10))
"""RADL and RASL pictures: shown before the random access picture that they follow (table 7-1)."""
_NON_REFERENCE = frozenset(range(0, 15, 2))
"""Sub-layer non-reference pictures: no picture of their own sub-layer is predicted from them."""
_IDR = frozenset({19, 20})
_CRA = 21
_SLICES = frozenset(range(10)) | _IDR | {_CRA}
"""Without the broken links (16 to 18): behind them, pictures are missing by design."""
_VPS, _SPS, _PPS = 32, 33, 34
_MESSAGES = frozenset({39, 40})
_EMPTY = frozenset({35, 38, 62})
"""Access unit delimiter, filler; 62: Dolby Vision's word on how to tone-map this one picture."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What is needed of a sequence parameter set."""

    separate_planes: bool
    order_width: int


@dataclass(frozen=True, slots=True)
class _Picture:
    """What is needed of a picture parameter set."""

    sequence: int
    output_flag: bool
    extra_bits: int


class HevcHeaders:
    """Headers of one HEVC stream, packet by packet.

    Covered are streams of one layer, one picture to a packet, all of them shown. Whatever else
    turns up raises `Unproven`: broken links, ends of sequence, further layers, pictures that are
    not put out.
    """

    def __init__(self, extradata: bytes) -> None:
        """`extradata` as the container has it: an hvcC record, Annex B units, or nothing."""
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, _Picture] = {}
        self._seen: dict[tuple[int, int], bytes] = {}
        self._count = OrderCount()
        self._begun = False
        self._length_size = 0
        if extradata[:1] == b"\1":
            self._read_record(extradata)
        elif extradata:
            for unit in units(extradata, 0):
                self._parameters(unit)

    def _read_record(self, record: bytes) -> None:
        """Length size and parameter sets of an hvcC record (ISO/IEC 14496-15 8.3.3.1)."""
        if len(record) < 23:
            raise Unproven("a record ends early")
        self._length_size = 1 + (record[21] & 3)
        at = 23
        for _ in range(record[22]):
            number = int.from_bytes(record[at + 1 : at + 3], "big")
            at += 3
            for _ in range(number):
                end = at + 2 + int.from_bytes(record[at : at + 2], "big")
                self._parameters(record[at + 2 : end])
                at = end

    def read(self, packet: bytes) -> AccessUnit:
        """The headers of the next packet. Raises `Unproven`."""
        picture: bytes | None = None
        plain = True
        for unit in units(packet, self._length_size):
            kind, layer = _header(unit)
            if layer:
                raise Unproven("a second layer")
            if kind in _SLICES:
                # The first bit after the header: first_slice_segment_in_pic_flag (7.3.6.1).
                if len(unit) < 3 or (picture is None) != bool(unit[2] & 0x80):
                    raise Unproven("a packet is not exactly one picture")
                if picture is None:
                    picture = unit
                elif unit[:2] != picture[:2]:
                    raise Unproven("slices of one picture disagree")
            elif kind in (_VPS, _SPS, _PPS):
                if picture is not None:
                    raise Unproven("parameters come after the picture of their packet")
                plain &= self._parameters(unit)
            elif kind in _MESSAGES:
                check_messages(unit[2:])
            elif kind not in _EMPTY:
                raise Unproven(f"a NAL unit of type {kind}")
        if picture is None:
            raise Unproven("a packet without a picture")
        kind, _ = _header(picture)
        temporal = (picture[1] & 7) - 1
        if temporal < 0:
            raise Unproven("a temporal sub-layer below the first")
        order = self._order(picture, kind, temporal)
        return AccessUnit(kind in _IDR, order, kind not in _NON_REFERENCE, temporal, plain)

    def _parameters(self, unit: bytes) -> bool:
        """Take in a parameter set. True if it says nothing new: many streams repeat theirs."""
        kind, layer = _header(unit)
        if layer:
            raise Unproven("a second layer")
        bits = Bits(unit[2:MOST_PARAMETERS])
        if kind == _VPS:
            number = bits.u(4)
        elif kind == _SPS:
            number, sequence = _sequence(bits)
            self._sequences[number] = sequence
        elif kind == _PPS:
            number = bits.ue()
            sequence_number = bits.ue()
            bits.u(1)  # dependent_slice_segments_enabled_flag
            output_flag = bool(bits.u(1))
            self._pictures[number] = _Picture(sequence_number, output_flag, bits.u(3))
        else:
            return True
        repeated = self._seen.get((kind, number)) == unit
        self._seen[kind, number] = unit
        return repeated

    def _order(self, slice_: bytes, kind: int, temporal: int) -> int:
        """The picture order count of a picture from its first slice (7.3.6.1, 8.3.1)."""
        bits = Bits(slice_[2:HEAD])
        bits.u(1)  # first_slice_segment_in_pic_flag
        if kind >= 16:
            discards = bits.u(1)  # no_output_of_prior_pics_flag
            if discards and self._begun and kind in _IDR:
                raise Unproven("pictures that are not put out")
        self._begun = True
        try:
            picture = self._pictures[bits.ue()]
            sequence = self._sequences[picture.sequence]
        except KeyError:
            raise Unproven("a picture names parameters that are not there") from None
        bits.u(picture.extra_bits)
        bits.ue()  # slice_type
        if picture.output_flag and not bits.u(1):
            raise Unproven("a picture that is not put out")
        if kind in _IDR:
            self._count.start()
            return 0
        if sequence.separate_planes:
            bits.u(2)  # colour_plane_id
        anchors = temporal == 0 and kind not in _LEADING and kind not in _NON_REFERENCE
        lsb = bits.u(sequence.order_width)
        return self._count.unwrap(lsb, sequence.order_width, anchors=anchors)


def _header(unit: bytes) -> tuple[int, int]:
    """Type and layer of a NAL unit (7.3.1.2)."""
    if len(unit) < 2:
        raise Unproven("a NAL unit without a header")
    return (unit[0] >> 1) & 0x3F, (unit[0] & 1) << 5 | unit[1] >> 3


def _sequence(bits: Bits) -> tuple[int, _Sequence]:
    """Number and content of a sequence parameter set (7.3.2.2.1)."""
    bits.u(4)  # sps_video_parameter_set_id
    sub_layers = bits.u(3)
    bits.u(1)  # sps_temporal_id_nesting_flag
    bits.u(96)  # the general part of profile_tier_level (7.3.3)
    present = [(bits.u(1), bits.u(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.u(2 * (8 - sub_layers))
    for profile, level in present:
        bits.u(88 * profile + 8 * level)
    number = bits.ue()
    chroma = bits.ue()
    separate_planes = chroma == 3 and bool(bits.u(1))
    bits.ue()  # width and height
    bits.ue()
    if bits.u(1):  # conformance_window_flag
        for _ in range(4):
            bits.ue()
    bits.ue()  # bit depths
    bits.ue()
    order_width = 4 + bits.ue()
    if order_width > WIDEST_COUNT:
        raise Unproven("counts that are too wide")
    return number, _Sequence(separate_planes, order_width)
