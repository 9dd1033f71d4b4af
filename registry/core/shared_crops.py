"""Crops that show somebody else too: covering a face that goes in the crops of those who stay.

A crop has a margin, so it may show the faces beside its own. When a face is erased, or is not
recorded because its person is blocked, it is covered in the other crops of its frame. In the other
frames of the video the detector may have missed the person. So the places where the person was just
before and just after are covered in the margins, and all crops are looked through: the model
detects the faces in each, and those that are similar to the person are covered too.

A changed crop gets a new key, and the record then names that key. So a crash before the record is
written leaves the old crops as they are, and one after it leaves crops that no record names.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter

import numpy as np

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.core.blocks import Block, template_of, without_blocked
from registry.core.selectors import read_picture
from registry.domain import Box, Face, Image, Vectors, Video
from registry.errors import ObjectMissing, StoreCorrupt
from registry.faces.boxes import SAME_FACE, CropArea, overlap, shown_area
from registry.faces.crops import cover, decode_jpeg, encode_jpeg, in_crop, in_frame, twice_as_large
from registry.models.base import FaceModel
from registry.models.curves import shipped_curve

FALSE_ACCEPT_RATE = 1e-3
"""A face in a crop counts as the erased person from the cosine on that this share of different
people reach, by the model's shipped curve (`registry.models.curves`). That is a lower cosine than
the one of lookups: a stranger who is covered by mistake only loses a part of a margin."""
NEAR_S = 1.0
"""Seconds. For so long before and after a face that goes, its place is covered in the margins of
crops, unless its track has a face in their frame. By default, no two sampled frames are further
apart."""
_ENLARGED = 512
"""px. Smaller crops are looked through a second time at twice their size."""
_ROUNDS = 4
"""How often a crop is covered where the detector finds the person. Then its whole margin is covered
and, if the person is still found, all of it."""


@dataclass(frozen=True, slots=True)
class PictureCounts:
    """What was done to the crops of those who stay."""

    looked_through: int = 0
    """Crops in which the model detected faces and compared them."""
    not_looked_through: int = 0
    """Crops that would have been, if the model could have been loaded."""
    rewritten: int = 0
    """Crops in which something was covered."""
    unreadable: int = 0
    """Crops that are missing or damaged, and were left as they are."""
    found_afterwards: int = 0
    """Faces of the person that the model still found in what was stored."""

    def __add__(self, other: PictureCounts) -> PictureCounts:
        """The sum."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return PictureCounts(*(a + b for a, b in pairs))


def references(faces: Sequence[Face]) -> Vectors:
    """float32 (n, D): what faces in crops are compared with to find a person: template and faces.

    The mean alone would miss the poses that the detector is likely to miss, too.

    Args:
        faces: of one person, at least one.
    """
    return np.stack([template_of(faces), *(face.embedding for face in faces)])


def leave_out_blocked(
    video: Video, blocks: Sequence[Block], threshold: float, blobs: BlobStore
) -> Video:
    """The video without the faces that match a block; they are covered in its other crops.

    Args:
        video: its crops are stored.
        blocks: who must not be recorded.
        threshold: least cosine of a match.
        blobs: gets the changed crops.
    """
    kept = without_blocked(video, blocks, threshold)
    if len(kept.faces) == len(video.faces):
        return video
    ids = {face.face_id for face in kept.faces}
    gone = [face for face in video.faces if face.face_id not in ids]
    return CropCovering(blobs).apply(kept, gone)[0]


class CropCovering:
    """Covers people in the crops of others."""

    def __init__(self, blobs: BlobStore, model: FaceModel | None = None) -> None:
        """Without a model, crops are not looked through."""
        self._blobs = blobs
        self._model = model
        self._threshold = (
            shipped_curve(model.info).curve.similarity(FALSE_ACCEPT_RATE) if model else 1.0
        )

    def apply(
        self, video: Video, gone: Sequence[Face], wanted: Vectors | None = None
    ) -> tuple[Video, PictureCounts]:
        """Cover the faces that go in the crops of those that stay, and store what changed.

        Args:
            video: with the faces that stay.
            gone: other faces of the video.
            wanted: float32 (n, D), `references` of those who go, to look all crops through; None to
                cover no more than `gone`.

        Returns:
            The video with the keys and digests of the changed crops, and the counts.
        """
        counts, faces = PictureCounts(), list(video.faces)
        looks = self._model is not None and wanted is not None
        tracks = _Tracks(gone)
        for i, face in enumerate(faces):
            anywhere = in_crop(face.box, tracks.boxes_in(face.frame))
            beside = in_crop(face.box, tracks.boxes_near(face))
            if anywhere or beside or looks:
                places = _Places(face.box, anywhere, beside)
                faces[i], done = self._cover(video, face, places, wanted if looks else None)
                counts += done
            if wanted is not None and not looks:
                counts += PictureCounts(not_looked_through=1)
        return replace(video, faces=tuple(faces)), counts

    def _cover(
        self, video: Video, face: Face, places: _Places, wanted: Vectors | None
    ) -> tuple[Face, PictureCounts]:
        try:
            before = read_picture(self._blobs, face.crop, face.crop_digest)
        except (ObjectMissing, StoreCorrupt):
            return face, PictureCounts(unreadable=1)
        size = before.shape[1], before.shape[0]
        area = shown_area(face.box, (video.media.width, video.media.height), size)
        jpeg, found = self._covered(before, area, places, wanted)
        looked = int(wanted is not None)
        if jpeg is None:
            return face, PictureCounts(looked)
        digest = hashlib.sha256(jpeg).hexdigest()
        key = keys.changed_crop(video.video_id, face.frame, face.position, digest)
        self._blobs.put(key, jpeg)
        changed = replace(face, crop=key, crop_digest=digest)
        return changed, PictureCounts(looked, rewritten=1, found_afterwards=found)

    def _covered(
        self, before: Image, area: CropArea, places: _Places, wanted: Vectors | None
    ) -> tuple[bytes | None, int]:
        """The changed crop as JPEG, None if it stays; and how many faces were found in it."""
        everything = Box(area.left, area.top, area.right, area.bottom)
        picture, jpeg, found = before, None, []
        for attempt in range(_ROUNDS + 3):
            if places.anywhere or places.beside:
                covered = cover(
                    before, area, places.own, beside=places.beside, anywhere=places.anywhere
                )
                if not np.array_equal(covered, before):
                    jpeg = encode_jpeg(covered)
                    picture = _decoded(jpeg)  # what will be stored
            found = [] if wanted is None else self._find(picture, area, places.own, wanted)
            if not found:
                break
            places.anywhere.extend(found)
            if attempt == _ROUNDS:
                places.beside.append(everything)
            elif attempt > _ROUNDS:
                places.anywhere.append(everything)
        return jpeg, len(found)

    def _find(self, picture: Image, area: CropArea, own: Box, wanted: Vectors) -> list[Box]:
        """The boxes, in px of the frame, of faces like those wanted, except the crop's own."""
        found = self._find_at_size(picture, area, own, wanted)
        if found or max(picture.shape) > _ENLARGED:
            return found
        return self._find_at_size(twice_as_large(picture), area, own, wanted)

    def _find_at_size(self, picture: Image, area: CropArea, own: Box, wanted: Vectors) -> list[Box]:
        if self._model is None:
            return []
        detections = self._model.detect(picture)
        places = [in_frame(one.box, area, picture) for one in detections]
        beside = [i for i, place in enumerate(places) if overlap(place, own) <= SAME_FACE]
        if not beside:
            return []
        chips = self._model.align(picture, [detections[i] for i in beside])
        similar = (self._model.embed(chips) @ wanted.T).max(axis=1) >= self._threshold
        return [places[i] for i, yes in zip(beside, similar, strict=True) if yes]


@dataclass(frozen=True, slots=True)
class _Places:
    """What to cover in one crop, as boxes in px of the frame (`registry.faces.crops.cover`)."""

    own: Box
    anywhere: list[Box]
    beside: list[Box]


class _Tracks:
    """Where the faces that go were."""

    def __init__(self, gone: Sequence[Face]) -> None:
        self._frames: dict[int, list[Box]] = {}
        self._tracks: dict[int, list[Face]] = {}
        for face in sorted(gone, key=attrgetter("time_s")):
            self._frames.setdefault(face.frame, []).append(face.box)
            self._tracks.setdefault(face.track, []).append(face)

    def boxes_in(self, frame: int) -> list[Box]:
        """Their boxes in a frame."""
        return self._frames.get(frame, [])

    def boxes_near(self, face: Face) -> list[Box]:
        """Their last boxes before the frame of a face and the first ones after, within `NEAR_S`."""
        boxes = []
        for track in self._tracks.values():
            after = bisect_left(track, face.time_s, key=attrgetter("time_s"))
            if after < len(track) and track[after].frame == face.frame:
                continue
            near = track[max(0, after - 1) : after + 1]
            boxes += [one.box for one in near if abs(one.time_s - face.time_s) <= NEAR_S]
        return boxes


def _decoded(jpeg: bytes) -> Image:
    picture = decode_jpeg(jpeg)
    if picture is None:
        raise StoreCorrupt("A crop that was just encoded cannot be decoded. Check the memory.")
    return picture
