"""InsightFace packs: real files in folders of every kind."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from registry.domain import Image
from registry.errors import ModelError
from registry.models import catalogue, insight, sface
from registry.models.base import FaceModel
from registry.models.entries import find
from registry.models.weights import carried

DETECTOR, RECOGNISER = "det_500m.onnx", "w600k_mbf_int8.onnx"


@pytest.fixture
def folder(tmp_path: Path, pack_folder: Path) -> Path:
    """A folder of one's own with the pack's detector alone."""
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(pack_folder / DETECTOR, mine)
    return mine


def load(folder: Path) -> FaceModel:
    return catalogue.load(str(folder), device="cpu", cache=folder / "cache", threads=None)


def test_the_digest_covers_detector_and_recogniser(
    pack: FaceModel, folder: Path, pack_folder: Path
) -> None:
    files = [pack_folder / DETECTOR, pack_folder / RECOGNISER]
    digests = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    assert pack.info.digest == hashlib.sha256("\n".join(digests).encode()).hexdigest()
    shutil.copy(pack_folder / RECOGNISER, folder / "another_name.onnx")
    onnx.save(two_layers("Relu", "Relu"), folder / "unused.onnx")
    other = load(folder).info
    assert (other.name, other.digest) == ("mine", pack.info.digest)


def test_loading_prints_nothing(
    pack_folder: Path, t1_image: Image, capfd: pytest.CaptureFixture[str]
) -> None:
    model = load(pack_folder)
    model.embed(model.align(t1_image, model.detect(t1_image)))
    assert capfd.readouterr() == ("", "")


def test_a_network_that_scales_its_input_is_not_scaled_twice(
    folder: Path, sface: FaceModel, t1_image: Image
) -> None:
    """SFace's file in a pack: InsightFace guesses the wrong scaling for it."""
    write_sface(folder)
    model = load(folder)
    chips = sface.align(t1_image, sface.detect(t1_image))
    assert model.info.dimension == 128
    np.testing.assert_allclose(model.embed(chips), sface.embed(chips), atol=1e-4)


def write_sface(folder: Path) -> None:
    entry = find("sface")
    name, digest = list(entry.files.items())[1]
    recogniser = sface.batchable(carried(entry.carrier, name, digest))
    (folder / "recogniser.onnx").write_bytes(recogniser)


def two_layers(first: str, second: str) -> onnx.ModelProto:
    """input -> `first` -> `second` -> output, float32 (n, 3, 112, 112)."""
    shape: list[str | int | None] = ["n", 3, 112, 112]
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end in ("in", "out")]
    number = helper.make_tensor("c", TensorProto.FLOAT, [], [127.5])
    inputs = {"Sub": ["c"], "Mul": ["c"]}
    nodes = [
        helper.make_node(first, ["in", *inputs.get(first, [])], ["between"]),
        helper.make_node(second, ["between", *inputs.get(second, [])], ["out"]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [number])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("Sub", "Mul", True),
        ("Identity", "Sub", True),
        ("Relu", "Sub", False),
        ("Identity", "Relu", False),
        ("Identity", "Identity", False),
    ],
)
def test_scaling_is_read_from_what_the_input_meets(first: str, second: str, expected: bool) -> None:
    assert insight.scales_its_input(two_layers(first, second).graph) is expected


def test_an_empty_folder_has_no_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot load the pack in .*: it has no detector"):
        load(tmp_path)


def test_a_pack_without_a_recogniser(folder: Path) -> None:
    with pytest.raises(ModelError, match="has no recogniser"):
        load(folder)


def test_a_file_that_is_no_network(folder: Path) -> None:
    (folder / "a.onnx").write_bytes(b"\xff\xff")
    with pytest.raises(ModelError, match=r"InsightFace cannot load the pack in .*mine"):
        load(folder)


def test_a_recogniser_of_another_size(folder: Path) -> None:
    model = two_layers("Relu", "Relu")
    for value in (*model.graph.input, *model.graph.output):
        for axis in (2, 3):
            value.type.tensor_type.shape.dim[axis].dim_value = 128
    onnx.save(model, folder / "w.onnx")
    with pytest.raises(ModelError, match=r"faces of \(128, 128\) px; only 112x112"):
        load(folder)
