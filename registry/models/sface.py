"""SFace with YuNet: the default model, free for any use, from an installed package.

The recogniser file of OpenCV Zoo declares its weights as inputs, which ONNX Runtime and OpenCV 5
refuse, and has a fixed batch size of one. Both are corrected in memory at each load, in 0.07 s,
so that no corrected copy has to be stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from registry.domain import Chips, ModelInfo
from registry.errors import ModelError
from registry.models import device as devices
from registry.models import graphs
from registry.models.network import OnnxNetwork
from registry.models.paired import PairedModel
from registry.models.yunet import BatchedYuNet, OpenCvYuNet, Rows, YuNet, batched

_INPUT = "data"


def load(
    detector: bytes,
    recogniser: bytes,
    info: ModelInfo,
    *,
    device: str,
    threads: int | None,
    fast: bool = False,
) -> PairedModel:
    """The model from the bytes of its two ONNX files; the rest is as in `load_with_yunet`.

    Raises:
        ModelError: OpenCV or ONNX Runtime cannot load them.
        DeviceError: the requested device is not available or could not be started.
    """
    # The network subtracts the mean and scales by itself (its first two nodes), so it takes RGB
    # 0-255. If its input were scaled twice, all faces would be alike.
    return load_with_yunet(
        detector, batchable(recogniser), info, device=device, threads=threads, fast=fast
    )


def load_with_yunet(
    detector: bytes,
    recogniser: bytes | Path,
    info: ModelInfo,
    *,
    device: str,
    threads: int | None,
    fast: bool = False,
    mean: float = 0.0,
    scale: float = 1.0,
) -> PairedModel:
    """YuNet with a recogniser that takes RGB, float32 (n, 3, 112, 112).

    Args:
        detector: YuNet's ONNX file.
        recogniser: an ONNX file, or its bytes.
        info: what the two are.
        device: one of `registry.models.device.DEVICES`.
        threads: as in `registry.models.catalogue.load`.
        fast: on the CPU, run YuNet in ONNX Runtime: about half the time of OpenCV.
        mean: what the recogniser wants subtracted from values of 0 to 255.
        scale: what it wants them divided by then.

    Raises:
        ModelError: OpenCV or ONNX Runtime cannot load them.
        DeviceError: the requested device is not available or could not be started.
    """
    providers = devices.resolve(device)
    devices.prepare(providers, threads)
    if devices.is_batched(providers):
        found = OnnxNetwork(batched(detector), providers, threads, "YuNet")
        content = recogniser if isinstance(recogniser, bytes) else recogniser.read_bytes()
        graph = graphs.recogniser(content, mean=mean, scale=scale)
        embedded = OnnxNetwork(graph, providers, threads, info.name)
        used = devices.in_use(device, [found.session, embedded.session])
        return PairedModel(YuNet(BatchedYuNet(found)), embedded.run, info, used)
    if isinstance(recogniser, bytes) and providers == devices.resolve("cpu"):
        parsed = onnx.load_model_from_string(recogniser)
        graphs.replace_prelu(parsed.graph, exactly=False)
        recogniser = bytes(parsed.SerializeToString())
    session = devices.open_session(recogniser, providers, threads, info.name)
    name = session.get_inputs()[0].name

    def forward(chips: Chips) -> Any:
        rgb = np.ascontiguousarray(chips[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
        return session.run(
            None, {name: rgb if (mean, scale) == (0.0, 1.0) else (rgb - mean) / scale}
        )[0]

    used = devices.in_use(device, [session])
    rows: Rows = OpenCvYuNet(detector)
    if fast:
        found = OnnxNetwork(batched(detector), providers, threads, "YuNet", sizes=(1,))
        rows = BatchedYuNet(found)
    return PairedModel(YuNet(rows), forward, info, used)


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
