"""Which identities are one person: constrained average linkage over tracks. Pure.

The rule of assignment never mixes two people and splits one into many. Consolidation looks at what
the rule made, all at once: identities are joined, the most alike first, while the *average*
similarity of their tracks stays at or above the model's linkage threshold. The average of several
good faces against several forgives a lucky pair and an unlucky one; a single closest pair does not.

Two things forbid a join whatever the similarity: faces of both in one frame (nobody is twice in one
picture), and a person's word. One thing makes it wait for a person: a third identity that is known
to be somebody else and resembles one of the two almost as much (`MARGIN`).

Identities of poor faces only come last, when the people are known: each goes to the one whose track
its faces lie in, or to the one that it clearly resembles, or stays alone. They add nothing to a
group's average, so a blurred face never brings two people together.

Average linkage is reducible (Murtagh and Contreras 2012, "Algorithms for hierarchical clustering"):
a join never makes a pair of groups more similar than the more similar of its parts was. So pairs
that start below the threshold never matter unless a neighbour of theirs joins, and the work grows
with the pairs above it, not with all pairs.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from registry.domain import Vectors

MARGIN = 0.05
"""Cosine by which the better of two joins that exclude each other must lead. Half the distance
between the 99th and the 99.99th percentile of impostor similarities of SFace (0.296 and 0.425) and
of MobileFaceNet (0.185 and 0.317), rounded down: less is within an impostor's luck."""
IN_TRACK = "poor faces, which run in tracks of this person alone"
RESEMBLE = "poor faces, which resemble this person and clearly no other"
_CHUNK = 1024
"""Rows of the similarity matrix held at once: 1,024 x 50,000 float32 are 200 MB."""


@dataclass(frozen=True, slots=True)
class Group:
    """One identity as consolidation sees it."""

    identity_id: str
    tracks: Vectors
    """float32 (t, D): for each of its tracks the L2-normalised mean of its good faces. None of them
    (0, D): an identity of poor faces only, which founds nothing and may only be taken in."""
    rank: tuple[int, ...] = ()
    """Larger stays when two are joined: whether it is named, then how many videos it has."""
    poor: Vectors | None = None
    """float32 (t, D): the same means over its poor faces; looked at where `tracks` is empty."""
    along: tuple[str, ...] = ()
    """Identities with good faces in a track of this one; looked at where `tracks` is empty."""


@dataclass(frozen=True, slots=True)
class Join:
    """Two identities taken for one person."""

    stays: str
    joins: str
    similarity: float
    """Average cosine between the tracks of both, as the groups stood when they were joined."""
    reason: str = ""
    """Of poor faces: why they go to this person. Empty where good faces speak for themselves."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Two identities that may be one person, and why that is for a person to say."""

    first: str
    second: str
    similarity: float
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What consolidation found."""

    joins: tuple[Join, ...]
    """In the order in which they were made: the most alike first."""
    doubts: tuple[Doubt, ...]
    """Most alike first."""
    groups: tuple[tuple[str, ...], ...]
    """Identities that are one person, two or more each; the first stays."""


@dataclass(slots=True)
class _Cluster:
    members: list[str]
    total: Vectors
    """Sum of the track vectors: averages over all pairs are one product of sums."""
    tracks: int
    rank: tuple[int, ...]
    near: set[int] = field(default_factory=set)
    """Clusters whose similarity was at or above the threshold with a part of this one."""
    apart: set[int] = field(default_factory=set)
    """Clusters that are known to be somebody else."""


def consolidate(
    groups: Sequence[Group], apart: Iterable[tuple[str, str]], *, threshold: float
) -> Outcome:
    """Join identities that are one person.

    Args:
        groups: all identities; their order does not matter.
        apart: pairs of identity ids that are two people.
        threshold: least average cosine of a join, from the model's entry in the catalogue or from
            calibration.
    """
    usable = sorted((g for g in groups if len(g.tracks)), key=lambda g: g.identity_id)
    leftover = [g for g in groups if not len(g.tracks)]
    linkage = _Linkage(usable, leftover, apart, threshold)
    linkage.run()
    linkage.take_in()
    return linkage.outcome()


class _Linkage:
    """The clusters while they are joined."""

    def __init__(
        self,
        groups: Sequence[Group],
        leftover: Sequence[Group],
        apart: Iterable[tuple[str, str]],
        threshold: float,
    ) -> None:
        self._threshold = threshold
        self._leftover = {g.identity_id: g for g in leftover}
        self._strangers: dict[str, set[str]] = {name: set() for name in self._leftover}
        self._clusters = {
            i: _Cluster([g.identity_id], g.tracks.sum(axis=0), len(g.tracks), g.rank)
            for i, g in enumerate(groups)
        }
        self._next = len(groups)
        self._joins: list[Join] = []
        self._doubts: dict[tuple[str, str], Doubt] = {}
        self._heap: list[tuple[float, str, str, int, int]] = []
        number = {g.identity_id: i for i, g in enumerate(groups)}
        for one, other in apart:
            if one in number and other in number and one != other:
                self._clusters[number[one]].apart.add(number[other])
                self._clusters[number[other]].apart.add(number[one])
            for this, that in ((one, other), (other, one)):
                if this in self._strangers:
                    self._strangers[this].add(that)
        self._find_candidates(groups)

    def _find_candidates(self, groups: Sequence[Group]) -> None:
        if not groups:
            return
        means = np.stack([g.tracks.mean(axis=0) for g in groups])
        for start in range(0, len(means), _CHUNK):
            rows, columns = np.nonzero(means[start : start + _CHUNK] @ means.T >= self._threshold)
            for i, j in zip((rows + start).tolist(), columns.tolist(), strict=True):
                if i < j:
                    self._push(i, j)

    def _push(self, a: int, b: int) -> None:
        similarity = self._similarity(a, b)
        first, second = self._clusters[a], self._clusters[b]
        if similarity >= self._threshold:
            first.near.add(b)
            second.near.add(a)
            names = sorted((first.members[0], second.members[0]))
            heapq.heappush(self._heap, (-similarity, names[0], names[1], a, b))

    def _similarity(self, a: int, b: int) -> float:
        first, second = self._clusters[a], self._clusters[b]
        return float(first.total @ second.total) / (first.tracks * second.tracks)

    def run(self) -> None:
        while self._heap:
            negative, _, _, a, b = heapq.heappop(self._heap)
            if a in self._clusters and b in self._clusters:
                reason = self._objection(a, b, -negative)
                if reason:
                    self._doubt(a, b, -negative, reason)
                else:
                    self._join(a, b, -negative)

    def _objection(self, a: int, b: int, similarity: float) -> str:
        first, second = self._clusters[a], self._clusters[b]
        if b in first.apart:
            return "seen together in one frame, or separated by a person"
        for this, that in ((first, second), (second, first)):
            for rival in this.near & that.apart:
                lead = similarity - self._similarity(a if this is first else b, rival)
                if lead < MARGIN:
                    name = self._clusters[rival].members[0]
                    return f"{this.members[0]} resembles {name}, somebody else, almost as much"
        return ""

    def _doubt(self, a: int, b: int, similarity: float, reason: str) -> None:
        first, second = sorted((self._clusters[a].members[0], self._clusters[b].members[0]))
        self._doubts.setdefault((first, second), Doubt(first, second, similarity, reason))

    def _join(self, a: int, b: int, similarity: float) -> None:
        one, other = self._clusters.pop(a), self._clusters.pop(b)
        if (other.rank, one.members[0]) > (one.rank, other.members[0]):
            one, other = other, one
        self._joins.append(Join(one.members[0], other.members[0], similarity))
        new, self._next = self._next, self._next + 1
        joined = _Cluster(
            one.members + other.members,
            one.total + other.total,
            one.tracks + other.tracks,
            one.rank,
            apart=one.apart | other.apart,
        )
        self._clusters[new] = joined
        for neighbour in joined.apart:
            self._clusters[neighbour].apart -= {a, b}
            self._clusters[neighbour].apart.add(new)
        for neighbour in (one.near | other.near) - {a, b}:
            if neighbour in self._clusters:
                self._clusters[neighbour].near -= {a, b}
                self._push(new, neighbour)

    def take_in(self) -> None:
        """Give identities of poor faces only to the groups that they belong to, surest first."""
        if not self._clusters:
            return
        places = list(self._clusters)
        home = {m: row for row, place in enumerate(places) for m in self._clusters[place].members}
        means = np.stack([c.total / c.tracks for c in self._clusters.values()])
        offers = []
        for name, group in self._leftover.items():
            if group.poor is None or not len(group.poor):
                continue
            near = means @ group.poor.mean(axis=0)
            near[[home[other] for other in self._strangers[name] if other in home]] = -np.inf
            tracked = {home[other] for other in group.along if other in home}
            tracked = {row for row in tracked if np.isfinite(near[row])}
            row = self._home(near, tracked)
            if row is not None:
                reason = IN_TRACK if tracked else RESEMBLE
                offers.append((-float(near[row]), name, places[row], reason))
        for negative, name, place, reason in sorted(offers):
            cluster = self._clusters[place]
            # Of two poor identities in one frame, the one taken in first keeps the other out.
            if self._strangers[name].isdisjoint(cluster.members):
                self._joins.append(Join(cluster.members[0], name, -negative, reason))
                cluster.members.append(name)

    def _home(self, near: Vectors, tracked: set[int]) -> int | None:
        """The cluster that a poor identity belongs to; None where it is unclear.

        `near` has its average similarity to each, -inf where it is known to be somebody else;
        `tracked` those that share a track with it.
        """
        if tracked:
            return min(tracked) if len(tracked) == 1 else None
        first = int(np.argmax(near))
        if near[first] < self._threshold:
            return None
        second = np.max(np.delete(near, first), initial=-np.inf)
        return first if near[first] - second >= MARGIN else None

    def outcome(self) -> Outcome:
        groups = sorted(tuple(c.members) for c in self._clusters.values() if len(c.members) > 1)
        place = {m: i for i, c in self._clusters.items() for m in c.members}
        open_doubts = [d for d in self._doubts.values() if place[d.first] != place[d.second]]
        open_doubts.sort(key=lambda d: (-d.similarity, d.first, d.second))
        return Outcome(tuple(self._joins), tuple(open_doubts), tuple(groups))
