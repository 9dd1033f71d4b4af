"""From the schema that a registry was written with to the one that this version knows.

A step takes the objects of version n to version n + 1. Steps run in order when a registry is
opened, before anything else is read, and the contract gets the new number when a step has ended.
A crash runs the step again, so a step must give the same result when part of its work is done.
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
from registry.errors import ContractError, StoreCorrupt
from registry.system import checked_json as checked


@dataclass(frozen=True, slots=True)
class Step:
    """What takes the objects of a registry from one version to the next."""

    frm: int
    """The version that it reads; it leaves `frm + 1`."""
    run: Callable[[BlobStore], None]
    """Changes the objects, but not the contract; may be run again after a crash."""


def _rebuild_index(blobs: BlobStore) -> None:
    """Schema 2: records stay as they are; the index gets fields that schema 1 did not have."""
    blobs.put(keys.intent(REINDEX), b"")


STEPS: tuple[Step, ...] = (Step(1, _rebuild_index),)
"""One for each version before `SCHEMA`, in order."""


def latest(steps: Sequence[Step]) -> int:
    """The version that these steps lead to. Raises `ValueError` unless each follows the last."""
    for step, following in pairwise(steps):
        if following.frm != step.frm + 1:
            raise ValueError(f"no step leads from schema {step.frm + 1} to {following.frm}")
    return steps[-1].frm + 1 if steps else SCHEMA


def is_due(blobs: BlobStore, steps: Sequence[Step] = STEPS) -> bool:
    """Whether `upgrade` has something to do. Raises what it raises."""
    body = contracts.body(blobs)
    return body is not None and bool(_due(body, steps))


def upgrade(blobs: BlobStore, steps: Sequence[Step] = STEPS) -> int:
    """Bring the objects up to the latest version. Returns how many steps ran.

    Raises:
        ContractError: a newer version wrote them, or no step starts at theirs.
        StoreCorrupt: the contract is damaged.
    """
    body = contracts.body(blobs)
    if body is None:
        return 0
    due = _due(body, steps)
    for step in due:
        step.run(blobs)
        body["schema"] = step.frm + 1
        blobs.put(keys.CONTRACT, checked.encode(body))
    return len(due)


def _due(body: dict[str, Any], steps: Sequence[Step]) -> list[Step]:
    """The steps from the version of this contract to the latest one."""
    try:
        found = int(body["schema"])
    except (KeyError, TypeError, ValueError) as exc:
        raise StoreCorrupt(f"{keys.CONTRACT} is damaged ({exc}); restore it from a backup") from exc
    goal = latest(steps)
    if found > goal:
        raise ContractError(
            f"this registry has schema {found} and this version knows {goal}: upgrade face-registry"
        )
    due = [step for step in steps if step.frm >= found]
    if len(due) != goal - found:
        raise ContractError(
            f"this registry has schema {found}, and this version reads schema "
            f"{goal - len(due)} and later: open it with an earlier version first"
        )
    return due
