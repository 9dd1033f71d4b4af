"""A detector and a recogniser as one face model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from registry.domain import Chips, Detection, Image, Lengths, ModelInfo, Vectors
from registry.models.recognition import Forward, align, batch_size, embed_in_batches


class Detector(Protocol):
    """Finds faces. Threads may share one."""

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        """As `registry.models.base.FaceModel.detect_all`."""


class PairedModel:
    """A `registry.models.base.FaceModel`."""

    def __init__(
        self,
        detector: Detector,
        forward: Forward,
        info: ModelInfo,
        device: str,
        *,
        batch: int | None = None,
    ) -> None:
        """`batch` is the number of faces in a run of the recogniser; None: the device's."""
        self._detector = detector
        self._forward = forward
        self._info = info
        self._device = device
        self._batch = batch or batch_size(device)

    @property
    def info(self) -> ModelInfo:
        """As `FaceModel.info`."""
        return self._info

    @property
    def device(self) -> str:
        """As `FaceModel.device`. On the CPU and with CoreML, YuNet runs on the CPU."""
        return self._device

    def detect(self, image: Image) -> list[Detection]:
        """As `FaceModel.detect`."""
        return self._detector.detect_all([image])[0]

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        """As `FaceModel.detect_all`."""
        return self._detector.detect_all(images)

    def align(self, image: Image, detections: Sequence[Detection]) -> Chips:
        """As `FaceModel.align`."""
        return align(image, detections)

    def embed(self, chips: Chips) -> Vectors:
        """As `FaceModel.embed`."""
        return self.embed_with_lengths(chips)[0]

    def embed_with_lengths(self, chips: Chips) -> tuple[Vectors, Lengths]:
        """As `FaceModel.embed_with_lengths`."""
        dimension = self._info.dimension
        return embed_in_batches(chips, self._forward, dimension=dimension, batch=self._batch)
