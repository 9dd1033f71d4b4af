"""Photos of lookups: what is read, from where, in which order of channels, and at which size."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image as Picture
from PIL import ImageOps

from queries.detection import LEAST_FACE, detect_at_full_size
from queries.folder_lookup import COLUMNS, lookup_folder
from queries.lookup import lookup
from queries.photos import load_photo, photos_in
from registry.cli import cli
from registry.core.opening import open_registry
from registry.domain import Image, Vectors
from registry.errors import ImageError, UsageError
from registry.models.base import FaceModel
from registry.settings import load_settings
from tests.support.factories import video
from tests.support.registries import open_empty, put


@pytest.fixture(scope="module")
def embedding(sface: FaceModel, astronaut: Image) -> Vectors:
    vectors: Vectors = sface.embed(sface.align(astronaut, sface.detect(astronaut)))
    return np.asarray(vectors[0], np.float32)


@pytest.fixture
def home(tmp_path: Path, sface: FaceModel, embedding: Vectors) -> Path:
    """A registry that knows the astronaut, named Eileen."""
    home = tmp_path / "registry"
    with open_empty(home, sface) as registry:
        [known] = put(registry, video("a", [embedding]))
        registry.name(known.faces[0].identity_id, "Eileen")
    return home


def pictured(image: Image) -> Picture.Image:
    return Picture.fromarray(np.ascontiguousarray(image[..., ::-1]))


def encoded(image: Image, kind: str, **options: Any) -> bytes:
    """The bytes of a file of this kind, made by Pillow."""
    out = io.BytesIO()
    pictured(image).save(out, kind, quality=90, **options)
    return out.getvalue()


def difference(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JPEG", "WEBP", "PNG"])
def test_photos_of_each_format_have_the_same_pixels(
    astronaut: Image, tmp_path: Path, kind: str
) -> None:
    data = encoded(astronaut, kind)
    path = tmp_path / "photo"
    path.write_bytes(data)
    for source in (data, path, str(path)):
        photo = load_photo(source)
        assert difference(photo.image, astronaut) < 6
        assert difference(photo.image[..., ::-1], astronaut) > 12
    assert photo.name == str(path)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JPEG"])
def test_photos_are_turned_upright(astronaut: Image, kind: str) -> None:
    exif = Picture.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    turned = np.ascontiguousarray(np.rot90(astronaut))
    photo = load_photo(encoded(turned, kind, exif=exif.tobytes()))
    assert difference(photo.image, astronaut) < 6


def test_a_pil_image_and_both_orders_of_an_array_are_the_same_photo(astronaut: Image) -> None:
    exif = Picture.Exif()
    exif[0x0112] = 3
    upside_down = pictured(np.ascontiguousarray(astronaut[::-1, ::-1]))
    upside_down.getexif()[0x0112] = 3
    assert ImageOps.exif_transpose(upside_down) is not upside_down
    rgb = np.ascontiguousarray(astronaut[..., ::-1])
    for photo in (
        load_photo(pictured(astronaut)),
        load_photo(pictured(astronaut).convert("RGBA")),
        load_photo(upside_down),
        load_photo(rgb, "RGB"),
        load_photo(astronaut, "BGR"),
    ):
        assert np.array_equal(photo.image, astronaut)
        assert photo.image.flags.c_contiguous


def test_an_array_must_come_with_the_order_of_its_channels(astronaut: Image) -> None:
    with pytest.raises(UsageError, match='channels="RGB"'):
        load_photo(astronaut)
    with pytest.raises(UsageError, match="'rgb'"):
        load_photo(astronaut, "rgb")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not an array"):
        load_photo(pictured(astronaut), "RGB")
    with pytest.raises(ImageError, match=r"float64 .*uint8 \(H, W, 3\)"):
        load_photo(astronaut / 255, "RGB")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"uint8 \(512, 512\)"):
        load_photo(astronaut[..., 0], "RGB")


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_half_of_a_file_is_said_to_be_damaged(astronaut: Image, kind: str) -> None:
    data = encoded(astronaut, kind)
    with pytest.raises(ImageError, match="The photo"):
        load_photo(data[: len(data) // 2])


def crowd(astronaut: Image, height: int) -> Image:
    """The astronaut's face 8 times, `height` px high, in a photo of 3000 by 2000 px."""
    canvas = np.full((2000, 3000, 3), 90, np.uint8)
    scale = height / 119  # px of the face in the original
    small = cv2.resize(
        astronaut[:300, 80:380], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
    side = len(small)
    for i in range(8):
        x, y = 123 + 350 * i, 150 + 230 * i
        canvas[y : y + side, x : x + side] = small
    return canvas


def test_small_faces_of_a_large_photo_are_found_at_its_full_size(
    sface: FaceModel, astronaut: Image
) -> None:
    photo = crowd(astronaut, 34)
    assert sface.detect(photo) == []
    found = detect_at_full_size(sface, photo)
    assert [round((one.box.x1 + one.box.x2) / 2 / 350) for one in found] == list(range(8))
    assert all(LEAST_FACE < one.box.height < 50 for one in found)


def test_a_large_face_is_found_once_and_its_parts_are_no_faces(
    sface: FaceModel, astronaut: Image
) -> None:
    large = np.asarray(cv2.resize(astronaut, (2048, 2048), interpolation=cv2.INTER_CUBIC), np.uint8)
    [found], [known] = detect_at_full_size(sface, large), sface.detect(astronaut)
    assert found.box.height == pytest.approx(4 * known.box.height, rel=0.1)


def test_a_photo_without_a_face_says_what_would_have_been_found(home: Path) -> None:
    empty = np.full((700, 1000, 3), 90, np.uint8)
    with (
        open_registry(load_settings(home=home)) as registry,
        pytest.raises(ImageError, match=r"1000 x 700 px and in which faces of 20 px or more"),
    ):
        lookup(registry, empty, channels="BGR")


@pytest.fixture(scope="module")
def heic(astronaut: Image) -> bytes:
    return encoded(astronaut, "HEIF")


@pytest.fixture
def folder(tmp_path: Path, astronaut: Image, t1_image: Image, heic: bytes) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip" / ".thumbnails").mkdir(parents=True)
    (folder / "a.HEIC").write_bytes(heic)
    six = np.asarray(cv2.resize(t1_image, (640, 443)), np.uint8)
    (folder / "trip" / "six.jpg").write_bytes(encoded(six, "JPEG"))
    (folder / "trip" / "=empty.png").write_bytes(encoded(np.full((99, 99, 3), 90, np.uint8), "PNG"))
    (folder / "broken.jpg").write_bytes(b"no photo")
    for hidden in (".b.jpg", "trip/.thumbnails/c.jpg", "notes.txt"):
        (folder / hidden).write_bytes(encoded(astronaut, "JPEG"))
    return folder


def test_a_folder_has_the_photos_in_it_and_below(folder: Path) -> None:
    names = [path.relative_to(folder).as_posix() for path in photos_in(folder)]
    assert names == ["a.HEIC", "broken.jpg", "trip/=empty.png", "trip/six.jpg"]


def test_everyone_in_a_folder_is_named_in_a_table(home: Path, folder: Path) -> None:
    with open_registry(load_settings(home=home)) as registry:
        table = lookup_folder(registry, folder)
    assert list(table.columns) == COLUMNS
    eileen, broken, empty, *six = table.to_dict(orient="records")
    assert (eileen["photo"], eileen["face"]) == ("a.HEIC", 1)
    assert (eileen["name"], eileen["verdict"]) == ("Eileen", "match")
    assert eileen["similarity"] > 0.9
    assert eileen["rates_are_bounds"]
    assert (broken["photo"], broken["verdict"]) == ("broken.jpg", "not read")
    assert "not an image" in broken["problem"]
    assert (empty["photo"], empty["verdict"]) == ("trip/=empty.png", "no face")
    assert [(row["photo"], row["verdict"], row["face"]) for row in six] == [
        ("trip/six.jpg", "unknown", number) for number in range(1, 7)
    ]


def test_the_command_writes_the_table_and_names_people(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(cli, ["--home", str(home), "lookup", str(folder)])
    assert run.exit_code == 0, run.output
    assert run.stdout.splitlines()[0] == "a.HEIC: Eileen"
    assert "trip/six.jpg: 6 unknown" in run.stdout
    assert "Wrote lookup.csv with 9 rows on 4 photos." in run.stderr
    table = pd.read_csv(tmp_path / "lookup.csv")
    assert list(table.columns) == COLUMNS
    assert table["name"].tolist()[0] == "Eileen"
    run = CliRunner().invoke(
        cli, ["--home", str(home), "lookup", str(folder / "a.HEIC"), "--csv", "one.csv"]
    )
    assert run.exit_code == 0, run.output
    assert pd.read_csv(tmp_path / "one.csv")["photo"].tolist() == ["a.HEIC"]


def test_the_document_of_a_folder_has_an_entry_for_each_photo(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "trip" / "six.jpg").unlink()
    run = CliRunner().invoke(cli, ["--home", str(home), "lookup", str(folder), "--json"])
    heic, broken, empty = json.loads(run.stdout)["photos"]
    assert heic["faces"][0]["matches"][0]["name"] == "Eileen"
    assert "not an image" in broken["problem"]
    assert empty["faces"] == []
    assert not (tmp_path / "lookup.csv").exists()
