"""A neural network that takes images in batches and returns one array, in this process or another.

Batches are for accelerators: on the CPU, they are slower (docs/MODELS.md, Speed).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from registry.errors import ModelError
from registry.models import device as devices

IMAGES = "images"
"""The input of a graph of `registry.models.graphs`: uint8 (n, H, W, 3), BGR."""
JOINED = "joined"
"""Its output: float32 (n, places, columns) of a detector, (n, D) of a recogniser."""

MOST = 16
"""Images in a run. On an H200, 64 were 15 % faster than 16 for YuNet alone, and slower with the
steps around it (docs/MODELS.md, Speed)."""
SIZES = (4, MOST)
"""Numbers of images in a run. Fewer are filled up: a card prepares itself for each number."""

_SHAPES = 24
"""Shapes of the input that a network stays prepared for, in a session of its own each."""


class Network(Protocol):
    """A network. Threads may share one."""

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The output for uint8 (n, H, W, 3) images, BGR, n >= 1: float32 (n, ...).

        Raises:
            ModelError: the network failed.
        """


class OnnxNetwork:
    """A graph of `registry.models.graphs` in ONNX Runtime.

    With CUDA, each shape of the input has a session of its own. A session that is given another
    shape than before plans all its convolutions again, which took 2 s for YuNet on an H200.
    """

    def __init__(
        self,
        model: bytes,
        providers: Sequence[str],
        threads: int | None,
        label: str,
        *,
        sizes: Sequence[int] = SIZES,
    ) -> None:
        """Load it. Raises `ModelError`.

        Args:
            model: the graph.
            providers: ONNX Runtime's, best first.
            threads: of each run on the CPU; None: one for each core.
            label: names it in errors.
            sizes: numbers of images in a run that it is prepared for, in ascending order.
        """
        self._model, self._providers, self._sizes = model, list(providers), tuple(sizes)
        self._threads, self._label = threads, label
        self._lock = Lock()
        self._sessions: OrderedDict[tuple[int, ...], onnxruntime.InferenceSession] = OrderedDict()
        self.session = self._open()

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `Network.run`."""
        most = self._sizes[-1]
        parts = [self._run(images[start : start + most]) for start in range(0, len(images), most)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        count = len(images)
        missing = next(size for size in self._sizes if size >= count) - count
        if missing:
            images = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        try:
            session = self._session_of(images.shape)
            output: NDArray[np.float32] = session.run([JOINED], {IMAGES: images})[0]
        except Exception as exc:  # ONNX Runtime's errors have no common base class
            raise ModelError(f"{self._label} failed on {count} images: {exc}") from exc
        return output[:count]

    def _session_of(self, shape: tuple[int, ...]) -> onnxruntime.InferenceSession:
        if not devices.is_batched(self._providers):
            return self.session
        with self._lock:
            session = self._sessions.get(shape)
            if session is None:
                session = self._open() if self._sessions else self.session
                self._sessions[shape] = session
                if len(self._sessions) > _SHAPES:
                    self._sessions.popitem(last=False)
            self._sessions.move_to_end(shape)
            return session

    def _open(self) -> onnxruntime.InferenceSession:
        return devices.open_session(self._model, self._providers, self._threads, self._label)


class SingleNetwork:
    """A graph of `registry.models.graphs` on the CPU, one image at a time."""

    def __init__(self, session: onnxruntime.InferenceSession, label: str) -> None:
        """`label` names it in errors."""
        self._session, self._label = session, label

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `Network.run`."""
        try:
            outputs = [self._session.run([JOINED], {IMAGES: one[None]})[0] for one in images]
        except Exception as exc:  # ONNX Runtime's errors have no common base class
            raise ModelError(f"{self._label} failed on an image: {exc}") from exc
        return np.concatenate(outputs)


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
