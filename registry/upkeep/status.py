"""What a registry holds, counted."""

from __future__ import annotations

from typing import Any

from registry.core import retention
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.core.staging import Staging
from registry.domain import Status


def status(registry: Registry) -> dict[str, Any]:
    """The document of `status --json`; an empty registry says where it is and that it is empty."""
    places = {
        "home": str(registry.settings.home),
        "objects": registry.blobs.describe(),
        "index": registry.store.describe(),
    }
    if registry.is_empty:
        return {**places, "empty": True}
    contract, index = registry.contract, registry.index
    identities = list(index.identities(provisional=False))
    begun = Staging(registry.blobs).describe()
    lines = current_thresholds(registry)
    return {
        **places,
        "empty": False,
        "model": contract.model.name,
        "model_digest": contract.model.digest,
        "dimension": contract.model.dimension,
        "threshold": contract.threshold,
        "thresholds": {
            "lookup": round(lines.lookup, 4),
            "linkage": round(lines.linkage, 4),
            "source": lines.warning or lines.source,
        },
        "every": contract.every,
        "primary_metric": contract.primary_metric,
        "retention_days": retention.days(registry.blobs),
        "videos": {str(s): index.count_videos(status=s) for s in Status},
        "faces": index.count_faces(),
        "identities": {
            "total": len(identities),
            "named": sum(bool(i.name) for i in identities),
            "in_one_video": sum(i.videos == 1 for i in identities),
            "provisional": index.count_identities(provisional=True),
        },
        **({"change_begun": begun} if begun else {}),
    }
