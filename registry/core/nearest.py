"""The nearest stored face of each face of a video, with few comparisons.

`registry.faces.neighbourhood` says why one query for a group of similar faces tells which videos
hold candidates; then only the faces of these videos are compared with each face of the group.
"""

from __future__ import annotations

from registry.core.points import face_in, neighbour_in
from registry.domain import Vectors
from registry.faces.matching import Neighbour
from registry.faces.neighbourhood import Group, groups
from registry.store.base import Collection, Filter

_WORTH_GROUPING = 3
"""Similar faces from which one query for all of them comes first."""
_CANDIDATES = 128
"""Faces that this query returns. If all of them may match, as those of a person of many videos do,
each face is compared with every stored one."""
_NEAREST = 8
"""Faces that the graph is asked for in that case, for each face, where it answers."""
_BATCH = 500
"""Faces that are asked about together: answers take 7 kB a face."""


def nearest_faces(
    faces: Collection, video_id: str, embeddings: Vectors, threshold: float, *, exact: bool
) -> list[Neighbour | None]:
    """The nearest stored face of another video for each embedding.

    An embedding without a neighbour at the threshold gets None, or any neighbour below it.

    Args:
        faces: all stored faces.
        video_id: the video that the embeddings are from; its stored faces are left out.
        embeddings: float32 (n, D), L2-normalised.
        threshold: cosine similarity, -1 to 1.
        exact: whether the answer must not depend on the graph index. Else candidates come from the
            graph, and all faces of their videos are compared.
    """
    nearest: list[Neighbour | None] = [None] * len(embeddings)
    others = Filter(must_not={"video_id": [video_id]})
    for group in groups(embeddings, threshold):
        where: Filter | None = others
        if not exact or len(group.rows) >= _WORTH_GROUPING:
            where = _candidates(faces, group, embeddings, others, exact=exact)
        if where is None:
            continue
        for start in range(0, len(group.rows), _BATCH):
            rows = list(group.rows[start : start + _BATCH])
            answers = faces.query(embeddings[rows], limit=1, where=where)
            for row, hits in zip(rows, answers, strict=True):
                nearest[row] = neighbour_in(hits[0]) if hits else None
    return nearest


def _candidates(
    faces: Collection, group: Group, embeddings: Vectors, others: Filter, *, exact: bool
) -> Filter | None:
    """A filter for the videos that may hold a match of the group; None if no video may.

    If very many may, it is `others`.
    """
    [hits] = faces.query(group.centre[None], limit=_CANDIDATES, where=others, exact=exact)
    within = [hit for hit in hits if hit.score >= group.reach]
    if len(within) == _CANDIDATES:
        if exact:
            return others
        rows = embeddings[list(group.rows)]
        for found in faces.query(rows, limit=_NEAREST, where=others, exact=False):
            within += found
    videos = {face_in(hit.payload).video_id for hit in within}
    return Filter(must={"video_id": sorted(videos)}) if videos else None
