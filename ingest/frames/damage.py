"""Which frames are affected when a packet is damaged. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a packet is in the stream, in decoding order."""

    group: int
    """How many key frames precede it, itself included."""
    position: int
    """How many packets precede it."""
    is_leading: bool
    """It is shown before the key frame of its group, so it may refer to the group before, too."""


class DamageTracker:
    """Follows packets into a decoder and frames out of it, and separates intact from damaged ones.

    Frames refer to frames that were decoded before them, back to a key frame. So whatever follows a
    damaged frame in decoding order counts as damaged, up to the next key frame, and so do the
    frames that follow that key frame but are shown before it. Frames that left the decoder before
    the damage showed are not recalled.

    Times are presentation times in ticks of the stream.
    """

    def __init__(self, *, each_packet_has_a_frame: bool = False) -> None:
        """Before the first packet.

        Args:
            each_packet_has_a_frame: a packet without a frame is damaged. In other streams it may
                hold a frame that is only referred to, or one whose key frame is missing.
        """
        self._each_packet_has_a_frame = each_packet_has_a_frame
        self._pending: dict[int, _Place] = {}
        """Packets whose frames have not been accounted for, by time."""
        self._times: list[int] = []
        """A heap of the times in `_pending`, and some that were removed from there."""
        self._latest = _Place(0, -1, is_leading=False)
        self._key_pts: int | None = None
        self._damaged_from: dict[int, int] = {}
        """Position of the first damaged packet, by group."""

    def add_packet(self, pts: int | None, *, is_key: bool, shown: bool = True) -> None:
        """The next packet enters the decoder.

        Args:
            pts: its time, None if it has none.
            is_key: it is a key frame.
            shown: False if it is decoded only, because an edit list removes it.
        """
        group = self._latest.group + is_key
        if is_key:
            self._key_pts = pts
        is_leading = pts is not None and self._key_pts is not None and pts < self._key_pts
        self._latest = _Place(group, self._latest.position + 1, is_leading)
        if pts is not None and shown:
            self._add_pending(pts, self._latest)

    def mark_damaged(self, pts: int | None) -> None:
        """The packet of this time (None: the latest) is damaged."""
        self._mark(self._place(pts))

    def take_frame(self, pts: int | None, *, is_corrupt: bool) -> tuple[list[int], bool]:
        """A frame leaves the decoder.

        Args:
            pts: its time, None if it has none.
            is_corrupt: the decoder marked it as damaged.

        Returns:
            Times of damaged frames before this one that were not reported yet, and whether this
            frame is intact. A damaged frame reports none and is itself reported with the next
            intact one, because damage disturbs the order in which frames leave.
        """
        place = self._place(pts)
        if is_corrupt:
            self._mark(place)
        if self._is_damaged(place):
            return [], False
        if pts is None:
            return [], True
        own = self._pending.pop(pts, None)
        earlier = self._take_earlier(pts)
        if self._each_packet_has_a_frame and earlier:
            for skipped in earlier.values():
                self._mark(skipped)
            if self._is_damaged(place):
                if own is not None:
                    earlier[pts] = own
                for again in earlier.items():
                    self._add_pending(*again)
                return [], False
        return self._damaged_times(earlier), True

    def take_rest(self) -> list[int]:
        """At the end: times of the damaged frames that were not reported yet."""
        return self._damaged_times(self._take_earlier(None))

    def _place(self, pts: int | None) -> _Place:
        return self._latest if pts is None else self._pending.get(pts, self._latest)

    def _add_pending(self, pts: int, place: _Place) -> None:
        self._pending[pts] = place
        heappush(self._times, pts)

    def _take_earlier(self, pts: int | None) -> dict[int, _Place]:
        """Remove and return what is pending before a time (None: all of it), earliest first."""
        taken = {}
        while self._times and (pts is None or self._times[0] < pts):
            earliest = heappop(self._times)
            if earliest in self._pending:
                taken[earliest] = self._pending.pop(earliest)
        return taken

    def _damaged_times(self, places: dict[int, _Place]) -> list[int]:
        return [pts for pts, place in places.items() if self._is_damaged(place)]

    def _mark(self, place: _Place) -> None:
        first = self._damaged_from.get(place.group, place.position)
        self._damaged_from[place.group] = min(first, place.position)

    def _is_damaged(self, place: _Place) -> bool:
        first = self._damaged_from.get(place.group)
        if first is not None and place.position >= first:
            return True
        return place.is_leading and place.group - 1 in self._damaged_from
