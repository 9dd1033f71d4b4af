"""Whether the index says what the records say: both are walked in step, and differences named.

The index can be computed from the records, so it can be checked against them too, and
`face-registry reindex` mends whatever is found. This reads every record and every vector once and
keeps one video of each in memory, however many there are. It also asks every payload index for what
it must find, since a filter that misses a point is as wrong as a point that is missing. It does not
check the graph that answers inexact queries (more than `registry.core.index.EXACT_LIMIT` faces).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from registry.core.decisions import View
from registry.core.index import Index, VideoPoints, identity_point, points_of, video_appearances
from registry.core.records import RecordStore
from registry.domain import Appearance, Status, Vectors
from registry.errors import StoreCorrupt
from registry.faces.appearances import identity
from registry.store.base import Payload, Point

W = TypeVar("W")
F = TypeVar("F")

VECTOR_TOLERANCE = 1e-6
"""Most by which a component may differ. Engines bring vectors to length 1 again, each in its own
float32 arithmetic, which moves a component of a unit vector by 1e-7."""
_KNOWN = 4096
"""Videos whose record was looked for lately."""


class Kind(StrEnum):
    """How the index differs."""

    MISSING = "missing"
    """The records have it, the index does not."""
    EXTRA = "extra"
    """The index has it, the records do not."""
    PAYLOAD = "other payload"
    VECTOR = "other vector"
    FILTER = "not found by a filter"
    """It is there, and asking for it by a payload field does not find it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the index holds otherwise than the records."""

    kind: Kind
    what: str
    """"video", "face", "identity" or "collection"."""
    id: str
    """Of the point; the name of a collection."""
    video_id: str = ""
    """The video it belongs to, where there is one."""
    fields: tuple[str, ...] = ()
    """Payload fields that differ, or by which it is not found."""

    def __str__(self) -> str:
        """One line for people: ids and names of fields, no values."""
        of = f" of video {self.video_id}" if self.video_id and self.what != "video" else ""
        fields = f" ({', '.join(self.fields)})" if self.fields else ""
        return f"{self.what} {self.id}{of}: {self.kind}{fields}"


def compare(
    records: RecordStore,
    index: Index,
    view: View,
    *,
    damaged: Callable[[str, StoreCorrupt], None] | None = None,
) -> Iterator[Difference]:
    """What the index holds otherwise than the records and the decisions say, video by video.

    Videos come in order of id, each with its faces; then identities, then whole collections. A
    writer at work makes differences that are none: hold the registry meanwhile.

    Args:
        records: what is true.
        index: what is checked.
        view: what people decided.
        damaged: told the id of a video whose record cannot be read, and why; that video is left
            out. Without it the error is raised.

    Raises:
        StoreCorrupt: a record is damaged, or the index is so damaged that it cannot be read.
    """
    counted: Counter[str] = Counter()
    stored = ((str(payload.get("video_id")), payload) for payload in index.videos())
    for video_id, wanted, found in in_step(((i, i) for i in records.ids()), stored):
        if found is not None:
            counted[str(found.get("status"))] += 1
        faces = list(index.faces_in(video_id))
        counted["faces"] += len(faces)
        if wanted is None:
            yield Difference(Kind.EXTRA, "video", video_id, video_id)
            yield from _extra(faces, video_id)
            continue
        try:
            video = records.get(video_id)
        except StoreCorrupt as exc:
            if damaged is None:
                raise
            damaged(video_id, exc)
            continue
        if video is not None:
            points = points_of(video, view, index.contract)
            yield from video_differences(points, found, faces)
            yield from _not_found(index, points)
    yield from _identities(index, view)
    yield from _collections(index, records, counted)


def video_differences(
    wanted: VideoPoints, found: Payload | None, faces: Iterable[Point]
) -> Iterator[Difference]:
    """How the points of one video differ from what its record says. Pure."""
    video_id = wanted.video.id
    if found is None:
        yield Difference(Kind.MISSING, "video", video_id, video_id)
    elif fields := different_fields(wanted.video.payload, found):
        yield Difference(Kind.PAYLOAD, "video", video_id, video_id, fields)
    by_id = sorted(((point.id, point) for point in wanted.faces), key=lambda pair: pair[0])
    for face_id, want, have in in_step(by_id, ((point.id, point) for point in faces)):
        if want is None:
            yield Difference(Kind.EXTRA, "face", face_id, video_id)
        elif have is None:
            yield Difference(Kind.MISSING, "face", face_id, video_id)
        else:
            if fields := different_fields(want.payload, have.payload):
                yield Difference(Kind.PAYLOAD, "face", face_id, video_id, fields)
            if not same_vector(want.vector, have.vector):
                yield Difference(Kind.VECTOR, "face", face_id, video_id)


def in_step(
    wanted: Iterable[tuple[str, W]], found: Iterable[tuple[str, F]]
) -> Iterator[tuple[str, W | None, F | None]]:
    """Two series of (key, value), each in order of key, as one: None stands for what is not there.

    Holds one value of each. A series out of order loses nothing: what has no partner then comes
    alone.
    """
    ours, theirs = iter(wanted), iter(found)
    left, right = next(ours, None), next(theirs, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield left[0], left[1], None
            left = next(ours, None)
        elif left is None or right[0] < left[0]:
            yield right[0], None, right[1]
            right = next(theirs, None)
        else:
            yield left[0], left[1], right[1]
            left, right = next(ours, None), next(theirs, None)


def different_fields(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the fields that two payloads do not share or that differ, in order."""
    absent = object()
    names = sorted({*wanted, *found})
    return tuple(n for n in names if wanted.get(n, absent) != found.get(n, absent))


def same_vector(wanted: Vectors | None, found: Vectors | None) -> bool:
    """Whether two float32 (D,) vectors agree to `VECTOR_TOLERANCE`; NaN agrees with nothing."""
    if wanted is None or found is None or wanted.shape != found.shape:
        return wanted is found
    return bool(np.all(np.abs(wanted - found) <= VECTOR_TOLERANCE))


def _extra(faces: Iterable[Point], video_id: str) -> Iterator[Difference]:
    for point in faces:
        yield Difference(Kind.EXTRA, "face", point.id, video_id)


def _not_found(index: Index, wanted: VideoPoints) -> Iterator[Difference]:
    """Filters that do not find what belongs to a video: its crops, and who is in it."""
    video_id = wanted.video.id
    digests = sorted({point.payload["crop_digest"] for point in wanted.faces})
    if digests and index.count_crops_of(video_id, digests) != len(wanted.faces):
        yield Difference(Kind.FILTER, "video", video_id, video_id, ("crop_digest",))
    seen = [appearance.identity_id for appearance in wanted.appearances]
    known = {str(payload.get("identity_id")) for payload in index.identity_payloads(seen)}
    for identity_id in seen:
        if identity_id not in known:
            yield Difference(Kind.MISSING, "identity", identity_id, video_id)


def _identities(index: Index, view: View) -> Iterator[Difference]:
    """Identities against the videos of the index, which were compared before."""
    for payload in index.identity_payloads():
        identity_id = str(payload.get("identity_id"))
        shown = [
            (str(video["video_id"]), appearance)
            for video in index.videos([identity_id])
            for appearance in _appearances(video)
            if appearance.identity_id == identity_id
        ]
        wanted = identity(identity_id, view.name_of(identity_id), shown, view.same_as)
        if wanted is None:
            yield Difference(Kind.EXTRA, "identity", identity_id)
            continue
        if fields := different_fields(identity_point(wanted).payload, payload):
            yield Difference(Kind.PAYLOAD, "identity", identity_id, fields=fields)
        if index.count_faces_of(identity_id) != wanted.faces:
            yield Difference(Kind.FILTER, "identity", identity_id, fields=("identity_id",))
        if wanted.name and index.count_named(wanted.name, identity_id) != 1:
            yield Difference(Kind.FILTER, "identity", identity_id, fields=("name",))


def _appearances(payload: Payload) -> list[Appearance]:
    """Those that can be read; one that cannot has been named with its video."""
    try:
        return video_appearances(payload)
    except StoreCorrupt:
        return []


def _collections(
    index: Index, records: RecordStore, counted: Mapping[str, int]
) -> Iterator[Difference]:
    """What belongs to no video on record, and what the counts say of whole collections."""
    if index.count_faces() != counted["faces"]:

        @lru_cache(_KNOWN)
        def walked(video_id: str) -> bool:
            return records.has(video_id) or index.video(video_id) is not None

        strays = 0
        for point in index.faces():
            video_id = str(point.payload.get("video_id"))
            if not walked(video_id):
                strays += 1
                yield Difference(Kind.EXTRA, "face", point.id, video_id)
        if index.count_faces() != counted["faces"] + strays:
            yield Difference(Kind.FILTER, "collection", "faces", fields=("video_id",))
    if any(index.count_videos(status=status) != counted[status] for status in Status):
        yield Difference(Kind.FILTER, "collection", "videos", fields=("status",))
