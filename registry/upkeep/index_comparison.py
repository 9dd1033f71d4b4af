"""Comparison of the index with the records from which it was computed.

Both are read in order of video id, and every difference is named; `face-registry reindex` repairs
them. The comparison reads every record and every vector once and keeps one video of each in memory.
It also checks that the payload indexes find every point, since a filter that misses a point is as
wrong as a point that is missing. It does not check the graph that answers approximate queries (more
than `registry.core.index.EXACT_LIMIT` faces).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from registry.core.decisions import View
from registry.core.index import Index
from registry.core.points import (
    IndexedVideo,
    VideoPoints,
    decided_identity,
    identity_point,
    points_of,
    video_in,
)
from registry.core.records import RecordStore
from registry.domain import Status, Vectors
from registry.errors import StoreCorrupt
from registry.store.base import Point

L = TypeVar("L")
R = TypeVar("R")

VECTOR_TOLERANCE = 1e-6
"""Largest difference of a component. Engines normalise vectors again, each in its own float32
arithmetic, which changes a component of a unit vector by 1e-7."""
_PROVENANCE = ("registry_id", "run")
"""Payload fields on where the content came from."""
_CACHED = 4096
"""Videos for which it is remembered whether they are on record."""


class DifferenceKind(StrEnum):
    """How the index differs from the records."""

    MISSING = "missing"
    """It follows from the records and is not in the index."""
    EXTRA = "extra"
    """It is in the index and does not follow from the records."""
    PAYLOAD = "different payload"
    VECTOR = "different vector"
    FILTER = "not found by a filter"
    """It is in the index, but a filter on a payload field does not find it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One point or collection that differs."""

    kind: DifferenceKind
    what: str
    """"video", "face", "identity" or "collection"."""
    id: str
    """Id of the point, or name of the collection."""
    video_id: str = ""
    """The video that it belongs to; empty if there is none."""
    fields: tuple[str, ...] = ()
    """Payload fields that differ, or whose filter does not find the point."""

    def __str__(self) -> str:
        """Describe it on one line: ids and names of fields, no values."""
        of = f" of video {self.video_id}" if self.video_id and self.what != "video" else ""
        fields = f" ({', '.join(self.fields)})" if self.fields else ""
        return f"{self.what} {self.id}{of}: {self.kind}{fields}"


def compare_index(
    records: RecordStore,
    index: Index,
    view: View,
    *,
    on_damaged: Callable[[str, StoreCorrupt], None] | None = None,
) -> Iterator[Difference]:
    """Yield every difference between the index and what records and decisions imply.

    Videos come in order of id, each with its faces; then identities, then whole collections. Hold
    the registry meanwhile: a concurrent change would look like a difference.

    Args:
        records: the records to compare with.
        index: the index to check.
        view: the decisions, folded.
        on_damaged: called with the id of a video whose record cannot be read, and the error; the
            video is skipped. Without it the error is raised.

    Raises:
        StoreCorrupt: a record is damaged, or the index is so damaged that it cannot be read.
    """
    counted: Counter[str] = Counter()
    stored = ((str(point.payload.get("video_id")), point) for point in index.stored_videos())
    for video_id, recorded, shown in join_sorted(((i, i) for i in records.ids()), stored):
        if shown is not None:
            counted[str(shown.payload.get("status"))] += 1
        faces = list(index.stored_faces(video_id, with_vectors=True))
        counted["faces"] += len(faces)
        if recorded is None:
            yield Difference(DifferenceKind.EXTRA, "video", video_id, video_id)
            for point in faces:
                yield Difference(DifferenceKind.EXTRA, "face", point.id, video_id)
            continue
        try:
            video = records.get(video_id)
        except StoreCorrupt as exc:
            if on_damaged is None:
                raise
            on_damaged(video_id, exc)
            continue
        if video is not None:
            points = points_of(video, view, index.contract)
            yield from video_differences(points, shown, faces)
            yield from _filter_differences(index, points)
    yield from _identity_differences(index, view)
    yield from _collection_differences(index, records, counted)


def video_differences(
    expected: VideoPoints, stored: Point | None, faces: Iterable[Point]
) -> Iterator[Difference]:
    """Yield the differences between the points of one video and those that its record implies.

    Pure.

    Args:
        expected: the points that the record implies.
        stored: the video's point in the index; None if there is none.
        faces: the points of its faces, in order of id.
    """
    video_id = expected.video.id
    if stored is None:
        yield Difference(DifferenceKind.MISSING, "video", video_id, video_id)
    elif fields := different_fields(expected.video.payload, stored.payload):
        yield Difference(DifferenceKind.PAYLOAD, "video", video_id, video_id, fields)
    by_id = sorted(((point.id, point) for point in expected.faces), key=lambda pair: pair[0])
    for face_id, want, have in join_sorted(by_id, ((point.id, point) for point in faces)):
        if want is None:
            yield Difference(DifferenceKind.EXTRA, "face", face_id, video_id)
        elif have is None:
            yield Difference(DifferenceKind.MISSING, "face", face_id, video_id)
        else:
            if fields := different_fields(want.payload, have.payload):
                yield Difference(DifferenceKind.PAYLOAD, "face", face_id, video_id, fields)
            if not same_vector(want.vector, have.vector):
                yield Difference(DifferenceKind.VECTOR, "face", face_id, video_id)


def comparable_payloads(index: Index) -> dict[str, list[dict[str, Any]]]:
    """The payloads of videos and faces, each in order of id, for comparing one index with another.

    They omit what may differ in indexes of the same content: ids of runs and of the registry.
    """
    points = {"videos": index.stored_videos(), "faces": index.stored_faces()}
    return {
        collection: [
            {name: value for name, value in point.payload.items() if name not in _PROVENANCE}
            for point in stored
        ]
        for collection, stored in points.items()
    }


def join_sorted(
    left: Iterable[tuple[str, L]], right: Iterable[tuple[str, R]]
) -> Iterator[tuple[str, L | None, R | None]]:
    """Outer join of two series of (key, value), each in order of key.

    Holds one value of each. A missing partner is None. In a series that is out of order every value
    still comes, some without their partners.
    """
    lefts, rights = iter(left), iter(right)
    one, other = next(lefts, None), next(rights, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = next(lefts, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(rights, None)
        else:
            yield one[0], one[1], other[1]
            one, other = next(lefts, None), next(rights, None)


def different_fields(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the fields that only one payload has or that differ, in order."""
    absent = object()
    names = sorted({*one, *other})
    return tuple(n for n in names if one.get(n, absent) != other.get(n, absent))


def same_vector(one: Vectors | None, other: Vectors | None) -> bool:
    """Whether two float32 (D,) vectors differ by at most `VECTOR_TOLERANCE`; NaN always differs."""
    if one is None or other is None or one.shape != other.shape:
        return one is other
    return bool(np.all(np.abs(one - other) <= VECTOR_TOLERANCE))


def _filter_differences(index: Index, expected: VideoPoints) -> Iterator[Difference]:
    """Look up the crops and the identities of a video by filters."""
    video_id = expected.video.id
    digests = sorted({point.payload["crop_digest"] for point in expected.faces})
    if digests and index.count_crops_of(video_id, digests) != len(expected.faces):
        yield Difference(DifferenceKind.FILTER, "video", video_id, video_id, ("crop_digest",))
    seen = [appearance.identity_id for appearance in expected.appearances]
    known = {str(point.payload.get("identity_id")) for point in index.stored_identities(seen)}
    for identity_id in seen:
        if identity_id not in known:
            yield Difference(DifferenceKind.MISSING, "identity", identity_id, video_id)


def _identity_differences(index: Index, view: View) -> Iterator[Difference]:
    """Compare identities with the videos of the index, which were compared before."""
    for point in index.stored_identities():
        identity_id = str(point.payload.get("identity_id"))
        shown = [
            (video.video_id, appearance)
            for video in _readable(index.stored_videos([identity_id]))
            for appearance in video.appearances
            if appearance.identity_id == identity_id
        ]
        expected = decided_identity(identity_id, shown, view)
        if expected is None:
            yield Difference(DifferenceKind.EXTRA, "identity", identity_id)
            continue
        if fields := different_fields(identity_point(expected).payload, point.payload):
            yield Difference(DifferenceKind.PAYLOAD, "identity", identity_id, fields=fields)
        if index.count_faces_of(identity_id) != expected.faces:
            yield Difference(
                DifferenceKind.FILTER, "identity", identity_id, fields=("identity_id",)
            )
        if expected.name and index.count_named(expected.name, identity_id) != 1:
            yield Difference(DifferenceKind.FILTER, "identity", identity_id, fields=("name",))


def _readable(points: Iterable[Point]) -> Iterator[IndexedVideo]:
    """Yield the videos that can be decoded; `compare_index` has reported the others."""
    for point in points:
        with suppress(StoreCorrupt):
            yield video_in(point.payload)


def _collection_differences(
    index: Index, records: RecordStore, counted: Mapping[str, int]
) -> Iterator[Difference]:
    """Look for faces of videos that are neither on record nor in the index, and compare counts."""
    if index.count_faces() != counted["faces"]:

        @lru_cache(_CACHED)
        def is_known(video_id: str) -> bool:
            return records.has(video_id) or index.has_video(video_id)

        strays = 0
        for point in index.stored_faces():
            video_id = str(point.payload.get("video_id"))
            if not is_known(video_id):
                strays += 1
                yield Difference(DifferenceKind.EXTRA, "face", point.id, video_id)
        if index.count_faces() != counted["faces"] + strays:
            yield Difference(DifferenceKind.FILTER, "collection", "faces", fields=("video_id",))
    if any(index.count_videos(status=status) != counted[status] for status in Status):
        yield Difference(DifferenceKind.FILTER, "collection", "videos", fields=("status",))
