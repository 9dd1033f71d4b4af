"""Headers of H.264 and HEVC pictures, read from packets without decoding them. Pure.

Section numbers are those of ITU-T H.264 (08/2021) and ITU-T H.265 (09/2023).
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from ingest.frames.nal_units import Bits, Unproven, message_types, split_units

_SLICE_BYTES = 48
"""How much of a slice is read: the fields up to the picture order count take half of this."""
_PARAMETER_BYTES = 1024
"""How much of a parameter set is read: one with all scaling lists takes half of this."""
_DISPLAY_ORIENTATION = 47
"""Type of the message that turns this and, in HEVC, all later pictures (H.265 D.2.17)."""


class PictureHeader(NamedTuple):
    """What the headers in a packet state about its picture."""

    unit_type: int
    restarts: bool
    """An IDR picture: no picture from here on refers to one before it."""
    is_reference: bool
    """Pictures of its own temporal layer may refer to it."""
    temporal_layer: int
    """0-based. Pictures refer only to their own layer and to those below."""
    order: int = 0
    """Picture order count: the order of output among the pictures since the last restart."""
    affects_others: bool = False
    """The packet carries more than its picture, such as parameters that later pictures need."""


class HeaderReader:
    """Reads the packets of one stream in decoding order.

    Each packet must hold one whole picture that is shown; any unit not known to keep to this raises
    `Unproven`. The codecs' parts are the subclasses.
    """

    _slices: ClassVar[frozenset[int]]
    """Types of NAL units that hold a part of a picture."""
    _parameters: ClassVar[frozenset[int]]
    _messages: ClassVar[frozenset[int]]
    """Supplemental enhancement information that may describe later pictures as well."""
    _ignored: ClassVar[frozenset[int]]
    _header_size: ClassVar[int]
    """Bytes of a NAL unit's header."""

    def __init__(self) -> None:
        """Before the first packet."""
        self._latest_parameters: dict[int, list[bytes]] = {}
        self._order_bits: int | None = None
        """Width of the order count's low bits, which slices carry; None before the parameters."""
        self._base = 0
        """The order count from which the next one is counted."""

    def read(self, packet: bytes, length_size: int) -> PictureHeader:
        """The header of the next packet's picture; `length_size` as in `split_units`.

        Raises:
            Unproven: the packet is not covered.
        """
        slices: list[bytes] = []
        headers: set[PictureHeader] = set()
        parameters: dict[int, list[bytes]] = {}
        affects_others = False
        for unit in split_units(packet, length_size):
            header = self._unit_header(unit)
            unit_type = header.unit_type
            if unit_type in self._slices:
                slices.append(unit)
                headers.add(header)
            elif unit_type in self._parameters and not slices:
                parameters.setdefault(unit_type, []).append(unit)
            elif unit_type in self._messages:
                affects_others |= _DISPLAY_ORIENTATION in message_types(unit[self._header_size :])
            elif unit_type not in self._ignored:
                raise Unproven(f"a NAL unit of type {unit_type}")
        # The bit behind the header is 1 in the slice that holds a picture's first block (H.265
        # 7.3.6.1; in H.264 7.3.3 it is an Exp-Golomb 0), which two fields or pictures have twice.
        at = self._header_size
        begins = [unit[at : at + 1] >= b"\x80" for unit in slices]
        if begins != [True] + [False] * (len(slices) - 1):
            raise Unproven("a packet that is not one picture")
        if len(headers) > 1:
            raise Unproven("slices of one picture that disagree")
        for unit_type, units in parameters.items():
            if self._latest_parameters.get(unit_type) != units:  # many streams repeat theirs
                affects_others = True
                self._latest_parameters[unit_type] = units
                for unit in units:
                    payload = unit[self._header_size : _PARAMETER_BYTES]
                    self._read_parameters(unit_type, Bits(payload))
        if self._order_bits is None:
            raise Unproven("a picture before its parameters")
        header = headers.pop()
        order = self._read_order(header, Bits(slices[0][self._header_size : _SLICE_BYTES]))
        return PictureHeader(*header[:4], order, affects_others)

    def _unit_header(self, unit: bytes) -> PictureHeader:
        """The fields that the header of a NAL unit has."""
        raise NotImplementedError

    def _read_parameters(self, unit_type: int, bits: Bits) -> None:
        """Take what slices need from a parameter set."""
        raise NotImplementedError

    def _read_order(self, header: PictureHeader, bits: Bits) -> int:
        """The order count of the picture that a slice begins."""
        raise NotImplementedError

    def _order_count(self, low: int, *, is_base: bool) -> int:
        """The order count nearest to the base that ends in `low` (H.264 8.2.1.1, H.265 8.3.1).

        `is_base`: later counts are counted from this one.
        """
        size = 1 << (self._order_bits or 0)
        order = self._base + (low - self._base + size // 2 - 1) % size - size // 2 + 1
        if is_base:
            self._base = order
        return order


class H264HeaderReader(HeaderReader):
    """Headers of an H.264 stream of whole frames: no fields, and order counts of type 0 or 2."""

    _slices = frozenset({1, 5})
    _parameters = frozenset({7, 8})
    _messages = frozenset()
    _ignored = frozenset({6, 9, 12})
    """Messages, which describe this picture only; access unit delimiter; filler (table 7-1)."""
    _header_size = 1

    _PROFILES_WITH_CHROMA = frozenset(
        {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
    )
    """Those whose parameters include the chroma format and scaling lists (7.3.2.1.1)."""

    def _unit_header(self, unit: bytes) -> PictureHeader:
        unit_type = unit[0] & 0x1F
        return PictureHeader(unit_type, unit_type == 5, bool(unit[0] & 0x60), 0)  # nal_ref_idc

    def _read_parameters(self, unit_type: int, bits: Bits) -> None:
        if unit_type != 7:  # 7: a sequence parameter set
            return
        profile = bits.u(8)
        bits.u(16)  # constraints, level
        if bits.ue():  # seq_parameter_set_id
            raise Unproven("several sequence parameter sets")
        if profile in self._PROFILES_WITH_CHROMA:
            chroma_format = bits.ue()
            if chroma_format == 3 and bits.u(1):
                raise Unproven("separate colour planes")
            bits.ue()  # bit depths
            bits.ue()
            bits.u(1)  # qpprime_y_zero_transform_bypass_flag
            if bits.u(1):
                _skip_scaling_lists(bits, 12 if chroma_format == 3 else 8)
        self._frame_num_bits = bits.count_width()
        order_type = bits.ue()
        if order_type not in (0, 2):
            raise Unproven(f"picture order counts of type {order_type}")
        self._order_bits = 0 if order_type else bits.count_width()
        bits.ue()  # max_num_ref_frames
        bits.u(1)  # gaps_in_frame_num_value_allowed_flag
        bits.ue()  # width and height in macroblocks
        bits.ue()
        if not bits.u(1):  # frame_mbs_only_flag
            raise Unproven("frames that may be coded as fields")

    def _read_order(self, header: PictureHeader, bits: Bits) -> int:
        """From a slice's header (7.3.3)."""
        if header.restarts:
            self._base = 0
        if not self._order_bits:  # type 2 (8.2.1.3): pictures are shown in the order of decoding
            self._base += 1
            return self._base
        bits.ue()  # first_mb_in_slice
        bits.ue()  # slice_type
        bits.ue()  # pic_parameter_set_id
        bits.u(self._frame_num_bits)
        if header.restarts:
            bits.ue()  # idr_pic_id
        return self._order_count(bits.u(self._order_bits), is_base=header.is_reference)


class HevcHeaderReader(HeaderReader):
    """Headers of an HEVC stream of one layer in which each picture is shown."""

    _IDR = frozenset({19, 20})
    _slices = frozenset(range(10)) | _IDR | {21}
    """Not the broken links (16 to 18): the pictures that follow them are incomplete by design."""
    _parameters = frozenset({32, 33, 34})
    _messages = frozenset({39, 40})
    _ignored = frozenset({35, 38, 62})
    """Access unit delimiter, filler; 62: Dolby Vision's tone mapping of one picture."""
    _header_size = 2

    _LEADING = frozenset(range(6, 10))
    """Shown before the random access picture that they follow (RADL and RASL, table 7-1)."""

    def _unit_header(self, unit: bytes) -> PictureHeader:
        unit_type, layer, temporal_layer = unit[0] >> 1, unit[1] >> 3, (unit[1] & 7) - 1  # 7.3.1.2
        if unit[0] & 1 or layer or temporal_layer < 0:
            raise Unproven("a second layer")
        # Even types below 16 are sub-layer non-reference pictures (table 7-1).
        is_reference = unit_type >= 16 or unit_type % 2 == 1
        return PictureHeader(unit_type, unit_type in self._IDR, is_reference, temporal_layer)

    def _read_parameters(self, unit_type: int, bits: Bits) -> None:
        if unit_type == 34:  # a picture parameter set (7.3.2.3.1)
            bits.ue()  # pps_pic_parameter_set_id
            bits.ue()  # pps_seq_parameter_set_id
            bits.u(1)  # dependent_slice_segments_enabled_flag
            if bits.u(4):  # output_flag_present_flag, num_extra_slice_header_bits
                raise Unproven("pictures that may not be shown")
        if unit_type != 33:  # 33: a sequence parameter set (7.3.2.2.1)
            return
        bits.u(4)  # sps_video_parameter_set_id
        sub_layers = bits.u(3)
        bits.u(1)  # sps_temporal_id_nesting_flag
        bits.u(96)  # the general part of profile_tier_level (7.3.3)
        present = [(bits.u(1), bits.u(1)) for _ in range(sub_layers)]
        if sub_layers:
            bits.u(2 * (8 - sub_layers))
        for profile, level in present:
            bits.u(88 * profile + 8 * level)
        if bits.ue():  # sps_seq_parameter_set_id
            raise Unproven("several sequence parameter sets")
        if bits.ue() == 3 and bits.u(1):  # chroma_format_idc
            raise Unproven("separate colour planes")
        bits.ue()  # width and height
        bits.ue()
        if bits.u(1):  # conformance_window_flag
            for _ in range(4):
                bits.ue()
        bits.ue()  # bit depths
        bits.ue()
        self._order_bits = bits.count_width()

    def _read_order(self, header: PictureHeader, bits: Bits) -> int:
        """From a slice's header (7.3.6.1)."""
        bits.u(1)  # first_slice_segment_in_pic_flag
        if header.unit_type >= 16 and bits.u(1) and header.restarts:
            raise Unproven("pictures that are not shown")  # no_output_of_prior_pics_flag
        if header.restarts:
            self._base = 0
            return 0
        bits.ue()  # slice_pic_parameter_set_id
        bits.ue()  # slice_type
        is_leading = header.unit_type in self._LEADING
        is_base = header.is_reference and header.temporal_layer == 0 and not is_leading
        return self._order_count(bits.u(self._order_bits or 0), is_base=is_base)


def _skip_scaling_lists(bits: Bits, lists: int) -> None:
    """Move past the scaling lists of an H.264 sequence parameter set (7.3.2.1.1.1)."""
    for index in range(lists):
        if not bits.u(1):
            continue
        last = scale = 8
        for _ in range(16 if index < 6 else 64):
            if scale:
                code = bits.ue()  # signed (9.1.1)
                scale = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
            last = scale or last
