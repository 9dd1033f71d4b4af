"""Changing between real recognisers: the default one, another network, a pack if there is one."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ingest.extract import crop
from registry.changing.change import compare, difference, prepare, switch
from registry.core.decisions import relabelled
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Image, Media, ModelInfo, Video
from registry.models import sface as sface_models
from registry.models.base import FaceModel
from registry.models.entries import find
from registry.models.weights import carried
from tests.support.factories import contract, face, video
from tests.test_main_job import call
from tests.test_real_clips import CLIPS, _people

D = 64


def _recogniser() -> bytes:
    """An ONNX network of SFace's kind of input: a random projection of a coarse picture."""
    weights = np.random.default_rng(7).normal(size=(3 * 14 * 14, D)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["data"], ["a"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["a"], ["b"]),
        helper.make_node("ReduceMean", ["b"], ["c"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["b", "c"], ["d"]),
        helper.make_node("MatMul", ["d", "w"], ["fc1"]),
    ]
    graph = helper.make_graph(
        nodes,
        "coarse",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, D])],
        [numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def coarse() -> FaceModel:
    """YuNet's detections, and embeddings of another network and dimension."""
    entry = find("sface")
    name, digest = next(iter(entry.files.items()))
    info = ModelInfo("coarse", "c" * 64, D, 0.4)
    detector = carried(entry.carrier, name, digest)
    return sface_models.load(detector, _recogniser, info, device="cpu", threads=1)


def _shown(registry: Registry, name: str, image: Image, model: FaceModel) -> Video:
    """Commit a video of one frame as ingest would."""
    one = video(name, [])
    found = model.detect(image)
    faces = []
    vectors = model.embed(model.align(image, found))
    for position, (detection, vector) in enumerate(zip(found, vectors, strict=True)):
        picture = crop(image, detection.box)
        plain = face(one.video_id, 0, vector, position=position)
        with registry.writing():
            registry.blobs.put(plain.crop, picture)
        digest = hashlib.sha256(picture).hexdigest()
        box, landmarks = detection.box, detection.landmarks
        faces.append(replace(plain, box=box, landmarks=landmarks, crop_digest=digest))
    media = Media(width=image.shape[1], height=image.shape[0])
    return registry.commit(replace(one, faces=tuple(faces), media=media))


def test_a_registry_of_faces_changes_to_another_network(
    tmp_path: Path, sface: FaceModel, coarse: FaceModel, t1_image: Image
) -> None:
    brighter = np.clip(t1_image.astype(np.int16) + 20, 0, 255).astype(np.uint8)
    with open_registry(home=tmp_path / "home") as registry:
        registry.establish(replace(contract(), model=sface.info, model_source="sface"))
        first = _shown(registry, "one", t1_image, sface)
        _shown(registry, "two", brighter, sface)
        assert registry.index.count_identities() == 6
        registry.name(first.faces[0].identity_id, "Leftmost")
        change = prepare(registry, coarse, "coarse")
        assert (change.embedded, change.by_landmarks, change.unusable) == (12, 0, {})
        switch(registry, change)
    with open_registry(home=tmp_path / "home") as registry:
        assert registry.contract.model.dimension == D
        assert registry.identity("Leftmost").faces == 2
        # A photo embedded by the new model finds its own faces, from either video.
        found = coarse.detect(t1_image)
        vectors = coarse.embed(coarse.align(t1_image, found))
        for place, similar in enumerate(registry.index.similar_faces(vectors, limit=2)):
            assert similar[0].similarity > 0.7
            assert similar[0].face.box.x1 == pytest.approx(found[place].box.x1, abs=8)


def test_a_comparison_shows_what_a_change_would_and_writes_nothing(
    tmp_path: Path, t1_image: Image, sface: FaceModel, coarse: FaceModel
) -> None:
    home = tmp_path / "home"
    with open_registry(home=home) as registry:
        registry.establish(replace(contract(), model=sface.info, model_source="sface"))
        for name in ("a", "b"):
            _shown(registry, name, t1_image, sface)
        before = {info.key: registry.blobs.get(info.key) for info in registry.blobs.list("")}
        compared = compare(registry, coarse, "coarse")
        assert before == {i.key: registry.blobs.get(i.key) for i in registry.blobs.list("")}
        assert compared.embedded == 12
        assert compared.as_dict() == prepare(registry, coarse, "coarse").as_dict()
        same = difference(registry, compared, compared)
        assert (same.old, same.new) == (compared.new, compared.new)
        assert same.preview.unchanged == same.preview.before == compared.preview.after
        assert same.duplicates == (compared.duplicates[1], compared.duplicates[1])
        one = compared.videos[0].faces[0].identity_id
        joined = replace(
            compared, videos=tuple(relabelled(video, lambda _: one) for video in compared.videos)
        )
        preview = difference(registry, compared, joined).preview
        assert (preview.before, preview.after) == (compared.preview.after, 1)
        assert [len(group.others) for group in preview.joined] == [preview.before]
    refused = call(home, "models", "compare", "sface")
    assert "uses sface already. Give another model." in str(refused.exception)


# --- real clips -----------------------------------------------------------------------------------


def _json(home: Path, *arguments: str) -> Any:
    result = call(home, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("old", "new"), [("sface", "pack"), ("pack", "sface")])
def test_a_registry_of_real_clips_changes_its_model(
    shared_data: Path, tmp_path: Path, old: str, new: str
) -> None:
    pack = shared_data / "models" / "buffalo_sc_int8"
    if not pack.is_dir():
        pytest.skip("real InsightFace pack buffalo_sc_int8")
    models = {"sface": "sface", "pack": str(pack)}
    people, home, table = _people(shared_data), tmp_path / "home", tmp_path / "clips.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = [(clip, 3.5 * n) for n, clip in enumerate(sorted((shared_data / CLIPS).iterdir()))]
        csv.writer(file).writerows([("Video URL", "Performance"), *rows])
    ingest = ("ingest", str(table), "--allow-local-files")
    _json(home, *ingest, "--model", models[old])

    def shown() -> dict[str, set[str]]:
        """Who is in the videos of each identity."""
        who: dict[str, set[str]] = {}
        for one in _json(home, "videos", "list")["videos"]:
            for appearance in one["appearances"]:
                identity = appearance["identity_id"]
                who.setdefault(identity, set()).add(people[Path(one["url"]).name])
        return who

    by_person: dict[str, list[str]] = {}
    for identity, who in sorted(shown().items()):
        by_person.setdefault(next(iter(who)), []).append(identity)
    named, other = [one for one in by_person.values() if len(one) > 2][:2]
    assert call(home, "identities", "name", named[0], "Ann").exit_code == 0
    assert call(home, "identities", "merge", *named[:3]).exit_code == 0
    assert call(home, "identities", "separate", named[0], other[0]).exit_code == 0
    before = _json(home, "identities", "show", "Ann")

    preview = _json(home, "migrate", "--model", models[new])
    assert preview["switched"] is False
    assert preview["faces"]["embedded_now"] == preview["faces"]["total"] > 100
    assert call(home, "doctor").stdout.count("A change of the model to") == 1
    done = _json(home, "migrate", "--switch", "--yes")
    assert done["faces"]["embedded_now"] == 0
    assert done["identities"] == preview["identities"]

    after = _json(home, "identities", "show", "Ann")
    assert after["identity"] == before["identity"]
    assert after["faces"] >= before["faces"]
    assert all(len(who) == 1 for who in shown().values())
    assert _json(home, *ingest)["videos"]["unchanged"] == 20
    cover = _json(home, "identities", "list")["identities"][0]["cover"]
    answer = _json(home, "lookup", str(home / "objects" / cover))
    assert answer["model"] == Path(models[new]).name
    assert answer["faces"][0]["matches"][0]["similarity"] > 0.9
    again = call(home, "migrate", "--model", models[new])
    assert again.exception is not None
    assert "already" in str(again.exception)
