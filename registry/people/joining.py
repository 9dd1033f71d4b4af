"""Suggesting which identities are one person, and joining them.

`registry.people.consolidation` decides, from the evidence. What it finds becomes suggestions for
people, or one decision, which `undo` takes back as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from registry.core.decisions import Decision, DecisionKind
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.domain import Identity
from registry.people import consolidation
from registry.people.consolidation import ConsolidationResult, Join
from registry.people.evidence import Evidence, gather_evidence
from registry.people.kept_evidence import keep_similar_means
from registry.people.observed_faces import pair


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Two identities that are likely one person."""

    stays: Identity
    joins: Identity
    similarity: float
    """Average cosine between the tracks of both."""
    tracks: tuple[int, int]
    """The number of tracks in which each has good faces."""
    shared_tracks: int
    together: int
    """Frames that show both side by side as two people."""
    repeated: int
    """Frames that show both, too alike for two people: a mirror, a screen, or two pictures of one
    person. They are no proof for or against, unless the two stay alike through a shot."""
    certain: bool
    """Whether `identities consolidate` joins them."""
    reason: str
    """Why a person has to decide, or why they are joined, if not for their similarity."""

    def as_dict(self) -> dict[str, Any]:
        """An entry of `identities suggest --json`."""
        return {
            "stays": _identity_document(self.stays, self.tracks[0]),
            "joins": _identity_document(self.joins, self.tracks[1]),
            "similarity": round(self.similarity, 6),
            "shared_tracks": self.shared_tracks,
            "frames_together": self.together,
            "frames_too_alike": self.repeated,
            "certain": self.certain,
            "reason": self.reason,
        }


def duplicate_groups(
    registry: Registry, evidence: Evidence | None = None, *, threshold: float | None = None
) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more identities that are one person; the id of the first is kept.

    Args:
        registry: an open registry.
        evidence: from `gather_evidence`; None gathers it.
        threshold: least average cosine; None takes the registry's, calibrated or the model's.
    """
    return _consolidated(registry, evidence or gather_evidence(registry), threshold).groups


def look_for_duplicates(registry: Registry) -> tuple[Evidence, tuple[tuple[str, ...], ...]]:
    """The evidence on all identities and their `duplicate_groups`, at the end of an ingest.

    What was read and compared is kept, so that the next look reads and compares what is new.
    """
    evidence = gather_evidence(registry, keep=True)
    groups = duplicate_groups(registry, evidence)
    keep_similar_means(registry, evidence.similar)
    return evidence, groups


def suggest(registry: Registry, *, threshold: float | None = None) -> list[Suggestion]:
    """Pairs of identities that are likely one person, most alike first, with the evidence.

    Pairs that a person separated are left out. Pairs that were seen in one frame, or that resemble
    somebody else as much, come with the reason why a person has to decide.
    """
    return suggestions_from(registry, gather_evidence(registry), threshold)


def suggestions_from(
    registry: Registry, evidence: Evidence, threshold: float | None = None
) -> list[Suggestion]:
    """The suggestions of `suggest`, from evidence that was gathered already."""
    result = _consolidated(registry, evidence, threshold)
    pairs: list[_SuggestedPair] = [
        (join.stays, join.joins, join.similarity, True, join.reason) for join in result.joins
    ]
    kept = {member: group[0] for group in result.groups for member in group}
    separated = {
        frozenset((kept.get(one, one), kept.get(other, other))) for one, other in evidence.separated
    }
    pairs += [
        (doubt.first, doubt.second, doubt.similarity, False, doubt.reason)
        for doubt in result.doubts
        if frozenset((kept.get(doubt.first, doubt.first), kept.get(doubt.second, doubt.second)))
        not in separated
    ]
    pairs.sort(key=lambda line: (-line[2], line[0], line[1]))
    return _suggestions(registry, evidence, pairs)


def consolidate(registry: Registry, *, threshold: float | None = None) -> Decision | None:
    """Join the identities that are one person, as one decision; None if there is none to join.

    Raises:
        EmptyRegistry: nothing has been ingested.
    """
    return join(registry, duplicate_groups(registry, threshold=threshold))


def join(registry: Registry, groups: tuple[tuple[str, ...], ...]) -> Decision | None:
    """Join these groups of `duplicate_groups`, as one decision; None if there are none."""
    return registry.decide(Decision(0, DecisionKind.CONSOLIDATE, groups=groups)) if groups else None


def count_duplicates(registry: Registry) -> int:
    """By how many established identities there would be fewer after `consolidate`."""
    return count_joining_in(registry, duplicate_groups(registry))


def count_joining_in(registry: Registry, groups: Sequence[Sequence[str]]) -> int:
    """`count_joining` with the identities as they are in the registry."""
    members = [identity for group in groups for identity in group]
    return count_joining(groups, registry.index.get_identities(members).values())


def count_joining(groups: Iterable[Sequence[str]], identities: Iterable[Identity]) -> int:
    """By how many established identities there would be fewer if these groups were joined.

    Of the established ones of a group, one is left; its id may be that of a provisional one.

    Args:
        groups: from `duplicate_groups`.
        identities: all of them, or those in the groups.
    """
    provisional = {i.identity_id for i in identities if i.provisional}
    established = (sum(identity not in provisional for identity in group) for group in groups)
    return sum(max(0, number - 1) for number in established)


def consolidation_document(decision: Decision | None, before: int, after: int) -> dict[str, Any]:
    """The document of `identities consolidate --json`.

    Args:
        decision: what `consolidate` returned.
        before: the number of established identities before it.
        after: the number after it.
    """
    return {
        "decision": decision.number if decision else None,
        "joined": before - after,
        "groups": [list(group) for group in decision.groups] if decision else [],
        "identities": after,
    }


def consolidate_repeatedly(evidence: Evidence, *, threshold: float) -> ConsolidationResult:
    """Consolidate until there is nothing left to join.

    A join changes what was measured before it: a track that two identities shared counts once, and
    an identity that kept two others apart may have become less like them. Without the repetition
    the next `identities consolidate` would join more.
    """
    joins: list[Join] = []
    members: dict[str, tuple[str, ...]] = {}
    lower, similar = evidence.lower, evidence.similar
    while True:
        result = consolidation.consolidate(
            evidence.groups,
            sorted(evidence.apart),
            threshold=threshold,
            linked=sorted(evidence.linked),
            lower=lower,
            same_person=evidence.same_person,
            similar=similar,
        )
        if not result.groups:
            break
        similar = copy(similar)  # later rounds are about what would be joined
        joins += result.joins
        for group in result.groups:
            whole = [member for one in group for member in members.pop(one, (one,))]
            members[group[0]] = tuple(whole)
        evidence = evidence.merged(result.groups)
    return ConsolidationResult(tuple(joins), result.doubts, tuple(sorted(members.values())))


def _consolidated(
    registry: Registry, evidence: Evidence, threshold: float | None
) -> ConsolidationResult:
    threshold = current_thresholds(registry).linkage if threshold is None else threshold
    return consolidate_repeatedly(evidence, threshold=threshold)


_SuggestedPair = tuple[str, str, float, bool, str]
"""Whose id is kept, who joins it, their similarity, whether it is certain, and the reason."""


def _suggestions(
    registry: Registry,
    evidence: Evidence,
    pairs: Sequence[_SuggestedPair],
) -> list[Suggestion]:
    named = sorted({identity for two in pairs for identity in two[:2]})
    identities = registry.index.get_identities(named)
    tracks = {group.identity_id: len(group.tracks) for group in evidence.groups}
    return [
        Suggestion(
            stays=identities[stays],
            joins=identities[joins],
            similarity=similarity,
            tracks=(tracks[stays], tracks[joins]),
            shared_tracks=evidence.observed.shared_tracks(stays, joins),
            together=evidence.together.get(pair(stays, joins), 0),
            repeated=evidence.repeated.get(pair(stays, joins), 0),
            certain=certain,
            reason=reason,
        )
        for stays, joins, similarity, certain, reason in pairs
    ]


def _identity_document(identity: Identity, tracks: int) -> dict[str, Any]:
    return {
        "identity": identity.identity_id,
        "name": identity.name,
        "videos": identity.videos,
        "faces": identity.faces,
        "tracks": tracks,
        "crop": identity.cover,
        "crop_face": identity.cover_face,
    }
