"""SFace with YuNet: the default model, free for any use, carried by an installed package.

The recogniser file that OpenCV Zoo publishes lists its weights as inputs too, which ONNX Runtime
and OpenCV 5 refuse, and it is fixed to one face at a time. Both are put right in memory at each
load: that takes 0.07 s, and there is no copy that could be stale, torn or half written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from registry.domain import Chips, Detection, Image, ModelInfo, Vectors
from registry.errors import ModelError
from registry.models import device as devices
from registry.models.align import align
from registry.models.embedding import batch_size, embed_in_batches
from registry.models.yunet import YuNet

_INPUT = "data"
_AUTOMATIC = ("cuda", "cpu")
"""`auto` leaves CoreML out: it was not tried with this network. Ask for it by name to use it."""


class SFace:
    """YuNet's detections, SFace's embeddings. Use `load`."""

    def __init__(
        self, detector: YuNet, session: onnxruntime.InferenceSession, info: ModelInfo, device: str
    ) -> None:
        """The parts, ready to run; `device` is where `session` runs."""
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
        """Where the recogniser runs. YuNet always runs on the processor."""
        return self._device

    def detect(self, image: Image) -> list[Detection]:
        """As `FaceModel.detect`; see `registry.models.yunet` for the faces that are found."""
        return self._detector.detect(image)

    def align(self, image: Image, detections: Sequence[Detection]) -> Chips:
        """As `FaceModel.align`."""
        return align(image, detections)

    def embed(self, chips: Chips) -> Vectors:
        """As `FaceModel.embed`."""
        dimension = self._info.dimension
        return embed_in_batches(chips, self._forward, dimension=dimension, batch=self._batch)

    def _forward(self, chips: Chips) -> Any:
        # The network subtracts its mean and scales by itself (its first two nodes): it takes RGB
        # 0-255. Scaled twice, every face is like every other.
        rgb = np.ascontiguousarray(chips[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
        return self._session.run(None, {_INPUT: rgb})[0]


def load(
    detector: bytes, recogniser: bytes, info: ModelInfo, *, device: str, threads: int | None
) -> SFace:
    """The model from the bytes of its two ONNX files.

    Raises:
        ModelError: OpenCV or ONNX Runtime cannot load them.
        DeviceError: the device asked for is not there, or could not be started.
    """
    providers = devices.resolve(device, automatic=_AUTOMATIC)
    devices.prepare(providers, threads)
    model = batchable(recogniser)
    try:
        with devices.output_to_stderr():
            session = onnxruntime.InferenceSession(
                model, devices.session_options(threads), providers=providers
            )
    except Exception as exc:  # ONNX Runtime's errors have no base of their own
        raise ModelError(f"ONNX Runtime cannot load SFace: {exc}") from exc
    return SFace(YuNet(detector), session, info, devices.in_use(device, [session]))


def batchable(model: bytes) -> bytes:
    """The recogniser with one input, float32 (n, 3, 112, 112), and one output, (n, D).

    Raises:
        ModelError: it is no ONNX file, or has no input of SFace's name.
    """
    try:
        parsed = onnx.load_model_from_string(model)
    except Exception as exc:  # protobuf's DecodeError
        raise ModelError(f"SFace's file is not an ONNX model: {exc}") from exc
    graph = parsed.graph
    inputs = [value for value in graph.input if value.name == _INPUT]
    if len(inputs) != 1:
        raise ModelError(f"SFace's file has no input {_INPUT!r}: it is another model.")
    del graph.input[:]
    graph.input.extend(inputs)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    return bytes(parsed.SerializeToString())
