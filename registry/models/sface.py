"""SFace with YuNet: the default model, free for any use, from an installed package.

The recogniser file of OpenCV Zoo declares its weights as inputs, which ONNX Runtime and OpenCV 5
refuse, and has a fixed batch size of one. Both are corrected in memory at each load, in 0.07 s,
so that no corrected copy has to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from registry.domain import Chips, Detection, Image, Lengths, ModelInfo, Vectors
from registry.errors import ModelError
from registry.models import device as devices
from registry.models.recognition import align, batch_size, embed_in_batches
from registry.models.yunet import YuNet

_INPUT = "data"
AUTOMATIC = ("cuda", "cpu")
"""`auto` does not choose CoreML, which was not tested with this network; it can be requested."""


class SFace:
    """YuNet's detections, SFace's embeddings. Created by `load`."""

    def __init__(
        self, detector: YuNet, session: onnxruntime.InferenceSession, info: ModelInfo, device: str
    ) -> None:
        """`device` is the device of `session`."""
        self._detector = detector
        self._session = session
        self._info = info
        self._device = device
        self._batch = batch_size(device)

    @property
    def info(self) -> ModelInfo:
        """As `FaceModel.info`."""
        return self._info

    @property
    def device(self) -> str:
        """The device of the recogniser. YuNet always runs on the CPU."""
        return self._device

    def detect(self, image: Image) -> list[Detection]:
        """As `FaceModel.detect`."""
        return self._detector.detect(image)

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

    def _forward(self, chips: Chips) -> Any:
        # The network subtracts the mean and scales by itself (its first two nodes), so it takes RGB
        # 0-255. If its input were scaled twice, all faces would be alike.
        rgb = np.ascontiguousarray(chips[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
        return self._session.run(None, {_INPUT: rgb})[0]


def load(
    detector: bytes, recogniser: bytes, info: ModelInfo, *, device: str, threads: int | None
) -> SFace:
    """The model from the bytes of its two ONNX files.

    Raises:
        ModelError: OpenCV or ONNX Runtime cannot load them.
        DeviceError: the requested device is not available or could not be started.
    """
    providers = devices.resolve(device, automatic=AUTOMATIC)
    devices.prepare(providers, threads)
    session = devices.open_session(batchable(recogniser), providers, threads, "SFace")
    return SFace(YuNet(detector), session, info, devices.in_use(device, [session]))


def batchable(model: bytes) -> bytes:
    """The recogniser with one input, float32 (n, 3, 112, 112), and one output, (n, D).

    Raises:
        ModelError: it is not an ONNX file, or has no input with SFace's name.
    """
    try:
        parsed = onnx.load_model_from_string(model)
    except Exception as exc:  # protobuf's DecodeError
        raise ModelError(f"SFace's file is not an ONNX model: {exc}") from exc
    graph = parsed.graph
    inputs = [value for value in graph.input if value.name == _INPUT]
    if len(inputs) != 1:
        raise ModelError(f"SFace's file has no input {_INPUT!r}: it is a different model.")
    del graph.input[:]
    graph.input.extend(inputs)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    return bytes(parsed.SerializeToString())
