"""What all recognisers share: aligned faces in, in batches; unit vectors out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.domain import Chips, Detection, Image, Lengths, Vectors
from registry.errors import ModelError

CHIP_SIZE = 112
"""px. The side of an aligned face: the ArcFace template of `insightface.utils.face_align`."""

_CPU_BATCH = 4
"""Faces in a run. Measured on one core with SFace: 31 ms a face with 1 and 4 faces a run, 33 with
8, 35 with 16, 37 with 32 and 64, and 13 MB of memory for each face of a run."""

_ACCELERATOR_BATCH = 32
"""Faces in a run. Enough work for an accelerator, in 0.4 GB with SFace."""

Forward = Callable[[Chips], NDArray[Any]]
"""BGR uint8 (n, 112, 112, 3), n >= 1, to (n, D), rows of any length."""


def align(image: Image, detections: Sequence[Detection]) -> Chips:
    """The faces moved onto the ArcFace template: BGR uint8 (n, 112, 112, 3), in order.

    The similarity transform of InsightFace's `norm_crop` is fitted to the five landmarks. Parts
    outside the image are black; if no transform fits the landmarks, the whole chip is.
    """
    # Imported here: it imports scipy and scikit-image, which no other command needs.
    from insightface.utils.face_align import norm_crop

    chips = np.zeros((len(detections), CHIP_SIZE, CHIP_SIZE, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        # norm_crop calls SimilarityTransform.estimate, deprecated since scikit-image 0.26.
        warnings.simplefilter("ignore", FutureWarning)
        for chip, detection in zip(chips, detections, strict=True):
            chip[:] = norm_crop(image, detection.landmarks, CHIP_SIZE)
    return chips


def batch_size(device: str) -> int:
    """Faces in a run on this device, for a network that treats each face independently."""
    return _CPU_BATCH if device == "cpu" else _ACCELERATOR_BATCH


def embed_in_batches(
    chips: Chips, forward: Forward, *, dimension: int, batch: int
) -> tuple[Vectors, Lengths]:
    """float32 (n, D), L2-normalised, from runs of `forward` over at most `batch` chips.

    The second value is float32 (n,): the lengths before normalising.

    Raises:
        ModelError: the chips are not aligned faces, the network failed, or a vector is zero or not
            finite.
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
        except Exception as exc:  # ONNX Runtime's errors have no common base class
            raise ModelError(f"The recogniser failed on {len(part)} faces: {exc}") from exc
    norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise ModelError("The recogniser returned an embedding that is zero or not finite.")
    return vectors / norms, norms[:, 0]
