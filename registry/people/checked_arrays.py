"""Arrays as bytes that tell whether they are damaged: a SHA-256, then NumPy's NPZ. Pure."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGEST = hashlib.sha256().digest_size


def encode(arrays: dict[str, Any]) -> bytes:
    """The arrays, by name, as bytes."""
    body = io.BytesIO()
    np.savez(body, **arrays)
    return hashlib.sha256(body.getvalue()).digest() + body.getvalue()


def decode(data: bytes) -> dict[str, NDArray[Any]] | None:
    """The arrays of `encode`, by name; None if the bytes are damaged."""
    if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
        return None
    with np.load(io.BytesIO(data[_DIGEST:]), allow_pickle=False) as arrays:
        return dict(arrays)
