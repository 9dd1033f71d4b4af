"""Constrained average linkage over tracks: which identities are one person. Pure.

The rule of assignment does not mix people, but splits one person into many identities.
Consolidation looks at all identities at once. It joins them, the most similar first, while the
*average* similarity of their tracks is at or above the model's linkage threshold. An average over
several good faces is less sensitive to a single unusual pair than the closest pair is, so the
threshold is lower for an average over several pairs (`lower` in `registry.models.curves`).

Identities that stay alike side by side through a shot are one person twice in a frame. They are
joined first, however alike their other tracks are, unless a constraint or `STEPS` forbids it.

Two constraints forbid a join whatever the similarity: faces of both in one frame, and a decision
that separates them. A join is left to a person if a third identity, known to be somebody else,
resembles one of the two almost as much (`MARGIN`).

Identities with poor faces only are joined last. Each goes to the group in whose track its faces
lie, or to one that is in all of its videos and that it clearly resembles, or stays alone. They add
nothing to a group's average, so a blurred face brings neither two people together nor a video to a
person.

Tracks that are covered alike (by sunglasses, by a mask) are alike whoever they are, so their
similarity counts nowhere. And where two groups are each alike inside, and clearly less like each
other (`STEPS`), a person has to decide: they may be relatives.

Average linkage is reducible (Murtagh and Contreras 2012, "Algorithms for hierarchical clustering"):
a join never makes a pair of groups more similar than the more similar of its parts was. So pairs
below the lowest threshold need no attention until a neighbour of theirs joins, and the work grows
with the number of pairs above it, not with the number of all pairs.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from registry.domain import Vectors
from registry.people.similar_means import ROUNDING, SimilarMeans, largest_products

MARGIN = 0.05
"""Cosine by which the better of two joins that exclude each other must lead. Source:
docs/BENCHMARKS.md, "Margin between two joins"."""
STEPS = (0.5, 0.65, 0.75, 0.78, 0.82, 0.85)
"""Two groups that are each alike inside and a clear step apart are rather two relatives. A join
needs this share of the smaller similarity inside, if the smaller group has one track, two, …, six
or more: the more there are, the closer to 1 the share of one person lies. Source:
docs/BENCHMARKS.md, "Relatives"."""
LEAST_INSIDE = 3
"""Tracks that the larger of two groups must have for that."""
ELSEWHERE = 0.1
"""Cosine by which poor faces must exceed the threshold to join a person of other videos."""
BESIDE = "Side by side and alike in every frame of a shot: one person twice (a mirror, a screen)."
IN_TRACK = "Poor faces, in tracks of this person alone."
RESEMBLE = "Poor faces in videos of this person, whom they resemble and clearly no other."
_UNKNOWN = np.float32(-2.0)
"""Instead of a similarity: below every cosine."""


@dataclass(frozen=True, slots=True)
class Group:
    """One identity, as input to consolidation."""

    identity_id: str
    tracks: Vectors
    """float32 (t, D): the L2-normalised mean of the comparable faces of each of its tracks. Empty
    (0, D) for an identity with poor faces only, which can join a group but not start one."""
    rank: tuple[int, ...] = ()
    """Of two that are joined, the id of the larger rank is kept. Whether it is named, then the
    number of its videos."""
    poor: Vectors | None = None
    """float32 (t, D): the same means over its poor faces. Used if `tracks` is empty."""
    along: tuple[str, ...] = ()
    """Identities with comparable faces in a track of this one. Used if `tracks` is empty."""
    covers: tuple[int, ...] = ()
    """t numbers: what covers the faces of each track, as bits. The likeness of two tracks that
    share a bit is no evidence. Empty: nothing is covered."""
    videos: frozenset[str] = frozenset()
    """Ids of the videos that show it."""
    elsewhere: bool = True
    """Whether its poor faces may join a person who is not in all of `videos`."""

    @property
    def uncovered(self) -> Vectors:
        """float32 (u, D): the tracks whose faces nothing covers."""
        return self.tracks[np.equal(self.covers, 0)] if self.covers else self.tracks


@dataclass(frozen=True, slots=True)
class Join:
    """Two identities that are joined."""

    stays: str
    joins: str
    similarity: float
    """Average cosine between the tracks of both groups at the time of the join."""
    reason: str = ""
    """Why, if not for the average similarity: side by side and alike, or poor faces. Else empty."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Two identities that may be one person, and why a person has to decide."""

    first: str
    second: str
    similarity: float
    reason: str


@dataclass(frozen=True, slots=True)
class ConsolidationResult:
    """The joins that consolidation made, and those that it left to a person."""

    joins: tuple[Join, ...]
    """In the order in which they were made: the most similar first."""
    doubts: tuple[Doubt, ...]
    """The most similar first."""
    groups: tuple[tuple[str, ...], ...]
    """Groups of two or more identities that are one person; the id of the first is kept."""


class _Likeness(NamedTuple):
    """Similarities of pairs of tracks, added up."""

    total: float
    """Sum of the cosines."""
    pairs: int
    """Number of pairs that are evidence: not those covered alike."""

    @property
    def mean(self) -> float:
        return self.total / self.pairs if self.pairs else -np.inf

    def plus(self, *others: _Likeness) -> _Likeness:
        every = (self, *others)
        return _Likeness(sum(one.total for one in every), sum(one.pairs for one in every))


_NOTHING = _Likeness(0.0, 0)


@dataclass(slots=True)
class _Cluster:
    members: list[str]
    totals: dict[int, Vectors]
    """By what covers them: sums of the track vectors. The similarities of all pairs of tracks of
    two clusters add up to products of these sums."""
    counts: dict[int, int]
    """By what covers them: the number of tracks."""
    inside: _Likeness
    """Of the pairs of its own tracks."""
    tracks: int
    rank: tuple[int, ...]
    videos: frozenset[str]
    near: set[int] = field(default_factory=set)
    """Clusters that had a similarity at or above the lowest threshold with a part of this one."""
    apart: set[int] = field(default_factory=set)
    """Clusters that are known to be another person."""

    def mean(self, covers: int) -> Vectors:
        """float32 (D,): of the tracks that are covered like this."""
        return np.asarray(self.totals[covers] / self.counts[covers], np.float32)

    def likeness(self, other: _Cluster) -> _Likeness:
        """Of the pairs of tracks of two clusters, without those that are covered alike."""
        total, pairs = 0.0, 0
        for covers, sums in self.totals.items():
            for others, other_sums in other.totals.items():
                if not covers & others:
                    total += float(sums @ other_sums)
                    pairs += self.counts[covers] * other.counts[others]
        return _Likeness(total, pairs)


def _cluster(group: Group) -> _Cluster:
    count = len(group.tracks)
    covers = np.array(group.covers or (0,) * count, int)
    kinds = np.unique(covers).tolist()
    totals = {kind: group.tracks[covers == kind].sum(axis=0) for kind in kinds}
    counts = {kind: int((covers == kind).sum()) for kind in kinds}
    cluster = _Cluster(
        [group.identity_id], totals, counts, _NOTHING, count, group.rank, group.videos
    )
    both = cluster.likeness(cluster)  # each pair twice, and each uncovered track with itself
    own = counts.get(0, 0)
    cluster.inside = _Likeness((both.total - own) / 2, (both.pairs - own) // 2)
    return cluster


def consolidate(
    groups: Sequence[Group],
    apart: Iterable[tuple[str, str]],
    *,
    threshold: float,
    linked: Iterable[tuple[str, str]] = (),
    steps: Sequence[float] = STEPS,
    lower: Sequence[float] = (0.0,),
    same_person: float = 1.0,
    similar: SimilarMeans | None = None,
) -> ConsolidationResult:
    """Join identities that are one person.

    Args:
        groups: all identities, in any order.
        apart: pairs of identity ids that are two people.
        threshold: least cosine of a join with one pair of tracks, from the model's entry in the
            catalogue or from a calibration.
        linked: pairs of identity ids that are one person twice in a frame. Pairs in `apart` are
            not joined all the same.
        steps: see `STEPS`; zeros join whatever reaches the threshold.
        lower: cosine by which the threshold is lower for one pair of tracks that is evidence, two
            pairs, and so on; the last also holds for more.
        same_person: what the similarity inside a group counts at most where `steps` are applied.
            Groups of one session, or of one picture in several videos, are alike inside far more
            than photos of one person are; two such groups count as three tracks at most.
        similar: what was compared before, so that only what changed since is compared.
    """
    good = sorted((g for g in groups if len(g.tracks)), key=lambda g: g.identity_id)
    poor = [g for g in groups if not len(g.tracks)]
    linkage = _Linkage(good, poor, apart, threshold, steps, lower, same_person)
    linkage.find_candidates(similar or SimilarMeans())
    linkage.join_linked(linked)
    linkage.join_similar()
    linkage.assign_poor()
    return linkage.result()


class _Linkage:
    """The clusters while they are joined."""

    def __init__(
        self,
        groups: Sequence[Group],
        poor: Sequence[Group],
        apart: Iterable[tuple[str, str]],
        threshold: float,
        steps: Sequence[float],
        lower: Sequence[float],
        same_person: float,
    ) -> None:
        self._threshold = threshold
        self._lower = lower
        self._least = threshold - max(lower)
        self._steps = steps
        self._same_person = same_person
        self._poor = {g.identity_id: g for g in poor}
        self._strangers: dict[str, set[str]] = {name: set() for name in self._poor}
        """Those who are known to be somebody else, for each identity of poor faces."""
        self._clusters = {i: _cluster(g) for i, g in enumerate(groups)}
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

    def find_candidates(self, similar: SimilarMeans) -> None:
        """Find the pairs of clusters that reach the lowest threshold."""
        if not self._clusters:
            return
        rows = [(n, covers) for n, c in self._clusters.items() for covers in c.totals]
        means = np.stack([self._clusters[n].mean(covers) for n, covers in rows])
        names = [(self._clusters[n].members[0], covers) for n, covers in rows]
        pairs = set()
        for i, j in similar.pairs(names, means, self._least):
            (a, covers), (b, others) = rows[i], rows[j]
            if a != b and not covers & others:
                pairs.add((min(a, b), max(a, b)))
        for a, b in sorted(pairs):
            self._push(a, b)

    def _push(self, a: int, b: int) -> None:
        first, second = self._clusters[a], self._clusters[b]
        likeness = first.likeness(second)
        if likeness.mean < self._least:
            return
        first.near.add(b)
        second.near.add(a)
        # The fewer pairs of tracks are evidence, the more similar they must be.
        lower = self._lower[min(likeness.pairs, len(self._lower)) - 1]
        if likeness.mean >= self._threshold - lower:
            names = sorted((first.members[0], second.members[0]))
            heapq.heappush(self._heap, (-likeness.mean, names[0], names[1], a, b))

    def _similarity(self, a: int, b: int) -> float:
        return self._clusters[a].likeness(self._clusters[b]).mean

    def join_linked(self, linked: Iterable[tuple[str, str]]) -> None:
        """Join the clusters of these pairs, the most similar first, unless a rule forbids it."""
        place = {name: n for n, cluster in self._clusters.items() for name in cluster.members}
        pairs = [two for two in linked if place.keys() >= set(two)]
        pairs.sort(key=lambda two: (-self._similarity(place[two[0]], place[two[1]]), two))
        for one, other in pairs:
            a, b = place[one], place[other]
            first, second = self._clusters[a], self._clusters[b]
            likeness = first.likeness(second)
            if a == b or b in first.apart or not likeness.pairs:
                continue
            reason = self._reason_of_step(first, second, likeness.mean)
            if reason:
                self._doubt(a, b, likeness.mean, reason)
            else:
                joined = self._join(a, b, likeness.mean, BESIDE)
                place |= dict.fromkeys(self._clusters[joined].members, joined)

    def join_similar(self) -> None:
        """Join the most similar clusters until none are at or above their thresholds."""
        while self._heap:
            negative, _, _, a, b = heapq.heappop(self._heap)
            if a in self._clusters and b in self._clusters:
                reason = self._reason_against(a, b, -negative)
                if reason:
                    self._doubt(a, b, -negative, reason)
                else:
                    self._join(a, b, -negative)

    def _reason_against(self, a: int, b: int, similarity: float) -> str:
        first, second = self._clusters[a], self._clusters[b]
        if b in first.apart:
            return "They were seen together in one frame, or a person separated them."
        for this, that in ((first, second), (second, first)):
            for rival in this.near & that.apart:
                lead = similarity - self._similarity(a if this is first else b, rival)
                if lead < MARGIN:
                    name = self._clusters[rival].members[0]
                    return f"{this.members[0]} resembles {name}, somebody else, almost as much."
        return self._reason_of_step(first, second, similarity)

    def _reason_of_step(self, first: _Cluster, second: _Cluster, similarity: float) -> str:
        smaller, larger = sorted((first, second), key=lambda cluster: cluster.tracks)
        inside = [c.inside.mean for c in (smaller, larger) if c.inside.pairs]
        if larger.tracks < LEAST_INSIDE or not inside:
            return ""
        # Two groups of one session or picture each are alike inside, however many tracks they have.
        varied = min(inside) <= self._same_person
        tracks = smaller.tracks if varied else min(smaller.tracks, LEAST_INSIDE)
        step = self._steps[min(tracks, len(self._steps)) - 1]
        if similarity >= step * min(*inside, self._same_person):
            return ""
        alike = " and ".join(f"{mean:.2f}" for mean in inside)
        return (
            f"Each is alike in itself ({alike} on average) and clearly less like the other "
            f"({similarity:.2f}): they may be relatives."
        )

    def _doubt(self, a: int, b: int, similarity: float, reason: str) -> None:
        first, second = sorted((self._clusters[a].members[0], self._clusters[b].members[0]))
        self._doubts.setdefault((first, second), Doubt(first, second, similarity, reason))

    def _join(self, a: int, b: int, similarity: float, reason: str = "") -> int:
        """Make one cluster of two, and return its number."""
        one, other = self._clusters.pop(a), self._clusters.pop(b)
        if (other.rank, one.members[0]) > (one.rank, other.members[0]):
            one, other = other, one
        self._joins.append(Join(one.members[0], other.members[0], similarity, reason))
        new, self._next = self._next, self._next + 1
        joined = _Cluster(
            one.members + other.members,
            {k: _sum(one.totals.get(k), other.totals.get(k)) for k in one.totals | other.totals},
            dict(Counter(one.counts) + Counter(other.counts)),
            one.inside.plus(other.inside, one.likeness(other)),
            one.tracks + other.tracks,
            one.rank,
            one.videos | other.videos,
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
        return new

    def assign_poor(self) -> None:
        """Join identities with poor faces only to the clusters they belong to, surest first."""
        if not self._clusters or not self._poor:
            return
        numbers = list(self._clusters)
        row_of = {m: row for row, n in enumerate(numbers) for m in self._clusters[n].members}
        means = [c.mean(0) if 0 in c.totals else None for c in self._clusters.values()]
        plain = np.array([row for row, mean in enumerate(means) if mean is not None], np.intp)
        known = [mean for mean in means if mean is not None]
        rows = np.stack(known) if known else np.zeros((0, 0), np.float32)
        rows_in = _rows_by_video([c.videos for c in self._clusters.values()])
        candidates = []
        poor = {
            name: group.poor.mean(axis=0)
            for name, group in self._poor.items()
            if group.poor is not None and len(group.poor)
        }
        afar = {name: mean for name, mean in poor.items() if self._poor[name].elsewhere}
        nearest = dict(zip(afar, largest_products([*afar.values()], rows), strict=True))
        for name, group in self._poor.items():
            inside = _rows_in_all(group.videos, rows_in, len(numbers))
            along = {row_of[other] for other in group.along if other in row_of}
            there = [mean for row in inside if (mean := means[row]) is not None]
            if not group.elsewhere and name in poor:
                [nearest[name]] = largest_products([poor[name]], there)
            # Most are like nobody; these need not be compared one by one.
            if not along and nearest.get(name, _UNKNOWN) < self._threshold - ROUNDING:
                continue
            similarities = np.full(len(numbers), _UNKNOWN, np.float32)
            if known and name in poor:
                similarities[plain] = rows @ poor[name]
            own = similarities[inside]
            if group.elsewhere:
                similarities -= ELSEWHERE
            else:
                similarities.fill(_UNKNOWN)
            similarities[inside] = own
            strangers = [row_of[other] for other in self._strangers[name] if other in row_of]
            similarities[strangers] = -np.inf
            tracked = {row for row in along if np.isfinite(similarities[row])}
            belongs = self._cluster_of_poor(similarities, tracked)
            if belongs is not None:
                row = belongs
                reason = IN_TRACK if tracked else RESEMBLE
                candidates.append((-float(similarities[row]), name, numbers[row], reason))
        for negative, name, number, reason in sorted(candidates):
            cluster = self._clusters[number]
            # Of two poor identities in one frame only the first joins the cluster.
            if self._strangers[name].isdisjoint(cluster.members):
                self._joins.append(Join(cluster.members[0], name, -negative, reason))
                cluster.members.append(name)

    def _cluster_of_poor(self, similarities: Vectors, tracked: set[int]) -> int | None:
        """The cluster that an identity of poor faces belongs to; None if that is unclear.

        Args:
            similarities: float32 (n,), its average similarity to each cluster; -inf for one that is
                known to be somebody else.
            tracked: the clusters that share a track with it.
        """
        if tracked:
            return min(tracked) if len(tracked) == 1 else None
        first = int(np.argmax(similarities))
        if similarities[first] < self._threshold:
            return None
        second = np.max(np.delete(similarities, first), initial=-np.inf)
        return first if similarities[first] - second >= MARGIN else None

    def result(self) -> ConsolidationResult:
        groups = sorted(tuple(c.members) for c in self._clusters.values() if len(c.members) > 1)
        place = {m: i for i, c in self._clusters.items() for m in c.members}
        open_doubts = [d for d in self._doubts.values() if place[d.first] != place[d.second]]
        open_doubts.sort(key=lambda d: (-d.similarity, d.first, d.second))
        return ConsolidationResult(tuple(self._joins), tuple(open_doubts), tuple(groups))


def _rows_by_video(videos: Sequence[frozenset[str]]) -> dict[str, set[int]]:
    """The rows of the clusters in each video."""
    found: dict[str, set[int]] = defaultdict(set)
    for row, seen in enumerate(videos):
        for video in seen:
            found[video].add(row)
    return found


def _rows_in_all(
    videos: frozenset[str], rows_in: Mapping[str, set[int]], count: int
) -> Sequence[int]:
    """The rows of the clusters that are in all of these videos."""
    if not videos:
        return range(count)
    return sorted(set.intersection(*(rows_in.get(video, set()) for video in videos)))


def _sum(one: Vectors | None, other: Vectors | None) -> Vectors:
    if one is None or other is None:
        both = one if other is None else other
        assert both is not None
        return both
    return one + other
