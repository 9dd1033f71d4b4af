"""Everything that a worker process imports, for the server that workers are forked from.

Imported for its effect only (`registry.system.worker_context.prepare_workers`).
"""

from __future__ import annotations

import os

# Threads do not survive a fork, and a worker computes with one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import ingest.workers  # noqa: F401
import registry.blobs.folder
import registry.models.sface  # noqa: F401
