"""When each person of a video is on screen, how large, and with whom. Pure.

All times come from the sampled frames: a frame stands for the time until the next one.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from registry.domain import Face

OPENINGS_S = (1.0, 3.0, 5.0)
"""Seconds from the beginning of a video within which time on screen is given: platforms count a
view after 2 s (Meta, TikTok) or 3 s, and ask for the message in the first 3 to 5 s."""
CLOSE_UP, MEDIUM, BACKGROUND = "close-up", "medium", "background"
CLOSE_UP_SHARE = 0.25
"""Share of the frame's height from which on a face is a close-up. A person is 7.5 heads tall (the
canon of figure drawing), and the box of a face has about three quarters of a head. A person who is
shown from the waist up, 3 heads, has a face of 0.25; from the chest up, 2 heads, 0.38."""
MEDIUM_SHARE = 0.1
"""Share from which on it is a medium shot: a person shown from head to toe has a face of 0.1. What
is smaller is in the background."""
_ADJACENT_S = 1e-3
"""Times of adjacent frames differ by rounding."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time in which a person is on screen."""

    start_s: float
    end_s: float
    size: str
    """`close-up`, `medium` or `background`: by the median height of the faces."""


@dataclass(frozen=True, slots=True)
class PersonOnScreen:
    """One person in one video. Times are seconds."""

    identity_id: str
    intervals: tuple[Interval, ...]
    seconds: float
    """The sum of the sampled frames that show the person, as `Appearance.screen_time_s`."""
    share: float
    """`seconds` as a share of the video, 0 to 1; 0 if the length of the video is not known."""
    within: dict[float, float]
    """Seconds on screen in each of the `OPENINGS_S`."""
    alone_s: float
    """Seconds without another person."""
    together_s: dict[str, float]
    """Seconds with each other person, by identity; longest first."""
    face_height: float
    """Median height of the face as a share of the frame's height; 0 if that is not known."""
    size: str
    sizes_s: dict[str, float]
    """Seconds as `close-up`, `medium` and `background`."""


def timeline(
    faces: Iterable[Face], *, duration_s: float, frame_height: int
) -> list[PersonOnScreen]:
    """The people of a video, those who are longest on screen first: the first is the main person.

    A face that is missing for a few frames within one track does not end an interval: the person
    was hidden or turned away. Such frames are part of the interval, but not of `seconds`.

    Args:
        faces: of the video, of those people who are to be listed.
        duration_s: of the video; 0: not known.
        frame_height: px; 0: not known.
    """
    by_person: dict[str, list[Face]] = defaultdict(list)
    in_frame: dict[int, set[str]] = defaultdict(set)
    for face in sorted(faces, key=lambda face: (face.time_s, face.frame, face.position)):
        by_person[face.identity_id].append(face)
        in_frame[face.frame].add(face.identity_id)
    people = [
        _person(identity, own, in_frame, duration_s, frame_height)
        for identity, own in by_person.items()
    ]
    first_s = {identity: own[0].time_s for identity, own in by_person.items()}
    return sorted(people, key=lambda p: (-p.seconds, first_s[p.identity_id], p.identity_id))


def size_of(share: float) -> str:
    """The size of a face by its share of the frame's height; "" for 0, which is not known."""
    if share <= 0:
        return ""
    if share >= CLOSE_UP_SHARE:
        return CLOSE_UP
    return MEDIUM if share >= MEDIUM_SHARE else BACKGROUND


def _person(
    identity: str,
    faces: Sequence[Face],
    in_frame: dict[int, set[str]],
    duration_s: float,
    frame_height: int,
) -> PersonOnScreen:
    frames: dict[int, Face] = {}
    for face in faces:  # of two faces in one frame, such as a mirror's, the larger one counts
        if face.frame not in frames or face.box.height > frames[face.frame].box.height:
            frames[face.frame] = face
    together: dict[str, float] = defaultdict(float)
    sizes: dict[str, float] = dict.fromkeys((CLOSE_UP, MEDIUM, BACKGROUND), 0.0)
    within = dict.fromkeys(OPENINGS_S, 0.0)
    alone = seconds = 0.0
    for frame, face in frames.items():
        seconds += face.span_s
        for limit in OPENINGS_S:
            within[limit] += max(0.0, min(face.time_s + face.span_s, limit) - face.time_s)
        others = in_frame[frame] - {identity}
        for other in others:
            together[other] += face.span_s
        alone += 0.0 if others else face.span_s
        if frame_height and face.box.height > 0:
            sizes[size_of(face.box.height / frame_height)] += face.span_s
    height = _height(list(frames.values()), frame_height)
    return PersonOnScreen(
        identity_id=identity,
        intervals=tuple(_intervals(faces, frame_height)),
        seconds=round(seconds, 6),
        share=min(1.0, round(seconds / duration_s, 6)) if duration_s else 0.0,
        within={limit: round(value, 6) for limit, value in within.items()},
        alone_s=round(alone, 6),
        together_s={
            other: round(value, 6)
            for other, value in sorted(together.items(), key=lambda item: (-item[1], item[0]))
        },
        face_height=height,
        size=size_of(height),
        sizes_s={name: round(value, 6) for name, value in sizes.items()},
    )


def _intervals(faces: Sequence[Face], frame_height: int) -> Iterable[Interval]:
    """The intervals of one person, whose faces are in order of time."""
    goes_on_until: dict[int, float] = {}
    for face in faces:
        goes_on_until[face.track] = face.time_s
    current: list[Face] = []
    end = reach = 0.0
    for face in faces:
        if current and face.time_s > max(end + _ADJACENT_S, reach):
            yield _interval(current, end, frame_height)
            current, end, reach = [], 0.0, 0.0
        current.append(face)
        end = max(end, face.time_s + face.span_s)
        reach = max(reach, goes_on_until[face.track])
    if current:
        yield _interval(current, end, frame_height)


def _interval(faces: Sequence[Face], end: float, frame_height: int) -> Interval:
    return Interval(
        start_s=round(faces[0].time_s, 6),
        end_s=round(end, 6),
        size=size_of(_height(faces, frame_height)),
    )


def _height(faces: Sequence[Face], frame_height: int) -> float:
    """The median height of faces as a share of the frame's; 0 if that is not known."""
    if not frame_height:
        return 0.0
    return round(statistics.median(face.box.height for face in faces) / frame_height, 4)
