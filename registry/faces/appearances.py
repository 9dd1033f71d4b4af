"""From faces to appearances, from appearances to identities, and means over their videos. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from types import MappingProxyType

from registry.domain import Appearance, Face, Identity, Video
from registry.faces.quality import founds, is_certain, is_spoilt

STEADY = 3
"""Poor faces in one track, of all of which the detector is sure, that establish an identity without
good faces. Immich requires the same number of faces of a person."""


def mean(values: Sequence[float]) -> float:
    """The mean of one metric over the videos of an identity, each video once; NaN for none.

    It has the digits that a double holds for certain, so that 6.8 is not 6.800000000000001, and
    does not depend on the order of the values.
    """
    return exact(math.fsum(values) / len(values)) if values else math.nan


def exact(value: float) -> float:
    """The value to 15 significant digits, which are all that a double holds for certain."""
    return float(f"{value:.15g}")


def appearances(faces: Iterable[Face]) -> tuple[Appearance, ...]:
    """The appearances of identities in one video, in order of first sight, then id.

    Screen time counts a sampled frame once for an identity, even if it has several faces in it. The
    best face is the good face of highest quality, or a poor face if there is no good one; of equal
    faces it is the earliest.

    Args:
        faces: all faces of the video; only the best one of each identity is kept meanwhile.
    """
    sums: dict[str, _Sums] = {}
    for face in faces:
        if face.identity_id in sums:
            sums[face.identity_id].add(face)
        else:
            sums[face.identity_id] = _Sums(face)
    seen = [one.appearance() for one in sums.values()]
    return tuple(sorted(seen, key=lambda a: (a.first_s, a.identity_id)))


class _Sums:
    """The faces of one identity in a video, added up."""

    def __init__(self, face: Face) -> None:
        self._best, self._worth = face, _worth_showing(face)
        self._first_s = self._last_s = face.time_s
        self._spans: dict[int, float] = {}
        self._certain: Counter[int] = Counter()
        self._count, self._still = 0, True
        self.add(face)

    def add(self, face: Face) -> None:
        """Add a face."""
        worth = _worth_showing(face)
        if worth > self._worth:
            self._best, self._worth = face, worth
        self._first_s = min(self._first_s, face.time_s)
        self._last_s = max(self._last_s, face.time_s)
        self._spans[face.frame] = face.span_s
        if is_certain(face.quality):
            self._certain[face.track] += 1
        self._still &= face.still
        self._count += 1

    def appearance(self) -> Appearance:
        """What all of them together are."""
        best = self._best
        steady = max(self._certain.values(), default=0) >= STEADY
        return Appearance(
            identity_id=best.identity_id,
            faces=self._count,
            first_s=self._first_s,
            last_s=self._last_s,
            screen_time_s=round(sum(self._spans.values()), 6),
            best_face=best.face_id,
            best_crop=best.crop,
            best_quality=best.quality.score if founds(best.quality) else 0.0,
            established=founds(best.quality) or steady,
            still=self._still,
        )


def _worth_showing(face: Face) -> tuple[bool, bool, float, float, int]:
    quality = face.quality
    return (
        founds(quality),
        not is_spoilt(quality),
        quality.score,
        -face.time_s,
        -face.position,
    )


def identity(
    identity_id: str,
    name: str,
    seen: Iterable[tuple[str, Appearance]],
    same_as: Mapping[str, str] = MappingProxyType({}),
    hidden: Set[str] = frozenset(),
) -> Identity | None:
    """The identity as a whole, from its appearances by video id; None if it appears nowhere.

    Videos that were joined (`same_as`: the video that each counts as) are one video, and their
    screen time is that of the video that counts; if that one does not show the identity, of the
    one that shows it longest. `faces` are all faces on record. `hidden` are identities that people
    hid, which count as provisional.
    """
    by_video = sorted(seen, key=lambda pair: pair[0])
    if not by_video:
        return None
    cover = max((a for _, a in by_video), key=lambda a: (a.best_quality, a.best_face))
    counted = _counted(by_video, same_as)
    return Identity(
        identity_id=identity_id,
        name=name,
        videos=len(counted),
        faces=sum(a.faces for _, a in by_video),
        screen_time_s=_total(a.screen_time_s for a in counted),
        cover=cover.best_crop,
        cover_face=cover.best_face,
        provisional=identity_id in hidden
        or (not name and not any(appearance.established for _, appearance in by_video)),
        still=all(appearance.still for _, appearance in by_video),
    )


def revised_identity(
    known: Identity,
    cover_quality: float,
    *,
    gone: Appearance | None = None,
    added: Appearance | None = None,
    hidden: bool = False,
) -> Identity | None:
    """The identity after a video lost one appearance of it, gained one, or both.

    The same as `identity` computes from all appearances, without reading them. None if these must
    be read: its cover is in the appearance that is gone, or is too poor to establish it, or all
    that is left may be still pictures.

    Args:
        known: the identity before the change.
        cover_quality: quality of its cover; 0 if that is a poor face.
        gone: its appearance in the video until now. The video is not joined to any other.
        added: its appearance in the video from now on.
        hidden: whether people hid the identity.
    """
    if gone is not None and (gone.best_face == known.cover_face or not cover_quality):
        return None
    alive = added is not None and not added.still
    if gone is not None and not (gone.still or known.still or alive):
        return None
    better = added is not None and (added.best_quality, added.best_face) > (
        cover_quality,
        known.cover_face,
    )
    established = added is not None and added.established
    more, less = [(a.faces, a.screen_time_s) if a else (0, 0.0) for a in (added, gone)]
    return replace(
        known,
        videos=known.videos + (added is not None) - (gone is not None),
        faces=known.faces + more[0] - less[0],
        screen_time_s=_total((known.screen_time_s, more[1], -less[1])),
        cover=added.best_crop if added and better else known.cover,
        cover_face=added.best_face if added and better else known.cover_face,
        provisional=hidden or (known.provisional and not established),
        still=known.still and not alive,
    )


def _total(seconds: Iterable[float]) -> float:
    """The sum of numbers of whole microseconds, in whichever order and parts they are added."""
    return round(math.fsum(seconds), 6)


def _counted(
    by_video: Iterable[tuple[str, Appearance]], same_as: Mapping[str, str]
) -> list[Appearance]:
    """Of joined videos, the one appearance that counts."""
    groups: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
    for video, appearance in by_video:
        groups[same_as.get(video, video)].append((video, appearance))
    return [
        max(group, key=lambda pair: (pair[0] == counts, pair[1].screen_time_s))[1]
        for counts, group in groups.items()
    ]


def identities(
    videos: Iterable[Video],
    name_of: Callable[[str], str],
    same_as: Mapping[str, str] = MappingProxyType({}),
    hidden: Set[str] = frozenset(),
) -> list[Identity]:
    """All identities of the faces of these videos.

    Args:
        videos: each once.
        name_of: returns the name of an identity; empty if it has none.
        same_as: as for `identity`.
        hidden: as for `identity`.
    """
    seen: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
    for video in videos:
        for appearance in appearances(video.faces):
            seen[appearance.identity_id].append((video.video_id, appearance))
    everyone = (identity(i, name_of(i), where, same_as, hidden) for i, where in seen.items())
    return [one for one in everyone if one is not None]
