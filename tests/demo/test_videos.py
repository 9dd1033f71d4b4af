from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from registry.demo.cast import FPS, PROBES, VIDEOS, DemoVideo, Shot
from registry.demo.videos import CSV_COLUMNS, build_videos, read_photo, write_csv, write_probe
from registry.domain import Image, Vectors
from registry.errors import ImageError, RegistryError
from registry.models.base import FaceModel
from registry.models.curves import CURVES
from registry.models.entries import find
from registry.settings import DEFAULT_EVERY, DEFAULT_THRESHOLD


@pytest.fixture(scope="module")
def built(demo_videos: Path) -> Path:
    return demo_videos


@pytest.fixture(
    scope="module", params=[5 * DEFAULT_EVERY, pytest.param(DEFAULT_EVERY, marks=pytest.mark.slow)]
)
def faces(
    request: pytest.FixtureRequest, built: Path, sface: FaceModel
) -> dict[str, dict[str, Vectors]]:
    """Person -> video -> embeddings (n, D), in the order of time."""
    found: dict[str, dict[str, list[Vectors]]] = defaultdict(lambda: defaultdict(list))
    for video in VIDEOS:
        for shot, image in _sampled(built / video.file, video, request.param):
            detections = sface.detect(image)
            assert len(detections) == len(shot.people), f"{video.file} shows {shot.people}"
            for person, row in zip(
                shot.people, sface.embed(sface.align(image, detections)), strict=True
            ):
                found[person][video.file].append(row)
    return {
        person: {file: np.stack(rows) for file, rows in videos.items()}
        for person, videos in found.items()
    }


def _sampled(path: Path, video: DemoVideo, every: int) -> Iterator[tuple[Shot, Image]]:
    shots = [shot for shot in video.shots for _ in range(round(shot.seconds * FPS))]
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                yield shots[number], np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


@pytest.mark.parametrize("video", VIDEOS, ids=lambda video: video.file)
def test_each_is_a_short_h264_video(built: Path, video: DemoVideo) -> None:
    with av.open(str(built / video.file)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height) == video.size
        assert stream.average_rate == FPS
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == round(sum(shot.seconds for shot in video.shots) * FPS)
    assert 3 * FPS < frames < 7 * FPS


def test_the_same_videos_are_the_same_bytes(tmp_path: Path) -> None:
    # Two at once, of a width at which x264 by default varies, and of their first shots a second.
    some = [replace(v, shots=(replace(v.shots[0], seconds=1.0),)) for v in VIDEOS[:2]]
    assert all(video.size[0] % 128 for video in some)
    for time in ("first", "second"):
        build_videos(tmp_path / time, some)
    for video in some:
        first, second = (tmp_path / time / video.file for time in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_most_people_are_in_several_videos_and_one_video_shows_nobody() -> None:
    seen = [person for video in VIDEOS for person in video.people]
    assert len({person for person in seen if seen.count(person) > 1}) >= 4
    assert [video.file for video in VIDEOS if not video.people] == ["launch-day.mp4"]
    assert any(len(shot.people) == 2 for video in VIDEOS for shot in video.shots)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_the_rule_finds_each_person_once_in_whatever_order_videos_come(
    seed: int, faces: dict[str, dict[str, Vectors]]
) -> None:
    order = [video.file for video in VIDEOS]
    if seed:
        np.random.default_rng(seed).shuffle(order)
    for person, videos in faces.items():
        rows = np.concatenate([videos[file] for file in order if file in videos])
        nearest_before = [float((rows[:n] @ rows[n]).max()) for n in range(1, len(rows))]
        assert min(nearest_before) >= DEFAULT_THRESHOLD, person


def test_no_two_people_look_alike(faces: dict[str, dict[str, Vectors]]) -> None:
    """No lookup takes one for the other, and consolidation, which goes by averages, joins none."""
    whole = {person: np.concatenate(list(videos.values())) for person, videos in faces.items()}
    alike = {(one, two): whole[one] @ whole[two].T for one in whole for two in whole if one < two}
    entry = find("sface")
    nearest = {pair: float(cosines.max()) for pair, cosines in alike.items()}
    assert {pair: x for pair, x in nearest.items() if x >= entry.verification_threshold} == {}
    average = {pair: float(cosines.mean()) for pair, cosines in alike.items()}
    least = entry.linkage_threshold - max(CURVES[entry.digest].lower)
    assert {pair: x for pair, x in average.items() if x >= least} == {}


@pytest.mark.parametrize("person", sorted(PROBES))
def test_a_probe_is_nearest_to_its_person(
    person: str, faces: dict[str, dict[str, Vectors]], sface: FaceModel, tmp_path: Path
) -> None:
    path = tmp_path / "probe.jpg"
    write_probe(path, person)
    image = cv2.imread(str(path))
    assert image is not None
    picture = np.asarray(image, np.uint8)
    detections = sface.detect(picture)
    assert len(detections) == 1
    probe = sface.embed(sface.align(picture, detections))[0]
    nearest = {
        name: max(float((rows @ probe).max()) for rows in videos.values())
        for name, videos in faces.items()
    }
    assert max(nearest, key=lambda name: nearest[name]) == person
    assert nearest[person] >= DEFAULT_THRESHOLD


def test_the_table_lists_every_video_and_one_that_is_not_there(tmp_path: Path) -> None:
    write_csv(tmp_path / "videos.csv", "http://127.0.0.1:1")
    with (tmp_path / "videos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    names = [row["Video URL"].removeprefix("http://127.0.0.1:1/") for row in rows]
    assert set(names) - {video.file for video in VIDEOS} == {"taken-down.mp4"}
    assert len(names) == len(set(names)) == len(VIDEOS) + 1
    by_name = dict(zip(names, rows, strict=True))
    for video in VIDEOS:
        assert float(by_name[video.file]["Performance"]) == video.performance
        assert int(by_name[video.file]["Views"]) == video.views


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    writes: list[Callable[[], None]] = [
        lambda: build_videos(taken / "videos", VIDEOS[:1]),
        lambda: write_csv(taken / "videos.csv", "http://127.0.0.1:1"),
        lambda: write_probe(taken / "probe.jpg", "astronaut"),
    ]
    for write in writes:
        with pytest.raises(RegistryError, match=r"taken.* cannot be written \(Not a directory\)"):
            write()


def test_a_photograph_that_its_package_has_no_more_is_named() -> None:
    with pytest.raises(ImageError, match=r"scikit-image does not contain skimage/data/absent\.png"):
        read_photo("scikit-image", "skimage/data/absent.png")
