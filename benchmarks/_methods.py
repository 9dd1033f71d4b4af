"""Ways to group faces into people, all on the same embeddings of the same extraction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from registry.domain import Face, Vectors, Video
from registry.faces.matching import Neighbour, assign
from registry.models.curves import ModelCurve
from registry.people.evidence import Evidence
from registry.people.face_sums import FaceAdder
from registry.people.joining import consolidate_repeatedly
from registry.people.observed_faces import ObservedFaces

Grouping = dict[str, str]
"""Group by face id."""


def vectors(faces: Sequence[Face]) -> Vectors:
    """float32 (n, D), L2-normalised."""
    return np.stack([face.embedding for face in faces])


def all_faces(videos: Sequence[Video]) -> list[Face]:
    """The faces of all videos, in order."""
    return [face for video in videos for face in video.faces]


# --- the videos one after the other -----------------------------------------------------------


def notebook(videos: Sequence[Video], threshold: float = 0.85) -> Grouping:
    """A face joins the first identity whose first face is near enough, else it founds one."""
    firsts: list[Face] = []
    grouping: Grouping = {}
    for face in all_faces(videos):
        near = vectors(firsts) @ face.embedding >= threshold if firsts else np.zeros(0, bool)
        if near.any():
            grouping[face.face_id] = firsts[int(np.argmax(near))].face_id
        else:
            firsts.append(face)
            grouping[face.face_id] = face.face_id
    return grouping


def plain(videos: Sequence[Video], threshold: float = 0.85) -> Grouping:
    """The registry's own rule (`registry.faces.matching`), nearest neighbours exact."""
    grouping: Grouping = {}
    stored: list[Face] = []
    for video in videos:
        if video.faces:
            grouping |= _assigned(video, stored, grouping, threshold)
            stored += video.faces
    return grouping


def _assigned(video: Video, stored: Sequence[Face], known: Grouping, threshold: float) -> Grouping:
    own = vectors(video.faces)
    nearest: list[Neighbour | None] = [None] * len(own)
    if stored:
        similarity = own @ vectors(stored).T
        for i, j in enumerate(similarity.argmax(axis=1)):
            face = stored[int(j)]
            cosine = float(similarity[i, j])
            nearest[i] = Neighbour(face.face_id, known[face.face_id], cosine, face.quality)
    ids = [face.face_id for face in video.faces]
    return dict(zip(ids, assign(ids, own, nearest, threshold, video.faces), strict=True))


def consolidated(
    videos: Sequence[Video],
    threshold: float,
    curve: ModelCurve | None = None,
    *,
    batches: int = 1,
    rule: float = 0.85,
) -> Grouping:
    """The plain rule, and a consolidation after each of so many tables.

    Joins of earlier consolidations stand; a new face inherits the identity that its nearest
    neighbour was assigned, and goes by whatever that was merged into.
    """
    origin = _origin(videos, rule)
    joined: dict[str, str] = {}
    for end in np.linspace(0, len(videos), batches + 1).round().astype(int)[1:]:
        now = {
            face.face_id: _root(joined, origin[face.face_id]) for face in all_faces(videos[:end])
        }
        joined |= joins(videos[:end], now, threshold, curve)
    return {face: _root(joined, identity) for face, identity in origin.items()}


_ORIGINS: dict[tuple[float, tuple[str, ...]], Grouping] = {}
"""The plain rule's groupings, by threshold and face ids in order: every sweep begins with one."""


def _origin(videos: Sequence[Video], rule: float) -> Grouping:
    key = rule, tuple(face.face_id for face in all_faces(videos))
    if key not in _ORIGINS:
        _ORIGINS[key] = plain(videos, rule)
    return _ORIGINS[key]


def joins(
    videos: Sequence[Video], identity: Grouping, threshold: float, curve: ModelCurve | None = None
) -> dict[str, str]:
    """What consolidation joins: the identity that stays, by the one that goes."""
    faces, shown = FaceAdder(len(videos[0].faces[0].embedding)), defaultdict(set)
    for video in videos:
        for face in video.faces:
            who = identity[face.face_id]
            shown[who].add(video.video_id)
            place = face.track, face.frame, face.box
            faces.add(video.video_id, who, *place, face.embedding, face.quality)
    ranks = {who: (0, len(where)) for who, where in shown.items()}
    evidence = Evidence(ObservedFaces(faces.result(), lambda who: who), ranks)
    if curve is not None:
        evidence = replace(
            evidence, curve=curve.curve, same_person=curve.same_person, several=curve.lower
        )
    result = consolidate_repeatedly(evidence, threshold=threshold)
    return {gone: group[0] for group in result.groups for gone in group[1:]}


def _root(joined: dict[str, str], identity: str) -> str:
    while identity in joined:
        identity = joined[identity]
    return identity


def immich(videos: Sequence[Video], distance: float = 0.5, least: int = 3) -> Grouping:
    """As Immich recognises: one face after the other joins the person of a face near enough.

    A face with `least` faces near it, itself among them, may found a person; one with fewer is
    looked at again when all others are there. Faces near nobody stay alone.
    """
    faces = all_faces(videos)
    similarity = vectors(faces) @ vectors(faces).T
    near = similarity >= 1 - distance
    person: dict[int, int] = {}
    deferred = []
    for i in range(len(faces)):
        if int(near[i, : i + 1].sum()) < least:
            deferred.append(i)
        else:
            _recognise(i, i + 1, near, similarity, person, core=True)
    for i in deferred:
        core = int(near[i].sum()) >= least
        _recognise(i, len(faces), near, similarity, person, core=core)
    return {face.face_id: str(person.get(i, f"alone {i}")) for i, face in enumerate(faces)}


def _recognise(
    i: int, end: int, near: np.ndarray, similarity: np.ndarray, person: dict[int, int], core: bool
) -> None:
    others = [j for j in np.flatnonzero(near[i, :end]).tolist() if j in person]
    if others:
        person[i] = person[max(others, key=lambda j: float(similarity[i, j]))]
    elif core:
        person[i] = i


# --- all faces at once ------------------------------------------------------------------------


def dbscan(videos: Sequence[Video], similarity: float, least: int) -> Grouping:
    """DBSCAN on cosine distance; noise stays alone."""
    faces = all_faces(videos)
    from sklearn.cluster import DBSCAN

    found = DBSCAN(eps=1 - similarity, min_samples=least, metric="cosine").fit(vectors(faces))
    return _labelled(faces, found.labels_)


def hdbscan(videos: Sequence[Video], least: int, samples: int) -> Grouping:
    """HDBSCAN; on unit vectors Euclidean distance orders pairs as the cosine does."""
    faces = all_faces(videos)
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=least, min_samples=samples, copy=True).fit(vectors(faces))
    return _labelled(faces, found.labels_)


def average_linkage(videos: Sequence[Video], similarity: float) -> Grouping:
    """Agglomerative clustering, average linkage, on cosine distance."""
    faces = all_faces(videos)
    from sklearn.cluster import AgglomerativeClustering

    found = AgglomerativeClustering(
        n_clusters=None, distance_threshold=1 - similarity, metric="cosine", linkage="average"
    ).fit(vectors(faces))
    return _labelled(faces, found.labels_)


def _labelled(faces: Sequence[Face], labels: np.ndarray) -> Grouping:
    return {
        face.face_id: f"alone {i}" if label < 0 else str(label)
        for i, (face, label) in enumerate(zip(faces, labels.tolist(), strict=True))
    }
