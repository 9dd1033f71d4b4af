"""The nearest-neighbour rule, which assigns identities to faces. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from registry import ids
from registry.domain import Face, Quality, Vectors, Video
from registry.faces.face_table import embeddings_of, with_identities
from registry.faces.quality import is_covered, is_spoilt, tells_apart

_GOOD = Quality(1.0)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The nearest stored face of another video."""

    face_id: str
    identity_id: str
    """The identity that a face nearest to it inherits."""
    similarity: float
    """Cosine, -1 to 1."""
    quality: Quality = _GOOD
    """Of that face; a good one if it is not known."""


class SeenFace(Protocol):
    """What the rule needs to know of a face besides its embedding; a `Face` has it."""

    @property
    def face_id(self) -> str:
        """Its id."""

    @property
    def quality(self) -> Quality:
        """How far it can be trusted."""

    @property
    def track(self) -> int:
        """Its track."""


class _Seen(NamedTuple):
    face_id: str
    quality: Quality
    track: int


def is_match(similarity: float, threshold: float) -> bool:
    """Whether two faces of this cosine similarity belong to one identity."""
    return similarity >= threshold


_ROUNDING = 1e-5
"""Largest difference between two ways to compute one cosine in float32."""
_LOOKED_BACK = 256
"""Faces of a track follow each other. A constant number, so the cost is linear in their number."""


def nearest_with_earlier(
    faces: Sequence[Face],
    before: Sequence[Face],
    stored: Sequence[Neighbour | None],
    inherited: Callable[[Face], str],
) -> list[Neighbour | None]:
    """The nearest neighbours of the faces of a video that is read again, including its own.

    Without its earlier faces, a face could be assigned to an identity that was founded since, and
    lose the name and the decisions of its own. At equal similarity the video's own earlier face
    wins.

    Args:
        faces: n faces, as detected now.
        before: the video's faces on record, one or more.
        stored: for each face its nearest one of other videos, or None.
        inherited: returns the identity that another face inherits from a face on record.
    """
    similarities = embeddings_of(faces) @ embeddings_of(before).T
    own = {face.face_id: column for column, face in enumerate(before)}
    nearest: list[Neighbour | None] = []
    for row, face in enumerate(faces):
        best = int(np.argmax(similarities[row]))
        itself = own.get(face.face_id, best)
        if similarities[row, itself] >= similarities[row, best] - _ROUNDING:
            best = itself
        similarity, neighbour = float(similarities[row, best]), stored[row]
        if neighbour is not None and neighbour.similarity > similarity + _ROUNDING:
            nearest.append(neighbour)
        else:
            earlier = before[best]
            is_itself = earlier.face_id == face.face_id
            identity = earlier.identity_id if is_itself else inherited(earlier)
            nearest.append(Neighbour(earlier.face_id, identity, similarity, earlier.quality))
    return nearest


def assign_video(
    video: Video,
    before: Video | None,
    nearest: Callable[[str, Vectors, Vectors], Sequence[Neighbour | None]],
    origin_of: Callable[[Face], str],
    threshold: float,
) -> Video:
    """The video with identities for its faces, as `nearest_with_earlier` and `assign` give them.

    Args:
        video: its faces have no identity yet.
        before: the record of the same video; None if there is none.
        nearest: finds the nearest stored face of another video than the one of this id, for each
            of (n, D) embeddings. It may leave out a face that is less similar than the third
            argument says, (n,): an earlier face of the video is more similar, so it is not needed.
        origin_of: the identity that a face on record gives a face that is not itself.
        threshold: cosine similarity, inclusive.
    """
    if not video.faces:
        return video
    embeddings = embeddings_of(video.faces)
    seen = [_Seen(face.face_id, face.quality, face.track) for face in video.faces]
    own = similarities_to_earlier(embeddings, seen)
    stored = list(nearest(video.video_id, embeddings, own))
    if before is not None and before.faces:
        stored = nearest_with_earlier(video.faces, before.faces, stored, origin_of)
    identities = assign([one.face_id for one in seen], embeddings, stored, threshold, seen)
    return replace(video, faces=with_identities(video.faces, identities))


def similarities_to_earlier(embeddings: Vectors, faces: Sequence[SeenFace]) -> Vectors:
    """How similar each face of one video is to an earlier one of it, float32 (n,); -1 if unknown.

    A less similar stored face does not change what `assign` gives the face. At least the
    `_LOOKED_BACK` faces before it are compared. Of covered and spoilt faces nothing is said.

    Args:
        embeddings: float32 (n, D), L2-normalised.
        faces: the n faces, in the same order.
    """
    spoilt = np.array([is_spoilt(face.quality) for face in faces])
    covered = np.array([is_covered(face.quality) for face in faces])
    best = np.full(len(faces), -1.0, np.float32)
    for start in range(0, len(faces), _LOOKED_BACK):
        since, end = max(0, start - _LOOKED_BACK), min(len(faces), start + _LOOKED_BACK)
        similarities = embeddings[start:end] @ embeddings[since:end].T
        similarities[:, spoilt[since:end]] = -1.0
        is_earlier = np.arange(since, end) < np.arange(start, end)[:, None]
        best[start:end] = np.where(is_earlier, similarities, -1.0).max(axis=1)
    best[spoilt | covered] = -1.0
    return best


def _passes_on(near: Neighbour, face: SeenFace) -> bool:
    """Whether a face may inherit the identity of a stored one: its own, or that of evidence."""
    return near.face_id == face.face_id or tells_apart(near.quality, face.quality)


def assign(
    face_ids: Sequence[str],
    embeddings: Vectors,
    stored: Sequence[Neighbour | None],
    threshold: float,
    faces: Sequence[SeenFace] = (),
) -> list[str]:
    """Assign an identity to each face of one video.

    The candidates of a face are its nearest stored face (`stored`) and the earlier faces of the
    same video. The face inherits the identity of the most similar candidate at or above
    `threshold`; without one, it founds a new identity. At equal similarity a stored face is
    preferred to one of this video, and an earlier face to a later one, so that the same input
    always gives the same result.

    The likeness of faces that are covered alike is no evidence, except within one track, or if
    `stored` has the face itself, as it was read before. A spoilt face is compared with nothing
    else: it goes with the earlier faces of its track, if there are any, and no other face goes with
    it.

    Args:
        face_ids: n ids in order of time, from which new identities get their ids.
        embeddings: float32 (n, D), L2-normalised.
        stored: n nearest neighbours; None if the registry has no face yet.
        threshold: cosine similarity, inclusive.
        faces: the n faces, whose quality and tracks count. Empty: all are good.

    Returns:
        n identity ids.
    """
    identities: list[str] = []
    qualities = [face.quality for face in faces]
    special = {
        i for i, quality in enumerate(qualities) if is_spoilt(quality) or is_covered(quality)
    }
    for i, face in enumerate(face_ids):
        best_similarity, best_identity = -np.inf, ""
        neighbour = stored[i]
        if neighbour is not None and (not faces or _passes_on(neighbour, faces[i])):
            best_similarity, best_identity = neighbour.similarity, neighbour.identity_id
        if i:
            similarities = embeddings[:i] @ embeddings[i]
            if i in special:
                if is_spoilt(qualities[i]) and best_similarity < threshold:
                    own = [j for j in range(i) if faces[j].track == faces[i].track]
                    identities.append(identities[own[-1]] if own else ids.identity_id(face))
                    continue
                similarities[
                    [j for j in special if j < i and not _comparable(faces[j], faces[i])]
                ] = -np.inf
            elif special:
                similarities[[j for j in special if j < i and is_spoilt(qualities[j])]] = -np.inf
            nearest = int(np.argmax(similarities))
            if similarities[nearest] > best_similarity:
                best_similarity = float(similarities[nearest])
                best_identity = identities[nearest]
        identities.append(
            best_identity if is_match(best_similarity, threshold) else ids.identity_id(face)
        )
    return identities


def _comparable(one: SeenFace, other: SeenFace) -> bool:
    """Whether the likeness of two faces of one video is evidence."""
    if is_spoilt(one.quality) or is_spoilt(other.quality):
        return False
    return one.track == other.track or tells_apart(one.quality, other.quality)
