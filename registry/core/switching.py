"""Switching a registry to another model, so that a crash cannot leave half of each.

The switch begins when all future records are staged (`registry.core.staging`) and the intent
`switch` is written. From then on it can only be completed: the next writer that opens the registry
does so. Every step can be done twice. The staged records replace the records, then the contract is
written, then everything that belongs to the old model is removed: the index, whose dimension may
differ, the templates of blocked people, a calibration, and last the staging.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core import keys
from registry.core.blocks import Blocks
from registry.core.erasing import drop_evidence
from registry.core.index import Index
from registry.core.intents import REINDEX, SWITCH, Intents
from registry.core.staging import Staging
from registry.domain import Contract
from registry.errors import StoreCorrupt
from registry.store.base import Store
from registry.system import checked_json as checked


@dataclass(frozen=True, slots=True)
class Switch:
    """How the registry changes: the content of the intent."""

    contract: Contract
    """The contract after the switch."""
    crops: tuple[str, ...] = ()
    """Keys of the crops of faces that are dropped, because their crop cannot be embedded."""
    blocks: tuple[str, ...] = ()
    """Ids of the blocks that are dropped, because the new model cannot read their templates."""
    receipt: str = ""
    """Id of the receipt for the blocks; empty if there are none."""

    def encode(self) -> bytes:
        """The bytes of the intent, with a digest."""
        return checked.encode({**asdict(self), "contract": self.contract.as_dict()})


def is_pending(blobs: BlobStore) -> bool:
    """Whether there is a switch to complete."""
    return blobs.exists(keys.intent(SWITCH))


def complete(blobs: BlobStore, store: Store) -> None:
    """Do what the intent says, as far as it is not done. Does nothing if there is no intent.

    Afterwards the index must be rebuilt; the intent for it is written here. Only for the writer of
    the registry.
    """
    intents = Intents(blobs)
    content = intents.content(SWITCH)
    if content is None:
        return
    switch = _decode(content)
    for info in list(blobs.list(keys.staged(keys.RECORDS))):
        blobs.put(info.key.removeprefix(keys.STAGING), blobs.get(info.key))
    contracts.save(blobs, switch.contract)
    for crop in switch.crops:
        blobs.delete(crop)
    _drop_blocks(blobs, switch)
    blobs.delete(keys.CALIBRATION)  # it was measured with the old model
    drop_evidence(blobs)
    intents.declare(REINDEX)
    Index.drop(store)
    Staging(blobs).discard()
    intents.remove(SWITCH)


def _drop_blocks(blobs: BlobStore, switch: Switch) -> None:
    """Remove the blocks. The receipt is written first, since it names them."""
    if not switch.blocks:
        return
    old = switch.contract.earlier_models[-1]
    receipt: dict[str, Any] = {
        "receipt": switch.receipt,
        "kind": "blocks",
        "at": old.until,
        "removed": {"blocks": len(switch.blocks)},
        "blocks": list(switch.blocks),
        "because": f"the registry changed from {old.name} to {switch.contract.model.name}, "
        "which cannot recognise their templates",
    }
    blobs.put(keys.receipt(switch.receipt), json.dumps(receipt, indent=1).encode())
    for block in switch.blocks:
        Blocks(blobs).remove(block)


def _decode(content: bytes) -> Switch:
    try:
        fields = checked.decode(content)
        lists = {name: tuple(fields[name]) for name in ("crops", "blocks")}
        contract = contracts.from_dict(fields["contract"])
        return Switch(**{**fields, **lists, "contract": contract})
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreCorrupt(
            f"{keys.intent(SWITCH)} is damaged ({exc}). If no record has been replaced yet, delete "
            f"it to keep the model that {keys.CONTRACT} names. Otherwise restore the registry from "
            "a backup."
        ) from exc
