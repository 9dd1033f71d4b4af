"""One person twice in a frame: two tracks that stay alike side by side through a shot.

Two faces of one frame that are too alike for two people are no proof either way: now and then two
people are as alike in one picture. If the tracks of both run side by side and are as alike in every
frame in which both faces are good, they are one person: in a mirror, on a screen, before and after.

Frames that repeat a picture say no more than one of them. A frame counts if one of the two faces
has changed since the last frame that counted, as living faces do and moved photographs do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from registry.core.points import IndexedFace
from registry.faces.boxes import SAME_FACE, overlap
from registry.faces.quality import is_comparable, tells_apart

Track = tuple[str, int]
"""Video id and the number of a track in it."""
FacesIn = Callable[[str], Iterable[IndexedFace]]
"""Gives the faces of the video of this id, with their vectors, in any order."""

LEAST_FRAMES = 3
"""Frames that count, from which two tracks are one person. Of living faces, at three sampled frames
a second, that is a second and more."""
CHANGED = 0.9
"""Cosine with a face's last frame that counted, below which the face has changed. Source:
docs/BENCHMARKS.md, "One person several times in a frame"."""


def stay_alike(
    frames: Mapping[frozenset[Track], int], faces_in: FacesIn, alike: float
) -> frozenset[frozenset[Track]]:
    """The pairs of tracks that show one person twice.

    Args:
        frames: pairs of tracks of one video, and in how many frames both are alike on average.
        faces_in: is called once for each video with enough such frames.
        alike: cosine from which two faces of a frame are too alike for two people.
    """
    candidates: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for two, count in frames.items():
        if count >= LEAST_FRAMES:
            (video, one), (_, other) = sorted(two)
            candidates[video].append((one, other))
    found = set()
    for video, pairs in candidates.items():
        wanted = {track for two in pairs for track in two}
        tracks: dict[int, dict[int, IndexedFace]] = {track: {} for track in wanted}
        for face in faces_in(video):
            if face.track in wanted:
                tracks[face.track][face.frame] = face
        for one, other in pairs:
            shared = sorted(tracks[one].keys() & tracks[other].keys())
            if _stay_alike([(tracks[one][n], tracks[other][n]) for n in shared], alike):
                found.add(frozenset(((video, one), (video, other))))
    return frozenset(found)


def _stay_alike(pairs: Sequence[tuple[IndexedFace, IndexedFace]], alike: float) -> bool:
    """Whether two faces are alike in all of these frames, and in enough that count."""
    counted: list[tuple[IndexedFace, IndexedFace]] = []
    for one, other in pairs:
        comparable = is_comparable(one.quality) and is_comparable(other.quality)
        if not comparable or not tells_apart(one.quality, other.quality):
            continue
        if overlap(one.box, other.box) > SAME_FACE or _cosine(one, other) < alike:
            return False
        changed = (
            not counted
            or min(_cosine(last, now) for last, now in zip(counted[-1], (one, other), strict=True))
            < CHANGED
        )
        if changed:
            counted.append((one, other))
    return len(counted) >= LEAST_FRAMES


def _cosine(one: IndexedFace, other: IndexedFace) -> float:
    assert one.vector is not None
    assert other.vector is not None
    return float(one.vector @ other.vector)
