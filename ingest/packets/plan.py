"""From the headers of all packets of a stream to the ones that are worth decoding. Pure."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.packets.nal import AccessUnit, Unproven

_START, _REFERENCE, _PLAIN, _SHOWN = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with each packet of a stream; the arrays are in decoding order."""

    pts: NDArray[np.int64]
    """Presentation time of each packet, in ticks of the stream."""
    feed: NDArray[np.bool_]
    """Whether the packet has to be decoded."""
    number: NDArray[np.int64]
    """0-based number of the picture in order of presentation, where it is wanted; -1 elsewhere."""
    frames: int
    """How many pictures the stream shows."""
    first: int
    """When the first of them is shown, in ticks."""
    last: int
    """When the last of them is shown, in ticks."""
    duration: int
    """How long the last of them is shown, in ticks; 0 if the container does not say."""
    reorder: int
    """How many pictures a decoder has to hold back, at most, to put them out in order."""


class Survey:
    """The packets of one stream, gathered in decoding order: 18 bytes for each."""

    def __init__(self) -> None:
        """No packet yet."""
        self._pts = array("q")
        self._order = array("q")
        self._flags = bytearray()
        self._layers = bytearray()
        self._last: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Packets so far."""
        return len(self._flags)

    def add(self, unit: AccessUnit, pts: int | None, duration: int, *, shown: bool) -> None:
        """The next packet.

        Args:
            unit: its headers.
            pts: its presentation time in ticks.
            duration: how long it is shown, in ticks; 0 if the container does not say.
            shown: False for a picture that is decoded only (an edit list cuts it away).

        Raises:
            Unproven: it has no presentation time, or decoding does not start with it.
        """
        if pts is None:
            raise Unproven("a packet without a presentation time")
        if not (self._flags or unit.start):
            raise Unproven("decoding does not start at the first packet")
        self._pts.append(pts)
        self._order.append(unit.order)
        flags = _START * unit.start | _REFERENCE * unit.reference
        self._flags.append(flags | _PLAIN * unit.plain | _SHOWN * shown)
        self._layers.append(unit.layer)
        if shown:
            self._last = max(self._last or (pts, duration), (pts, duration))

    def plan(self, every: int) -> Plan:
        """Which packets to decode for the pictures 0, every, 2 * every, ... of the stream.

        Raises:
            Unproven: the order of the pictures cannot be told from the packets.
        """
        if self._last is None:
            raise Unproven("no picture is shown")
        pts = np.array(self._pts, dtype=np.int64)
        flags = np.frombuffer(bytes(self._flags), dtype=np.uint8)
        layers = np.frombuffer(bytes(self._layers), dtype=np.uint8)
        starts, reference, plain, shown = (
            (flags & flag) > 0 for flag in (_START, _REFERENCE, _PLAIN, _SHOWN)
        )
        output = _output_order(np.array(self._order, dtype=np.int64), pts, np.cumsum(starts))
        seen = output[shown[output]]
        number = np.full(len(pts), -1, dtype=np.int64)
        number[seen[::every]] = np.arange(0, len(seen), every)
        needed = (number >= 0) | ~plain
        feed = needed | reference | (layers < layers.max())
        feed &= _until_last(needed, np.flatnonzero(starts))
        rank = np.empty_like(output)
        rank[output] = np.arange(len(output))
        # The pictures that are decoded before one and shown after it are among those from its rank
        # to the highest rank so far.
        reorder = int((np.maximum.accumulate(rank) - rank).max())
        last, duration = self._last
        return Plan(pts, feed, number, len(seen), int(pts[seen[0]]), last, duration, reorder)


def _output_order(
    order: NDArray[np.int64], pts: NDArray[np.int64], period: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Positions of the packets in the order in which a decoder puts their pictures out.

    A decoder sorts the pictures of one period (from one start to the next) by picture order count
    and finishes a period before the next (H.264 C.4, H.265 C.5). Presentation times that grow along
    that order, from packet to packet without a tie, are the proof that the number of a picture can
    be told from its packet. `order`, `pts` and `period` (growing) are in decoding order.
    """
    output = np.lexsort((order, period))
    ties = (np.diff(order[output]) == 0) & (np.diff(period[output]) == 0)
    if ties.any() or (np.diff(pts[output]) <= 0).any():
        raise Unproven("picture order and presentation times disagree")
    return output


def _until_last(needed: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True from the start of each period to the last needed packet in it."""
    position = np.arange(len(needed))
    last = np.maximum.reduceat(np.where(needed, position, -1), starts)
    return position <= np.repeat(last, np.diff(np.append(starts, len(needed))))
