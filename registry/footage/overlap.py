"""Compare two videos: how much of them is the same footage, and what kind of pair it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from registry.footage.alignment import Segment, Series, first_segment, shared_segments

LIKELY = 10.0
"""Evidence, in nats, from which a pair is listed. Of 14,000 pairs of different takes, many of one
person in one studio, the highest had 4.8 (`docs/BENCHMARKS.md`), and every nat more makes it about
six times as rare."""

CERTAIN = 20.0
"""Evidence from which a pair is called certain: twice that."""

AGREEMENT = 0.4
"""Agreement that a segment must have. Copies mostly have 0.45 to 0.8. Two takes of one person who
takes the same poses at the same moments, to music or from a script, can have 0.3 for as long as
they last, and the evidence of that adds up (`benchmarks/footage.py`)."""

COMPRESSED, MOVEMENT = 0.25, 0.9
"""Agreement that is enough if the boxes move alike, with at least this correlation: strong
compression changes embeddings (0.25 to 0.4 is left at x264's CRF 30, 640 x 480), and boxes hardly.
Nobody repeats a movement to a tenth of its size for long."""

FURTHER = 6.0
"""Evidence of a further segment, once one has shown that the videos share footage."""

SHARED = 0.5
"""Share of one of the two videos that the segments must hold, of the frames that show a face:
episodes of a series that begin with the same titles are not the same video."""

WHOLE = 0.8
"""Share of the frames of a video that show a face from which all of it counts as shared: the
detector misses some."""

SAME_LENGTH = 0.05
"""Relative difference of durations up to which videos are of the same length, with one second more
for short ones: containers and frame rates round."""


class OverlapKind(StrEnum):
    """What two videos of the same footage are to each other."""

    SAME_LENGTH = "same length"
    PART = "part of"
    """The shorter one is part of the longer one."""
    SOME = "share a part"
    """Each has something that the other has not."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What is compared of one video."""

    duration_s: float
    faces: Series

    @property
    def times(self) -> np.ndarray:
        """Seconds of the frames that show a face."""
        return np.unique(np.concatenate([track.times for track in self.faces]))

    def __len__(self) -> int:
        """How many faces."""
        return sum(len(track.times) for track in self.faces)


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two videos share."""

    kind: OverlapKind
    evidence: float
    """Log-likelihood ratio over all segments, in nats."""
    agreement: float
    """Correlation of the changes of the faces, averaged over the faces of the segments."""
    segments: tuple[Segment, ...]
    """In order of time in the first video."""
    shares: tuple[float, float]
    """Share of each video that lies in the segments, of the frames that show a face: 0 to 1."""

    @property
    def certain(self) -> bool:
        """Whether the evidence is at least `CERTAIN`."""
        return self.evidence >= CERTAIN

    @property
    def seconds(self) -> float:
        """Length of the segments."""
        return sum(segment.end_s - segment.start_s for segment in self.segments)


def compare(one: Recording, other: Recording) -> Overlap | None:
    """What two videos share; None if they are not likely the same footage."""
    if not one.faces or not other.faces:
        return None
    swapped = len(one) > len(other)
    first, second = (other, one) if swapped else (one, other)
    found = shared_segments(
        first.faces, second.faces, least=LIKELY, further=FURTHER, accept=_is_copied
    )
    if swapped:
        found = tuple(_moved(segment) for segment in found)
    if not found:
        return None
    segments = tuple(sorted(found, key=lambda segment: segment.start_s))
    shares = (
        _share(one, [stretch for segment in segments for stretch in segment.stretches]),
        _share(other, [stretch for segment in segments for stretch in _moved(segment).stretches]),
    )
    if max(shares) < SHARED:
        return None
    faces = [segment.faces for segment in segments]
    return Overlap(
        kind=_kind(one, other, shares),
        evidence=sum(segment.evidence for segment in segments),
        agreement=float(np.average([segment.agreement for segment in segments], weights=faces)),
        segments=segments,
        shares=shares,
    )


def are_same_footage(one: Recording, other: Recording) -> bool:
    """Whether `compare` finds something. Of most pairs that do, one stretch shows it at once."""
    if not one.faces or not other.faces:
        return False
    first, second = (one, other) if len(one) <= len(other) else (other, one)
    found = first_segment(first.faces, second.faces)
    if found and found.evidence >= LIKELY and _is_copied(found):
        shares = _share(first, found.stretches), _share(second, _moved(found).stretches)
        if max(shares) >= SHARED:
            return True
    return compare(one, other) is not None


def _is_copied(segment: Segment) -> bool:
    if segment.agreement >= AGREEMENT:
        return True
    return segment.agreement >= COMPRESSED and segment.movement >= MOVEMENT


def _kind(one: Recording, other: Recording, shares: tuple[float, float]) -> OverlapKind:
    shorter, longer = sorted((one.duration_s, other.duration_s))
    alike = longer - shorter <= 1.0 + SAME_LENGTH * longer
    if alike and min(shares) >= WHOLE:
        return OverlapKind.SAME_LENGTH
    part = shares[0] if one.duration_s <= other.duration_s else shares[1]
    return OverlapKind.PART if part >= WHOLE else OverlapKind.SOME


def _moved(segment: Segment) -> Segment:
    """The segment as the other video has it."""
    shift = segment.offset_s
    return replace(
        segment,
        start_s=segment.start_s + shift,
        end_s=segment.end_s + shift,
        offset_s=-shift,
        stretches=tuple((start + shift, end + shift) for start, end in segment.stretches),
    )


def _share(recording: Recording, stretches: Sequence[tuple[float, float]]) -> float:
    times = recording.times
    inside = np.zeros(len(times), bool)
    for start, end in stretches:
        inside |= (times >= start - _SLACK_S) & (times <= end + _SLACK_S)
    return float(inside.mean())


_SLACK_S = 0.5
"""Sampled frames of two videos lie between each other, so a segment may end one frame early."""
