"""Still pictures: faces that belong to an image shown in the video, not to a person on camera.

A logo, a poster or a picture in a picture keeps its pixels while the rest of the frame changes; in
a still video (a podcast over its cover picture) nothing changes at all. A living face never keeps
its pixels: it breathes, blinks and sways, and the camera adds noise.

A place is an area of the frame in which a face was found and whose pixels have not changed since,
in no sampled frame. It outlasts cuts, because a logo does. A place holds a still picture if faces
were seen in it for `LEAST_S` and either something else changed meanwhile, or the whole video never
changes. So slides, each of which shows a person for some seconds without any motion, are not still
pictures: nothing changes around the face while it is shown, and the next slide does change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Box, Image
from registry.faces.boxes import overlap

SAME = 4.0
"""The most that grey levels of a place, 32 x 32 px, may differ (98th percentile). Logos in H.264
and VP9 of usual quality differ by up to 2. Living faces differ by 8 and more in each of 190 windows
of a second of 25 real clips, and by 7.5 and more if the clips are compressed with x264 at crf 40
(`docs/BENCHMARKS.md`, "Still pictures")."""

CHANGED = 16
"""The least difference of a thumbnail's cell, 0 to 255, that is a change of the frame. Frames of a
slide differ by up to 9 (x264 at crf 45); the quietest real clip differs from its first frame by 29,
the next one by 92."""

LEAST_S = 1.5
"""Seconds for which a place must hold a face. In the real clips no living face stays in a place for
more than 0.34 s, which is one step between sampled frames."""

LEAST_SEEN = 3
"""Sampled frames in which a place must hold a face, however far apart they are."""

_SIDE = 32  # px of a place
_PERCENTILE = 98  # 20 of 1024 px: less than a mouth or the eyes
_SAME_PLACE = 0.5  # intersection over union, as of `ingest.tracks.POOR_OVERLAP`

_Pixels = NDArray[np.float32]


class StillPictures:
    """Takes the sampled frames of one video in order; keeps 8 kB for each face of the last one."""

    def __init__(self) -> None:
        self._open: list[_Place] = []
        self._begun = 0
        self._first: Image | None = None
        self._video_changes = False
        self._in_motion: set[int] = set()
        """Numbers of closed places that held a picture while something else changed."""
        self._motionless: set[int] = set()
        """Numbers of closed places that held a picture while nothing changed."""

    def update(
        self, time_s: float, image: Image, thumbnail: Image, boxes: Sequence[Box]
    ) -> list[int]:
        """The number of the place of each face of one frame.

        Args:
            time_s: presentation time of the frame; later than that of the frame before.
            image: BGR uint8 (H, W, 3).
            thumbnail: the same image small (`ingest.shots.thumbnail`).
            boxes: of the faces.
        """
        if self._first is None or self._first.shape != thumbnail.shape:
            self._first = thumbnail
        self._video_changes |= bool(_changed(thumbnail, self._first).any())
        lasting = []
        for place in self._open:
            if place.lasts(image, thumbnail):
                lasting.append(place)
            else:
                self._close(place)
        before = tuple(lasting)
        self._open = lasting
        return [self._place_of(box, before, time_s, image, thumbnail) for box in boxes]

    def finish(self) -> frozenset[int]:
        """The numbers of the places that held still pictures; after the last frame."""
        for place in self._open:
            self._close(place)
        self._open = []
        return frozenset(
            self._in_motion if self._video_changes else self._in_motion | self._motionless
        )

    def _place_of(
        self,
        box: Box,
        before: Sequence[_Place],
        time_s: float,
        image: Image,
        thumbnail: Image,
    ) -> int:
        shared = [(overlap(place.box, box), place) for place in before]
        most, place = max(shared, key=lambda pair: pair[0], default=(0.0, None))
        if place is None or most < _SAME_PLACE:
            place = _Place(self._begun, box, time_s, image, thumbnail)
            self._begun += 1
            self._open.append(place)
        place.see(time_s)
        return place.number

    def _close(self, place: _Place) -> None:
        if place.last_s - place.first_s >= LEAST_S - 1e-3 and place.seen >= LEAST_SEEN:
            (self._in_motion if place.around_changed else self._motionless).add(place.number)


class _Place:
    """An area of the frame and its pixels when a face was first found in it."""

    def __init__(
        self, number: int, box: Box, time_s: float, image: Image, thumbnail: Image
    ) -> None:
        self.number = number
        self.box = box
        self.first_s = self.last_s = time_s
        self.seen = 0
        self.around_changed = False
        height, width = image.shape[:2]
        self._area = _Area.of(box, width, height)
        self._shape = image.shape
        self._pixels = self._area.pixels(image)
        self._thumbnail = thumbnail
        self._around = self._area.around(thumbnail, width, height)

    def see(self, time_s: float) -> None:
        """A face is in the place at this time."""
        self.last_s = time_s
        self.seen += 1

    def lasts(self, image: Image, thumbnail: Image) -> bool:
        """Whether the pixels are the same in this frame; notes whether others are not."""
        if image.shape != self._shape:
            return False
        difference = np.abs(self._area.pixels(image) - self._pixels)
        if np.percentile(difference, _PERCENTILE) > SAME:
            return False
        if not self.around_changed:
            changed = _changed(thumbnail, self._thumbnail)
            self.around_changed = bool((changed & self._around).any())
        return True


@dataclass(frozen=True, slots=True)
class _Area:
    """Whole pixels of the frame, at least one."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, box: Box, width: int, height: int) -> _Area:
        left, top = (
            int(np.clip(v, 0, most - 1)) for v, most in ((box.x1, width), (box.y1, height))
        )
        return cls(
            left,
            top,
            int(np.clip(np.ceil(box.x2), left + 1, width)),
            int(np.clip(np.ceil(box.y2), top + 1, height)),
        )

    def pixels(self, image: Image) -> _Pixels:
        """The grey levels of the area, float32 (32, 32)."""
        part = np.ascontiguousarray(image[self.top : self.bottom, self.left : self.right])
        grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32)

    def around(self, thumbnail: Image, width: int, height: int) -> NDArray[np.bool_]:
        """Which cells of a thumbnail show nothing of the face: the box and half of it on each side.

        A person's hair and shoulders move with the face.
        """
        rows, columns = thumbnail.shape[:2]
        across, down = columns / width, rows / height
        dx, dy = (self.right - self.left) / 2, (self.bottom - self.top) / 2
        around = np.ones((rows, columns), np.bool_)
        around[
            max(0, int((self.top - dy) * down)) : int(np.ceil((self.bottom + dy) * down)) + 1,
            max(0, int((self.left - dx) * across)) : int(np.ceil((self.right + dx) * across)) + 1,
        ] = False
        return around


def _changed(a: Image, b: Image) -> NDArray[np.bool_]:
    """Which cells of two thumbnails differ."""
    return np.asarray((cv2.absdiff(a, b) >= CHANGED).any(axis=2), np.bool_)
