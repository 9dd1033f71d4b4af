"""SFace with YuNet: the default model, free for any use, from an installed package.

The recogniser file of OpenCV Zoo declares its weights as inputs, which ONNX Runtime and OpenCV 5
refuse, and has a fixed batch size of one. Both are corrected in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from registry.domain import Chips, ModelInfo
from registry.errors import ModelError
from registry.models import device as devices
from registry.models.network import OnnxNetwork, SingleNetwork
from registry.models.optimised_graphs import open_optimised
from registry.models.paired import PairedModel
from registry.models.recognition import CHIP_SIZE
from registry.models.yunet import BatchedYuNet, OpenCvYuNet, Rows, YuNet, batched

_INPUT = "data"


def load(
    detector: bytes,
    recogniser: Path | Callable[[], bytes],
    info: ModelInfo,
    *,
    cache: Path | None = None,
    device: str,
    threads: int | None,
    fast: bool = False,
    mean: float = 0.0,
    scale: float = 1.0,
) -> PairedModel:
    """YuNet with SFace, or with another recogniser that takes RGB, float32 (n, 3, 112, 112).

    SFace subtracts the mean and scales by itself (its first two nodes). If its input were scaled
    twice, all faces would be alike.

    Args:
        detector: YuNet's ONNX file.
        recogniser: reads SFace's ONNX file, which a kept graph makes unnecessary; or the path of
            that of another one.
        info: what the two are.
        cache: the folder of models, where optimised graphs are kept; None: they are not kept.
        device: one of `registry.models.device.DEVICES`.
        threads: as in `registry.models.catalogue.load`.
        fast: on the CPU, run YuNet in ONNX Runtime, in about half the time of OpenCV, and do not
            turn hopeless faces upright.
        mean: what the recogniser wants subtracted from values of 0 to 255.
        scale: what it wants them divided by then.

    Raises:
        ModelError: OpenCV or ONNX Runtime cannot load them.
        DeviceError: the requested device is not available or could not be started.
    """
    providers = devices.resolve(device)
    devices.prepare(providers, threads)
    if devices.is_batched(providers):
        from registry.models import graphs

        found = OnnxNetwork(batched(detector), providers, threads, "YuNet")
        content = (
            recogniser.read_bytes() if isinstance(recogniser, Path) else batchable(recogniser())
        )
        graph = graphs.recogniser(content, mean=mean, scale=scale)
        embedded = OnnxNetwork(graph, providers, threads, info.name)
        used = devices.in_use(device, [found.session, embedded.session])
        return PairedModel(YuNet(BatchedYuNet(found)), embedded.run, info, used)
    if isinstance(recogniser, Path):
        session = devices.open_session(recogniser, providers, threads, info.name)
    elif providers == devices.resolve("cpu"):
        session = open_optimised(
            cache,
            info.digest,
            lambda: _with_fast_activations(batchable(recogniser())),
            threads,
            info.name,
            sample=(1, 3, CHIP_SIZE, CHIP_SIZE),
        )
    else:
        session = devices.open_session(batchable(recogniser()), providers, threads, info.name)
    name = session.get_inputs()[0].name

    def forward(chips: Chips) -> Any:
        rgb = np.ascontiguousarray(chips[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
        return session.run(
            None, {name: rgb if (mean, scale) == (0.0, 1.0) else (rgb - mean) / scale}
        )[0]

    used = devices.in_use(device, [session])
    rows: Rows = _fast_yunet(detector, info, cache, threads) if fast else OpenCvYuNet(detector)
    return PairedModel(YuNet(rows, fast=fast), forward, info, used)


def _fast_yunet(
    detector: bytes, info: ModelInfo, cache: Path | None, threads: int | None
) -> BatchedYuNet:
    session = open_optimised(
        cache, info.digest, lambda: batched(detector), threads, "YuNet", sample=(1, 64, 64, 3)
    )
    return BatchedYuNet(SingleNetwork(session, "YuNet"))


def _with_fast_activations(model: bytes) -> bytes:
    import onnx

    from registry.models import graphs

    parsed = onnx.load_model_from_string(model)
    graphs.replace_prelu(parsed.graph, exactly=False)
    return bytes(parsed.SerializeToString())


def batchable(model: bytes) -> bytes:
    """The recogniser with one input, float32 (n, 3, 112, 112), and one output, (n, D).

    Raises:
        ModelError: it is not an ONNX file, or has no input with SFace's name.
    """
    import onnx  # here, because workers with a kept graph need not load it

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
