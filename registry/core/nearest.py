"""The nearest stored face of each face of a video, with few comparisons.

`registry.faces.neighbourhood` says why one query for a group of similar faces tells which videos
hold candidates; then only the faces of these videos are compared with each face of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from registry.core.points import NEIGHBOUR_FIELDS, VIDEO_ID, neighbour_in, video_id_in
from registry.domain import Vectors
from registry.faces.matching import Neighbour
from registry.faces.neighbourhood import groups
from registry.store.base import Collection, Filter, Hit

_WORTH_GROUPING = 3
"""Similar faces from which one query for all of them comes first."""
_CANDIDATES = 128
"""Faces that this query returns. A face of the group that even more may match, as it does in a
video of a person of many videos, is compared with every stored one."""
_NEAREST = 50
"""Faces that the graph is asked for, at least, before all faces of their videos are compared. In a
graph of 1,000,000 faces the nearest one itself was among these for 338 of 350, and in one of the
videos for all (docs/BENCHMARKS.md, "Growth")."""
_FEW = 100
"""Faces that are asked for in addition instead of being left out by a filter, at most."""
_BATCH = 500
"""Faces that are asked about together: answers take 7 kB a face."""


def nearest_faces(
    faces: Collection,
    video_id: str,
    embeddings: Vectors,
    threshold: float,
    own: Vectors | None = None,
    *,
    exact: bool,
) -> list[Neighbour | None]:
    """The nearest stored face of another video for each embedding.

    An embedding without a stored face as similar as both `threshold` and `own` gets None, or any
    stored face that is less similar.

    Args:
        faces: all stored faces.
        video_id: the video that the embeddings are from; its stored faces are left out.
        embeddings: float32 (n, D), L2-normalised.
        threshold: cosine similarity, -1 to 1.
        own: float32 (n,): how similar a stored face must be to count. None: any.
        exact: whether the answer must not depend on the graph index. Else candidates come from the
            graph, and all faces of their videos are compared.
    """
    of_video = {VIDEO_ID: [video_id]}
    # A filter takes four times as long as the query itself: the engine checks it for each face.
    others = Filter(must_not=of_video) if faces.count(Filter(must=of_video)) else None
    search = _Search(faces, others, embeddings, exact)
    least = np.full(len(embeddings), threshold)
    found: dict[int, Neighbour] = {}
    undecided: list[int] = []
    for group in groups(embeddings, least if own is None else np.maximum(own, threshold)):
        if len(group.rows) < _WORTH_GROUPING:
            undecided += group.rows
            continue
        hits, least_found = search.around(group.centre)
        reach = dict(zip(group.rows, group.reach, strict=True))
        covered = [row for row in group.rows if reach[row] > least_found]
        undecided += [row for row in group.rows if reach[row] <= least_found]
        if covered:
            nearest = min(reach[row] for row in covered)
            found |= search.among_videos(covered, [hit for hit in hits if hit.score >= nearest])
    found |= search.among_all(undecided)
    return [found.get(row) for row in range(len(embeddings))]


def videos_of_similar_faces(
    faces: Collection, embeddings: Vectors, *, limit: int, without: Sequence[str]
) -> list[dict[str, float]]:
    """The videos of the nearest stored faces of each embedding, as the graph finds them.

    Args:
        faces: all stored faces.
        embeddings: float32 (n, D), L2-normalised.
        limit: the number of faces for each embedding, at most.
        without: videos whose faces are left out.

    Returns:
        For each embedding, the cosine similarity of the nearest face by video id, nearest first.
    """
    # The engine would check a filter for every face. So more faces are asked for, as many as these
    # videos have, and theirs are removed from the answer.
    several = faces.count(Filter(must={VIDEO_ID: without}))
    few = several <= _FEW
    found = faces.query(
        embeddings,
        limit=limit + (several if few else 0),
        where=None if few else Filter(must_not={VIDEO_ID: without}),
        exact=False,
        fields=[VIDEO_ID],
    )
    videos: list[dict[str, float]] = []
    for hits in found:
        videos.append({})
        named = ((video_id_in(hit.payload), hit.score) for hit in hits)
        for video, score in islice((one for one in named if one[0] not in without), limit):
            videos[-1].setdefault(video, score)
    return videos


def nearest_by_graph(
    faces: Collection,
    embeddings: Vectors,
    limit: int,
    where: Filter | None,
    *,
    fields: Sequence[str] | None = None,
) -> list[list[Hit]]:
    """The nearest faces of each embedding, of the videos in which the graph finds near ones.

    The faces of a video are so alike that a graph often leads to another one than the nearest. All
    faces of the videos that it leads to are compared.

    Args:
        faces: all stored faces.
        embeddings: float32 (n, D), L2-normalised.
        limit: the number of faces for each embedding, at most.
        where: which faces may be returned.
        fields: those that the payloads of the hits have; None: all.
    """
    where = where or Filter()
    most = max(limit, _NEAREST)
    near = faces.query(embeddings, limit=most, where=where, exact=False, fields=[VIDEO_ID])
    found: list[list[Hit]] = []
    for row, hits in zip(embeddings, near, strict=True):
        videos = sorted({video_id_in(hit.payload) for hit in hits})
        within = Filter({**where.must, VIDEO_ID: videos}, where.must_not)
        found += faces.query(row[None], limit=limit, where=within, fields=fields)
    return found


@dataclass(frozen=True, slots=True)
class _Search:
    """Queries for rows of `embeddings`, each answered by row."""

    faces: Collection
    others: Filter | None
    """None if no face of the video itself is stored."""
    embeddings: Vectors
    exact: bool

    def among_all(self, rows: Sequence[int]) -> dict[int, Neighbour]:
        """The nearest of all stored faces; by the graph, of the videos that it finds."""
        if self.exact:
            return self._nearest(rows, self.others)
        faces, others, fields = self.faces, self.others, NEIGHBOUR_FIELDS
        return self._by_row(rows, lambda v: nearest_by_graph(faces, v, 1, others, fields=fields))

    def around(self, centre: Vectors) -> tuple[list[Hit], float]:
        """The stored faces nearest to a vector, and the cosine above which they are all."""
        [hits] = self.faces.query(
            centre[None],
            limit=_CANDIDATES,
            where=self.others,
            exact=self.exact,
            fields=[VIDEO_ID],
        )
        return hits, hits[-1].score if len(hits) == _CANDIDATES else -2.0

    def among_videos(self, rows: Sequence[int], hits: Sequence[Hit]) -> dict[int, Neighbour]:
        """The nearest stored faces in the videos of these."""
        videos = {video_id_in(hit.payload) for hit in hits}
        return self._nearest(rows, Filter(must={VIDEO_ID: sorted(videos)}))

    def _nearest(self, rows: Sequence[int], where: Filter | None) -> dict[int, Neighbour]:
        query, fields = self.faces.query, NEIGHBOUR_FIELDS
        return self._by_row(rows, lambda v: query(v, limit=1, where=where, fields=fields))

    def _by_row(
        self, rows: Sequence[int], ask: Callable[[Vectors], list[list[Hit]]]
    ) -> dict[int, Neighbour]:
        """The first hit of each of these rows that has one."""
        found: dict[int, Neighbour] = {}
        for start in range(0, len(rows), _BATCH):
            some = list(rows[start : start + _BATCH])
            answers = ask(self.embeddings[some])
            pairs = zip(some, answers, strict=True)
            found |= {row: neighbour_in(hits[0]) for row, hits in pairs if hits}
        return found
