"""face-registry: who is on screen, and how the videos with that person perform.

From Python:

    from ingest import ingest
    from queries.averages import averages
    from queries.lookup import lookup
    from registry import open_registry

    with open_registry(home="faces") as registry:
        ingest(registry, videos)          # a DataFrame, or the path of a CSV
        table = averages(registry)        # a DataFrame, one row per identity
        answer = lookup(registry, "photo.jpg")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.core.opening import open_registry
    from registry.core.registry import Registry

# ONNX Runtime reports to Microsoft by default: it keeps an id of the device and a log of events in
# the user's cache and uploads them. Only this, set before its import, keeps that from starting
# (onnxruntime/Privacy.md). Whoever wants it sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Ray reports usage to its makers by default.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

__version__ = "0.1.0"
__all__ = ["Registry", "__version__", "open_registry"]


def __getattr__(name: str) -> Any:
    """Import the heavy parts only when they are asked for: `face-registry --help` needs none."""
    if name == "Registry":
        from registry.core.registry import Registry

        return Registry
    if name == "open_registry":
        from registry.core.opening import open_registry

        return open_registry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
