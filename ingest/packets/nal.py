"""What H.264 and HEVC streams say about themselves without being decoded.

Both codecs cut a picture into NAL units (ITU-T H.264 7.3.1, H.265 7.3.1): a header of one or two
bytes that tells the kind of unit and whether other pictures may refer to it, then a payload. A
container stores the units of one picture as one packet, each unit behind its length (MP4, Matroska)
or behind a start code (Annex B: MPEG-TS, AVI).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

HEAD = 48
"""Bytes of a slice that are looked at: the codes up to the picture order count take half that."""

MOST_PARAMETERS = 1024
"""Bytes of a parameter set that are looked at: one with all scaling lists takes half that."""

WIDEST_COUNT = 16
"""Bits of a frame number or picture order count (H.264 7.4.2.1.1, H.265 7.4.3.2.1)."""


_DISPLAY_ORIENTATION = 47


class Unproven(Exception):
    """The stream holds something that the packet rule does not cover: decode it in full."""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """What the headers of one packet, which is one picture, say about it."""

    start: bool
    """Decoding starts anew here: neither this picture nor a later one refers to an earlier one."""
    order: int
    """Its place in the order of output, among the pictures since the last start."""
    reference: bool
    """Whether another picture of its layer may be predicted from it."""
    layer: int
    """Temporal sub-layer, 0-based: a picture may be predicted from its own and those below."""
    plain: bool
    """Without it, the decoder lacks this picture and nothing else: no parameters are new in it."""


class Headers(Protocol):
    """Reads the packets of one stream in decoding order."""

    def read(self, packet: bytes) -> AccessUnit:
        """The headers of the next packet. Raises `Unproven`."""


class Bits:
    """Bits of a payload, most significant first, without its emulation prevention bytes."""

    __slots__ = ("_left", "_value")

    def __init__(self, payload: bytes) -> None:
        """`payload` is what follows the header of a NAL unit."""
        payload = payload.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(payload, "big")
        self._left = 8 * len(payload)

    def u(self, width: int) -> int:
        """An unsigned number of `width` bits. Raises `Unproven` past the end."""
        self._left -= width
        if self._left < 0:
            raise Unproven("a header ends early")
        return (self._value >> self._left) & ((1 << width) - 1)

    def ue(self) -> int:
        """An unsigned Exp-Golomb code (H.264 9.1). Raises `Unproven` past the end."""
        zeros = self._left - (self._value & ((1 << self._left) - 1)).bit_length()
        self.u(zeros)
        return self.u(zeros + 1) - 1

    def se(self) -> int:
        """A signed Exp-Golomb code (H.264 9.1.1). Raises `Unproven` past the end."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def units(packet: bytes, length_size: int) -> Iterator[bytes]:
    """The NAL units of a packet, headers included; `length_size` 0 means start codes.

    Raises `Unproven` if lengths do not add up to the packet.
    """
    return _after_lengths(packet, length_size) if length_size else _after_start_codes(packet)


def _after_lengths(packet: bytes, length_size: int) -> Iterator[bytes]:
    at = 0
    while at < len(packet):
        start = at + length_size
        at = start + int.from_bytes(packet[at:start], "big")
        if at > len(packet) or at == start:
            raise Unproven("NAL units do not add up to their packet")
        yield packet[start:at]


def _after_start_codes(packet: bytes) -> Iterator[bytes]:
    start = packet.find(b"\0\0\1")
    if start < 0 or packet[:start].strip(b"\0"):
        raise Unproven("a packet does not begin with a start code")
    while start >= 0:
        start += 3
        end = packet.find(b"\0\0\1", start)
        unit = packet[start : end if end >= 0 else len(packet)].rstrip(b"\0")
        if not unit:
            raise Unproven("an empty NAL unit")
        yield unit
        start = end


def check_messages(payload: bytes) -> None:
    """Look through supplemental information for what outlives its picture (H.264 7.3.2.3.1, D.1).

    Raises `Unproven` for a display orientation, which turns the pictures after it as well. The rest
    describes one picture, or changes nothing that is seen.
    """
    payload = payload.replace(b"\0\0\3", b"\0\0")
    at = 0
    while at + 2 <= len(payload):
        kind, at = _message_number(payload, at)
        size, at = _message_number(payload, at)
        if kind == _DISPLAY_ORIENTATION:
            raise Unproven("messages that turn the picture")
        at += size


def _message_number(payload: bytes, at: int) -> tuple[int, int]:
    """A number written as bytes of 255 and a last one below, and where it ends."""
    number = 0
    while payload[at : at + 1] == b"\xff":
        number, at = number + 255, at + 1
    return number + int.from_bytes(payload[at : at + 1], "big"), at + 1


class OrderCount:
    """Unwraps the picture order counts that slices carry modulo `2**width` (H.264 8.2.1.1)."""

    def __init__(self) -> None:
        """Before the first picture."""
        self._anchor = 0

    def start(self) -> None:
        """A picture from which decoding starts anew: its count is the number it carries."""
        self._anchor = 0

    def unwrap(self, lsb: int, width: int, *, anchors: bool) -> int:
        """The whole count of the next picture; `anchors`: the ones after it are counted from it."""
        size = 1 << width
        order = self._anchor - self._anchor % size + lsb
        if order - self._anchor >= size // 2:
            order -= size
        elif self._anchor - order > size // 2:
            order += size
        if anchors:
            self._anchor = order
        return order
