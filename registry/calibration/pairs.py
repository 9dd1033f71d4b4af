"""Pairs of a registry's faces of which it is known, whoever they are, whether they show one person.

Known without asking how alike they are, for otherwise the similarity would be measured by itself:

    two people   faces side by side in one frame, and with them the rest of their tracks; identities
                 that a person separated, and what a person split off
    one person   faces of one track a second or more apart, or turned differently; identities that
                 a person merged. Not what the rule or consolidation joined.

Good faces only, and of each track those that `registry.calibration.speakers` chooses.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from registry.calibration.dependence import Pairs
from registry.calibration.speakers import Speaker, Thinned, hard, speaker_of
from registry.core.decisions import Kind, in_effect
from registry.core.registry import Registry
from registry.domain import Box, Face, Video
from registry.faces.quality import founds
from registry.models.entries import linkage_threshold
from registry.people import evidence, joining
from registry.people.evidence import OVERLAP, Pair, pair
from registry.urls import Url

_TRACKS = 64
"""Tracks kept of an identity that a decision names."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Two faces side by side, at the moment when they are most alike."""

    similarity: float
    video_url: Url
    time_s: float
    identities: tuple[str, str]
    """Left and right; one and the same if the registry takes both for one person."""
    crops: tuple[str, str]
    """Keys in the blob store."""
    digests: tuple[str, str]


@dataclass(slots=True)
class Sampled:
    """Similarities of two people, thinned evenly so that they stay few."""

    faces: Thinned
    tracks: Thinned
    best: Sighting | None = None
    """None: they were separated by a person, and never seen side by side."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """All known pairs of a registry."""

    beside: dict[tuple[int, int], Sampled]
    """Two people each, side by side in a frame, by their numbers."""
    separated: dict[tuple[int, int], Sampled]
    """Two people each, whom a person told apart and who are not in `beside`."""
    confirmed: frozenset[tuple[int, int]]
    """Those of `beside` whom a person told apart besides."""
    doubles: tuple[Sighting, ...]
    """Faces side by side that go by one identity; counted nowhere. Most alike first."""
    within: Pairs
    """Genuine pairs of faces, of one track each."""
    across: Pairs
    """Genuine pairs of faces, of two identities that a person merged."""
    across_tracks: Pairs
    """The same, of means of tracks."""
    people: int
    """How many there are in the registry, as far as consolidation can tell."""
    videos: int
    tracks: int
    """With good faces."""


def gather(registry: Registry) -> Gathered:
    """The known pairs, from one pass over the index and one over the records."""
    gathering = _Gathering(registry)
    for video in registry.records.all():
        gathering.take(video)
    return gathering.result()


class _Gathering:
    """What is kept while the videos pass by."""

    def __init__(self, registry: Registry) -> None:
        self._view = registry.view
        found = evidence.gather(registry)
        least = linkage_threshold(registry.contract.model)
        self._home = {
            member: group[0]
            for group in joining.duplicates(registry, found, threshold=least)
            for member in group
        }
        self._numbers: dict[str, int] = {}
        self._apart = found.separated
        self._merged, self._told = _decided(registry)
        wanted = {one for two in (*self._merged, *self._told) for one in two}
        self._pieces: dict[str, list[Speaker]] = {one: [] for one in wanted}
        self._beside: dict[tuple[int, int], Sampled] = {}
        self._doubles: list[Sighting] = []
        self._within: dict[int, Thinned] = defaultdict(Thinned)
        self._people: set[int] = set()
        self._videos = self._tracks = 0

    def take(self, video: Video) -> None:
        tracks: dict[int, list[Face]] = defaultdict(list)
        for face in video.faces:
            if founds(face.quality):
                tracks[face.track].append(face)
        who = {number: self._who(faces) for number, faces in tracks.items()}
        self._videos += bool(tracks)
        self._tracks += len(tracks)
        self._people.update(who.values())
        speakers = {number: speaker_of(faces) for number, faces in tracks.items()}
        for number, faces in tracks.items():
            self._within[who[number]].add(hard(faces))
            self._keep_pieces(faces)
        for (one, other), sighting in self._met(video, tracks).items():
            if who[one] == who[other] or len(set(sighting.identities)) == 1:
                self._doubles.append(sighting)
            else:
                self._add(_ordered(who[one], who[other]), speakers[one], speakers[other], sighting)

    def _who(self, faces: Sequence[Face]) -> int:
        """The person of a track: whom most of its good faces go by."""
        [(identity, _)] = Counter(self._view.identity_of(f) for f in faces).most_common(1)
        return self._number(identity)

    def _number(self, identity: str) -> int:
        root = self._view.root(identity)
        return self._numbers.setdefault(self._home.get(root, root), len(self._numbers))

    def _keep_pieces(self, faces: Sequence[Face]) -> None:
        parts: dict[str, list[Face]] = defaultdict(list)
        for face in faces:
            origin = self._view.origin_of(face)
            if origin in self._pieces:
                parts[origin].append(face)
        for origin, part in parts.items():
            if len(self._pieces[origin]) < _TRACKS:
                self._pieces[origin].append(speaker_of(part))

    def _met(self, video: Video, tracks: dict[int, list[Face]]) -> dict[tuple[int, int], Sighting]:
        """Tracks side by side in a frame, and where they are most alike."""
        frames: dict[int, list[Face]] = defaultdict(list)
        for faces in tracks.values():
            for face in faces:
                frames[face.frame].append(face)
        met: dict[tuple[int, int], Sighting] = {}
        for together in frames.values():
            for one, other in combinations(sorted(together, key=lambda f: f.position), 2):
                if one.track == other.track or _overlap(one.box, other.box) > OVERLAP:
                    continue
                key = _ordered(one.track, other.track)
                alike = float(one.embedding @ other.embedding)
                if key not in met or alike > met[key].similarity:
                    met[key] = self._sighting(video, one, other, alike)
        return met

    def _sighting(self, video: Video, one: Face, other: Face, alike: float) -> Sighting:
        identities = self._view.identity_of(one), self._view.identity_of(other)
        crops, digests = (one.crop, other.crop), (one.crop_digest, other.crop_digest)
        return Sighting(alike, video.url, one.time_s, identities, crops, digests)

    def _add(self, two: tuple[int, int], one: Speaker, other: Speaker, sighting: Sighting) -> None:
        sampled = self._beside.setdefault(two, Sampled(Thinned(), Thinned()))
        sampled.faces.add((one.faces @ other.faces.T).ravel().tolist())
        sampled.tracks.add([float(one.mean @ other.mean)])
        if sampled.best is None or sighting.similarity > sampled.best.similarity:
            sampled.best = sighting

    def result(self) -> Gathered:
        told = {_ordered(self._number(one), self._number(other)) for one, other in self._apart}
        separated: dict[tuple[int, int], Sampled] = {}
        for one, other in self._told:
            two = _ordered(self._number(one), self._number(other))
            if two[0] != two[1] and two not in self._beside:
                sampled = separated.setdefault(two, Sampled(Thinned(), Thinned()))
                self._compare(one, other, sampled.faces, sampled.tracks)
        faces: dict[int, Thinned] = defaultdict(Thinned)
        tracks: dict[int, Thinned] = defaultdict(Thinned)
        for one, other in self._merged:
            person = self._number(one)
            self._compare(one, other, faces[person], tracks[person])
        return Gathered(
            beside=self._beside,
            separated={two: s for two, s in separated.items() if len(s.faces.values())},
            confirmed=frozenset(told & self._beside.keys()),
            doubles=tuple(sorted(self._doubles, key=lambda s: -s.similarity)),
            within=_genuine(self._within),
            across=_genuine(faces),
            across_tracks=_genuine(tracks),
            people=len(self._people),
            videos=self._videos,
            tracks=self._tracks,
        )

    def _compare(self, one: str, other: str, faces: Thinned, tracks: Thinned) -> None:
        for this, that in product(self._pieces[one], self._pieces[other]):
            faces.add((this.faces @ that.faces.T).ravel().tolist())
            tracks.add([float(this.mean @ that.mean)])


def known_apart(registry: Registry, one: str, other: str) -> str:
    """How two identities are known to be two people; empty if nothing says so."""
    number = registry.view.separated(one, other)
    if number:
        return f"told apart by decision {number}"
    index = registry.index
    shared = {v["video_id"] for v in index.videos([one])} & {
        v["video_id"] for v in index.videos([other])
    }
    boxes: dict[tuple[str, int], list[Box]] = defaultdict(list)
    for face in index.faces_of(one) if shared else ():
        boxes[face["video_id"], face["frame"]].append(Box(*face["box"]))
    for face in index.faces_of(other) if shared else ():
        here = boxes.get((face["video_id"], face["frame"]), ())
        if any(_overlap(box, Box(*face["box"])) <= OVERLAP for box in here):
            return f"side by side in {Url(face['video_url'])} at {face['time_s']:.1f} s"
    return ""


def _decided(registry: Registry) -> tuple[set[Pair], set[Pair]]:
    """Identities that a person merged, and told apart: as decisions name them, and stand."""
    merged: set[Pair] = set()
    told: set[Pair] = set()
    for decision in in_effect(registry.decisions.entries()):
        named = [one for one in (decision.identity_id, *decision.others) if one]
        if decision.kind is Kind.MERGE:
            merged |= {pair(*two) for two in combinations(named, 2)}
        elif decision.kind is Kind.SEPARATE:
            told |= {pair(*two) for two in combinations(named, 2)}
        elif decision.kind is Kind.SPLIT:
            told |= {pair(one, decision.new_identity) for one in named}
    return merged, {two for two in told - merged if two[0] != two[1]}


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    shared = max(width, 0.0) * max(height, 0.0)
    union = one.width * one.height + other.width * other.height - shared
    return shared / union if union > 0 else 0.0


def _genuine(found: dict[int, Thinned]) -> Pairs:
    parts = {person: thinned.values() for person, thinned in sorted(found.items())}
    who = [np.full((len(part), 2), person) for person, part in parts.items()]
    if not who:
        return Pairs(np.zeros(0), np.zeros((0, 2), np.int64))
    return Pairs(np.concatenate(list(parts.values())), np.concatenate(who).astype(np.int64))


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
