"""AuraFace: its entry in the catalogue, how it is pulled, and what its network is given.

The weights themselves are not at hand. A small network with the same input and output stands in
their place; everything else is what runs with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from registry.domain import Image, ModelInfo
from registry.errors import ModelError
from registry.faces.quality import assess
from registry.models import catalogue, download, entries
from registry.models.base import FaceModel
from registry.models.curves import shipped_curve
from tests.support.http_server import Answer, serving

ENTRY = entries.CATALOGUE["auraface"]


def network() -> bytes:
    """(n, 3, 112, 112) to (n, 512): the means of red, green and blue, and zeros."""
    weights = np.zeros((3, 512), np.float32)
    weights[:3, :3] = np.eye(3)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input.1"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["683"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["n", 3, 112, 112])],
        [helper.make_tensor_value_info("683", TensorProto.FLOAT, ["n", 512])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> entries.ModelEntry:
    """The entry, with the digest of the small network."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    digest = hashlib.sha256(network()).hexdigest()
    files: Mapping[str, str] = {**ENTRY.files, "glintr100.onnx": digest}
    small = replace(ENTRY, files=MappingProxyType(dict(files)))
    known = MappingProxyType({**entries.CATALOGUE, "auraface": small})
    for module in (entries, catalogue):
        monkeypatch.setattr(module, "CATALOGUE", known)
    return small


def test_the_entry_names_the_published_weights_and_says_that_they_were_not_run() -> None:
    assert ENTRY.pulled == {
        "glintr100.onnx": "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60"
    }
    assert "Not run" in ENTRY.source
    assert "provisional" in ENTRY.threshold_source
    assert not ENTRY.restricted
    curve = shipped_curve(ModelInfo("auraface", ENTRY.digest, 512, ENTRY.verification_threshold))
    assert (curve.measured, curve.finest) == (False, 1e-4)


def test_its_network_gets_rgb_between_minus_one_and_one(
    entry: entries.ModelEntry, tmp_path: Path, astronaut: Image, sface: FaceModel
) -> None:
    (tmp_path / "auraface").mkdir()
    (tmp_path / "auraface" / "glintr100.onnx").write_bytes(network())
    model = catalogue.load("auraface", device="cpu", cache=tmp_path)
    assert (model.info.name, model.info.dimension) == ("auraface", 512)
    chips = np.zeros((5, 112, 112, 3), np.uint8)
    chips[..., 2] = 255  # red, as BGR
    expected = np.zeros((5, 512), np.float32)
    expected[:, :3] = np.array([1, -1, -1]) / np.sqrt(3)
    assert np.allclose(model.embed(chips), expected, atol=1e-5)
    [found], [same] = model.detect(astronaut), sface.detect(astronaut)
    assert found.box == same.box
    doubted = replace(found, score=0.85)
    [chip] = model.align(astronaut, [doubted])
    assert assess(astronaut, doubted, chip, model=model.info.name).reasons == ("low_score",)


@pytest.mark.parametrize(
    ("body", "status", "complaint"),
    [
        (network(), 200, ""),
        (b"another network", 200, "not those of the catalogue"),
        (b"", 404, "answered 404"),
    ],
    ids=["right", "wrong", "absent"],
)
def test_it_is_pulled_from_its_address_and_checked(
    entry: entries.ModelEntry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
    status: int,
    complaint: str,
) -> None:
    with serving(lambda n, request: Answer(status, body)) as server:
        local = replace(entry, url=f"{server.url}/fal/AuraFace-v1/resolve/main/glintr100.onnx")
        known = MappingProxyType({**entries.CATALOGUE, "auraface": local})
        for module in (entries, catalogue):
            monkeypatch.setattr(module, "CATALOGUE", known)
        if complaint:
            with pytest.raises(ModelError, match=complaint):
                download.pull("auraface", tmp_path, accept_licence=False)
            assert list(tmp_path.glob("auraface*")) == []
            return
        said = download.pull("auraface", tmp_path, accept_licence=False)
    assert "Apache-2.0" in said
    assert [path.name for path in (tmp_path / "auraface").iterdir()] == ["glintr100.onnx"]
    assert catalogue.is_present("auraface", tmp_path)
    assert "Nothing to pull" in download.pull("auraface", tmp_path, accept_licence=False)
