"""Timelines of the videos of a registry: who is on screen when, by the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from queries.timelines import OPENINGS_S, PersonOnScreen
from queries.timelines import timeline as timeline_of
from registry.core.decisions import relabelled
from registry.core.registry import Registry
from registry.domain import Face
from registry.errors import UnknownError

TIMELINE_COLUMNS = (
    "video",
    "identity",
    "name",
    "main",
    "start_s",
    "end_s",
    "size",
    "seconds",
    "share",
    *(f"within_{limit:g}_s" for limit in OPENINGS_S),
    "alone_s",
)


def timeline(registry: Registry, video: str, *, provisional: bool = False) -> list[PersonOnScreen]:
    """Who is on screen in a video, and when; those who are longest on screen first.

    Args:
        registry: an open registry that has ingested something.
        video: a URL, an id, or what else `Registry.video` takes.
        provisional: whether provisional identities are listed, and count as company.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UnknownError: there is no such video.
    """
    indexed = registry.video(video)
    faces = _faces(registry, indexed.video_id)
    if not provisional:
        people = registry.index.get_identities(sorted({face.identity_id for face in faces}))
        faces = [
            face
            for face in faces
            if face.identity_id in people and not people[face.identity_id].provisional
        ]
    return timeline_of(
        faces, duration_s=indexed.media.duration_s, frame_height=indexed.media.height
    )


def seconds_together(registry: Registry, video_id: str) -> dict[frozenset[str], float]:
    """Seconds for which two people are on screen at the same time, by the pair of identities."""
    spans: dict[int, float] = {}
    in_frame: dict[int, set[str]] = defaultdict(set)
    for face in _faces(registry, video_id):
        spans[face.frame] = face.span_s
        in_frame[face.frame].add(face.identity_id)
    seconds: dict[frozenset[str], float] = defaultdict(float)
    for frame, people in in_frame.items():
        for pair in combinations(people, 2):
            seconds[frozenset(pair)] += spans[frame]
    return {pair: round(value, 6) for pair, value in seconds.items()}


def timeline_table(
    video_id: str, people: Sequence[PersonOnScreen], names: dict[str, str]
) -> pd.DataFrame:
    """A row for each interval, with the columns `TIMELINE_COLUMNS`.

    Args:
        video_id: of the video.
        people: from `timeline`.
        names: by identity.
    """
    rows: list[dict[str, Any]] = [
        {
            "video": video_id,
            "identity": person.identity_id,
            "name": names.get(person.identity_id, ""),
            "main": place == 0,
            "start_s": interval.start_s,
            "end_s": interval.end_s,
            "size": interval.size,
            "seconds": person.seconds,
            "share": person.share,
            **{f"within_{limit:g}_s": person.within[limit] for limit in OPENINGS_S},
            "alone_s": person.alone_s,
        }
        for place, person in enumerate(people)
        for interval in person.intervals
    ]
    return pd.DataFrame(rows, columns=list(TIMELINE_COLUMNS))


def _faces(registry: Registry, video_id: str) -> Sequence[Face]:
    """The faces of a video with their identities after all decisions."""
    record = registry.records.get(video_id)
    if record is None:
        raise UnknownError(
            f"The record of video {video_id} is missing. `face-registry doctor` shows what is "
            "damaged."
        )
    return relabelled(record, registry.view.identity_of).faces
