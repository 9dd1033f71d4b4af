"""Erasing a person who is in the margins of other people's crops, with real faces and models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from qdrant_client import QdrantClient

from queries.lookup import lookup
from registry import ids
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.copies.backup import backup, restore
from registry.core import keys
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Face, Video
from registry.errors import StoreUnreachable
from registry.models.base import FaceModel
from registry.models.curves import shipped_curve
from registry.people import corrections
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.upkeep.doctor import Inspection
from registry.urls import Url
from tests.support.failing_folder import FailingFolder
from tests.support.homes import copy_home
from tests.support.neighbours import best_similarity, photo_vectors, write_neighbours

PAIRS = (
    ("Hugo_Chavez", "Jennifer_Aniston", 0.4),
    ("Jacques_Chirac", "Colin_Farrell", 0.4),
    ("Hugh_Grant", "Amelie_Mauresmo", 0.55),
    ("Ian_Thorpe", "Catherine_Zeta-Jones", 0.45),
)
"""Large face, small face beside it, and how large that is compared with it."""

each_pair = pytest.mark.parametrize(
    ("home", "pairs"),
    [(2, PAIRS[:1]), pytest.param(len(PAIRS), PAIRS, marks=pytest.mark.slow)],
    indirect=["home"],
    ids=["one", "all"],
)


@pytest.fixture(scope="module")
def ingested(
    photo: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Path]:
    """The home of a registry of so many of `PAIRS`, a video each; a test must copy it."""
    return cache(lambda count: _ingested(photo, tmp_path_factory.mktemp("neighbours"), count))


def _ingested(photo: Callable[..., Path], folder: Path, count: int) -> Path:
    rows = ["Video URL,Performance"]
    for number, (large, small, share) in enumerate(PAIRS[:count]):
        path = folder / f"{number}.mp4"
        write_neighbours(path, photo(large), photo(small), share=share)
        rows.append(f"{path.name},{number}")
    (folder / "table.csv").write_text("\n".join(rows))
    home = folder / "home"
    command = ["--home", str(home), "ingest", str(folder / "table.csv"), "--workers", "0"]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture(scope="module")
def filled(ingested: Callable[[int], Path]) -> Path:
    """The home of a registry of all `PAIRS`; a test must copy it."""
    return ingested(len(PAIRS))


@pytest.fixture
def home(request: pytest.FixtureRequest, ingested: Callable[[int], Path], tmp_path: Path) -> Path:
    """A copy of the home of a registry of two of `PAIRS`, or of as many as the test wants."""
    return copy_home(ingested(getattr(request, "param", 2)), tmp_path / "home")


@pytest.fixture(scope="session")
def models(sface: FaceModel, pack: FaceModel) -> list[FaceModel]:
    """The model of the registry, and an InsightFace pack, which it does not know."""
    return [sface, pack]


def _video(registry: Registry, number: int) -> Video:
    video = registry.records.get(registry.video(f"{number}.mp4").video_id)
    assert video is not None
    return video


def _sides(video: Video) -> tuple[str, str]:
    """The identities of the large and of the small face: they are left and right."""
    first = [face for face in video.faces if face.frame == video.faces[0].frame]
    assert len(first) == 2
    return first[0].identity_id, first[1].identity_id


def _pictures(registry: Registry) -> list[bytes]:
    return [registry.blobs.get(info.key) for info in registry.blobs.list("crops/")]


def _crops_of(registry: Registry, faces: Sequence[Face], who: str) -> list[bytes]:
    return [registry.crop(f.crop, f.crop_digest) for f in faces if f.identity_id == who]


def _least(model: FaceModel) -> float:
    """The cosine that one in a thousand different people reach."""
    return shipped_curve(model.info).curve.similarity(1e-3)


@each_pair
def test_no_model_finds_an_erased_person_in_the_pictures_of_others(
    home: Path,
    photo: Callable[..., Path],
    models: list[FaceModel],
    tmp_path: Path,
    pairs: Sequence[tuple[str, str, float]],
) -> None:
    with open_registry(home=home) as registry:
        for number, (large, small, _) in enumerate(pairs):
            video = _video(registry, number)
            who, other = _sides(video)[1], _sides(video)[0]
            wanted = [photo_vectors(model, photo(small)) for model in models]
            beside = _crops_of(registry, video.faces, other)
            before = [best_similarity(*pair, beside) for pair in zip(models, wanted, strict=True)]
            assert min(before) > 0.55, (small, before)
            receipt = registry.forget(who)
            after = [
                best_similarity(*pair, _pictures(registry))
                for pair in zip(models, wanted, strict=True)
            ]
            assert all(a < _least(m) for a, m in zip(after, models, strict=True)), (small, after)
            assert receipt["pictures"] == {
                "looked_through": len(beside), "not_looked_through": 0, "rewritten": len(beside),
                "unreadable": 0,
                "found_afterwards": 0, "model": "sface", "false_accept_rate": 0.001,
            }  # fmt: skip
            assert receipt["final_query"]["faces_in_pictures"] == 0
            # Who stays is still found.
            left = _crops_of(registry, _video(registry, number).faces, other)
            for model in models:
                face = photo_vectors(model, photo(large))
                assert best_similarity(model, face, left) > 0.6, large
        assert {f.verdict for f in Inspection(registry, deep=True).findings()} == {"ok"}
        registry.reindex()
        assert {f.verdict for f in Inspection(registry, deep=True).findings()} == {"ok"}
        backup(registry, tmp_path / "saved.zip")
        pictures = _pictures(registry)
    with open_registry(home=tmp_path / "restored") as restored:
        restore(restored, tmp_path / "saved.zip")
        assert _pictures(restored) == pictures
        assert {f.verdict for f in Inspection(restored, deep=True).findings()} == {"ok"}


@pytest.mark.parametrize("by_age", [False, True])
def test_removing_the_last_video_of_a_person_covers_them_in_the_pictures_that_stay(
    home: Path, photo: Callable[..., Path], models: list[FaceModel], by_age: bool
) -> None:
    """The video that stays has one face that was split off the person, and shows the rest of them.

    The detector missed the person in its other frames, so only the pictures of the neighbour tell.
    """
    large, small, _ = PAIRS[0]
    with open_registry(home=home) as registry:
        stays = _video(registry, 0)
        other, who = _sides(stays)
        first = stays.faces[0].frame
        seen = tuple(f for f in stays.faces if f.identity_id == other or f.frame == first)
        goes = _copy_of(stays, "old", tuple(f for f in stays.faces if f.identity_id == who))
        with registry.writing():
            own = [face for face in stays.faces if face.identity_id == who]
            for old, new in zip(own, goes.faces, strict=True):
                registry.blobs.put(new.crop, registry.blobs.get(old.crop))
        registry.commit(goes)
        registry.commit(replace(stays, faces=seen))
        corrections.split(registry, who, corrections.FaceSelection(videos=(stays.url.exposed(),)))
        beside = _crops_of(registry, seen, other)
        wanted = [photo_vectors(model, photo(small)) for model in models]
        before = [best_similarity(*pair, beside) for pair in zip(models, wanted, strict=True)]
        assert min(before) > 0.55, before
    command = ["--older-than", "30"] if by_age else [goes.url.exposed()]
    done = CliRunner().invoke(
        cli, ["--home", str(home), "videos", "remove", *command, "--yes", "--json"]
    )
    assert done.exit_code == 0, done.output
    receipt = json.loads(done.stdout)
    assert receipt["removed"]["identities"] == 1
    assert receipt["pictures"]["rewritten"] >= len(beside) - 1
    assert receipt["pictures"]["found_afterwards"] == 0
    with open_registry(home=home) as registry:
        left = _video(registry, 0)
        pictures = _crops_of(registry, left.faces, other)
        assert len(pictures) == len(beside)
        for model, face in zip(models, wanted, strict=True):
            assert best_similarity(model, face, pictures) < _least(model)
            assert best_similarity(model, photo_vectors(model, photo(large)), pictures) > 0.6
        assert {f.verdict for f in Inspection(registry, deep=True).findings()} == {"ok"}


def _copy_of(video: Video, name: str, faces: Sequence[Face]) -> Video:
    """Another video, read in 2020, with these faces under other ids and crops."""
    url = Url(f"https://example.com/{name}.mp4")
    video_id = ids.video_id(url)
    moved = tuple(
        replace(
            face,
            face_id=ids.face_id(video_id, "copied", face.frame, face.position),
            crop=keys.crop(video_id, face.frame, face.position),
        )
        for face in faces
    )
    return replace(
        video, video_id=video_id, url=url, faces=moved, run="20200101T000000Z-0000", content=None
    )


@pytest.mark.slow
def test_a_person_whom_the_detector_missed_in_frames_is_covered_there_too(
    home: Path, photo: Callable[..., Path], models: list[FaceModel]
) -> None:
    with open_registry(home=home) as registry:
        for number, (_, small, _) in enumerate(PAIRS[:2]):
            video = _video(registry, number)
            who, other = _sides(video)[1], _sides(video)[0]
            first = video.faces[0].frame
            seen = tuple(f for f in video.faces if f.identity_id == other or f.frame == first)
            registry.commit(replace(video, faces=seen))
            receipt = registry.forget(who)
            assert receipt["pictures"]["rewritten"] == len(seen) - 1
            for model in models:
                wanted = photo_vectors(model, photo(small))
                assert best_similarity(model, wanted, _pictures(registry)) < _least(model)


def test_a_person_who_is_blocked_is_covered_when_a_video_is_read_again(
    home: Path, photo: Callable[..., Path], models: list[FaceModel]
) -> None:
    with open_registry(home=home) as registry:
        video = _video(registry, 0)
        pictures = {face.crop: registry.blobs.get(face.crop) for face in video.faces}
        registry.forget(_sides(video)[1], block=True)
        with registry.writing():
            for key, picture in pictures.items():
                registry.blobs.put(key, picture)
            again = registry.commit(video)
        assert len(again.faces) == len(video.faces) // 2
        for model in models:
            wanted = photo_vectors(model, photo(PAIRS[0][1]))
            assert best_similarity(model, wanted, _pictures(registry)) < _least(model)
        assert {f.verdict for f in Inspection(registry, deep=True).findings()} == {"ok"}


def _state(registry: Registry) -> dict[str, Any]:
    faces = [dict(point.payload) for point in registry.index.stored_faces()]  # finishes it first
    [receipt] = registry.blobs.list("receipts/")
    body = json.loads(registry.blobs.get(receipt.key))
    return {
        "objects": {
            info.key: registry.blobs.get(info.key)
            for prefix in ("crops/", "records/", "intents/", "rewrites/")
            for info in registry.blobs.list(prefix)
        },
        "faces": faces,
        "receipt": {name: body[name] for name in ("removed", "pictures", "final_query")},
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_such_an_erasure_that_was_cut_off_anywhere_is_finished(
    filled: Path, tmp_path: Path
) -> None:
    """After each change to the objects in turn."""

    def opened(place: Path, client: QdrantClient, blobs: FolderStore) -> Registry:
        store = ServerStore("http://localhost", None, client=client)
        return Registry(load_settings(home=place), blobs, store)

    def begun(place: Path, changes: int) -> Iterator[Registry]:
        shutil.copytree(filled / "objects", place / "objects")
        client = QdrantClient(":memory:")
        opened(place, client, FolderStore(place / "objects")).reindex()
        yield opened(place, client, FailingFolder(place / "objects", changes))
        yield opened(place, client, FolderStore(place / "objects"))

    whole, _ = begun(tmp_path / "whole", 1000)
    who = _sides(_video(whole, 0))[1]
    whole.forget(who)
    expected = _state(whole)
    cut_off = 1
    while True:
        failing, again = begun(tmp_path / str(cut_off), cut_off)
        try:
            failing.forget(who)
            break
        except StoreUnreachable:
            assert _state(again) == expected, cut_off
        cut_off += 1
    assert cut_off > 15


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_such_an_erasure_whose_process_was_killed_is_finished(filled: Path, tmp_path: Path) -> None:
    def forget(name: str, operation: int) -> subprocess.CompletedProcess[str]:
        copy_home(filled, tmp_path / name)
        module = [sys.executable, "-m", "tests.erasure.killed_erasure"]
        return subprocess.run(
            [*module, str(tmp_path / name), who, str(operation)],
            cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
        )  # fmt: skip

    with open_registry(home=filled) as registry:
        who = _sides(_video(registry, 0))[1]
    whole = forget("whole", -1)
    assert whole.returncode == 0, whole.stderr
    with open_registry(home=tmp_path / "whole") as registry:
        expected = _state(registry)
    operations = int(whole.stdout)
    for operation in range(operations // 8, operations, operations // 6):
        name = str(operation)
        assert forget(name, operation).returncode == -9
        with open_registry(home=tmp_path / name) as registry:
            if list(registry.blobs.list("receipts/")) or registry.index.count_faces() < 32:
                assert _state(registry) == expected, operation
            else:
                assert who in {i.identity_id for i in registry.index.identities()}


def _zip(home: Path, path: Path, *options: str) -> dict[str, dict[str, bytes]]:
    """The crops of a zip by identity and name."""
    command = ["--home", str(home), "report", "--zip", str(path), *options]
    assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    people: dict[str, dict[str, bytes]] = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name != "index.csv":
                people.setdefault(name.split("/")[0], {})[name] = archive.read(name)
    return people


@each_pair
def test_a_crop_in_the_zip_shows_the_person_it_is_of_and_nobody_else(
    home: Path,
    photo: Callable[..., Path],
    models: list[FaceModel],
    tmp_path: Path,
    pairs: Sequence[tuple[str, str, float]],
) -> None:
    masked = _zip(home, tmp_path / "masked.zip")
    stored = _zip(home, tmp_path / "stored.zip", "--unmasked")
    with open_registry(home=home) as registry:
        for number, (large, small, _) in enumerate(pairs):
            who, beside = _sides(_video(registry, number))
            pictures = set(_crops_of(registry, _video(registry, number).faces, who))
            assert set(stored[who].values()) == pictures, "the crops in the registry stay whole"
            for model in models:
                vectors = photo_vectors(model, photo(small))
                assert best_similarity(model, vectors, stored[who].values()) > 0.55
                assert best_similarity(model, vectors, masked[who].values()) < _least(model)
                assert best_similarity(
                    model, photo_vectors(model, photo(large)), masked[beside].values()
                ) < _least(model)
            for identity in (who, beside):
                for name, picture in masked[identity].items():
                    (tmp_path / "one.jpg").write_bytes(picture)
                    [probe] = lookup(registry, tmp_path / "one.jpg").faces
                    assert probe.matches[0].identity == identity, name
                    assert probe.matches[0].similarity > 0.9


def test_an_option_for_the_zip_needs_a_zip(home: Path) -> None:
    refused = CliRunner().invoke(cli, ["--home", str(home), "report", "--unmasked"])
    assert refused.exit_code != 0
    assert "Give --zip PATH" in str(refused.exception)
