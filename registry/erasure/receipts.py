"""After an erasure: the index follows the objects, both are asked again, and a receipt says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from registry.blobs.base import BlobStore
from registry.decisions import View
from registry.erasure.erasing import Eraser, Plan
from registry.errors import StoreError
from registry.index import Index
from registry.records import RecordStore
from registry.recovery import bring_up, rebuild

NOT_COVERED = (
    "backups made before",
    "files written by report, export or dump before",
    "copies that a file system, a disk or an object store keeps outside the registry",
)
"""What no registry can reach; every receipt says so."""


def erase_from_index(
    index: Index, records: RecordStore, view: View, plan: Plan, *, keeps_deleted: bool
) -> None:
    """Delete what the objects no longer hold, from the engine's files too.

    With `keeps_deleted`, the engine does not free deleted bytes, and the index is written anew.
    """
    if keeps_deleted:
        rebuild(index, records, view)
        return
    videos = {payload["video_id"] for payload in index.videos(plan.identities)}
    bring_up(index, records, view, sorted(videos | set(plan.videos)))
    index.regroup((), set(plan.identities), view)
    index.flush()


def certify(blobs: BlobStore, records: RecordStore, index: Index, plan: Plan) -> dict[str, Any]:
    """Look everywhere once more, and write the receipt. Raises `StoreError` if anything is left."""
    left = Eraser(blobs, records).left(plan)
    left["index_faces"] = sum(1 for i in plan.identities for _ in index.faces_of(i))
    left["index_identities"] = len(index.get_identities(plan.identities))
    left["index_videos"] = sum(index.video(v) is not None for v in plan.removing)
    if any(left.values()):
        raise StoreError(
            f"the erasure left something behind ({left}); it is taken up again "
            "when the registry is opened next"
        )
    receipt = {
        "receipt": str(uuid4()),
        "kind": plan.kind,
        "subject": {"salt": plan.salt, "sha256": plan.subject, "of": "salt:id"},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "removed": dict(plan.removed),
        "final_query": left,
        "block": {"id": plan.block, "template_kept": True} if plan.block else None,
        "not_covered": list(NOT_COVERED),
    }
    blobs.put(f"receipts/{receipt['receipt']}.json", json.dumps(receipt, indent=1).encode())
    return receipt
