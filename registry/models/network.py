"""A neural network that takes images in batches and returns one array, in this process or another.

For accelerators: on the CPU, batches bring nothing (docs/MODELS.md, Speed).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from registry.errors import ModelError
from registry.models import device as devices
from registry.models.graphs import IMAGES, JOINED

MOST = 32
"""Images in a run. Larger runs were no faster on an H100 (docs/MODELS.md, Speed)."""


class Network(Protocol):
    """A network. Threads may share one."""

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The output for uint8 (n, H, W, 3) images, BGR, n >= 1: float32 (n, ...).

        Raises:
            ModelError: the network failed.
        """


class OnnxNetwork:
    """A graph of `registry.models.graphs` in ONNX Runtime."""

    def __init__(
        self, model: bytes, providers: Sequence[Any], threads: int | None, label: str
    ) -> None:
        """Load it. `label` names it in errors. Raises `ModelError`."""
        self._label = label
        self.session = devices.open_session(model, providers, threads, label)

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `Network.run`.

        Batches are filled up to a power of two: an accelerator prepares itself for each size.
        """
        parts = [self._run(images[start : start + MOST]) for start in range(0, len(images), MOST)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        count = len(images)
        missing = (1 << (count - 1).bit_length()) - count
        if missing:
            images = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        try:
            output: NDArray[np.float32] = self.session.run([JOINED], {IMAGES: images})[0]
        except Exception as exc:  # ONNX Runtime's errors have no common base class
            raise ModelError(f"{self._label} failed on {count} images: {exc}") from exc
        return output[:count]


def run_by_shape(network: Network, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[Any]]:
    """The output for each image; images of one shape share a run."""
    outputs: list[NDArray[Any]] = [np.empty(0)] * len(images)
    shapes: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        shapes.setdefault(image.shape, []).append(number)
    for numbers in shapes.values():
        output = network.run(np.stack([images[number] for number in numbers]))
        for number, each in zip(numbers, output, strict=True):
            outputs[number] = each
    return outputs
