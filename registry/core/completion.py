"""The identities that a shell offers when an argument is completed.

A shell waits for the answer at each press of a key. So this reads objects only, for a short time,
opens no index, takes no lock, and asks no server. It creates nothing.
"""

from __future__ import annotations

import io
import time

import pyarrow.parquet as pq

from registry.core import keys
from registry.core.backends import open_blobs
from registry.core.decisions import DecisionLog, fold
from registry.settings import Settings

BUDGET_S = 0.3
"""Seconds for reading records: a chosen value, in which 300 records are read. A registry with more
offers the identities of the first ones, and all names."""


def known_identities(settings: Settings, *, budget_s: float = BUDGET_S) -> dict[str, str]:
    """Identities by id, each with its name or an empty text; those with a name first.

    Empty if the objects are on a server. Raises `RegistryError` if they cannot be read.

    Args:
        settings: where the registry is.
        budget_s: seconds for reading records.
    """
    if settings.minio_endpoint is not None:
        return {}
    until = time.monotonic() + budget_s
    blobs = open_blobs(settings, read_only=True)
    try:
        view = fold(DecisionLog(blobs).entries())
        named = {one: name for one, name in view.names.items() if name and view.root(one) == one}
        found = dict(sorted(named.items(), key=lambda item: item[1]))
        for info in blobs.list(keys.RECORDS):
            if time.monotonic() > until:
                break
            # Without threads: ending the process while Arrow starts them aborts it.
            with pq.ParquetFile(io.BytesIO(blobs.get(info.key)), pre_buffer=False) as file:
                table = file.read(columns=["face_id", "identity_id"], use_threads=False)
            for face_id, identity in zip(*(c.to_pylist() for c in table.columns), strict=True):
                found.setdefault(view.root(view.moved.get(face_id, identity)), "")
        return found
    finally:
        blobs.close()
