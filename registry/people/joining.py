"""Which identities may be one person: suggesting them, and joining them.

What the pure rule of `registry.people.consolidation` finds in the evidence becomes suggestions for
people, or one decision that can be undone as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from registry.core.decisions import Decision, Kind
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.domain import Identity
from registry.people import consolidation
from registry.people.evidence import Evidence, gather, pair


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Two identities that are likely one person."""

    stays: Identity
    joins: Identity
    similarity: float
    """Average cosine between the tracks of both."""
    tracks: tuple[int, int]
    """How many tracks each has good faces in."""
    shared_tracks: int
    together: int
    """Frames that show both: above 0, they are two people unless there is a mirror or a screen."""
    certain: bool
    """Whether `identities consolidate` joins them."""
    reason: str
    """Why it is left to a person, or why poor faces are joined to this one."""

    def as_dict(self) -> dict[str, Any]:
        """An entry of `identities suggest --json`."""
        return {
            "stays": _side(self.stays, self.tracks[0]),
            "joins": _side(self.joins, self.tracks[1]),
            "similarity": round(self.similarity, 6),
            "shared_tracks": self.shared_tracks,
            "frames_together": self.together,
            "certain": self.certain,
            "reason": self.reason,
        }


def duplicates(
    registry: Registry, evidence: Evidence | None = None, *, threshold: float | None = None
) -> tuple[tuple[str, ...], ...]:
    """Identities that are one person each time, two or more; the first one stays.

    Args:
        registry: an open registry.
        evidence: as `gather` gave it; None gathers it.
        threshold: least average cosine; by default the registry's: calibrated, or the model's.
    """
    return _linked(registry, evidence or gather(registry), threshold).groups


def suggest(registry: Registry, *, threshold: float | None = None) -> list[Suggestion]:
    """Pairs of identities likely to be one person, most alike first, with their evidence.

    Pairs that a person separated are left out; those seen in one frame, and those that resemble
    somebody else as much, come with the reason why they are left to a person.
    """
    evidence = gather(registry)
    found = _linked(registry, evidence, threshold)
    lines: list[tuple[str, str, float, bool, str]] = [
        (join.stays, join.joins, join.similarity, True, join.reason) for join in found.joins
    ]
    place = _places(found.groups)
    barred = {
        frozenset((place.get(one, one), place.get(other, other)))
        for one, other in evidence.separated
    }
    lines += [
        (doubt.first, doubt.second, doubt.similarity, False, doubt.reason)
        for doubt in found.doubts
        if frozenset((place.get(doubt.first, doubt.first), place.get(doubt.second, doubt.second)))
        not in barred
    ]
    lines.sort(key=lambda line: (-line[2], line[0], line[1]))
    return _suggestions(registry, evidence, lines)


def consolidate(registry: Registry, *, threshold: float | None = None) -> Decision | None:
    """Join the identities that are one person, as one decision. None if there is nothing to join.

    Raises:
        EmptyRegistry: nothing has been ingested.
    """
    groups = duplicates(registry, threshold=threshold)
    return registry.decide(Decision(0, Kind.CONSOLIDATE, groups=groups)) if groups else None


def likely_duplicates(registry: Registry) -> int:
    """How many identities `consolidate` would join to others now, provisional ones left aside."""
    return joining_others(duplicates(registry), registry.index.identities())


def joining_others(groups: Iterable[Sequence[str]], identities: Iterable[Identity]) -> int:
    """How many identities of these groups go to the first of theirs, provisional ones left aside.

    Args:
        groups: as `duplicates` gives them.
        identities: all of them.
    """
    provisional = {i.identity_id for i in identities if i.provisional}
    return sum(identity not in provisional for group in groups for identity in group[1:])


def consolidation_document(decision: Decision | None, before: int, after: int) -> dict[str, Any]:
    """The document of `identities consolidate --json`; identities before and after it."""
    return {
        "decision": decision.number if decision else None,
        "joined": before - after,
        "groups": [list(group) for group in decision.groups] if decision else [],
        "identities": after,
    }


def linked(evidence: Evidence, *, threshold: float) -> consolidation.Outcome:
    """What consolidation finds when it is repeated until it finds no more.

    A join changes what was measured before it: a track that two identities shared counts once, and
    a rival who kept others apart may have become less alike. Repeated here, it leaves nothing for
    the next run to join.
    """
    joins: list[consolidation.Join] = []
    members: dict[str, tuple[str, ...]] = {}
    while True:
        found = consolidation.consolidate(
            evidence.groups, sorted(evidence.apart), threshold=threshold
        )
        if not found.groups:
            break
        joins += found.joins
        for group in found.groups:
            whole = [member for one in group for member in members.pop(one, (one,))]
            members[group[0]] = tuple(whole)
        evidence = evidence.joined(found.groups)
    return consolidation.Outcome(tuple(joins), found.doubts, tuple(sorted(members.values())))


def _linked(
    registry: Registry, evidence: Evidence, threshold: float | None
) -> consolidation.Outcome:
    return linked(
        evidence, threshold=current_thresholds(registry).linkage if threshold is None else threshold
    )


def _places(groups: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """The identity that stays, by each member of a group."""
    return {member: group[0] for group in groups for member in group}


def _suggestions(
    registry: Registry,
    evidence: Evidence,
    lines: Sequence[tuple[str, str, float, bool, str]],
) -> list[Suggestion]:
    named = sorted({identity for line in lines for identity in line[:2]})
    identities = registry.index.get_identities(named)
    tracks = {group.identity_id: len(group.tracks) for group in evidence.groups}
    return [
        Suggestion(
            stays=identities[stays],
            joins=identities[joins],
            similarity=similarity,
            tracks=(tracks[stays], tracks[joins]),
            shared_tracks=len(evidence.tracks[stays] & evidence.tracks[joins]),
            together=evidence.together.get(pair(stays, joins), 0),
            certain=certain,
            reason=reason,
        )
        for stays, joins, similarity, certain, reason in lines
    ]


def _side(identity: Identity, tracks: int) -> dict[str, Any]:
    return {
        "identity": identity.identity_id,
        "name": identity.name,
        "videos": identity.videos,
        "faces": identity.faces,
        "tracks": tracks,
        "crop": identity.cover,
        "crop_face": identity.cover_face,
    }
