"""What all recognisers share: chips in, a batch at a time; unit vectors out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.domain import Chips, Vectors
from registry.errors import ModelError
from registry.models.align import CHIP_SIZE

Forward = Callable[[Chips], NDArray[Any]]
"""BGR uint8 (n, 112, 112, 3), n >= 1, to (n, D), rows of any length."""

_CPU_BATCH = 4
"""On one core, SFace took 31 ms a face at 1 and 4 faces a run, 33 at 8, 35 at 16 and 37 at 32 and
64, and 13 MB of memory for each face of a run: more faces only push each other out of caches."""

_ACCELERATOR_BATCH = 32
"""Enough work to keep an accelerator busy, at 0.4 GB for SFace."""


def batch_size(device: str) -> int:
    """Faces a run on this device, for a network that treats each face alone."""
    return _CPU_BATCH if device == "cpu" else _ACCELERATOR_BATCH


def embed_in_batches(chips: Chips, forward: Forward, *, dimension: int, batch: int) -> Vectors:
    """float32 (n, D), L2-normalised, from runs of `forward` over at most `batch` chips.

    Raises:
        ModelError: these are no aligned faces, the network failed, or it gave no direction.
    """
    if chips.shape[1:] != (CHIP_SIZE, CHIP_SIZE, 3) or chips.dtype != np.uint8:
        raise ModelError(
            f"A recogniser takes BGR uint8 (n, {CHIP_SIZE}, {CHIP_SIZE}, 3), "
            f"not {chips.dtype} {chips.shape}: align the faces first."
        )
    vectors = np.empty((len(chips), dimension), dtype=np.float32)
    for start in range(0, len(chips), batch):
        part = chips[start : start + batch]
        try:
            vectors[start : start + len(part)] = forward(part)
        except Exception as exc:  # ONNX Runtime's errors have no base of their own
            raise ModelError(f"The recogniser failed on {len(part)} faces: {exc}") from exc
    norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise ModelError("The recogniser gave an embedding that is zero or not finite.")
    return vectors / norms
