"""Networks in batches, as on an accelerator: the same answers as one image at a time.

The graphs and the steps around them are those that run with CUDA; here ONNX Runtime's CPU provider
computes them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from benchmarks._gpu import half_precision
from registry.domain import Detection, Image
from registry.errors import DeviceError, ModelError
from registry.models import catalogue, graphs, scrfd, yunet
from registry.models import device as devices
from registry.models.base import FaceModel
from registry.models.entries import find
from registry.models.network import OnnxNetwork
from registry.models.paired import Detector
from registry.models.recognition import CHIP_SIZE
from registry.models.sface import batchable
from registry.models.weights import carried
from tests.models.test_auraface import network

CPU = ["CPUExecutionProvider"]
CUDA = "CUDAExecutionProvider"


@pytest.fixture(scope="session")
def files() -> list[bytes]:
    entry = find("sface")
    return [carried(entry.carrier, name, sha256) for name, sha256 in entry.files.items()]


@pytest.fixture(scope="session")
def batched_yunet(files: list[bytes]) -> Detector:
    runs = OnnxNetwork(yunet.batched(files[0]), CPU, 1, "YuNet")
    return yunet.YuNet(yunet.BatchedYuNet(runs))


@pytest.fixture(scope="session")
def batched_scrfd(pack_folder: Path) -> Detector:
    file = pack_folder / "det_500m.onnx"
    names = [value.name for value in onnx.load(file).graph.output]
    runs = OnnxNetwork(scrfd.batched(file.read_bytes(), names), CPU, 1, "SCRFD")
    return scrfd.BatchedScrfd(runs, [128, 640], len(names))


@pytest.fixture
def images(astronaut: Image, t1_image: Image, read_photo: Callable[..., Image]) -> list[Image]:
    """Pictures of several sizes, with none, one and six faces, one of them tilted."""
    tilted = np.ascontiguousarray(np.rot90(astronaut)[100:, :300])
    return [
        astronaut,
        np.zeros((3, 3, 3), np.uint8),
        t1_image,
        np.full((480, 640, 3), 90, np.uint8),
        tilted,
        read_photo("Hugo_Chavez"),
        read_photo("Yao_Ming", 2),
        np.ascontiguousarray(t1_image[:333, :501]),
    ]


@pytest.mark.parametrize(
    ("one_by_one", "in_batches"), [("sface", "batched_yunet"), ("pack", "batched_scrfd")]
)
def test_the_same_faces_are_found(
    one_by_one: str, in_batches: str, images: list[Image], request: pytest.FixtureRequest
) -> None:
    model: FaceModel = request.getfixturevalue(one_by_one)
    detector: Detector = request.getfixturevalue(in_batches)
    expected = [model.detect(image) for image in images]
    assert sum(map(len, expected)) >= 10
    found = detector.detect_all(images)
    assert [len(each) for each in found] == [len(each) for each in expected]
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        assert corners(one) == pytest.approx(corners(other), abs=1e-2)
        # Last digits of a box move whole pixels of the rotated square that YuNet looks at again.
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.2)
        assert one.score == pytest.approx(other.score, abs=1e-3)


def corners(found: Detection) -> tuple[float, ...]:
    box = found.box
    return box.x1, box.y1, box.x2, box.y2


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_embeddings_are_the_same(
    files: list[bytes], sface: FaceModel, t1_image: Image, half: bool
) -> None:
    graph = graphs.recogniser(batchable(files[1]))
    in_batches = OnnxNetwork(half_precision(graph) if half else graph, CPU, 1, "SFace")
    chips = sface.align(t1_image, sface.detect(t1_image))
    vectors = in_batches.run(chips)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (vectors * sface.embed(chips)).sum(axis=1).min() > (0.999 if half else 0.999999)


def test_an_input_is_scaled_in_the_graph() -> None:
    """(RGB - 127.5) / 127.5 of one chip, by a network that returns its input's means."""
    run = OnnxNetwork(graphs.recogniser(network(), mean=127.5, scale=127.5), CPU, 1, "means").run
    chips = np.zeros((3, CHIP_SIZE, CHIP_SIZE, 3), np.uint8)
    chips[..., 2] = 255
    np.testing.assert_allclose(run(chips)[:, :3], [[1, -1, -1]] * 3, atol=1e-5)


def test_a_network_for_one_face_gets_one_at_a_time() -> None:
    """Some packs have a recogniser with a fixed batch size, which shapes inside it repeat."""
    model = onnx.load_model_from_string(network())
    flatten = model.graph.node[1]
    one_face = numpy_helper.from_array(np.array([1, 3]), "one_face")
    model.graph.initializer.append(one_face)
    flatten.CopyFrom(helper.make_node("Reshape", ["pooled", "one_face"], ["flat"]))
    graph = graphs.recogniser(model.SerializeToString())
    chips = np.zeros((3, CHIP_SIZE, CHIP_SIZE, 3), np.uint8)
    chips[1:, ..., 2] = [[[9]], [[20]]]
    found = OnnxNetwork(graph, CPU, 1, "fixed", sizes=(1,)).run(chips)
    np.testing.assert_allclose(found[:, 0], [0, 9, 20], atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_with_a_factor_for_each_channel_become_floats(axis: int) -> None:
    model = onnx.load_model_from_string(network())
    graph, shape = model.graph, (3, 512)
    del graph.initializer[:]
    stored = np.arange(3 * 512).reshape(shape) % 7
    scale, zero = np.arange(1, shape[axis] + 1) / 8, np.arange(shape[axis]) % 3
    for name, values in (
        ("stored", stored.astype(np.int8)),
        ("scale", scale.astype(np.float32)),
        ("zero", zero.astype(np.int8)),
    ):
        graph.initializer.append(numpy_helper.from_array(values, name))
    inputs = ["stored", "scale", "zero"]
    graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, ["weights"], axis=axis))
    chips = np.full((1, CHIP_SIZE, CHIP_SIZE, 3), [3, 2, 1], np.uint8)
    found = OnnxNetwork(graphs.recogniser(model.SerializeToString()), CPU, 1, "int8").run(chips)
    along = (-1, 1) if axis == 0 else (1, -1)
    weights = (stored - zero.reshape(along)) * scale.reshape(along)
    np.testing.assert_allclose(found[0], [1, 2, 3] @ weights, rtol=1e-5)


def test_a_network_that_fails_is_named(files: list[bytes]) -> None:
    failing = OnnxNetwork(graphs.recogniser(batchable(files[1])), CPU, 1, "SFace")
    with pytest.raises(ModelError, match="SFace failed on 1 images"):
        failing.run(np.zeros((1, 50, 50, 3), np.uint8))


def test_a_pack_quantised_for_the_cpu_is_refused_on_a_gpu(
    pack_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise ONNX Runtime would leave most of it to the CPU without a word."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, *CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    with pytest.raises(DeviceError, match="CUDAExecutionProvider has no DynamicQuantizeLinear"):
        catalogue.load(str(pack_folder), device="cuda", cache=tmp_path)
    model = catalogue.load(str(pack_folder), device="auto", cache=tmp_path)
    assert model.device == "cpu"


def test_only_cuda_runs_in_batches() -> None:
    assert devices.is_batched([CUDA, *CPU])
    assert not devices.is_batched(CPU)
    assert not devices.is_batched(["CoreMLExecutionProvider", *CPU])


@pytest.mark.parametrize("exactly", [True, False])
def test_activations_are_computed_from_faster_operations(
    files: list[bytes], sface: FaceModel, t1_image: Image, exactly: bool
) -> None:
    given = batchable(files[1])
    rewritten = onnx.load_model_from_string(given)
    graphs.replace_prelu(rewritten.graph, exactly=exactly)
    assert "PRelu" not in {node.op_type for node in rewritten.graph.node}
    chips = sface.align(t1_image, sface.detect(t1_image))[:2]
    images = np.ascontiguousarray(chips.transpose(0, 3, 1, 2), np.float32)
    one, other = (
        onnxruntime.InferenceSession(graph, devices.session_options(1), CPU).run(
            None, {"data": images}
        )[0]
        for graph in (given, rewritten.SerializeToString())
    )
    np.testing.assert_allclose(other, one, atol=0 if exactly else 1e-4)


def test_an_activation_with_one_number_for_all_channels_stays() -> None:
    slope = numpy_helper.from_array(np.array(0.25, np.float32), "slope")
    node = helper.make_node("PRelu", ["x", "slope"], ["y"])
    graph = helper.make_graph([node], "one", [], [], [slope])
    graphs.replace_prelu(graph, exactly=True)
    assert [each.op_type for each in graph.node] == ["PRelu"]
