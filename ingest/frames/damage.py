"""Which frames a damaged one takes with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a packet stands in the stream."""

    group: int
    """How many key frames came before it or with it, in decoding order."""
    position: int
    """How many packets came before it."""
    leading: bool
    """It is shown before the key frame of its group: predicted from the group before, too."""


class Damage:
    """Follows packets into a decoder and frames out of it, and tells the sound ones apart.

    Frames are predicted from frames decoded before them, back to a key frame. So what follows a
    damaged one in decoding order is spoilt, whatever the decoder makes of it, up to the next key
    frame; and so are the frames that follow that key frame but are shown before it. Frames that
    came out before the damage showed are not called back.
    """

    def __init__(self, *, one_each: bool = False) -> None:
        """Before the first packet.

        Args:
            one_each: every packet has a frame to show, so that one without is damaged. Elsewhere it
                may hold a frame for later ones only, or follow a key frame that is not there.
        """
        self._one_each = one_each
        self._waiting: dict[int, _Place] = {}
        self._order: list[int] = []
        """A heap of presentation times; those no longer waiting may still be in it."""
        self._latest = _Place(0, -1, leading=False)
        self._key_pts: int | None = None
        self._spoilt_from: dict[int, int] = {}
        """Position of the first damaged packet, by group."""

    def enter(self, pts: int | None, *, key: bool, shown: bool = True) -> None:
        """The next packet goes into the decoder.

        Args:
            pts: its presentation time in ticks, None if it has none.
            key: it is a key frame.
            shown: False if it is decoded only (an edit list cuts it away).
        """
        group = self._latest.group + key
        if key:
            self._key_pts = pts
        leading = pts is not None and self._key_pts is not None and pts < self._key_pts
        self._latest = _Place(group, self._latest.position + 1, leading)
        if pts is not None and shown:
            if pts not in self._waiting:
                heappush(self._order, pts)
            self._waiting[pts] = self._latest

    def hit(self, pts: int | None) -> None:
        """The packet of this presentation time (None: the latest) is damaged."""
        self._spoil(self._latest if pts is None else self._waiting.get(pts, self._latest))

    def leave(self, pts: int | None, *, corrupt: bool) -> tuple[list[int], bool]:
        """A frame comes out.

        Args:
            pts: its presentation time in ticks.
            corrupt: the decoder itself says that it is damaged.

        Returns:
            For a sound frame, the presentation times of the damaged ones before it that have not
            been told yet, and True. For a damaged one, nothing and False: it is told with the next
            sound frame, because damage upsets the order in which frames come out.
        """
        place = self._latest if pts is None else self._waiting.get(pts, self._latest)
        if corrupt:
            self._spoil(place)
        if self._is_spoilt(place):
            return [], False
        if pts is None:
            return [], True
        overtaken = self._take_before(pts)
        if self._one_each:
            for early in overtaken:
                self._spoil(self._waiting[early])
            if self._is_spoilt(place):
                self._order = [*overtaken, *self._order]  # sorted, all smaller: still a heap
                return [], False
        self._waiting.pop(pts, None)
        return self._told(overtaken), True

    def rest(self) -> list[int]:
        """The presentation times of the damaged frames that have not been told, at the end."""
        return self._told(self._take_before(None))

    def _take_before(self, pts: int | None) -> list[int]:
        """Waiting frames that are shown before a time (None: all), earliest first."""
        taken = []
        while self._order and (pts is None or self._order[0] < pts):
            early = heappop(self._order)
            if early in self._waiting:
                taken.append(early)
        return taken

    def _told(self, overtaken: list[int]) -> list[int]:
        return [early for early in overtaken if self._is_spoilt(self._waiting.pop(early))]

    def _spoil(self, place: _Place) -> None:
        first = self._spoilt_from.get(place.group, place.position)
        self._spoilt_from[place.group] = min(first, place.position)

    def _is_spoilt(self, place: _Place) -> bool:
        first = self._spoilt_from.get(place.group)
        if first is not None and place.position >= first:
            return True
        return place.leading and place.group - 1 in self._spoilt_from
