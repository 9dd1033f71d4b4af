"""From one model to another, in one step that a crash cannot halve.

When all records to be stand beside, whole, the intent `switch` is written, and from there it only
goes on: whoever opens the registry next finishes it. Each step can be done twice. The records take
their places, then the contract; what was bound to the old model goes (the index, whose dimension is
another; templates of blocked people; a calibration), and last of all the state beside.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core import keys
from registry.core.blocks import Blocks
from registry.core.index import Index
from registry.core.intents import REINDEX, SWITCH
from registry.core.staging import Beside
from registry.domain import Contract
from registry.errors import StoreCorrupt
from registry.store.base import Store
from registry.system import checked_json as checked


@dataclass(frozen=True, slots=True)
class Switch:
    """How the registry changes: the body of the intent."""

    contract: Contract
    crops: tuple[str, ...] = ()
    """Of faces that are left out, because they have no picture to embed."""
    blocks: tuple[str, ...] = ()
    """Ids of those that are dropped: the new model cannot read their templates."""
    receipt: str = ""
    """Id of the receipt that says so; empty where there is no block."""

    def encoded(self) -> bytes:
        """As bytes, with a digest."""
        return checked.encode({**asdict(self), "contract": self.contract.as_dict()})


def pending(blobs: BlobStore) -> bool:
    """Whether a switch is to be finished."""
    return blobs.exists(keys.intent(SWITCH))


def finish(blobs: BlobStore, store: Store) -> None:
    """Do what the intent says, as far as it is not done; nothing if there is none.

    What remains is the intent to rebuild the index. Only the registry's one writer may call this.
    """
    if not pending(blobs):
        return
    switch = _decoded(blobs.get(keys.intent(SWITCH)))
    for info in list(blobs.list(keys.staged(keys.RECORDS))):
        blobs.put(info.key.removeprefix(keys.STAGING), blobs.get(info.key))
    contracts.write(blobs, switch.contract)
    for crop in switch.crops:
        blobs.delete(crop)
    _drop_blocks(blobs, switch)
    blobs.delete(keys.CALIBRATION)  # thresholds measured with one model say nothing of another
    blobs.put(keys.intent(REINDEX), b"")
    Index.drop(store)
    Beside(blobs).discard()
    blobs.delete(keys.intent(SWITCH))


def _drop_blocks(blobs: BlobStore, switch: Switch) -> None:
    """The receipt first: it says which blocks there were."""
    if not switch.blocks:
        return
    changed = switch.contract.earlier_models[-1]
    receipt: dict[str, Any] = {
        "receipt": switch.receipt,
        "kind": "blocks",
        "at": changed.until,
        "removed": {"blocks": len(switch.blocks)},
        "blocks": list(switch.blocks),
        "because": f"the registry changed from {changed.name} to {switch.contract.model.name}, "
        "which cannot recognise their templates",
    }
    blobs.put(keys.receipt(switch.receipt), json.dumps(receipt, indent=1).encode())
    for block in switch.blocks:
        Blocks(blobs).remove(block)


def _decoded(data: bytes) -> Switch:
    try:
        body = checked.decode(data)
        lists = {name: tuple(body[name]) for name in ("crops", "blocks")}
        return Switch(**{**body, **lists, "contract": contracts.from_dict(body["contract"])})
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreCorrupt(
            f"{keys.intent(SWITCH)} is damaged ({exc}): delete it to keep the model that "
            f"{keys.CONTRACT} names, if no record has been replaced yet, or restore the "
            "registry from a backup"
        ) from exc
