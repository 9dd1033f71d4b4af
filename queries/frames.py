"""A registry as tables: identities, videos, appearances, faces, and who is in which video."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from queries.changes import changes, moment_of_date, moment_of_run
from queries.counted_videos import counted_videos
from queries.documents import shown_attributes
from queries.pairs import pairs
from queries.report import as_date
from queries.screen_time import timeline, timeline_table
from queries.selections import as_cell, main_person
from queries.zip_paths import cover_path
from registry.core.registry import Registry
from registry.core.runs import began

IDENTITY_TYPES = {
    "identity": "str",
    "name": "str",
    "videos": "int64",
    "faces": "int64",
    "screen_time_s": "float64",
    "provisional": "bool",
    "still_picture": "bool",
    "face_image": "str",
}
VIDEO_TYPES = {
    "video": "str",
    "url": "str",
    "counts_as": "str",
    "status": "str",
    "reason": "str",
    "run": "str",
    "duration_s": "float64",
    "width": "int64",
    "height": "int64",
    "people": "int64",
}
APPEARANCE_TYPES = {
    "identity": "str",
    "name": "str",
    "video": "str",
    "faces": "int64",
    "first_s": "float64",
    "last_s": "float64",
    "screen_time_s": "float64",
    "share": "float64",
    "main": "bool",
    "still_picture": "bool",
}
FACE_TYPES = {
    "face": "str",
    "identity": "str",
    "video": "str",
    "frame": "int64",
    "time_s": "float64",
    "x1": "float64",
    "y1": "float64",
    "x2": "float64",
    "y2": "float64",
    "det_score": "float64",
    "quality": "float64",
    "track": "int64",
    "crop": "str",
}


def identities_frame(registry: Registry, *, provisional: bool = False) -> pd.DataFrame:
    """A row for each identity, with the columns `IDENTITY_TYPES`.

    Those in most videos come first, and still pictures last.

    Args:
        registry: an open registry that has ingested something.
        provisional: whether provisional identities have rows too.
    """
    people = registry.index.identities(provisional=provisional)
    rows = [
        (
            one.identity_id,
            one.name,
            one.videos,
            one.faces,
            one.screen_time_s,
            one.provisional,
            one.still,
            cover_path(one),
        )
        for one in sorted(people, key=lambda i: (i.still, -i.videos, -i.faces, i.identity_id))
    ]
    return _typed(rows, IDENTITY_TYPES)


def videos_frame(registry: Registry) -> pd.DataFrame:
    """A row for each video on record, in order of URL.

    It has the columns `VIDEO_TYPES`, then the metrics by name (float64, NaN without a value), then
    the attributes (text, numbers; of several values, a text with commas between them; links without
    what signs them). An attribute of the name of another column is called `<name> (attribute)`.
    """
    established = _established(registry, provisional=False)
    videos = sorted(registry.index.videos(), key=lambda video: video.url.exposed())
    same_as = registry.view.same_as
    rows = [
        (
            one.video_id,
            one.url.exposed(),
            same_as.get(one.video_id, one.video_id),
            str(one.status),
            one.reason,
            one.run,
            one.media.duration_s,
            one.media.width,
            one.media.height,
            sum(seen.identity_id in established and not seen.still for seen in one.appearances),
        )
        for one in videos
    ]
    columns: dict[str, Any] = {str(n): cells for n, cells in _typed(rows, VIDEO_TYPES).items()}
    for name in sorted({name for video in videos for name in video.metrics}):
        values = [video.metrics.get(name, np.nan) for video in videos]
        columns[_free(name, "metric", columns)] = np.array(values, np.float64)
    attributes = [shown_attributes(video.attributes) for video in videos]
    for name in sorted({name for one in attributes for name in one}):
        column = [as_cell(one.get(name)) for one in attributes]
        columns[_free(name, "attribute", columns)] = _of_one_type(column)
    return pd.DataFrame(columns)


def appearances_frame(registry: Registry, *, provisional: bool = False) -> pd.DataFrame:
    """A row for each person in each video on record, with the columns `APPEARANCE_TYPES`.

    Args:
        registry: an open registry that has ingested something.
        provisional: whether provisional identities have rows too.
    """
    names = _established(registry, provisional=provisional)
    rows = []
    for video in registry.index.videos():
        shown = [one for one in video.appearances if one.identity_id in names]
        main = main_person({one.identity_id: (one,) for one in shown if not one.still})
        length = video.media.duration_s
        rows += [
            (
                one.identity_id,
                names[one.identity_id],
                video.video_id,
                one.faces,
                one.first_s,
                one.last_s,
                one.screen_time_s,
                min(1.0, one.screen_time_s / length) if length else np.nan,
                one.identity_id == main,
                one.still,
            )
            for one in shown
        ]
    return _typed(rows, APPEARANCE_TYPES)


def faces_frame(registry: Registry) -> pd.DataFrame:
    """A row for each face on record, with the columns `FACE_TYPES`; boxes are px of the frame."""
    faces = registry.index.faces()
    rows = [
        (
            one.face_id,
            one.identity_id,
            one.video_id,
            one.frame,
            one.time_s,
            one.box.x1,
            one.box.y1,
            one.box.x2,
            one.box.y2,
            one.det_score,
            one.quality.score,
            one.track,
            one.crop,
        )
        for one in faces
    ]
    return _typed(rows, FACE_TYPES)


def persons_by_video(
    registry: Registry, *, provisional: bool = False, stills: bool = False
) -> pd.DataFrame:
    """Seconds on screen: a row for each video that counts, a column for each identity.

    Args:
        registry: an open registry that has ingested something.
        provisional: whether provisional identities have columns too.
        stills: whether people count in the videos that show them only as a still picture; if not,
            identities that are still pictures have no columns.

    Returns:
        float64, 0 where a person is not in a video. The index holds ids of videos, the columns are
        ids of identities, both in order. Joined videos are one row.
    """
    videos, people = counted_videos(registry, stills=stills)
    shown = sorted(
        i
        for i, one in people.items()
        if (provisional or not one.provisional) and (stills or not one.still)
    )
    place = {identity: column for column, identity in enumerate(shown)}
    seconds = np.zeros((len(videos), len(shown)))
    for row, video in enumerate(videos):
        for identity, seen in video.people.items():
            if identity in place:
                seconds[row, place[identity]] = seen[0].screen_time_s
    index = pd.Index([video.video_id for video in videos], name="video")
    return pd.DataFrame(seconds, index, pd.Index(shown, name="identity")).sort_index()


def pairs_frame(
    registry: Registry, people: Sequence[str] = (), *, metric: str = "", weight: str = ""
) -> pd.DataFrame:
    """The people who are in the same videos: the table of `identities together`, all pairs.

    Args:
        registry: an open registry that has ingested something.
        people: keys of identities; of one, its pairs; of several, the pairs among them.
        metric: by default the primary metric.
        weight: the metric that means are weighted with; by default by the metric's kind.
    """
    return pairs(registry, people, metric=metric, weight=weight).table


def changes_frame(
    registry: Registry, since: date | str, *, metric: str = "", weight: str = ""
) -> pd.DataFrame:
    """The people who are new or gone, or whose numbers changed: the table of `report --compare`.

    Args:
        registry: an open registry that has ingested something.
        since: a day (also as ISO 8601; from its beginning, UTC), or the id of a run.
        metric: by default the primary metric.
        weight: the metric that means are weighted with; by default by the metric's kind.
    """
    if isinstance(since, str) and began(since):
        moment = moment_of_run(registry, since)
    else:
        moment = moment_of_date(as_date(since))
    return changes(registry, moment, metric=metric, weight=weight).table


def timeline_frame(registry: Registry, video: str, *, provisional: bool = False) -> pd.DataFrame:
    """When each person of a video is on screen: a row for each interval, the main person first.

    Args:
        registry: an open registry that has ingested something.
        video: a URL, an id, or what else `Registry.video` takes.
        provisional: whether provisional identities have rows too.

    Returns:
        The columns `queries.screen_time.TIMELINE_COLUMNS`; those from `seconds` on are about the
        whole video.
    """
    people = timeline(registry, video, provisional=provisional)
    known = registry.index.get_identities(sorted(one.identity_id for one in people))
    names = {identity: one.name for identity, one in known.items()}
    return timeline_table(registry.video(video).video_id, people, names)


def _established(registry: Registry, *, provisional: bool) -> dict[str, str]:
    """Names by identity."""
    people = registry.index.identities(provisional=provisional)
    return {one.identity_id: one.name for one in people}


def _typed(rows: Sequence[tuple[Any, ...]], types: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _free(name: str, kind: str, taken: dict[str, Any]) -> str:
    return f"{name} ({kind})" if name in taken else name


def _of_one_type(cells: list[str | float | None]) -> list[str | float | None]:
    """The cells as they are, or all as text if some are: Parquet has one type in a column."""
    if any(isinstance(cell, str) for cell in cells):
        return [None if cell is None else str(cell) for cell in cells]
    return cells
