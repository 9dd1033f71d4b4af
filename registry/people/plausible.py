"""Which joins and splits of identities are plausible: how uncertain it is who is who.

A join is plausible if `suggest` lists it. A split is plausible if consolidation joined the two, and
of the joins of identities as alike as these, at least `FALSE_SHARE` are expected to be of two
people. What people merged is not in question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from registry.core.decisions import DecisionKind, in_effect
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.models.curves import shipped_curve
from registry.models.entries import linkage_threshold
from registry.people.consolidation import Group
from registry.people.evidence import evidence_from
from registry.people.joining import Suggestion, suggestions_from
from registry.people.kept_evidence import faces_of_videos
from registry.people.observed_faces import ObservedFaces, Pair

FALSE_SHARE = 0.05
"""Share of false joins among those as alike, from which a join is in question: the usual bound of a
false discovery rate (Benjamini and Hochberg 1995)."""


@dataclass(frozen=True, slots=True)
class PlausibleChanges:
    """What the identities of a registry could also be."""

    joins: tuple[Suggestion, ...]
    """Pairs that may be one person."""
    apart: frozenset[Pair]
    """Pairs that are known to be two people."""
    splits: Mapping[str, tuple[frozenset[str], ...]]
    """By identity, the parts that may be somebody else: the ids of the videos of each."""
    rest: Mapping[str, frozenset[str]]
    """By identity that has such parts, the ids of the videos of what remains without them."""


def plausible_changes(registry: Registry, *, threshold: float | None = None) -> PlausibleChanges:
    """The plausible joins and splits of a registry.

    Args:
        registry: an open registry that has ingested something.
        threshold: as for `suggest`.
    """
    index, model = registry.index, registry.contract.model
    consolidated = {
        other
        for decision in in_effect(registry.decisions.entries())
        if decision.kind is DecisionKind.CONSOLIDATE
        for _, other in decision.merges
    }
    roots = {registry.view.root(member) for member in consolidated} - registry.view.hidden
    members: dict[str, set[str]] = {root: set() for root in roots}

    def part_of(origin: str) -> str | None:
        root = registry.view.root(origin)
        if root not in roots:
            return None
        part = _part(origin, registry.view.parents, consolidated)
        members[root].add(part)
        return part

    videos = faces_of_videos(registry)
    parts = ObservedFaces(videos, part_of)
    evidence = evidence_from(registry, videos, index.identities(), model, index.faces_in)
    joins = suggestions_from(registry, evidence, threshold)
    groups = {one.identity_id: one for one in parts.groups({part: () for part in parts.identities})}
    likeness: dict[str, float] = {}
    for whole in members.values():
        joined = whole & consolidated if len(whole) > 1 else set()
        likeness |= _likeness([groups[part] for part in sorted(whole)], joined)
    unsure = _in_question(registry, likeness, len(evidence.groups) + len(likeness))
    splits, rest = {}, {}
    for root, whole in members.items():
        if doubtful := sorted(whole & unsure):
            splits[root] = tuple(groups[part].videos for part in doubtful)
            kept = [groups[part].videos for part in whole.difference(doubtful)]
            rest[root] = frozenset[str]().union(*kept)
    return PlausibleChanges(tuple(joins), frozenset(evidence.apart), splits, rest)


def _part(origin: str, parents: Mapping[str, str], consolidated: set[str]) -> str:
    """The part of its identity that a face belongs to: the id that consolidation joined last."""
    while origin not in consolidated and origin in parents:
        origin = parents[origin]
    return origin


def _likeness(whole: Sequence[Group], joined: Set[str]) -> dict[str, float]:
    """By joined part: the average cosine between its tracks and those of the rest of `whole`.

    NaN if one of the two has no good uncovered faces.
    """
    tracks = {part.identity_id: part.uncovered for part in whole}
    # The cosines of all pairs of tracks add up to the product of the sums of the tracks.
    sums = {part: own.sum(axis=0, dtype=np.float64) for part, own in tracks.items()}
    total, number = sum(sums.values()), sum(map(len, tracks.values()))
    found = {}
    for part in joined:
        pairs = len(tracks[part]) * (number - len(tracks[part]))
        found[part] = float(sums[part] @ (total - sums[part])) / pairs if pairs else float("nan")
    return found


def _in_question(registry: Registry, likeness: Mapping[str, float], identities: int) -> set[str]:
    """The parts whose joins may be false.

    With N pairs of identities and k joins at least as alike as s, N times the false-accept rate of
    s is the number of pairs of two people that are expected among the k. The rate is that of the
    shipped curve, shifted as far as calibration moved the linkage threshold.
    """
    model = registry.contract.model
    curve = shipped_curve(model).curve
    moved = linkage_threshold(model) - current_thresholds(registry).linkage
    pairs = identities * (identities - 1) / 2
    values = np.array(list(likeness.values()))
    return {
        part
        for part, alike in likeness.items()
        if np.isnan(alike)
        or pairs * curve.far(alike + moved) >= FALSE_SHARE * int((values >= alike).sum())
    }
