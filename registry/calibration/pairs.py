"""Pairs of a registry's faces that are known to show one person, or two different people.

They are known for another reason than their similarity, which is what calibration measures:

    two people   faces side by side in one frame, and the rest of their tracks; identities that a
                 person separated, or split
    one person   faces of one track that are a second apart or turned differently; identities that
                 a person merged, but not those that the rule or consolidation joined

Only good faces count, and of each track those that `registry.calibration.track_samples` chooses.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from registry.calibration.sample_size import Pairs
from registry.calibration.track_samples import (
    Subsample,
    TrackSample,
    sample_track,
    similarities_within,
)
from registry.core.decisions import DecisionKind, in_effect
from registry.core.registry import Registry
from registry.domain import Face, Video
from registry.faces.boxes import SAME_FACE, overlap
from registry.faces.quality import founds
from registry.models.entries import linkage_threshold
from registry.people.evidence import gather_evidence
from registry.people.joining import duplicate_groups
from registry.people.observed_faces import Pair, pair
from registry.urls import Url

_TRACKS = 64
"""The most tracks that are kept of an identity that a decision names."""
_People = tuple[int, int]
"""Numbers of two people, the lesser first."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Two faces side by side, in the frame in which they are most similar."""

    similarity: float
    video_url: Url
    time_s: float
    identities: tuple[str, str]
    """Left and right; equal if the registry takes both faces for one person."""
    crops: tuple[str, str]
    """Keys in the blob store."""
    digests: tuple[str, str]


@dataclass(slots=True)
class PairSample:
    """Similarities of two people: samples of limited length."""

    faces: Subsample
    tracks: Subsample
    best: SideBySide | None = None
    """None: a person separated them, and they were never seen side by side."""


@dataclass(frozen=True, slots=True)
class KnownPairs:
    """All known pairs of a registry."""

    side_by_side: dict[_People, PairSample]
    """Two people who were seen side by side in a frame."""
    separated: dict[_People, PairSample]
    """Two people whom a person separated and who are not in `side_by_side`."""
    confirmed: frozenset[_People]
    """Those of `side_by_side` whom a person separated, too."""
    doubles: tuple[SideBySide, ...]
    """Faces side by side that have one identity, most similar first. They count nowhere."""
    within: Pairs
    """Genuine pairs of faces of one track."""
    across: Pairs
    """Genuine pairs of faces of two identities that a person merged."""
    across_tracks: Pairs
    """The same for means of tracks."""
    people: int
    """The number of people in the registry, after consolidation."""
    videos: int
    """The number of videos with good faces."""
    tracks: int
    """The number of tracks with good faces."""


def gather_pairs(registry: Registry) -> KnownPairs:
    """The known pairs, from one pass over the index and one over the records."""
    collector = _PairCollector(registry)
    for video in registry.records.all():
        collector.add(video)
    return collector.result()


class _PairCollector:
    """Collects known pairs, video by video."""

    def __init__(self, registry: Registry) -> None:
        self._view = registry.view
        # All faces of a frame are two people: pairs are not chosen by what is measured on them.
        evidence = replace(gather_evidence(registry), curve=None, steady=frozenset())
        least = linkage_threshold(registry.contract.model)
        self._person_of = {
            member: group[0]
            for group in duplicate_groups(registry, evidence, threshold=least)
            for member in group
        }
        self._numbers: dict[str, int] = {}
        self._separated = evidence.separated
        self._merged, self._told_apart = _decided_pairs(registry)
        named = {one for two in (*self._merged, *self._told_apart) for one in two}
        self._tracks_of: dict[str, list[TrackSample]] = {one: [] for one in named}
        """Tracks of the identities that decisions name, as they were before merges."""
        self._side_by_side: dict[_People, PairSample] = {}
        self._doubles: list[SideBySide] = []
        self._within: dict[int, Subsample] = defaultdict(Subsample)
        self._people: set[int] = set()
        self._videos = self._tracks = 0

    def add(self, video: Video) -> None:
        """Add the pairs of one video."""
        tracks: dict[int, list[Face]] = defaultdict(list)
        for face in video.faces:
            if founds(face.quality):
                tracks[face.track].append(face)
        who = {number: self._person(faces) for number, faces in tracks.items()}
        self._videos += bool(tracks)
        self._tracks += len(tracks)
        self._people.update(who.values())
        samples = {number: sample_track(faces) for number, faces in tracks.items()}
        for number, faces in tracks.items():
            self._within[who[number]].add(similarities_within(faces))
            self._keep_named_tracks(faces)
        for (one, other), seen in self._tracks_side_by_side(video, tracks).items():
            if who[one] == who[other] or len(set(seen.identities)) == 1:
                self._doubles.append(seen)
            else:
                people = _ordered(who[one], who[other])
                self._add_pair(people, samples[one], samples[other], seen)

    def _person(self, faces: Sequence[Face]) -> int:
        """The number of the person of a track: the one of most of its good faces."""
        [(identity, _)] = Counter(self._view.identity_of(f) for f in faces).most_common(1)
        return self._number(identity)

    def _number(self, identity: str) -> int:
        root = self._view.root(identity)
        return self._numbers.setdefault(self._person_of.get(root, root), len(self._numbers))

    def _keep_named_tracks(self, faces: Sequence[Face]) -> None:
        """Keep what a track shows of identities that decisions name."""
        by_origin: dict[str, list[Face]] = defaultdict(list)
        for face in faces:
            origin = self._view.origin_of(face)
            if origin in self._tracks_of:
                by_origin[origin].append(face)
        for origin, part in by_origin.items():
            if len(self._tracks_of[origin]) < _TRACKS:
                self._tracks_of[origin].append(sample_track(part))

    def _tracks_side_by_side(
        self, video: Video, tracks: dict[int, list[Face]]
    ) -> dict[tuple[int, int], SideBySide]:
        """Tracks that are side by side in a frame, and the frame in which they are most similar."""
        frames: dict[int, list[Face]] = defaultdict(list)
        for faces in tracks.values():
            for face in faces:
                frames[face.frame].append(face)
        best: dict[tuple[int, int], SideBySide] = {}
        for together in frames.values():
            for one, other in combinations(sorted(together, key=lambda f: f.position), 2):
                if one.track == other.track or overlap(one.box, other.box) > SAME_FACE:
                    continue
                key = _ordered(one.track, other.track)
                similarity = float(one.embedding @ other.embedding)
                if key not in best or similarity > best[key].similarity:
                    best[key] = self._seen(video, one, other, similarity)
        return best

    def _seen(self, video: Video, one: Face, other: Face, similarity: float) -> SideBySide:
        identities = self._view.identity_of(one), self._view.identity_of(other)
        crops, digests = (one.crop, other.crop), (one.crop_digest, other.crop_digest)
        return SideBySide(similarity, video.url, one.time_s, identities, crops, digests)

    def _add_pair(
        self, people: _People, one: TrackSample, other: TrackSample, seen: SideBySide
    ) -> None:
        sample = self._side_by_side.setdefault(people, PairSample(Subsample(), Subsample()))
        sample.faces.add((one.faces @ other.faces.T).ravel().tolist())
        sample.tracks.add([float(one.mean @ other.mean)])
        if sample.best is None or seen.similarity > sample.best.similarity:
            sample.best = seen

    def result(self) -> KnownPairs:
        """All pairs of the videos that were added."""
        separated_people = {
            _ordered(self._number(one), self._number(other)) for one, other in self._separated
        }
        separated: dict[_People, PairSample] = {}
        for one, other in self._told_apart:
            people = _ordered(self._number(one), self._number(other))
            if people[0] != people[1] and people not in self._side_by_side:
                sample = separated.setdefault(people, PairSample(Subsample(), Subsample()))
                self._compare(one, other, sample.faces, sample.tracks)
        faces: dict[int, Subsample] = defaultdict(Subsample)
        tracks: dict[int, Subsample] = defaultdict(Subsample)
        for one, other in self._merged:
            person = self._number(one)
            self._compare(one, other, faces[person], tracks[person])
        return KnownPairs(
            side_by_side=self._side_by_side,
            separated={two: s for two, s in separated.items() if len(s.faces.values())},
            confirmed=frozenset(separated_people & self._side_by_side.keys()),
            doubles=tuple(sorted(self._doubles, key=lambda s: -s.similarity)),
            within=_genuine(self._within),
            across=_genuine(faces),
            across_tracks=_genuine(tracks),
            people=len(self._people),
            videos=self._videos,
            tracks=self._tracks,
        )

    def _compare(self, one: str, other: str, faces: Subsample, tracks: Subsample) -> None:
        for this, that in product(self._tracks_of[one], self._tracks_of[other]):
            faces.add((this.faces @ that.faces.T).ravel().tolist())
            tracks.add([float(this.mean @ that.mean)])


def _decided_pairs(registry: Registry) -> tuple[set[Pair], set[Pair]]:
    """Pairs of identities that a person merged, and told apart, by the ids in the decisions."""
    merged: set[Pair] = set()
    told_apart: set[Pair] = set()
    for decision in in_effect(registry.decisions.entries()):
        named = [one for one in (decision.identity_id, *decision.others) if one]
        if decision.kind is DecisionKind.MERGE:
            merged |= {pair(*two) for two in combinations(named, 2)}
        elif decision.kind is DecisionKind.SEPARATE:
            told_apart |= {pair(*two) for two in combinations(named, 2)}
        elif decision.kind is DecisionKind.SPLIT:
            told_apart |= {pair(one, decision.new_identity) for one in named}
    return merged, {two for two in told_apart - merged if two[0] != two[1]}


def _genuine(samples: dict[int, Subsample]) -> Pairs:
    """Pairs of one person each, from the samples by person."""
    parts = {person: sample.values() for person, sample in sorted(samples.items())}
    who = [np.full((len(part), 2), person) for person, part in parts.items()]
    if not who:
        return Pairs(np.zeros(0), np.zeros((0, 2), np.int64))
    return Pairs(np.concatenate(list(parts.values())), np.concatenate(who).astype(np.int64))


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
