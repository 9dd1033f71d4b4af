"""Everything that a worker process imports, for the server that workers are forked from.

Imported for its effect only (`registry.system.worker_context.prepare_workers`). Nothing of it may
start a thread, which a fork would miss: OpenBLAS does not, since `registry.cli` allows it one.
"""

from __future__ import annotations

import scipy.optimize  # noqa: F401

import ingest.workers  # noqa: F401
import registry.blobs.folder
import registry.faces.covers
import registry.models.sface  # noqa: F401
