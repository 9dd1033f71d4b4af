"""Decisions without the people and videos that were erased. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from types import MappingProxyType

from registry.core.decisions import Decision, DecisionKind


def redact(
    decision: Decision,
    identities: Set[str],
    faces_left: Set[str],
    stand_ins: Mapping[str, str] = MappingProxyType({}),
) -> Decision:
    """The decision without these identities and videos, and without faces that are gone.

    Args:
        decision: an entry of the log.
        identities: all ids of the erased person, and the ids of removed videos.
        faces_left: ids of the faces that decisions name and that are still on record.
        stand_ins: of a removed video that was joined to others, one of those that stay, so that
            they are still one video, and still separated from those that it was separated from.
    """
    if not refers_to(decision, identities, faces_left):
        return decision
    if decision.videos:
        named = dict.fromkeys(stand_ins.get(video, video) for video in decision.videos)
        videos = _others(tuple(named), identities)
        return replace(decision, videos=videos) if len(videos) > 1 else void(decision)
    if decision.kind is DecisionKind.SPLIT:
        return _redact_split(decision, identities, faces_left)
    if decision.kind is DecisionKind.HIDE:
        hidden = _others((decision.identity_id, *decision.others), identities)
        if not hidden:
            return void(decision)
        return replace(decision, identity_id=hidden[0], others=hidden[1:])
    if decision.kind is DecisionKind.MERGE:
        members = _others((decision.identity_id, *decision.others), identities) or ("",)
        stays, *joining = members
        if not joining:
            return void(decision)
        return replace(decision, identity_id=stays, others=tuple(joining))
    if decision.kind is DecisionKind.CONSOLIDATE:
        groups = tuple(_others(group, identities) for group in decision.groups)
        left = tuple(group for group in groups if len(group) > 1)
        return replace(decision, groups=left) if left else void(decision)
    return void(decision)


def redact_all(
    entries: Sequence[Decision],
    identities: Set[str],
    faces_left: Set[str],
    stand_ins: Mapping[str, str],
) -> list[Decision]:
    """The whole log after an erasure; arguments as for `redact`."""
    names = taken_along(entries, identities)
    return [
        void(entry) if entry.number in names else redact(entry, identities, faces_left, stand_ins)
        for entry in entries
    ]


def taken_along(entries: Iterable[Decision], identities: Set[str]) -> set[int]:
    """Numbers of the namings of others whose names splits gave to these identities.

    Such a name is the erased person's, and would count again for those from whom they were split.
    """
    numbers: set[int] = set()
    namings: list[Decision] = []
    for entry in entries:
        if entry.kind is DecisionKind.NAME:
            namings.append(entry)
        if entry.kind is DecisionKind.SPLIT and entry.name and entry.new_identity in identities:
            group = {entry.identity_id, *entry.others}
            numbers |= {
                naming.number
                for naming in namings
                if naming.name == entry.name and naming.identity_id in group
            }
    return numbers


def refers_to(decision: Decision, identities: Set[str], faces_left: Set[str]) -> bool:
    """Whether a decision names one of these ids, or a face that is no longer on record."""
    named = decision.identities.union(decision.videos)
    return bool(named & identities) or not set(decision.faces) <= faces_left


def _redact_split(decision: Decision, identities: Set[str], faces_left: Set[str]) -> Decision:
    given = decision.new_identity
    faces = tuple(face for face in decision.faces if face in faces_left)
    if given in identities or not faces:
        return void(decision)
    origin = "" if decision.identity_id in identities else decision.identity_id
    others = _others(decision.others, identities)
    return replace(decision, identity_id=origin, others=others, faces=faces, new=given)


def _others(members: tuple[str, ...], identities: Set[str]) -> tuple[str, ...]:
    return tuple(member for member in members if member not in identities)


def void(decision: Decision) -> Decision:
    """The entry of the same number that says nothing."""
    return Decision(decision.number, DecisionKind.VOID)
