"""People as posted videos show them: twice in a frame, covered, pixelated, blurred."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from ingest.extract import extract
from ingest.frames import MediaLimits, Sampling
from registry import ids
from registry.cli import cli
from registry.core.registry import Registry
from registry.domain import Image, Status, Video
from registry.faces.quality import is_spoilt
from registry.models.base import FaceModel
from registry.people import joining
from registry.people.evidence import gather_evidence
from registry.people.repetition import stay_alike
from registry.urls import Url
from tests.support.media import write_video
from tests.support.registries import open_empty

FRAMES, EVERY = 7, 6
Videos = dict[str, Iterable[Image]]


@pytest.fixture(scope="module")
def portrait(shared_data: Path) -> Callable[..., Image]:
    """The n-th photograph of the n-th person, `size` px."""
    people = sorted(path for path in (shared_data / "photos").iterdir() if path.is_dir())

    def read(person: int, number: int = 0, size: int = 400) -> Image:
        image = cv2.imread(str(sorted(people[person].iterdir())[number]))
        assert image is not None
        return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)

    return read


def _moving(image: Image, seed: int = 0) -> Iterator[Image]:
    height, width = image.shape[:2]
    for k in range(FRAMES):
        move = cv2.getRotationMatrix2D(
            (width / 2, height / 2), 3 * np.sin((2 * k + seed) / 6), 1 + 0.004 * k
        )
        yield np.asarray(
            cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8
        )


def _beside(*views: Iterable[Image]) -> Iterator[Image]:
    for images in zip(*views, strict=True):
        yield np.hstack(images)


@pytest.fixture(params=["sface", "pack"])
def each_model(request: pytest.FixtureRequest) -> FaceModel:
    """The default model, then the pack."""
    model: FaceModel = request.getfixturevalue(request.param)
    return model


@pytest.fixture
def consolidated(tmp_path: Path, sface: FaceModel) -> Iterator[Callable[..., Registry]]:
    """Reads videos into a registry and consolidates it."""
    opened: list[Registry] = []

    def build(videos: Videos, model: FaceModel = sface) -> Registry:
        registry = open_empty(tmp_path / "registry", model, every=EVERY)
        opened.append(registry)
        for name, frames in videos.items():
            url = Url(f"https://example.com/{name}.mp4")
            video_id = ids.video_id(url)
            path = write_video(tmp_path / f"{name}.mp4", iter(frames))
            with registry.writing():
                found = extract(
                    path,
                    video_id,
                    model=model,
                    blobs=registry.blobs,
                    sampling=Sampling(every=EVERY),
                    limits=MediaLimits(),
                )
                metrics = {"Performance": 1.0}
                registry.commit(
                    Video(video_id, url, metrics, Status.DONE, found.faces, found.media)
                )
        joining.consolidate(registry)
        return registry

    yield build
    for registry in opened:
        registry.close()


def _established(registry: Registry) -> dict[str, set[str]]:
    """Names of the videos of each identity that is not provisional."""
    shown: dict[str, set[str]] = defaultdict(set)
    kept = {one.identity_id for one in registry.index.identities() if not one.provisional}
    for face in registry.index.faces():
        if face.identity_id in kept:
            shown[face.identity_id].add(_name(face.video_url))
    return shown


def _everyone(registry: Registry) -> dict[str, set[str]]:
    """Names of the videos of each identity."""
    shown: dict[str, set[str]] = defaultdict(set)
    for face in registry.index.faces():
        shown[face.identity_id].add(_name(face.video_url))
    return shown


def _video_id(name: str) -> str:
    return ids.video_id(Url(f"https://example.com/{name}.mp4"))


def _name(url: Url) -> str:
    return url.exposed().rpartition("/")[2].removesuffix(".mp4")


def _call(image: Image) -> Image:
    page = np.zeros((400, 560, 3), np.uint8)
    page[:, :400] = image
    page[20:160, 410:550] = cv2.resize(image, (140, 140))
    return page


def _triptych(image: Image) -> Image:
    side = cv2.GaussianBlur(image, (0, 0), 4)
    return np.hstack([side, image, side]).astype(np.uint8)


def test_one_person_several_times_in_a_frame_is_one(
    portrait: Callable[..., Image],
    consolidated: Callable[..., Registry],
    each_model: FaceModel,
) -> None:
    darker = np.asarray(cv2.convertScaleAbs(portrait(0), alpha=0.7, beta=-10), np.uint8)
    lighter = np.asarray(cv2.convertScaleAbs(portrait(0, 1), alpha=1.15), np.uint8)
    videos: Videos = {f"plain_{k}": _moving(portrait(0, k), k) for k in range(3)}
    videos |= {
        "before_after": _beside(_moving(darker), _moving(lighter)),
        "mirror": (np.hstack([f, f[:, ::-1]]) for f in _moving(portrait(0, 2))),
        "triptych": (_triptych(f) for f in _moving(portrait(0, 1))),
        "video_call": (_call(f) for f in _moving(portrait(0))),
    }
    names = set(videos)
    registry = consolidated(videos, each_model)
    assert list(_established(registry).values()) == [names]
    found = gather_evidence(registry).repeating_videos
    assert found == {_video_id(name) for name in names if not name.startswith("plain")}


def test_a_living_person_beside_a_reflection_is_linked(
    clip: Callable[[str], Path],
    portrait: Callable[..., Image],
    consolidated: Callable[..., Registry],
    each_model: FaceModel,
) -> None:
    """A signer; moved photographs, which repeat one picture, are no such proof."""
    with av.open(str(clip("asl_gestures/book.mkv"))) as container:
        frames = [f.to_ndarray(format="bgr24")[:, 120:520] for f in container.decode(video=0)]
    videos: Videos = {
        "mirror": (np.hstack([f, f[:, ::-1]]).astype(np.uint8) for f in frames),
        "photos": (np.hstack([f, f[:, ::-1]]) for f in _moving(portrait(0))),
    }
    registry = consolidated(videos, each_model)
    evidence = gather_evidence(registry)
    steady = stay_alike(
        {frozenset(((_video_id(name), 0), (_video_id(name), 1))): 9 for name in videos},
        registry.index.faces_in,
        evidence.alike,
    )
    assert {video for two in steady for video, _ in two} == {_video_id("mirror")}
    assert len(_established(registry)) == 2


def test_two_people_in_a_frame_are_two(
    portrait: Callable[..., Image], consolidated: Callable[..., Registry]
) -> None:
    videos: Videos = {f"plain_{k}": _moving(portrait(0, k), k) for k in range(3)}
    videos["two_people"] = _beside(_moving(portrait(0)), _moving(portrait(1)))
    registry = consolidated(videos)
    assert gather_evidence(registry).repeating_videos == set()
    both = sorted(_established(registry).values(), key=len)
    assert both == [{"two_people"}, {"plain_0", "plain_1", "plain_2", "two_people"}]


def test_ingest_counts_videos_with_one_person_several_times_in_a_frame(
    portrait: Callable[..., Image], tmp_path: Path
) -> None:
    mirror = (np.hstack([f, f[:, ::-1]]) for f in _moving(portrait(0, 2)))
    write_video(tmp_path / "mirror.mp4", iter(mirror))
    write_video(tmp_path / "plain.mp4", iter(_moving(portrait(1))))
    table = tmp_path / "videos.csv"
    rows = [f"{(tmp_path / name).as_uri()},1" for name in ("mirror.mp4", "plain.mp4")]
    table.write_text("\n".join(["Video URL,Performance", *rows]))
    options = ["--metric", "Performance", "--every", "6", "--allow-local-files", "--json"]
    arguments = ["--home", str(tmp_path / "home"), "ingest", str(table), *options]
    arguments += ["--url-column", "Video URL", "--workers", "0"]
    for repeating in (1, 0):  # the second run reads nothing
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["videos"]["repeating"] == repeating


def _sunglasses(image: Image, random: np.random.Generator) -> Image:
    worn, tone = image.copy(), [int(v) for v in random.integers(5, 60, 3)]
    for x in (163, 237):
        axes = int(random.integers(26, 36)), int(random.integers(17, 26))
        cv2.ellipse(worn, (x, 184), axes, 0, 0, 360, tone, -1, cv2.LINE_AA)
    cv2.line(worn, (163, 182), (237, 182), tone, 5, cv2.LINE_AA)
    return worn


def _pixelated(image: Image) -> Image:
    spoilt = image.copy()
    small = cv2.resize(spoilt[120:300, 120:280], (10, 11), interpolation=cv2.INTER_AREA)
    spoilt[120:300, 120:280] = cv2.resize(small, (160, 180), interpolation=cv2.INTER_NEAREST)
    return spoilt


def _mask(image: Image) -> Image:
    worn = image.copy()
    outline = [[128, 212], [200, 196], [272, 212], [262, 282], [200, 312], [138, 282]]
    cv2.fillPoly(worn, [np.array(outline)], (235, 215, 190), cv2.LINE_AA)
    return worn


def _people_in(names: set[str]) -> set[str]:
    return {name.split("-")[1] for name in names}


def test_covered_and_pixelated_faces_bring_nobody_together(
    portrait: Callable[..., Image], consolidated: Callable[..., Registry]
) -> None:
    """Eight people plain and in sunglasses, five with and without a mask, three pixelated."""
    random = np.random.default_rng(3)
    videos: Videos = {}
    for i in range(8):
        videos[f"plain-eyes_{i}"] = _moving(portrait(20 + i), i)
        videos[f"covered-eyes_{i}"] = _moving(_sunglasses(portrait(20 + i), random), i)
    for i in range(5):
        videos[f"plain-mouth_{i}"] = _moving(portrait(48 + i, 1), i)
        videos[f"covered-mouth_{i}"] = _moving(_mask(portrait(48 + i)), i)
    for i in (0, 1, 3):
        videos[f"pixelated-{i}"] = _moving(_pixelated(portrait(34 + i)), i)
    registry = consolidated(videos)
    mixed = [names for names in _everyone(registry).values() if len(_people_in(names)) > 1]
    assert mixed == []
    shown = _established(registry)
    spoilt = {face.identity_id for face in registry.index.faces() if is_spoilt(face.quality)}
    assert spoilt
    assert spoilt.isdisjoint(shown)
    joined = [names for names in shown.values() if len(names) == 2]
    assert len(joined) >= 12  # of 13 who are seen plain and covered
