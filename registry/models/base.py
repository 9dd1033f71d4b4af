"""The interface to face models: images in, detections and embeddings out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from registry.domain import Chips, Detection, Image, Lengths, ModelInfo, Vectors

DETECTION_THRESHOLD = 0.5
"""Minimum detector score of a face: InsightFace's default (`FaceAnalysis.prepare(det_thresh=0.5)`),
which the notebook before this registry used too."""


def frames_together(device: str) -> int:
    """How many frames a detector on this device is given at once."""
    return 16 if device == "cuda" else 1


class FaceModel(Protocol):
    """A detector and a recogniser that belong together.

    Threads may share one. Every method may raise a `ModelError`.
    """

    @property
    def info(self) -> ModelInfo:
        """Name, digest, dimension and verification threshold."""

    @property
    def device(self) -> str:
        """The device in use: `cpu`, `cuda` or `coreml`."""

    def detect(self, image: Image) -> list[Detection]:
        """Faces of at least `DETECTION_THRESHOLD` in a BGR uint8 (H, W, 3) image.

        Sorted from left to right by box; boxes are clipped to the image. An empty or very small
        image has none; anything but BGR uint8 (H, W, 3) raises `ImageError`.
        """

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        """As `detect` of each image; an accelerator detects in them together."""

    def align(self, image: Image, detections: Sequence[Detection]) -> Chips:
        """The faces cut out and aligned for the recogniser: BGR uint8 (n, 112, 112, 3)."""

    def embed(self, chips: Chips) -> Vectors:
        """float32 (n, D), L2-normalised, in batches; (0, D) for no chips."""

    def embed_with_lengths(self, chips: Chips) -> tuple[Vectors, Lengths]:
        """As `embed`, with the lengths before normalising.

        A network gives short vectors to what it does not understand as a face.
        """
