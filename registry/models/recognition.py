"""What all recognisers share: aligned faces in, in batches; unit vectors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from registry.domain import Chips, Detection, Image, Landmarks, Lengths, Vectors
from registry.errors import ModelError
from registry.faces.quality import TEMPLATE

CHIP_SIZE = 112
"""px. The side of an aligned face: the ArcFace template of `insightface.utils.face_align`."""

_CPU_BATCH = 2
"""Faces in a run. Measured on one core with SFace: as long for a face with 1, 2 and 4, 7 % longer
with 8, 20 % with 32. Each face of a run takes 10 MB of memory in each thread."""

_ACCELERATOR_BATCH = 64
"""Faces handed to an accelerator at once; `registry.models.network` runs them in its batches."""

Forward = Callable[[Chips], NDArray[Any]]
"""BGR uint8 (n, 112, 112, 3), n >= 1, to (n, D), rows of any length."""


def align(image: Image, detections: Sequence[Detection]) -> Chips:
    """The faces moved onto the ArcFace template: BGR uint8 (n, 112, 112, 3), in order.

    They are those of InsightFace's `norm_crop`. Parts outside the image are black; if no transform
    fits the landmarks, the whole chip is.
    """
    chips = np.zeros((len(detections), CHIP_SIZE, CHIP_SIZE, 3), dtype=np.uint8)
    for chip, detection in zip(chips, detections, strict=True):
        moved = _similarity(detection.landmarks)
        if moved is not None:
            cv2.warpAffine(image, moved, (CHIP_SIZE, CHIP_SIZE), dst=chip, borderValue=0.0)
    return chips


def _similarity(landmarks: Landmarks) -> NDArray[np.float64] | None:
    """The similarity transform (2, 3) that fits the landmarks to the template best.

    None if there is none, because all landmarks are at one place. By Umeyama, "Least-squares
    estimation of transformation parameters between two point patterns" (PAMI 1991), with the
    operations of `skimage.transform.SimilarityTransform`, which `norm_crop` calls: the result is
    the same to the last bit, without scikit-image in every worker.
    """
    middle, to_middle = landmarks.mean(axis=0), TEMPLATE.mean(axis=0)
    moved = landmarks - middle
    covariance = (TEMPLATE - to_middle).T @ moved / len(landmarks)
    if not np.isfinite(covariance).all():
        return None
    left, sizes, right = np.linalg.svd(covariance)
    rank = np.count_nonzero(sizes > sizes.max() * 2 * np.finfo(float).eps)
    if rank == 0:
        return None
    signs = np.array([1.0, -1.0 if np.linalg.det(covariance) < 0 else 1.0])
    if rank == 2:
        rotation = left @ np.diag(signs) @ right
    elif np.linalg.det(left) * np.linalg.det(right) > 0:
        rotation = np.asarray(left @ right, np.float64)
    else:
        rotation = left @ np.diag([1.0, -1.0]) @ right
    scale = 1.0 / moved.var(axis=0).sum() * (sizes @ signs)
    shift = to_middle - scale * (rotation @ middle)
    return np.hstack([rotation * scale, shift[:, None]])


def batch_size(device: str) -> int:
    """Faces in a run on this device, for a network that treats each face independently.

    With CoreML they go to ONNX Runtime as on the CPU (`registry.models.device.is_batched`).
    """
    return _ACCELERATOR_BATCH if device == "cuda" else _CPU_BATCH


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
