"""ONNX graphs rewritten for an accelerator: batches of images in, one array out.

The files take one float image of a given size and have up to twelve outputs. On an accelerator,
converting images on the CPU, one call for each image and one copy for each output take longer than
the network itself. A rewritten graph takes uint8 images as they are, converts them itself, and
joins its outputs. The network in between is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from registry.models.network import IMAGES, JOINED


def detector(
    model: bytes,
    columns: Sequence[Sequence[str]],
    *,
    rgb: bool,
    mean: float = 0.0,
    scale: float = 1.0,
) -> bytes:
    """A detector for batches of images whose sides are multiples of its largest stride.

    Args:
        model: the ONNX file. Its outputs are reshaped from (n, C, H, W); it has one for each stride
            and group of columns.
        columns: the names of the outputs. Each inner sequence is one group of columns, from the
            smallest stride to the largest; the joined output has the groups side by side.
        rgb: whether the network takes RGB instead of BGR.
        mean: what is subtracted from values of 0 to 255.
        scale: what they are divided by then.
    """
    parsed = onnx.load_model_from_string(model)
    graph = parsed.graph
    shapes = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    reshapes = {node.input[0]: node for node in graph.node if node.op_type == "Reshape"}
    for node in graph.node:
        reshape = reshapes.get(node.output[0]) if node.op_type == "Transpose" else None
        if reshape is None:
            continue
        # (n, C, H, W) to (n, H, W, C), then to (n, places, columns): 0 stands for the first size.
        node.attribute[0].CopyFrom(helper.make_attribute("perm", [0, 2, 3, 1]))
        shape = np.array([0, -1, int(shapes[reshape.input[1]][-1])])
        reshape.input[1] = f"{reshape.output[0]}_shape"
        graph.initializer.append(numpy_helper.from_array(shape, reshape.input[1]))
    for number, group in enumerate(columns):
        graph.node.append(helper.make_node("Concat", group, [f"{JOINED}_{number}"], axis=1))
    groups = [f"{JOINED}_{number}" for number in range(len(columns))]
    graph.node.append(helper.make_node("Concat", groups, [JOINED], axis=2))
    return _rewritten(parsed, ["n", "places", "columns"], rgb=rgb, mean=mean, scale=scale)


def recogniser(model: bytes, *, mean: float = 0.0, scale: float = 1.0) -> bytes:
    """A recogniser for batches of aligned faces, uint8 (n, 112, 112, 3), BGR.

    `mean` and `scale` are those of `detector`.
    """
    parsed = onnx.load_model_from_string(model)
    last = parsed.graph.output[0].name
    parsed.graph.node.append(helper.make_node("Identity", [last], [JOINED]))
    return _rewritten(parsed, ["n", "dimension"], rgb=True, mean=mean, scale=scale)


def replace_prelu(graph: onnx.GraphProto, *, exactly: bool) -> None:
    """Compute each PReLU from operations that ONNX Runtime has faster kernels for on the CPU.

    Args:
        graph: changed in place.
        exactly: if true, as max(x, 0) + slope * (x - max(x, 0)), which is the same to the last bit:
            15 ms a face instead of 19 with w600k MobileFaceNet int8 on one busy core. If false, as
            (1 - slope) * max(x, 0) + slope * x by convolutions of one place, which need no other
            layout than the convolutions around them: 14 ms a face instead of 24 with SFace, and
            embeddings with a cosine of 0.9999999.
    """
    slopes = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        slope = slopes.get(node.input[1]) if node.op_type == "PRelu" else None
        if slope is None or slope.shape[:1] != (slope.size,):  # one number for each channel
            nodes.append(node)
            continue
        [given, factor], [result] = node.input, node.output
        positive, rest, scaled = (f"{result}_{part}" for part in ("positive", "rest", "scaled"))
        nodes.append(helper.make_node("Relu", [given], [positive]))
        if exactly:
            nodes.append(helper.make_node("Sub", [given, positive], [rest]))
            nodes.append(helper.make_node("Mul", [rest, factor], [scaled]))
            nodes.append(helper.make_node("Add", [positive, scaled], [result]))
            continue
        for source, target, weights in ((positive, rest, 1 - slope), (given, scaled, slope)):
            weights_4d = weights.reshape(-1, 1, 1, 1).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(weights_4d, f"{target}_weights"))
            inputs = [source, f"{target}_weights"]
            nodes.append(
                helper.make_node("Conv", inputs, [target], group=len(slope), kernel_shape=[1, 1])
            )
        nodes.append(helper.make_node("Add", [rest, scaled], [result]))
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _rewritten(
    model: onnx.ModelProto, axes: Sequence[str], *, rgb: bool, mean: float = 0.0, scale: float = 1.0
) -> bytes:
    """The model with `IMAGES` as its input and `JOINED` as its output, weights as floats."""
    graph = model.graph
    initialised = {each.name for each in graph.initializer}
    [former] = [value.name for value in graph.input if value.name not in initialised]
    steps: list[tuple[str, list[str], dict[str, Any]]] = [
        ("Cast", [], {"to": TensorProto.FLOAT}),
        ("Transpose", [], {"perm": [0, 3, 1, 2]}),
    ]
    constants: dict[str, NDArray[Any]] = {}
    if rgb:
        constants["_rgb"] = np.array([2, 1, 0])
        steps.append(("Gather", ["_rgb"], {"axis": 1}))
    if (mean, scale) != (0.0, 1.0):
        constants["_mean"] = np.array(mean, np.float32)
        constants["_scale"] = np.array(scale, np.float32)
        steps += [("Sub", ["_mean"], {}), ("Div", ["_scale"], {})]
    nodes, value = [], IMAGES
    for number, (kind, others, attributes) in enumerate(steps, start=1):
        result = former if number == len(steps) else f"_converted_{number}"
        nodes.append(helper.make_node(kind, [value, *others], [result], **attributes))
        value = result
    nodes += graph.node
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())
    images: list[str | int | None] = ["n", "height", "width", 3]
    graph.input.append(helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, images))
    graph.output.append(helper.make_tensor_value_info(JOINED, TensorProto.FLOAT, list(axes)))
    _dequantize(graph)
    return bytes(model.SerializeToString())


def _dequantize(graph: onnx.GraphProto) -> None:
    """Convert weights stored as integers to float32.

    Other providers than the CPU's have no kernels for such weights, and would leave that part of
    the network to the CPU. ONNX Runtime converts those of SFace at loading but not those of YuNet's
    file, in which single numbers have a block size.
    """
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "DequantizeLinear"]:
        if not all(name in stored for name in node.input):
            continue
        given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        weights, *factors = (stored[name].astype(np.float32) for name in node.input)
        axis, block = given.get("axis", 1), given.get("block_size", 0)
        if block:  # one factor for so many numbers in a row
            places = [place // block for place in range(weights.shape[axis])]
            factors = [np.take(each, places, axis) if each.ndim else each for each in factors]
        elif weights.ndim > 1:  # one factor for all numbers, or for those at a place of the axis
            shape = [-1 if each == axis % weights.ndim else 1 for each in range(weights.ndim)]
            factors = [each.reshape(shape) if each.size > 1 else each for each in factors]
        scale, zero = factors[0], factors[1] if factors[1:] else np.float32(0)
        floats = ((weights - zero) * scale).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(floats, node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for each in [each for each in graph.initializer if each.name not in used]:
        graph.initializer.remove(each)
