"""Faces of logos, posters and covers are marked as still pictures; people who move are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import face_registry as fr
from ingest.extract import extract
from ingest.frames import MediaLimits, Sampling
from ingest.shots import thumbnail
from ingest.still_pictures import CHANGED, SAME, StillPictures
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.core import keys
from registry.core.opening import open_registry
from registry.core.records import SCHEMA, decode_record, encode_record
from registry.domain import Box, Image
from registry.models.base import FaceModel
from registry.system import checked_json
from tests.support.factories import DIMENSION, person, video
from tests.support.homes import copy_home
from tests.support.media import write_video
from tests.support.registries import new_registry

FACE = Box(20.0, 30.0, 60.0, 80.0)
STEP_S = 1 / 3


def noise(seed: int, low: int = 0, high: int = 256) -> Image:
    """A picture of 128 x 192 px of coarse random patches."""
    patches = np.random.default_rng(seed).integers(low, high, (16, 24, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(patches, (192, 128), interpolation=cv2.INTER_NEAREST), np.uint8)


def with_logo(image: Image, logo: Image) -> Image:
    """The picture with the logo where `FACE` is."""
    stamped = image.copy()
    stamped[25:85, 15:65] = logo[25:85, 15:65]
    return stamped


def still_in(frames: Sequence[Image]) -> list[bool]:
    """For each frame, whether the face in it is part of a still picture."""
    pictures = StillPictures()
    places = [
        pictures.update(number * STEP_S, frame, thumbnail(frame), [FACE])[0]
        for number, frame in enumerate(frames)
    ]
    still = pictures.finish()
    return [place in still for place in places]


def test_a_logo_in_front_of_what_moves_is_a_still_picture_across_cuts() -> None:
    assert all(still_in([with_logo(noise(i), noise(99)) for i in range(6)]))


def test_a_video_that_never_changes_is_a_still_picture() -> None:
    assert all(still_in([noise(1)] * 6))
    grain = [np.clip(noise(1, 40, 200).astype(int) + noise(i, -2, 3).astype(np.int8), 0, 255)
             for i in range(6)]  # fmt: skip
    assert all(still_in([frame.astype(np.uint8) for frame in grain]))


def test_slides_of_people_are_not_still_pictures() -> None:
    """Nothing moves while one is shown, and then everything changes."""
    assert not any(still_in([noise(slide) for slide in range(4) for _ in range(9)]))


def test_a_picture_that_is_shown_for_a_second_is_not_one() -> None:
    shown = [with_logo(noise(i), noise(99)) for i in range(4)]
    assert not any(still_in([*shown, *(noise(i) for i in range(4, 9))]))


def test_a_loop_of_a_person_who_moves_is_not_a_still_picture() -> None:
    assert not any(still_in([noise(i) for i in range(3)] * 5))


def test_a_face_of_which_only_the_mouth_moves_is_not_a_still_picture() -> None:
    frames = []
    for number in range(9):
        frame = with_logo(noise(number), noise(99))
        frame[66:72, 34:48] = 40 if number % 2 else 90
        frames.append(frame)
    assert not any(still_in(frames))


def test_a_person_who_stands_still_for_a_while_is_not_one() -> None:
    """One second of ten, while others move."""
    poses = [noise(100 + min(i, 20) if i < 20 else 120 + (i - 20) // 4) for i in range(30)]
    assert not any(still_in([with_logo(noise(i), pose) for i, pose in enumerate(poses)]))


def test_the_bounds_lie_between_noise_and_motion() -> None:
    """As measured: noise of pictures and of slides below, motion of real people above."""
    assert 2 < SAME < 7.5
    assert 9 < CHANGED < 29


@dataclass
class Footage:
    """A registry of two videos that show one logo, and a still video."""

    home: Path
    rows: dict[str, Any] = field(default_factory=dict)

    def json(self, *arguments: str) -> Any:
        result = CliRunner().invoke(
            cli, ["--home", str(self.home), *arguments, "--json"], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def text(self, *arguments: str) -> str:
        result = CliRunner().invoke(
            cli, ["--home", str(self.home), *arguments], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output


SIZE = (480, 320)


def _sways(photo: Image, logo: Image, frames: int, seed: int) -> Iterator[Image]:
    for number in range(frames):
        turn = cv2.getRotationMatrix2D((160, 160), 4 * np.sin(number / 6 + seed), 1.0)
        page = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        page[:, :320] = cv2.warpAffine(photo, turn, (320, 320), borderMode=cv2.BORDER_REFLECT)
        page[20:160, 330:470] = logo
        yield page


@pytest.fixture(scope="module")
def footage(astronaut: Image, t1_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Footage:
    folder = tmp_path_factory.mktemp("stills")
    living = np.asarray(cv2.resize(astronaut[0:320, 80:400], (320, 320)), np.uint8)
    players = t1_image[90:350, 190:450], t1_image[0:260, 820:1080]
    logo = np.asarray(cv2.resize(players[0], (140, 140)), np.uint8)
    for name, seed in (("a", 0), ("b", 2)):
        write_video(folder / f"{name}.mp4", _sways(living, logo, 76, seed), size=SIZE)
    cover = np.asarray(cv2.resize(players[1], (320, 320)), np.uint8)
    write_video(folder / "podcast.mp4", iter([cover] * 76), size=(320, 320))
    (folder / "t.csv").write_text("Video URL,Performance\na.mp4,2\nb.mp4,4\npodcast.mp4,9\n")
    found = Footage(folder / "home")
    found.rows = found.json("ingest", str(folder / "t.csv"), "--workers", "0")
    return found


def test_a_still_picture_is_on_record_and_in_no_average(footage: Footage) -> None:
    assert footage.rows["identities"]["total"] == 3
    report = footage.json("report")
    [row] = report["rows"]
    assert (row["videos"], row["average_performance"]) == (2, 3.0)
    assert report["still_pictures"] == 2
    assert "2 are still pictures" in footage.text("report")
    means = [row["average_performance"] for row in footage.json("report", "--stills")["rows"]]
    assert means == [9.0, 3.0, 3.0]
    assert "still pictures" not in footage.text("report", "--stills")


def test_lists_show_it_as_what_it_is_and_last(footage: Footage) -> None:
    listed = footage.json("identities", "list")["identities"]
    assert [one["still_picture"] for one in listed] == [False, True, True]
    assert footage.text("identities", "list").count("still picture") == 2
    shown = footage.text("identities", "show", listed[1]["identity"])
    assert "a still picture" in shown
    assert shown.count("(still picture: not counted)") == 2
    [document] = [v for v in footage.json("videos", "list")["videos"] if "a.mp4" in v["url"]]
    assert sorted(one["still_picture"] for one in document["appearances"]) == [False, True]
    assert "a still picture" in footage.text("videos", "show", "podcast.mp4")
    cover = footage.home / "objects" / listed[2]["cover"]
    [probe] = footage.json("lookup", str(cover))["faces"]
    assert probe["matches"][0]["still_picture"]
    assert probe["matches"][0]["average"] == {}


def test_python_and_the_page_leave_it_out_too(footage: Footage, tmp_path: Path) -> None:
    with open_registry(home=footage.home, read_only=True) as registry:
        assert len(fr.averages(registry)) == 1
        assert len(fr.averages(registry, stills=True)) == 3
        assert fr.persons_by_video(registry).shape == (3, 1)
        assert fr.persons_by_video(registry, stills=True).shape == (3, 3)
        assert list(fr.identities_frame(registry)["still_picture"]) == [False, True, True]
        seen = fr.appearances_frame(registry)
        assert not (seen["main"] & seen["still_picture"]).any()
        assert sum(seen["main"]) == 2
        assert list(fr.videos_frame(registry)["people"]) == [1, 1, 0]
    footage.text("report", "--html", str(tmp_path / "p.html"))
    assert "2 still pictures: a logo, a poster" in (tmp_path / "p.html").read_text()


def test_a_still_picture_survives_the_index(footage: Footage, tmp_path: Path) -> None:
    copy = Footage(copy_home(footage.home, tmp_path / "home"))
    before = copy.json("identities", "list")
    copy.text("reindex")
    assert copy.json("identities", "list") == before
    assert {f["verdict"] for f in copy.json("doctor")["findings"]} == {"ok"}


def test_a_person_who_is_also_seen_alive_counts_where_they_are(tmp_path: Path) -> None:
    alive = video("alive", [person(0), person(0)], metrics={"Performance": 2.0})
    poster = video("poster", [person(0), person(0)], metrics={"Performance": 8.0})
    poster = replace(poster, faces=tuple(replace(face, still=True) for face in poster.faces))
    with new_registry(tmp_path / "home", alive, poster) as registry:
        [row] = fr.averages(registry).to_dict(orient="records")
        assert (row["videos"], row["average_performance"]) == (1, 2.0)
        [row] = fr.averages(registry, stills=True).to_dict(orient="records")
        assert (row["videos"], row["average_performance"]) == (2, 5.0)
        assert not next(registry.index.identities()).still


def test_a_record_keeps_the_mark_and_has_the_bytes_of_before_without_one() -> None:
    plain = video("v", [person(0), person(1)])
    marked = replace(
        plain, faces=tuple(replace(f, track=i, still=i == 1) for i, f in enumerate(plain.faces))
    )
    back = decode_record(encode_record(marked, DIMENSION), "v")
    assert [face.still for face in back.faces] == [False, True]
    assert b'"schema":1' in encode_record(plain, DIMENSION)
    assert f'"schema":{SCHEMA}'.encode() in encode_record(marked, DIMENSION)


def test_a_registry_of_schema_2_opens_and_its_objects_stay(tmp_path: Path) -> None:
    home = tmp_path / "home"
    new_registry(home, video("v", [person(0)])).close()
    place = home / "objects" / keys.CONTRACT
    fields = checked_json.decode(place.read_bytes())
    place.write_bytes(checked_json.encode({**fields, "schema": 2}))
    records = [p.read_bytes() for p in sorted((home / "objects" / "records").iterdir())]
    with open_registry(home=home) as registry:
        assert registry.contract.schema == 3
        assert len(fr.averages(registry)) == 1
    assert [p.read_bytes() for p in sorted((home / "objects" / "records").iterdir())] == records


@pytest.mark.parametrize(
    "name", ["head-pose-face-detection-male.gif", "short_hamilton_clip.mp4", "asl_gestures/no.mkv"]
)
def test_nobody_in_a_real_clip_is_a_still_picture(
    clip: Callable[[str], Path], name: str, sface: FaceModel, tmp_path: Path
) -> None:
    """The quietest of all clips is among them."""
    found = extract(
        clip(name), "v", model=sface, blobs=FolderStore(tmp_path),
        sampling=Sampling(every=10, max_gap_s=1.0, cuts=True), limits=MediaLimits(),
    )  # fmt: skip
    assert len(found.faces) > 4
    assert not any(face.still for face in found.faces)


def test_a_page_says_that_still_pictures_are_left_out(footage: Footage, tmp_path: Path) -> None:
    def left_out(*options: str) -> str:
        page = tmp_path / "page.html"
        footage.text("report", "--html", str(page), *options)
        found = re.search(r"Left out</dt>\s*<dd>(.*?)</dd>", page.read_text("utf-8"), re.DOTALL)
        assert found
        return found[1]

    assert left_out() == "2 still pictures: a logo, a poster, the cover of a podcast."
    assert left_out("--stills") == "Nobody."
    assert left_out("--as-of", "0") == "People of a few poor faces, and still pictures."
