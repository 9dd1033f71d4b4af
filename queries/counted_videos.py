"""The videos that count, and who is in them: joined videos are one, decisions are applied.

Every table of people and their videos starts from here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from registry.core.counting import combined_metrics
from registry.core.decisions import fold, relabelled
from registry.core.points import IndexedVideo, ReportedVideo
from registry.core.registry import Registry
from registry.domain import Appearance, Attribute, Identity, Status, Video, Weighted
from registry.errors import UnknownError
from registry.faces.appearances import appearances, identities
from registry.urls import Url


@dataclass(frozen=True, slots=True)
class CountedVideo:
    """One video, or several that people joined: these have the fields of the one that counts."""

    video_id: str
    url: Url
    status: Status
    duration_s: float
    run: str
    """Id of the run that read it."""
    metrics: Mapping[str, float]
    weights: Mapping[str, Weighted]
    """By metric, for weighted means."""
    attributes: Mapping[str, Attribute]
    people: Mapping[str, tuple[Appearance, ...]]
    """By identity, its appearances: one, or of joined videos several, of which the first counts. It
    is that in the video that counts, or else the longest."""


def counted_videos(
    registry: Registry, *, as_of: int | None = None, stills: bool = False
) -> tuple[list[CountedVideo], dict[str, Identity]]:
    """The videos that count, in order of id, and all identities by id.

    Args:
        registry: an open registry that has ingested something.
        as_of: number of the last decision that counts; 0: none counts. By default all do. The
            videos are those on record now.
        stills: whether people count in the videos that show them only as a still picture.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UnknownError: there is no decision of this number.
    """
    if as_of is None:
        people = registry.index.identities()
        videos = registry.index.reported_videos()
        return _joined(videos, registry.view.same_as, stills=stills), {
            one.identity_id: one for one in people
        }
    log = registry.decisions.entries()
    if not 0 <= as_of <= len(log):
        raise UnknownError(
            f"There is no decision {as_of}. `face-registry identities list --decisions` lists all "
            "decisions; 0 stands for none."
        )
    view = fold(log, as_of=as_of)
    shown: list[tuple[IndexedVideo | Video, tuple[Appearance, ...]]] = []

    def relabelled_videos() -> Iterator[Video]:
        for record in registry.records.all():
            video = relabelled(record, view.identity_of)
            seen = appearances(video.faces)
            yield video
            shown.append((replace(video, faces=()), seen))  # embeddings would fill the memory

    found = identities(relabelled_videos(), view.name_of, view.same_as, view.hidden)
    return join_counted(shown, view.same_as, stills=stills), {one.identity_id: one for one in found}


def counted_videos_of(registry: Registry, identities: Sequence[str]) -> list[CountedVideo]:
    """The videos that count and show one of these identities; no other video is read.

    Videos that show it only as a still picture do not count.

    Args:
        registry: an open registry.
        identities: ids.
    """
    index, view = registry.index, registry.view
    videos = {video.video_id: video for video in index.videos(identities)}
    counted = {view.counted_video(video) for video in videos}
    for other in {v for pair in view.same_as.items() if pair[1] in counted for v in pair}:
        if other not in videos and (joined := index.video(other)) is not None:
            videos[other] = joined
    joined_videos = join_counted([(one, one.appearances) for one in videos.values()], view.same_as)
    wanted = frozenset(identities)
    return [video for video in joined_videos if wanted & video.people.keys()]


def join_counted(
    videos: Iterable[tuple[IndexedVideo | Video, Sequence[Appearance]]],
    same_as: Mapping[str, str],
    *,
    stills: bool = False,
) -> list[CountedVideo]:
    """The videos that count.

    Args:
        videos: each on record, with its appearances.
        same_as: the video that each joined video counts as, by id.
        stills: whether people count in the videos that show them only as a still picture.
    """
    reported = (
        ReportedVideo(
            video.video_id,
            video.url,
            video.status,
            video.media.duration_s,
            video.run,
            video.metrics,
            video.weights,
            video.attributes,
            seen,
        )
        for video, seen in videos
    )
    return _joined(reported, same_as, stills=stills)


def _joined(
    videos: Iterable[ReportedVideo], same_as: Mapping[str, str], *, stills: bool
) -> list[CountedVideo]:
    """As `join_counted`."""
    groups: dict[str, list[ReportedVideo]] = defaultdict(list)
    for video in videos:
        groups[same_as.get(video.video_id, video.video_id)].append(video)
    counted = []
    for counts, members in groups.items():
        if len(members) > 1:
            members.sort(key=lambda video: (video.video_id != counts, video.video_id))
        first = members[0]
        counted.append(
            CountedVideo(
                first.video_id,
                first.url,
                first.status,
                first.duration_s,
                first.run,
                combined_metrics([video.metrics for video in members]),
                first.weights,
                first.attributes,
                _people(members, counts, stills=stills),
            )
        )
    return counted


def videos_by_person(videos: Iterable[CountedVideo]) -> dict[str, list[CountedVideo]]:
    """The videos with each person, by identity, in the order of the videos."""
    found: dict[str, list[CountedVideo]] = defaultdict(list)
    for video in videos:
        for identity in video.people:
            found[identity].append(video)
    return dict(found)


def _people(
    members: Sequence[ReportedVideo], counts: str, *, stills: bool
) -> Mapping[str, tuple[Appearance, ...]]:
    if len(members) == 1:
        seen = members[0].appearances
        return {one.identity_id: (one,) for one in seen if stills or not one.still}
    found: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
    for video in members:
        for one in video.appearances:
            if stills or not one.still:
                found[one.identity_id].append((video.video_id, one))
    return {
        identity: tuple(
            one
            for _, one in sorted(where, key=lambda p: (p[0] != counts, -p[1].screen_time_s, p[0]))
        )
        for identity, where in found.items()
    }
