"""A log of decisions without a person: nothing of them stays, every number does. Pure.

Numbers are how an undo names what it undoes, so no entry goes away: one that has nothing else to
say becomes `void`. What a decision says of other people stays said.

- A name, a separation, a merge or a group of a consolidation that the person is one side of: void.
  Of several that were said to be one, those that remain are still one.
- A split off the person keeps the id that it gave, and its faces that are still on record, but no
  longer says whom they were taken from: undoing it has nowhere to lead them back to.
- An undo names numbers only, and stays.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from registry.decisions import Decision, Kind


def struck(decision: Decision, identities: Set[str], faces_left: Set[str]) -> Decision:
    """The decision without these identities and without faces that are not on record any more.

    Args:
        decision: one entry of the log.
        identities: every id that the person went by.
        faces_left: those of the faces that decisions name which are still on record.
    """
    if not mentions(decision, identities, faces_left):
        return decision
    if decision.kind is Kind.SPLIT:
        return _split(decision, identities, faces_left)
    if decision.kind is Kind.MERGE:
        stay, *join = _others((decision.identity_id, *decision.others), identities) or ("",)
        return replace(decision, identity_id=stay, others=tuple(join)) if join else _void(decision)
    if decision.kind is Kind.CONSOLIDATE:
        groups = tuple(_others(group, identities) for group in decision.groups)
        left = tuple(group for group in groups if len(group) > 1)
        return replace(decision, groups=left) if left else _void(decision)
    return _void(decision)


def mentions(decision: Decision, identities: Set[str], faces_left: Set[str]) -> bool:
    """Whether the decision holds one of these ids, or a face that is not on record any more."""
    named = {decision.identity_id, decision.new, *decision.others}
    named |= {identity for group in decision.groups for identity in group}
    if decision.kind is Kind.SPLIT:
        named.add(decision.new_identity)
    return bool(named & identities) or not set(decision.faces) <= faces_left


def _split(decision: Decision, identities: Set[str], faces_left: Set[str]) -> Decision:
    given = decision.new_identity
    faces = tuple(face for face in decision.faces if face in faces_left)
    if given in identities or not faces:
        return _void(decision)
    origin = "" if decision.identity_id in identities else decision.identity_id
    others = _others(decision.others, identities)
    return replace(decision, identity_id=origin, others=others, faces=faces, new=given)


def _others(members: tuple[str, ...], identities: Set[str]) -> tuple[str, ...]:
    return tuple(member for member in members if member not in identities)


def _void(decision: Decision) -> Decision:
    return Decision(decision.number, Kind.VOID)
