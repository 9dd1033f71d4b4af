"""NAL units, the parts of an H.264 or HEVC packet. Pure.

A packet holds one picture as a series of units: each a header of one or two bytes, which gives the
type of the unit, and a payload. Section numbers are those of ITU-T H.264 (08/2021) and ITU-T H.265
(09/2023), here and in `ingest.frames.picture_headers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_MAX_COUNT_BITS = 16
"""Of a frame number or picture order count (H.264 7.4.2.1.1, H.265 7.4.3.2.1)."""
_START_CODE = re.compile(rb"\x00\x00\x01")


class Unproven(Exception):
    """The packets do not prove in which order their pictures are shown: decode all of them."""


class Bits:
    """The bits of a payload, most significant first, without emulation prevention bytes."""

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

    def count_width(self) -> int:
        """The width of a count, in bits, which is written less 4. Raises `Unproven`."""
        width = 4 + self.ue()
        if width > _MAX_COUNT_BITS:
            raise Unproven("a count that is too wide")
        return width


def split_units(packet: bytes, length_size: int) -> list[bytes]:
    """The NAL units of a packet, each with its header.

    `length_size`: bytes of the length in front of each unit; 0 if start codes separate them.

    Raises:
        Unproven: the packet is not a series of units, or a unit is shorter than its header.
    """
    units = []
    if length_size:
        at = 0
        while at < len(packet):
            start = at + length_size
            at = start + int.from_bytes(packet[at:start], "big")
            units.append(packet[start:at])
        complete = at == len(packet)
    else:
        starts = [match.start() for match in _START_CODE.finditer(packet)]
        complete = bool(starts) and not packet[: starts[0]].strip(b"\0")
        for start, end in pairwise([*starts, len(packet)]):
            units.append(packet[start + 3 : end].rstrip(b"\0"))
    if not complete or min(map(len, units), default=0) < 2:
        raise Unproven("a packet that is not a series of NAL units")
    return units


def message_types(payload: bytes) -> Iterator[int]:
    """The types of the messages in a unit of supplemental enhancement information (H.265 7.3.5)."""
    rest = payload.replace(b"\0\0\3", b"\0\0")
    while len(rest) > 1:
        type_and_size = []
        for _ in range(2):  # each is written as bytes of 255 and a last one below, to be added up
            last = rest.lstrip(b"\xff")
            type_and_size.append(255 * (len(rest) - len(last)) + int.from_bytes(last[:1], "big"))
            rest = last[1:]
        yield type_and_size[0]
        rest = rest[type_and_size[1] :]
