"""Boxes, tracks and identities as COCO and as video labels of FiftyOne."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import face_registry as fr
from registry.cli import cli
from registry.core.exports import load_exports
from registry.core.registry import Registry
from registry.domain import Status
from registry.errors import UsageError
from tests.support.factories import person, video
from tests.support.registries import new_registry, who

A = video("a", [person(0), person(0), person(1)], metrics={"Performance": 1.0})
A = replace(A, faces=(*A.faces[:2], replace(A.faces[2], track=4)))
B = video("b", [person(0)], metrics={"Performance": 2.0})
EMPTY = video("c", [], metrics={})
GONE = replace(video("d", []), status=Status.FAILED, reason="gone")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "home", A, B, EMPTY, GONE) as opened:
        opened.name(who(opened, A), "Ann <é>")
        yield opened


def test_coco_has_every_face_in_its_frame(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "faces.json"
    assert fr.write_coco(registry, path) == 4
    coco = json.loads(path.read_text(encoding="utf-8"))
    images = {image["id"]: image for image in coco["images"]}
    videos = {one["id"]: one for one in coco["videos"]}
    assert len(coco["videos"]) == 3, "with the one that shows nobody, without the one that failed"
    assert [image["file_name"] for image in coco["images"]] == [
        *(f"{A.video_id}_{frame}.jpg" for frame in (0, 10, 20)), f"{B.video_id}_0.jpg"
    ]  # fmt: skip
    assert coco["categories"] == [{"id": 1, "name": "face", "supercategory": "person"}]
    first, _, third, last = coco["annotations"]
    box = A.faces[0].box
    assert first["bbox"] == pytest.approx([box.x1, box.y1, box.width, box.height])
    assert first["area"] == pytest.approx(box.width * box.height)
    assert first["attributes"]["name"] == "Ann <é>"
    assert first["attributes"]["identity"] == who(registry, A)
    assert len({one["id"] for one in coco["annotations"]}) == 4
    tracks = [one["track_id"] for one in coco["annotations"]]
    assert tracks[0] == tracks[1]
    assert len(set(tracks)) == 3
    image = images[third["image_id"]]
    assert (image["frame"], image["width"], image["height"]) == (20, 640, 360)
    assert videos[image["video_id"]]["name"] == A.url.exposed()
    assert videos[images[last["image_id"]]["video_id"]]["video"] == B.video_id
    assert {one["identity"] for one in coco["identities"]} == {
        one.identity_id for one in registry.index.identities()
    }
    assert [(one.kind, one.path) for one in load_exports(registry.blobs)] == [("coco", str(path))]


def test_fiftyone_has_the_labels_of_every_video(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "labels of faces"
    assert fr.write_fiftyone(registry, folder) == 4
    data = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    assert data == {one.video_id: one.url.exposed() for one in (A, B, EMPTY)}
    labels = json.loads((folder / "labels" / f"{A.video_id}.json").read_text(encoding="utf-8"))
    assert list(labels["frames"]) == ["1", "11", "21"], "frames are counted from 1"
    frame = labels["frames"]["21"]
    assert frame["frame_number"] == 21
    [found] = frame["objects"]["objects"]
    box = A.faces[2].box
    assert found["bounding_box"]["top_left"] == {"x": box.x1 / 640, "y": box.y1 / 360}
    assert found["bounding_box"]["bottom_right"] == {"x": box.x2 / 640, "y": box.y2 / 360}
    assert found["index"] == 4
    assert found["label"] == who(registry, A, 2)
    assert labels["frames"]["1"]["objects"]["objects"][0]["label"] == "Ann <é>"
    empty = json.loads((folder / "labels" / f"{EMPTY.video_id}.json").read_text())
    assert empty == {"frames": {}}
    kinds = {one.kind for one in load_exports(registry.blobs)}
    assert kinds == {"fiftyone"}


def test_the_command_writes_both(registry: Registry, tmp_path: Path) -> None:
    home = str(registry.settings.home)
    registry.close()
    coco, folder = tmp_path / "c.json", tmp_path / "f"
    arguments = ["--home", home, "report", "--coco", str(coco), "--fiftyone", str(folder)]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert f"Wrote {coco} with 4 faces." in done.stderr
    assert f"Wrote {folder} with 4 faces." in done.stderr
    assert len(json.loads(coco.read_text())["annotations"]) == 4
    assert (folder / "data.json").is_file()
    refused = CliRunner().invoke(cli, [*arguments, "--as-of", "0"])
    assert isinstance(refused.exception, UsageError)
    assert "--coco and --as-of do not go together" in str(refused.exception)
