"""Upgrading a registry from the schema that it was written with to the one of this version.

A step upgrades the objects from version n to version n + 1. Steps run in order when a registry is
opened, before anything else is read. After each step the contract gets the new version. A step that
was interrupted runs again, so it must give the same result when part of its work is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core import keys
from registry.core.intents import REINDEX
from registry.core.records import SCHEMA
from registry.errors import ContractError
from registry.system import checked_json as checked


@dataclass(frozen=True, slots=True)
class Step:
    """An upgrade of the objects of a registry from one version to the next."""

    frm: int
    """The version that it reads; it writes version `frm + 1`."""
    run: Callable[[BlobStore], None]
    """Changes the objects, but not the contract. May run again after a crash."""


def _rebuild_index(blobs: BlobStore) -> None:
    """Schema 2: records stay as they are; the index gets fields that schema 1 did not have."""
    blobs.put(keys.intent(REINDEX), b"")


def _keep_objects(_: BlobStore) -> None:
    """Schema 3: records may name still pictures, which those of schema 2 do not, so they stay."""


STEPS: tuple[Step, ...] = (Step(1, _rebuild_index), Step(2, _keep_objects))
"""One for each version before `SCHEMA`, in order."""


def latest(steps: Sequence[Step]) -> int:
    """The version that these steps lead to. Raises `ValueError` unless each follows the last."""
    for step, following in pairwise(steps):
        if following.frm != step.frm + 1:
            raise ValueError(f"no step leads from schema {step.frm + 1} to {following.frm}")
    return steps[-1].frm + 1 if steps else SCHEMA


def is_due(blobs: BlobStore, steps: Sequence[Step] = STEPS) -> bool:
    """Whether `upgrade` has something to do. Raises the same errors."""
    fields = contracts.load_fields(blobs)
    return fields is not None and bool(_due(fields, steps))


def upgrade(blobs: BlobStore, steps: Sequence[Step] = STEPS) -> int:
    """Upgrade the objects to the latest version. Returns how many steps ran.

    Raises:
        ContractError: a newer version wrote the objects, or no step starts at their version.
        StoreCorrupt: the contract is damaged.
    """
    fields = contracts.load_fields(blobs)
    if fields is None:
        return 0
    due = _due(fields, steps)
    for step in due:
        step.run(blobs)
        fields["schema"] = step.frm + 1
        blobs.put(keys.CONTRACT, checked.encode(fields))
    return len(due)


def _due(fields: dict[str, Any], steps: Sequence[Step]) -> list[Step]:
    """The steps from the version of a contract with these fields to the latest one."""
    try:
        version = int(fields["schema"])
    except (KeyError, TypeError, ValueError) as exc:
        raise contracts.damaged(keys.CONTRACT, exc) from exc
    goal = latest(steps)
    if version > goal:
        raise ContractError(
            f"The registry has schema {version}, and this version of face-registry knows schemas "
            f"up to {goal}. Upgrade face-registry."
        )
    due = [step for step in steps if step.frm >= version]
    if len(due) != goal - version:
        raise ContractError(
            f"The registry has schema {version}, and this version of face-registry knows schemas "
            f"from {goal - len(due)}. Open the registry with an earlier version first."
        )
    return due
