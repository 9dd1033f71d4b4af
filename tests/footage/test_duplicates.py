"""Which pairs `videos duplicates` lists, on a registry and on real clips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import _footage as made
from registry.cli import cli
from registry.core import contract as contracts
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import ModelInfo, Video
from registry.errors import RegistryError
from registry.footage import duplicates
from registry.footage.duplicates import CopySearch, duplicate_videos
from registry.footage.joining import join_videos, separate_videos
from registry.people.corrections import undo
from registry.settings import load_settings
from tests.support.factories import picture
from tests.support.homes import copy_home
from tests.support.takes import DIMENSION, Shot, Take, recorded
from tests.test_main_job import call

ONE = Take(1)
WHOLE = recorded("whole", [Shot(ONE, 0, 30)], 100)
PART = recorded("part", [Shot(ONE, 8, 12)], 7, seed=1, first=0.1)
COPY = recorded("copy", [Shot(ONE, 0, 30)], 90, seed=2, step=0.4)
TAKES = [recorded(f"take{i}", [Shot(Take(10 + i), 0, 25)], i, seed=3 + i) for i in range(4)]
GUEST = recorded("guest", [Shot(Take(30, person=4), 0, 20)], 1, seed=20)
EMPTY = recorded("empty", [], 1)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a registry of these videos, one of which is part of another."""
    home = tmp_path_factory.mktemp("filled") / "home"
    with open_registry(load_settings(home=home)) as opened:
        model = ModelInfo("takes", "d" * 64, DIMENSION, 0.4)
        opened.establish(
            contracts.new(model, "takes", threshold=0.85, every=10, primary_metric="Views")
        )
        for video in (WHOLE, PART, *TAKES, GUEST, EMPTY):
            _put(opened, video)
    return home


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return copy_home(filled, tmp_path / "home")


@pytest.fixture
def registry(home: Path) -> Iterator[Registry]:
    with open_registry(load_settings(home=home)) as opened:
        yield opened


def _put(registry: Registry, video: Video) -> None:
    with registry.writing():
        for face in video.faces:
            registry.blobs.put(face.crop, picture(face.crop))
    registry.commit(video)


def _pairs(registry: Registry, **given: Any) -> list[tuple[str, str, str]]:
    return [
        (_name(pair.first.url.exposed()), str(pair.overlap.kind), _name(pair.second.url.exposed()))
        for pair in duplicate_videos(registry, **given)
    ]


def _name(url: str) -> str:
    return Path(url).stem


def test_the_longer_one_comes_first_and_nothing_else_is_listed(registry: Registry) -> None:
    [pair] = duplicate_videos(registry)
    assert _pairs(registry) == [("whole", "part of", "part")]
    assert (pair.first.metrics, pair.second.metrics) == ({"Views": 100.0}, {"Views": 7.0})
    assert pair.second.share == 1.0
    assert pair.first.share == pytest.approx(12 / 30, abs=0.05)
    assert pair.overlap.segments[0].start_s == pytest.approx(8, abs=0.5)
    shown = registry.video(PART.url.exposed()).appearances
    assert {a.identity_id for a in shown} >= set(pair.identities) != set()


def test_what_a_person_said_is_not_listed_again(registry: Registry) -> None:
    _put(registry, COPY)
    everything = [
        ("whole", "same length", "copy"),
        ("whole", "part of", "part"),
        ("copy", "part of", "part"),
    ]
    assert sorted(_pairs(registry)) == sorted(everything)
    join_videos(registry, [WHOLE.url.exposed(), COPY.url.exposed()])
    [(first, kind, second)] = _pairs(registry)
    assert (kind, second) == ("part of", "part")
    assert first in ("whole", "copy"), "one pair for both"
    separate_videos(registry, PART.url.exposed(), COPY.url.exposed())
    assert _pairs(registry) == []
    undo(registry, 1)
    assert sorted(_pairs(registry)) == sorted(everything[:2])


def test_only_pairs_with_some_videos(registry: Registry) -> None:
    assert _pairs(registry, among={TAKES[0].video_id, EMPTY.video_id}) == []
    assert _pairs(registry, among={PART.video_id}) == [("whole", "part of", "part")]
    assert _pairs(registry, among={WHOLE.video_id}) == [("whole", "part of", "part")]


def test_looking_for_copies_of_each_video_finds_what_the_full_look_finds(
    registry: Registry,
) -> None:
    _put(registry, COPY)
    videos = [WHOLE, PART, COPY, *TAKES, GUEST, EMPTY]
    found = {pair for one in videos for pair in _pairs(registry, among={one.video_id})}
    assert found == set(_pairs(registry))
    assert len(found) == 3


def test_an_ingest_finds_the_videos_that_the_full_look_lists(registry: Registry) -> None:
    search = CopySearch(registry)
    guest = Shot(Take(30, person=4), 0, 20)
    shots = [*[Shot(ONE, 0, 30)] * 4, guest]
    again = [recorded(f"again{i}", [shot], 1, seed=40 + i) for i, shot in enumerate(shots)]
    recorded_now = [COPY, *again]
    for video in recorded_now:
        _put(registry, video)
        search.add(video.video_id)
    listed = duplicate_videos(registry)
    waiting, steps = len(search._pairs), 0
    while search.step():
        steps += 1
    among = {side.video_id for pair in listed for side in (pair.first, pair.second)}
    assert search.finish() == among
    assert {video.video_id for video in recorded_now} < among
    assert steps < waiting, "two videos that both have a copy are not compared"
    assert not search.step()


def test_a_long_backlog_is_compared_at_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "MOST_WAITING", 1)
    search = CopySearch(registry)
    for video in (PART, EMPTY, *TAKES):
        search.add(video.video_id)
    assert len(search._pairs) == 1
    assert search.finish() == {WHOLE.video_id, PART.video_id}


def _run(home: Path, *arguments: str) -> Any:
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments])
    if result.exception and not isinstance(result.exception, SystemExit | RegistryError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_the_command_prints_a_table_and_a_document(home: Path, registry: Registry) -> None:
    registry.close()
    shown = _run(home, "videos", "duplicates")
    lines = shown.stdout.splitlines()
    assert lines[0].split() == [
        "sure", "what", "people", "video", "length", "shared", "Views", "url",
    ]  # fmt: skip
    assert lines[1].startswith("certain ")
    assert "second is part of first" in lines[1]
    assert ("30.0 s" in lines[1], "100 %" in lines[2], lines[2].rstrip().endswith("part.mp4")) == (
        True,
    ) * 3
    assert "1 pair, 1 certain" in shown.stderr
    [pair] = json.loads(_run(home, "videos", "duplicates", "--json").stdout)["duplicates"]
    assert (pair["kind"], pair["certain"]) == ("part of", True)
    assert [side["url"] for side in pair["videos"]] == [WHOLE.url.exposed(), PART.url.exposed()]
    assert pair["evidence"] > 20
    _run(home, "videos", "join", pair["videos"][0]["video"], pair["videos"][1]["video"])
    assert "No two videos" in _run(home, "videos", "duplicates").stderr
    assert json.loads(_run(home, "videos", "duplicates", "--json").stdout) == {"duplicates": []}


@pytest.mark.slow
def test_real_clips_encoded_again_and_cut_down(shared_data: Path, tmp_path: Path) -> None:
    """Two people, four takes each; of two takes there are copies."""
    clips = {base.name: base for base in made.bases(shared_data)}
    folder = tmp_path / "videos"
    for name in ("reel_D", "short_C_school", "short_C_walk", "short_C_learn", "long_C1"):
        made.write(folder / f"{name}.mp4", clips[name].frames(), clips[name].fps)
    reel, long = clips["reel_D"].frames(), clips["long_C1"].frames()
    made.write(folder / "small.mp4", reel, 30.0, made.Copy("crop=iw*0.9:ih*0.9,fps=25"))
    made.write(folder / "part.mp4", long[20:150], 30.0, made.Copy("hflip"))
    table = tmp_path / "videos.csv"
    rows = [f"videos/{path.name},{n}" for n, path in enumerate(sorted(folder.glob("*.mp4")))]
    table.write_text("\n".join(["Video URL,Performance", *rows]))
    home = tmp_path / "home"
    ingested = call(home, "ingest", str(table), "--json")
    assert ingested.exit_code == 0
    [warning] = json.loads(ingested.stdout)["warnings"]
    assert "5 of the videos read are likely the same footage" in warning
    found = json.loads(call(home, "videos", "duplicates", "--json").stdout)["duplicates"]
    pairs = {tuple(_name(side["url"]) for side in pair["videos"]): pair["kind"] for pair in found}
    assert pairs[("reel_D", "small")] == "same length"
    assert pairs[("long_C1", "part")] == "part of"
    related = {"short_C_learn", "long_C1", "part"}  # a clip of the one, and its copy
    assert all(pair == ("reel_D", "small") or set(pair) <= related for pair in pairs)
