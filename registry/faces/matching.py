"""The one place a match is decided: the nearest-neighbour rule, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from registry import ids
from registry.domain import Face, Vectors, Video


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The nearest stored face of another video."""

    face_id: str
    identity_id: str
    """The identity that it passes on."""
    similarity: float
    """Cosine, -1 to 1."""


def same(similarity: float, threshold: float) -> bool:
    """Whether two faces of this cosine similarity are one identity by the rule."""
    return similarity >= threshold


_ROUNDING = 1e-5
"""By how much two ways to compute one cosine in float32 may differ."""


def kept(
    faces: Sequence[Face],
    before: Sequence[Face],
    stored: Sequence[Neighbour | None],
    passes_on: Callable[[Face], str],
) -> list[Neighbour | None]:
    """Nearest neighbours of the faces of a video that is read again, its earlier faces among them.

    Without them, a face could leave for an identity that came up since, and what people said of its
    own would be lost. At equal similarity the video's own earlier face goes first.

    Args:
        faces: n faces, as read now.
        before: the video's faces on record, one or more.
        stored: for each face its nearest one of other videos, or None.
        passes_on: the identity that a face on record gives a face that is not itself.
    """
    similarities = (
        np.stack([f.embedding for f in faces]) @ np.stack([f.embedding for f in before]).T
    )
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
            identity = earlier.identity_id if is_itself else passes_on(earlier)
            nearest.append(Neighbour(earlier.face_id, identity, similarity))
    return nearest


def assign_video(
    video: Video,
    before: Video | None,
    nearest: Callable[[str, Vectors], Sequence[Neighbour | None]],
    origin_of: Callable[[Face], str],
    threshold: float,
) -> Video:
    """The video with the identities of its faces: `kept` and `assign` for a whole video.

    Args:
        video: its faces have no identity yet.
        before: the record of the same video; None if there is none.
        nearest: finds the nearest stored face of another video than the one of this id, for each
            of (n, D) embeddings.
        origin_of: the identity that a face on record gives a face that is not itself.
        threshold: cosine similarity, inclusive.
    """
    if not video.faces:
        return video
    embeddings = np.stack([face.embedding for face in video.faces])
    stored = list(nearest(video.video_id, embeddings))
    if before is not None and before.faces:
        stored = kept(video.faces, before.faces, stored, origin_of)
    identities = assign([face.face_id for face in video.faces], embeddings, stored, threshold)
    pairs = zip(video.faces, identities, strict=True)
    return replace(video, faces=tuple(replace(face, identity_id=i) for face, i in pairs))


def assign(
    face_ids: Sequence[str],
    embeddings: Vectors,
    stored: Sequence[Neighbour | None],
    threshold: float,
) -> list[str]:
    """The identity of each face of one video.

    Faces come in time order. A face's candidates are its nearest stored face (`stored`, same order)
    and the earlier faces of the same video. The best candidate at or above `threshold` passes its
    identity on; without one, the face founds a new identity. At equal similarity a stored face goes
    before one of this video, and an earlier face before a later one, so that the same input always
    gives the same answer.

    Args:
        face_ids: n ids, from which new identities take theirs.
        embeddings: float32 (n, D), L2-normalised.
        stored: n nearest neighbours, None where the registry holds no face yet.
        threshold: cosine similarity, inclusive.

    Returns:
        n identity ids.
    """
    identities: list[str] = []
    for i, face in enumerate(face_ids):
        best_similarity, best_identity = -np.inf, ""
        neighbour = stored[i]
        if neighbour is not None:
            best_similarity, best_identity = neighbour.similarity, neighbour.identity_id
        if i:
            similarities = embeddings[:i] @ embeddings[i]
            nearest = int(np.argmax(similarities))
            if similarities[nearest] > best_similarity:
                best_similarity = float(similarities[nearest])
                best_identity = identities[nearest]
        identities.append(
            best_identity if same(best_similarity, threshold) else ids.identity_id(face)
        )
    return identities
