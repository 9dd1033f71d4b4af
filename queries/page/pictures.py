"""The pictures of a page: which faces of a person are shown, as small masked `data:` URLs."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from queries.masking import boxes_beside, small_picture
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Box, Face, Video

COVER = 96
"""px. A cover is shown at 48 px, so that it is sharp on a screen of twice the density."""
MOMENT = 112
QUESTION = 128
PER_PERSON = 6
"""Moments of a person."""
ALL_MOMENTS = 1_200
"""Moments of a page: with more than 200 people each has fewer. A moment takes 3 to 4 kB."""


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face that may be shown, with what is needed to mask others in its crop."""

    face_id: str
    identity_id: str
    video_id: str
    track: int
    time_s: float
    score: float
    crop: str
    digest: str
    box: Box
    beside: tuple[Box, ...]
    frame: tuple[int, int]


class FoundFaces:
    """The best faces of each person, gathered record by record."""

    def __init__(self) -> None:
        self._faces: dict[str, list[FoundFace]] = defaultdict(list)

    def add(self, video: Video, wanted: Iterable[str]) -> None:
        """Keep the best face of each track of the wanted people in a record.

        Args:
            video: with identities after all decisions.
            wanted: ids of identities.
        """
        people = frozenset(wanted)
        size = video.media.width, video.media.height
        best: dict[tuple[str, int], Face] = {}
        frames: dict[int, list[Face]] = defaultdict(list)
        for face in video.faces:
            frames[face.frame].append(face)
            if face.identity_id in people:
                track = face.identity_id, face.track
                if track not in best or _rank(face) > _rank(best[track]):
                    best[track] = face
        for face in best.values():
            one = found_face(video.video_id, size, face, frames[face.frame])
            self._faces[face.identity_id].append(one)

    def of(self, identity: str, limit: int, *, first: str = "") -> list[FoundFace]:
        """The best faces of a person, from as many videos as possible.

        Args:
            identity: id.
            limit: how many at most.
            first: id of the face that comes first, if it is there: the cover.
        """
        ordered = sorted(
            self._faces.get(identity, ()),
            key=lambda one: (one.face_id != first, -one.score, one.video_id, one.time_s),
        )
        chosen: list[FoundFace] = []
        others: list[FoundFace] = []
        seen: set[str] = set()
        for one in ordered:
            (others if one.video_id in seen else chosen).append(one)
            seen.add(one.video_id)
        return [*chosen, *others][:limit]


def data_url(registry: Registry, face: FoundFace, side: int) -> str:
    """The picture of a face, with the faces of others masked, as a `data:` URL.

    Args:
        registry: an open registry.
        face: which.
        side: width and height in px.

    Raises:
        StoreCorrupt: its crop is damaged.
    """
    picture = small_picture(
        registry.crop(face.crop, face.digest), face.crop, face.box, face.beside, face.frame, side
    )
    return f"data:image/webp;base64,{b64encode(picture).decode('ascii')}"


def moments_each(people: int) -> int:
    """How many moments each of so many people has."""
    return max(1, min(PER_PERSON, ALL_MOMENTS // max(1, people)))


def _rank(face: Face) -> tuple[bool, float, float]:
    return not face.quality.reasons, face.quality.score, face.det_score


def found_face(
    video_id: str,
    size: tuple[int, int],
    face: Face | IndexedFace,
    frame: Sequence[Face | IndexedFace],
) -> FoundFace:
    """A face that may be shown.

    Args:
        video_id: of its video.
        size: width and height of the video in px.
        face: which.
        frame: all faces of its frame.
    """
    return FoundFace(
        face_id=face.face_id,
        identity_id=face.identity_id,
        video_id=video_id,
        track=face.track,
        time_s=face.time_s,
        score=face.quality.score if not face.quality.reasons else face.quality.score - 1,
        crop=face.crop,
        digest=face.crop_digest,
        box=face.box,
        beside=tuple(boxes_beside(face, frame)),
        frame=size,
    )
